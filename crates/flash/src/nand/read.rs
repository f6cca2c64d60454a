//! Reading pages: which ECC steps are looked at, and what the driver keeps of the last page.

use super::pages::{Pages, Span};
use super::spare::{Placement, next_code};
use super::write::compute_codes;
use crate::chip::{Buffers, Chip, Outcome, buffers, deliver, front};
use crate::ecc::{Code, STEP_BYTES_MAX};
use crate::{Area, FlashError, Geometry, OpMode, Sink};

/// What ECC found.
#[derive(Default)]
pub(super) struct Verdict {
    pub corrected: u32,
    pub failed: u32,
    pub max_bitflips: u32,
}

impl Verdict {
    fn add_to(&self, outcome: &mut Outcome) {
        outcome.corrected = outcome.corrected.saturating_add(self.corrected);
        outcome.failed = outcome.failed.saturating_add(self.failed);
        outcome.max_bitflips = outcome.max_bitflips.max(self.max_bitflips);
    }
}

impl Chip<'_> {
    /// `nand_do_read_ops`: data, and spare area with it.
    pub(crate) fn nand_read(
        &mut self,
        at: u64,
        mut data: Sink<'_>,
        oob: Option<Sink<'_>>,
        mode: OpMode,
        ooboffs: u32,
        outcome: &mut Outcome,
    ) -> Result<(), FlashError> {
        // What is kept is the caller's own, not what the chip has.
        let mut code = self.code.filter(|_| mode != OpMode::Raw);
        let is_kept = self.medium.kept().contains(&at);
        if is_kept {
            code = None;
        }
        match (oob, code) {
            (None, None) if is_kept || !self.geometry.keeps_a_page() => {
                self.read_straight(at, &mut data, outcome)
            }
            (None, code) => self.read_data(at, &mut data, code, outcome),
            (Some(oob), code) => {
                let placement = Placement::new(self.geometry, mode, ooboffs);
                self.read_with_oob(at, &mut data, oob, &placement, code, outcome)
            }
        }
    }

    fn read_straight(
        &mut self,
        at: u64,
        data: &mut Sink<'_>,
        outcome: &mut Outcome,
    ) -> Result<(), FlashError> {
        let length = data.length();
        self.medium.read(
            Area::Main,
            at,
            data.part(0, length as usize).ok_or(FlashError::Invalid)?,
        )?;
        outcome.retlen = length;
        Ok(())
    }

    fn read_data(
        &mut self,
        at: u64,
        data: &mut Sink<'_>,
        code: Option<&Code>,
        outcome: &mut Outcome,
    ) -> Result<(), FlashError> {
        let pages = Pages::of(self.geometry)?;
        let end = at.saturating_add(data.length());
        let mut cursor = at;
        while cursor < end {
            let span = if self.geometry.keeps_a_page() {
                self.read_small_pages(&pages, cursor, end, code, at, data, outcome)?
            } else {
                self.read_large_pages(&pages, cursor, end, code, at, data, outcome)?
            };
            cursor = span.to.max(cursor.saturating_add(1));
            outcome.retlen = cursor - at;
        }
        Ok(())
    }

    /// Large pages: only the steps that hold wanted bytes are read and checked.
    #[allow(clippy::too_many_arguments)]
    fn read_large_pages(
        &mut self,
        pages: &Pages,
        cursor: u64,
        end: u64,
        code: Option<&Code>,
        at: u64,
        data: &mut Sink<'_>,
        outcome: &mut Outcome,
    ) -> Result<Span, FlashError> {
        let (run_end, sound) = self.uniform_soundness(cursor, end);
        if sound || code.is_none() {
            // There is nothing to correct: the bytes go straight to the reader.
            let part = data
                .part(
                    (cursor - at) as usize,
                    run_end.saturating_sub(cursor) as usize,
                )
                .ok_or(FlashError::Invalid)?;
            self.medium.read(Area::Main, cursor, part)?;
            return Ok(Span {
                first: pages.page(cursor),
                last: pages.page(run_end),
                from: cursor,
                to: run_end,
            });
        }
        let span = pages.span(cursor, end);
        let step = u64::from(self.geometry.ecc_step_size()).max(1);
        let steps = Span {
            from: span.from / step * step,
            to: span.to.div_ceil(step).saturating_mul(step),
            ..span
        };
        self.load(pages, &steps, code)?.add_to(outcome);
        self.deliver_data(pages, &span, at, data)?;
        Ok(span)
    }

    /// Small pages are read whole; a page read in part stays with the driver and answers the next reads of it.
    #[allow(clippy::too_many_arguments)]
    fn read_small_pages(
        &mut self,
        pages: &Pages,
        cursor: u64,
        end: u64,
        code: Option<&Code>,
        at: u64,
        data: &mut Sink<'_>,
        outcome: &mut Outcome,
    ) -> Result<Span, FlashError> {
        let one = pages.page_span(cursor, end);
        if let Some((page, bitflips)) = self.ledger.cached_page()
            && page == one.first
        {
            // Corrected once, counted once, whatever the mode of this read.
            self.load_whole(pages, &one, self.code)?;
            outcome.max_bitflips = outcome.max_bitflips.max(bitflips);
            self.deliver_data(pages, &one, at, data)?;
            return Ok(one);
        }
        if pages.is_partial(&one) {
            let verdict = self.load_whole(pages, &one, code)?;
            verdict.add_to(outcome);
            let keep = code.is_some() && verdict.failed == 0;
            self.ledger
                .set_cached_page(keep.then_some((one.first, verdict.max_bitflips)));
            self.deliver_data(pages, &one, at, data)?;
            return Ok(one);
        }
        // A kept page further on and an end inside a page are for the next round.
        let kept = self
            .ledger
            .cached_page()
            .map(|(page, _)| page)
            .filter(|&page| page > one.first);
        let end = kept.map_or(end, |page| end.min(pages.start(page)));
        let end = pages.start(pages.page(end));
        let (run_end, sound) = self.uniform_soundness(cursor, end);
        if sound || code.is_none() {
            let part = data
                .part(
                    (cursor - at) as usize,
                    run_end.saturating_sub(cursor) as usize,
                )
                .ok_or(FlashError::Invalid)?;
            self.medium.read(Area::Main, cursor, part)?;
            return Ok(Span {
                from: cursor,
                to: run_end,
                ..one
            });
        }
        let span = pages.span(cursor, end);
        self.load(pages, &span, code)?.add_to(outcome);
        self.deliver_data(pages, &span, at, data)?;
        Ok(span)
    }

    fn read_with_oob(
        &mut self,
        at: u64,
        data: &mut Sink<'_>,
        mut oob: Sink<'_>,
        placement: &Placement,
        code: Option<&Code>,
        outcome: &mut Outcome,
    ) -> Result<(), FlashError> {
        let pages = Pages::of(self.geometry)?;
        let end = at.saturating_add(data.length());
        let mut cursor = at;
        while cursor < end {
            let span = pages.span(cursor, end);
            let whole = (pages.start(span.first), pages.start(span.last));
            let sound = self.uniform_soundness(whole.0, whole.1) == (whole.1, true);
            let code = code.filter(|_| !sound);
            let verdict = self.load_whole(&pages, &span, code)?;
            verdict.add_to(outcome);
            if pages.is_partial(&span) && self.geometry.keeps_a_page() {
                self.ledger.set_cached_page(None);
            }
            self.deliver_data(&pages, &span, at, data)?;
            cursor = span.to.max(cursor.saturating_add(1));
            outcome.retlen = cursor - at;
            if code.is_none() {
                self.load_oob(&pages, &span)?;
            }
            self.deliver_oob(&pages, &span, placement, &mut oob, outcome)?;
        }
        Ok(())
    }

    /// `nand_do_read_oob`: the spare area alone, running over pages.
    pub(crate) fn nand_read_oob(
        &mut self,
        at: u64,
        mut oob: Sink<'_>,
        mode: OpMode,
        ooboffs: u32,
        outcome: &mut Outcome,
    ) -> Result<(), FlashError> {
        let length = oob.length();
        if length == 0 {
            return Ok(());
        }
        let pages = Pages::of(self.geometry)?;
        let placement = Placement::new(self.geometry, mode, ooboffs);
        let first = pages.page(at);
        let count = length
            .checked_div(placement.available)
            .ok_or(FlashError::Invalid)?;
        let last = first
            .saturating_add(count)
            .saturating_add(u64::from(!length.is_multiple_of(placement.available)));
        if last > self.geometry.page_count() {
            return Err(FlashError::Invalid);
        }
        if mode != OpMode::Auto
            && (ooboffs == 0 || u64::from(ooboffs).saturating_add(length) <= pages.oobsize)
        {
            // The spare areas lie one behind the other, so this is one transfer.
            let from = pages.oob_start(first).saturating_add(u64::from(ooboffs));
            self.medium.read(
                Area::Oob,
                from,
                oob.part(0, length as usize).ok_or(FlashError::Invalid)?,
            )?;
            outcome.oobretlen = length;
            return Ok(());
        }
        let mut page = first;
        while page < last {
            let span = pages.span(pages.start(page), pages.start(last));
            self.load_oob(&pages, &span)?;
            self.deliver_oob(&pages, &span, &placement, &mut oob, outcome)?;
            page = span.last;
        }
        Ok(())
    }

    fn load_whole(
        &mut self,
        pages: &Pages,
        span: &Span,
        code: Option<&Code>,
    ) -> Result<Verdict, FlashError> {
        let whole = Span {
            from: pages.start(span.first),
            to: pages.start(span.last),
            ..*span
        };
        self.load(pages, &whole, code)
    }

    /// Reads whole steps into the scratch area, at their place in their pages, and corrects them.
    pub(super) fn load(
        &mut self,
        pages: &Pages,
        span: &Span,
        code: Option<&Code>,
    ) -> Result<Verdict, FlashError> {
        let Buffers {
            data, oob, old_oob, ..
        } = buffers(self.scratch)?;
        let data = front(data, span.data_bytes(pages))?;
        let from = (span.from.saturating_sub(pages.start(span.first))) as usize;
        let wanted = data
            .get_mut(from..from.saturating_add(span.length() as usize))
            .ok_or(FlashError::Invalid)?;
        self.medium
            .read(Area::Main, span.from, Sink::Bytes(wanted))?;
        let Some(code) = code else {
            return Ok(Verdict::default());
        };
        let oob = front(oob, span.oob_bytes(pages))?;
        self.medium
            .read(Area::Oob, pages.oob_start(span.first), Sink::Bytes(oob))?;
        let fresh = front(old_oob, oob.len())?;
        check_steps(
            self.geometry,
            code,
            data,
            oob,
            fresh,
            from..from.saturating_add(span.length() as usize),
        )
    }

    fn load_oob(&mut self, pages: &Pages, span: &Span) -> Result<(), FlashError> {
        let Buffers { oob, .. } = buffers(self.scratch)?;
        let oob = front(oob, span.oob_bytes(pages))?;
        Ok(self
            .medium
            .read(Area::Oob, pages.oob_start(span.first), Sink::Bytes(oob))?)
    }

    /// Hands out loaded data: the sink begins at address `at`.
    fn deliver_data(
        &mut self,
        pages: &Pages,
        span: &Span,
        at: u64,
        to: &mut Sink<'_>,
    ) -> Result<(), FlashError> {
        let Buffers { data, .. } = buffers(self.scratch)?;
        let from = (span.from.saturating_sub(pages.start(span.first))) as usize;
        let bytes = data
            .get(from..from.saturating_add(span.length() as usize))
            .ok_or(FlashError::Invalid)?;
        deliver(self.medium, to, span.from.saturating_sub(at), bytes)
    }

    fn deliver_oob(
        &mut self,
        pages: &Pages,
        span: &Span,
        placement: &Placement,
        to: &mut Sink<'_>,
        outcome: &mut Outcome,
    ) -> Result<(), FlashError> {
        let share = placement.share(to.length().saturating_sub(outcome.oobretlen), span.pages());
        if share == 0 {
            return Ok(());
        }
        let Buffers { oob, old_oob, .. } = buffers(self.scratch)?;
        let user = front(old_oob, share as usize)?;
        placement.gather(
            front(oob, span.oob_bytes(pages))?,
            user,
            pages.oobsize as usize,
        )?;
        deliver(self.medium, to, outcome.oobretlen, user)?;
        outcome.oobretlen += share;
        Ok(())
    }
}

/// Checks and corrects the steps inside `range` of consecutive pages; `fresh` is room for their spare areas.
fn check_steps(
    geometry: &Geometry,
    code: &Code,
    data: &mut [u8],
    oob: &[u8],
    fresh: &mut [u8],
    range: core::ops::Range<usize>,
) -> Result<Verdict, FlashError> {
    let mut verdict = Verdict::default();
    let (writesize, oobsize) = (geometry.writesize as usize, geometry.oobsize as usize);
    let step_size = geometry.ecc_step_size().max(1) as usize;
    let mut buffer = [0u8; STEP_BYTES_MAX];
    let stored = buffer
        .get_mut(..geometry.ecc_step_bytes() as usize)
        .ok_or(FlashError::Invalid)?;
    // Of whole pages all codes are computed at once; mostly they are what is stored, and nothing is left to do.
    let is_whole = range == (0..data.len());
    if is_whole {
        fresh.copy_from_slice(oob);
        compute_codes(geometry, code, data, fresh)?;
    }
    let spares = oob.chunks_exact(oobsize.max(1));
    let pages = data
        .chunks_exact_mut(writesize.max(1))
        .zip(spares.zip(fresh.chunks_exact(oobsize.max(1))));
    for (page, (data, (spare, fresh))) in pages.enumerate() {
        if is_whole && spare == fresh {
            continue;
        }
        let mut positions = code.layout.ecc_positions();
        for (step, bytes) in data.chunks_exact_mut(step_size).enumerate() {
            next_code(&mut positions, spare, stored)?;
            if !range.contains(&(page * writesize + step * step_size)) {
                continue;
            }
            match code.correct(bytes, stored) {
                Ok(bitflips) => {
                    verdict.corrected = verdict.corrected.saturating_add(bitflips);
                    verdict.max_bitflips = verdict.max_bitflips.max(bitflips);
                }
                Err(crate::ecc::Uncorrectable) => verdict.failed = verdict.failed.saturating_add(1),
            }
        }
    }
    Ok(verdict)
}
