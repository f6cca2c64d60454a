//! Rewriting pages of a block for the block device: old data is read with ECC, the new laid over it, the code computed
//! again. The erase that mtdblock does takes the user's OOB bytes of the whole block with it.

use core::ops::Range;

use super::pages::{Pages, Span};
use super::write::compute_codes;
use crate::chip::{Buffers, Chip, buffers, fetch, front};
use crate::ecc::Code;
use crate::geometry::Piece;
use crate::{Area, FlashError, Source};

impl Chip<'_> {
    pub(crate) fn replace_pages(
        &mut self,
        piece: &Piece,
        from: &Source<'_>,
        first_visit: bool,
    ) -> Result<(), FlashError> {
        let pages = Pages::of(self.geometry)?;
        let code = self.code;
        let whole = piece.from == 0 && piece.to == piece.block.length;
        // The first visit rewrites the block; later ones find its other pages as they should be.
        let (mut cursor, end) = if first_visit && !whole {
            (piece.block.start, piece.block.end())
        } else {
            (pages.start(pages.page(piece.start())), piece.end())
        };
        while cursor < end {
            let span = pages.span(cursor, end);
            let span = Span {
                from: pages.start(span.first),
                to: pages.start(span.last),
                ..span
            };
            self.rewrite(&pages, &span, piece, from, code)?;
            cursor = span.to.max(cursor.saturating_add(1));
        }
        Ok(())
    }

    /// Loading a block, even one that is replaced as a whole, sector after sector, fails when a page cannot be corrected.
    pub(crate) fn check_readable(&mut self, unit: &Range<u64>) -> Result<(), FlashError> {
        let pages = Pages::of(self.geometry)?;
        let code = self.code;
        let mut cursor = unit.start;
        while code.is_some() && cursor < unit.end {
            let span = pages.span(cursor, unit.end);
            if !self.is_clean(cursor, span.length()) && self.load(&pages, &span, code)?.failed > 0 {
                return Err(FlashError::Io);
            }
            cursor = span.to.max(cursor.saturating_add(1));
        }
        Ok(())
    }

    /// Whole pages: `span` is rewritten with what `from` (which begins at the piece) changes in them.
    fn rewrite(
        &mut self,
        pages: &Pages,
        span: &Span,
        piece: &Piece,
        from: &Source<'_>,
        code: Option<&Code>,
    ) -> Result<(), FlashError> {
        let (start, end) = (span.from.max(piece.start()), span.to.min(piece.end()));
        if start >= end && self.is_clean(span.from, span.length()) {
            return Ok(());
        }
        if self.load(pages, span, code)?.failed > 0 && (start, end) != (span.from, span.to) {
            return Err(FlashError::Io);
        }
        let Buffers { data, oob, .. } = buffers(self.scratch)?;
        let data = front(data, span.data_bytes(pages))?;
        if start < end {
            let inner = (start - span.from) as usize..(end - span.from) as usize;
            let changed = data.get_mut(inner).ok_or(FlashError::Invalid)?;
            fetch(
                self.medium,
                from,
                start.saturating_sub(piece.start()),
                changed,
            )?;
        }
        let oob = front(oob, span.oob_bytes(pages))?;
        oob.fill(0xff);
        if let Some(code) = code {
            compute_codes(self.geometry, code, data, oob)?;
        }
        self.forget_kept_page(span.from, span.to);
        self.forget_clean(span.from, span.length());
        let Buffers { data, oob, .. } = buffers(self.scratch)?;
        self.medium.write(
            Area::Main,
            span.from,
            Source::Bytes(front(data, span.data_bytes(pages))?),
        )?;
        if pages.oobsize > 0 {
            let oob = front(oob, span.oob_bytes(pages))?;
            self.medium
                .write(Area::Oob, pages.oob_start(span.first), Source::Bytes(oob))?;
        }
        Ok(())
    }
}
