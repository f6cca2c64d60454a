//! Between the user's OOB bytes and the spare area of a page.

use crate::layout::Positions;
use crate::{FlashError, Geometry, OobLayout, OpMode};

/// How OOB bytes of the user lie in every page of an operation.
#[derive(Clone, Copy)]
pub(super) struct Placement {
    layout: OobLayout,
    mode: OpMode,
    ooboffs: u32,
    /// Bytes of one page that the mode can reach.
    pub available: u64,
}

impl Placement {
    pub fn new(geometry: &Geometry, mode: OpMode, ooboffs: u32) -> Placement {
        // Only one mode asks for the layout.
        let (mut layout, mut available) = (OobLayout::default(), geometry.oobsize);
        if mode == OpMode::Auto {
            layout = geometry.oob_layout().unwrap_or_default();
            available = layout.available();
        }
        Placement {
            layout,
            mode,
            ooboffs,
            available: u64::from(available),
        }
    }

    /// Bytes that a span of pages takes of `left`.
    pub fn share(&self, left: u64, pages: u64) -> u64 {
        left.min(self.available.saturating_mul(pages))
    }

    /// Puts the user's bytes into the spare areas of consecutive pages, which hold 0xFF.
    pub fn scatter(&self, user: &[u8], spare: &mut [u8], oobsize: usize) -> Result<(), FlashError> {
        // Not by iterators over chunks of both, which divide.
        let mut spares = spare;
        for user in user.chunks(self.page_share()) {
            let (spare, rest) = spares
                .split_at_mut_checked(oobsize)
                .ok_or(FlashError::Invalid)?;
            spares = rest;
            if self.mode == OpMode::Auto {
                for (position, byte) in self.layout.free_positions(self.ooboffs).zip(user) {
                    *spare
                        .get_mut(position as usize)
                        .ok_or(FlashError::Invalid)? = *byte;
                }
            } else {
                let from = self.ooboffs as usize;
                let target = spare.get_mut(from..from.saturating_add(user.len()));
                target.ok_or(FlashError::Invalid)?.copy_from_slice(user);
            }
        }
        Ok(())
    }

    /// Collects the user's bytes from the spare areas of consecutive pages.
    pub fn gather(&self, spare: &[u8], user: &mut [u8], oobsize: usize) -> Result<(), FlashError> {
        let mut spares = spare;
        for user in user.chunks_mut(self.page_share()) {
            let (spare, rest) = spares
                .split_at_checked(oobsize)
                .ok_or(FlashError::Invalid)?;
            spares = rest;
            if self.mode == OpMode::Auto {
                for (position, byte) in self.layout.free_positions(self.ooboffs).zip(user) {
                    *byte = *spare.get(position as usize).ok_or(FlashError::Invalid)?;
                }
            } else {
                let from = self.ooboffs as usize;
                let source = spare.get(from..from.saturating_add(user.len()));
                user.copy_from_slice(source.ok_or(FlashError::Invalid)?);
            }
        }
        Ok(())
    }

    fn page_share(&self) -> usize {
        (self.available as usize).max(1)
    }
}

/// Takes the ECC bytes of the next step out of a page's spare area.
pub(super) fn next_code(
    positions: &mut Positions,
    spare: &[u8],
    code: &mut [u8],
) -> Result<(), FlashError> {
    for byte in code {
        let position = positions.next().ok_or(FlashError::Invalid)?;
        *byte = *spare.get(position as usize).ok_or(FlashError::Invalid)?;
    }
    Ok(())
}
