//! Arithmetic of pages: which of them a range touches, and how many fit into the scratch area.

use crate::chip::{DATA_CHUNK, OOB_CHUNK};
use crate::geometry::shifted;
use crate::{FlashError, Geometry};

/// Sizes that every NAND operation needs, none of them 0.
#[derive(Clone, Copy)]
pub(super) struct Pages {
    pub writesize: u64,
    /// Of the page size, which is a power of two.
    shift: u32,
    pub oobsize: u64,
    /// Pages handled at once.
    pub chunk: u64,
}

/// A range inside whole pages: `first..last` pages, and what of their data is meant.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub first: u64,
    pub last: u64,
    /// Data range on the chip.
    pub from: u64,
    pub to: u64,
}

impl Pages {
    pub fn of(geometry: &Geometry) -> Result<Pages, FlashError> {
        let (writesize, oobsize) = (u64::from(geometry.writesize), u64::from(geometry.oobsize));
        let shift = geometry.writesize.trailing_zeros();
        let by_data = DATA_CHUNK as u32 >> (shift & 31);
        // Division takes long, so it is asked first whether it is needed.
        let chunk = if by_data.saturating_mul(geometry.oobsize) <= OOB_CHUNK as u32 {
            by_data
        } else {
            OOB_CHUNK as u32 / geometry.oobsize.max(1)
        };
        let chunk = u64::from(chunk);
        if chunk == 0 || !geometry.writesize.is_power_of_two() {
            Err(FlashError::Invalid)
        } else {
            Ok(Pages {
                writesize,
                shift,
                oobsize,
                chunk,
            })
        }
    }

    /// The page of an address.
    pub fn page(&self, at: u64) -> u64 {
        shifted(at, self.shift)
    }

    // Sizes fit 32 bits, and what follows the page does so far that a product cannot overflow on any chip.
    pub fn start(&self, page: u64) -> u64 {
        page.wrapping_mul(u64::from(self.writesize as u32))
    }

    pub fn oob_start(&self, page: u64) -> u64 {
        page.wrapping_mul(u64::from(self.oobsize as u32))
    }

    /// The next part of `at..end` that is handled at once.
    #[inline(never)]
    pub fn span(&self, at: u64, end: u64) -> Span {
        let first = self.page(at);
        let last = first
            .saturating_add(self.chunk)
            .min(self.page(end.saturating_add(self.writesize - 1)))
            .max(first + 1);
        Span {
            first,
            last,
            from: at,
            to: end.min(self.start(last)),
        }
    }

    /// The page of `at` alone, up to `end`.
    pub fn page_span(&self, at: u64, end: u64) -> Span {
        let first = self.page(at);
        Span {
            first,
            last: first + 1,
            from: at,
            to: end.min(self.start(first + 1)),
        }
    }

    pub fn is_partial(&self, span: &Span) -> bool {
        span.from != self.start(span.first) || span.to != self.start(span.last)
    }
}

impl Span {
    pub fn pages(&self) -> u64 {
        self.last.saturating_sub(self.first)
    }

    pub fn length(&self) -> u64 {
        self.to.saturating_sub(self.from)
    }

    /// Lengths in the scratch area: they fit there, so they fit `usize`.
    pub fn data_bytes(&self, pages: &Pages) -> usize {
        (self.pages() as usize).wrapping_mul(pages.writesize as usize)
    }

    pub fn oob_bytes(&self, pages: &Pages) -> usize {
        (self.pages() as usize).wrapping_mul(pages.oobsize as usize)
    }
}
