//! Programming pages: data, the code over it, and the user's OOB bytes, all ANDed into what is there.

use super::pages::{Pages, Span};
use super::spare::Placement;
use crate::chip::{Buffers, Chip, Outcome, buffers, fetch, front, is_erased};
use crate::ecc::Code;
use crate::geometry::divides;
use crate::{Area, FlashError, Geometry, OpMode, Sink, Source};

impl Chip<'_> {
    /// `nand_do_write_ops`.
    pub(crate) fn nand_write(
        &mut self,
        at: u64,
        data: &Source<'_>,
        oob: Option<Source<'_>>,
        mode: OpMode,
        ooboffs: u32,
        outcome: &mut Outcome,
    ) -> Result<(), FlashError> {
        let length = data.length();
        if length == 0 {
            return Ok(());
        }
        let subpage = self.geometry.subpage_size();
        if !divides(at | length, subpage) {
            // The kernel has copied the data by now: a bad pointer is found before the alignment.
            self.check_source(data)?;
            return Err(FlashError::Invalid);
        }
        let end = at.saturating_add(length);
        self.forget_kept_page(at, end);
        let oob = oob.map(|oob| (oob, Placement::new(self.geometry, mode, ooboffs)));
        let ooblen = oob.as_ref().map_or(0, |(oob, _)| oob.length());
        if let Some((_, placement)) = &oob
            && ooboffs != 0
            && u64::from(ooboffs).saturating_add(ooblen) > placement.available
        {
            return Err(FlashError::Invalid);
        }
        let code = self.code.filter(|_| mode != OpMode::Raw);
        if code.is_none() || (oob.is_some() && mode != OpMode::Auto) {
            self.forget_sound(at, length);
        }
        if code.is_none() && oob.is_none() {
            self.program_bytes(at, *data)?;
            outcome.retlen = length;
            return Ok(());
        }
        let pages = Pages::of(self.geometry)?;
        if pages.span(at, end).to < end {
            // More than one round: a fault in a later one must not leave the earlier ones done.
            self.check_source(data)?;
            oob.as_ref()
                .map_or(Ok(()), |(oob, _)| self.check_source(oob))?;
        }
        let mut cursor = at;
        while cursor < end {
            let span = pages.span(cursor, end);
            self.empty_spare(&pages, &span)?;
            let mut is_fetched = false;
            if let Some((oob, placement)) = &oob {
                let share = placement.share(ooblen.saturating_sub(outcome.oobretlen), span.pages());
                // One call fetches whole pages with the spare bytes that lie behind them, as nandwrite has them.
                let whole = span.data_bytes(&pages);
                if let Some((address, count)) = data.with_behind(oob, share as usize)
                    && length as usize == whole
                {
                    let Buffers { data, .. } = buffers(self.scratch)?;
                    if let Some(data) = data.get_mut(..count) {
                        self.medium.copy_in(address, data)?;
                        is_fetched = true;
                    }
                }
                let behind = if is_fetched { whole } else { 0 };
                self.compose_oob(
                    &pages,
                    &span,
                    placement,
                    oob,
                    outcome.oobretlen,
                    share,
                    behind,
                )?;
                outcome.oobretlen += share;
            }
            let is_claimed =
                self.claim_pages(pages.start(span.first), span.data_bytes(&pages) as u64);
            if !is_fetched {
                self.compose(&pages, &span, at, data, is_claimed)?;
            }
            if let Some(code) = code {
                let Buffers { data, oob, .. } = buffers(self.scratch)?;
                let spare = front(oob, span.oob_bytes(&pages))?;
                compute_codes(
                    self.geometry,
                    code,
                    front(data, span.data_bytes(&pages))?,
                    spare,
                )?;
            }
            if is_fetched || !is_claimed {
                self.commit(&pages, &span, is_claimed)?;
            }
            self.commit_oob(&pages, &span, is_claimed)?;
            cursor = span.to.max(cursor.saturating_add(1));
            outcome.retlen = cursor - at;
        }
        // The driver reports surplus bytes as written.
        outcome.oobretlen = ooblen;
        Ok(())
    }

    /// `nand_do_write_oob`: bytes of one page's spare area.
    pub(crate) fn nand_write_oob(
        &mut self,
        at: u64,
        oob: &Source<'_>,
        mode: OpMode,
        ooboffs: u32,
        outcome: &mut Outcome,
    ) -> Result<(), FlashError> {
        self.write_page_oob(at, oob, mode, ooboffs)?;
        outcome.oobretlen = oob.length();
        Ok(())
    }

    pub(super) fn write_page_oob(
        &mut self,
        at: u64,
        oob: &Source<'_>,
        mode: OpMode,
        ooboffs: u32,
    ) -> Result<(), FlashError> {
        let placement = Placement::new(self.geometry, mode, ooboffs);
        let length = oob.length();
        if u64::from(ooboffs).saturating_add(length) > placement.available {
            return Err(FlashError::Invalid);
        }
        let pages = Pages::of(self.geometry)?;
        let page = pages.page(at);
        if page >= self.geometry.page_count() {
            return Err(FlashError::Invalid);
        }
        let start = pages.start(page);
        if mode != OpMode::Auto {
            self.forget_sound(start, pages.writesize);
        }
        self.forget_kept_page(start, start.saturating_add(pages.writesize));
        let span = Span {
            first: page,
            last: page + 1,
            from: start,
            to: start,
        };
        self.empty_spare(&pages, &span)?;
        self.compose_oob(&pages, &span, &placement, oob, 0, length, 0)?;
        let is_claimed = self.claim_pages(start, pages.writesize);
        if !is_claimed {
            self.forget_clean(start, pages.writesize);
            self.forget_sound(start, pages.writesize);
        }
        self.commit_oob(&pages, &span, is_claimed)
    }

    fn empty_spare(&mut self, pages: &Pages, span: &Span) -> Result<(), FlashError> {
        let Buffers { oob, .. } = buffers(self.scratch)?;
        front(oob, span.oob_bytes(pages))?.fill(0xff);
        Ok(())
    }

    /// Puts the new data of a span into the scratch area, 0xFF around it. Onto pages that were claimed it is stored before, so
    /// that it is moved to where it belongs at once, and what a code is computed of is what is there.
    fn compose(
        &mut self,
        pages: &Pages,
        span: &Span,
        at: u64,
        data: &Source<'_>,
        is_claimed: bool,
    ) -> Result<(), FlashError> {
        let offset = span.from.saturating_sub(at);
        if is_claimed {
            let part = data.part(offset as usize, span.length() as usize);
            self.store_clean(span.from, part.ok_or(FlashError::Invalid)?)?;
        }
        let Buffers { data: target, .. } = buffers(self.scratch)?;
        let target = front(target, span.data_bytes(pages))?;
        if pages.is_partial(span) {
            target.fill(0xff);
        }
        let from = (span.from.saturating_sub(pages.start(span.first))) as usize;
        let wanted = target
            .get_mut(from..from.saturating_add(span.length() as usize))
            .ok_or(FlashError::Invalid)?;
        if is_claimed {
            Ok(self
                .medium
                .read(Area::Main, span.from, Sink::Bytes(wanted))?)
        } else {
            fetch(self.medium, data, offset, wanted)
        }
    }

    /// Spreads `share` bytes of the user's OOB, from `offset` on, over the spare areas of a span. Unless they lie in the scratch area
    /// `behind` so much data they are fetched.
    #[allow(clippy::too_many_arguments)]
    fn compose_oob(
        &mut self,
        pages: &Pages,
        span: &Span,
        placement: &Placement,
        oob: &Source<'_>,
        offset: u64,
        share: u64,
        behind: usize,
    ) -> Result<(), FlashError> {
        if share == 0 {
            return Ok(());
        }
        let Buffers {
            data,
            oob: spare,
            old_oob,
            ..
        } = buffers(self.scratch)?;
        let mut user = front(old_oob, share as usize)?;
        if behind == 0 {
            fetch(self.medium, oob, offset, user)?;
        } else {
            user = data
                .get_mut(behind..behind + share as usize)
                .ok_or(FlashError::Invalid)?;
        }
        placement.scatter(
            user,
            front(spare, span.oob_bytes(pages))?,
            pages.oobsize as usize,
        )
    }

    /// Programs the data that was composed.
    fn commit(&mut self, pages: &Pages, span: &Span, is_claimed: bool) -> Result<(), FlashError> {
        let (start, length) = (pages.start(span.first), span.data_bytes(pages) as u64);
        if !is_claimed {
            self.forget_sound(start, length);
            self.forget_clean(start, length);
        }
        let Buffers { data, old, .. } = buffers(self.scratch)?;
        let from = (span.from.saturating_sub(start)) as usize;
        let data = data
            .get_mut(from..from.saturating_add(span.length() as usize))
            .ok_or(FlashError::Invalid)?;
        if !is_claimed {
            let old = front(old, data.len())?;
            self.medium.read(Area::Main, span.from, Sink::Bytes(old))?;
            self.medium.and(data, old);
        }
        Ok(self
            .medium
            .write(Area::Main, span.from, Source::Bytes(data))?)
    }

    /// Programs the spare areas that were composed: one transfer, and none at all when nothing is in them.
    fn commit_oob(
        &mut self,
        pages: &Pages,
        span: &Span,
        is_claimed: bool,
    ) -> Result<(), FlashError> {
        let Buffers { oob, old_oob, .. } = buffers(self.scratch)?;
        let oob = front(oob, span.oob_bytes(pages))?;
        if is_erased(oob) {
            return Ok(());
        }
        let at = pages.oob_start(span.first);
        if !is_claimed {
            let old = front(old_oob, oob.len())?;
            self.medium.read(Area::Oob, at, Sink::Bytes(old))?;
            self.medium.and(oob, old);
        }
        Ok(self.medium.write(Area::Oob, at, Source::Bytes(oob))?)
    }

    /// The page that the driver keeps is read again after it was programmed.
    pub(super) fn forget_kept_page(&mut self, at: u64, end: u64) {
        if !self.geometry.keeps_a_page() {
            return;
        }
        // A partial page also passes through the driver's only buffer, where the kept page was.
        let writesize = u64::from(self.geometry.writesize.max(1));
        let partial = !at.is_multiple_of(writesize) || !end.is_multiple_of(writesize);
        let touched = |page: u64| (at / writesize..end.div_ceil(writesize)).contains(&page);
        if self
            .ledger
            .cached_page()
            .is_some_and(|(page, _)| partial || touched(page))
        {
            self.ledger.set_cached_page(None);
        }
    }
}

/// As many steps as are fastest; smaller pages are done together.
const PAGE_LARGE: usize = 8 * 256;
/// The Hamming codes of these.
const CODES_SMALL: usize = 8 * 3;

/// Computes the code of every step of consecutive pages into their spare areas, over whatever the user put there.
pub(super) fn compute_codes(
    geometry: &Geometry,
    code: &Code,
    data: &[u8],
    oob: &mut [u8],
) -> Result<(), FlashError> {
    let [first, second] = code.layout.ecc_runs();
    let (writesize, oobsize) = (geometry.writesize as usize, geometry.oobsize as usize);
    let page_codes = first.len() + second.len();
    let (mut data, mut oob) = (data, oob);
    let mut at_once = PAGE_LARGE >> (writesize.trailing_zeros() & 31);
    // Codes go where they belong if that is one place in a page.
    if at_once <= 1 || at_once * page_codes > CODES_SMALL {
        let codes = oob.get_mut(first.start..).ok_or(FlashError::Invalid)?;
        code.calculate(data, codes, writesize, oobsize - first.len());
        return Ok(());
    }
    let mut buffer = [0u8; CODES_SMALL];
    // Not by iterators over chunks, which divide.
    loop {
        let length = at_once * writesize;
        let Some((pages, rest)) = data.split_at_checked(length) else {
            if at_once == 1 {
                return Ok(());
            }
            at_once = 1;
            continue;
        };
        data = rest;
        let (spares, rest) = oob
            .split_at_mut_checked(at_once * oobsize)
            .ok_or(FlashError::Invalid)?;
        oob = rest;
        let codes = buffer.get_mut(..at_once * page_codes);
        let codes = codes.ok_or(FlashError::Invalid)?;
        code.calculate(pages, codes, length, 0);
        let spares = spares.chunks_exact_mut(oobsize.max(1));
        for (spare, codes) in spares.zip(codes.chunks_exact(page_codes.max(1))) {
            let (before, behind) = codes.split_at_checked(first.len()).unwrap_or_default();
            for (run, part) in [(&first, before), (&second, behind)] {
                let target = spare.get_mut(run.clone()).ok_or(FlashError::Invalid)?;
                target.copy_from_slice(part);
            }
        }
    }
}
