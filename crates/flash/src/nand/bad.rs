//! Bad blocks: the ledger is the table that the kernel keeps in memory; the mark in the spare area is what lasts.

use crate::chip::Chip;
use crate::{Area, Block, BlockFlags, FlashError, OpMode, Sink, Source};

impl Chip<'_> {
    /// Bad or reserved, by the table: a mark written by hand through the spare area does not count.
    pub fn is_bad(&self, at: u64) -> Result<bool, FlashError> {
        self.block_flags(at)
            .map(|flags| flags.bad || flags.reserved)
    }

    /// Kept for the on-flash bad block table.
    pub fn is_reserved(&self, at: u64) -> Result<bool, FlashError> {
        self.block_flags(at).map(|flags| flags.reserved)
    }

    fn block_flags(&self, at: u64) -> Result<BlockFlags, FlashError> {
        let block = self.geometry.block_at(at).ok_or(FlashError::Invalid)?;
        if self.geometry.is_nand() {
            self.ledger.flags(block.index)
        } else {
            Ok(BlockFlags::default())
        }
    }

    /// Erases the block, writes the mark, then remembers. Answers whether the block was good before: the driver's own
    /// count moves only then (a partition's count moves at every call).
    pub fn mark_bad(&mut self, at: u64) -> Result<bool, FlashError> {
        if !self.geometry.is_nand() {
            return Err(FlashError::NotSupported);
        }
        let block = self.geometry.block_at(at).ok_or(FlashError::Invalid)?;
        let flags = self.ledger.flags(block.index)?;
        if flags.bad || flags.reserved {
            return Ok(false);
        }
        // The kernel does not look whether this erase works; from an address inside the block it does not.
        if let Err(FlashError::Store) = self.erase(at, u64::from(block.length)) {
            return Err(FlashError::Store);
        }
        let position = self.geometry.bad_block_position();
        let mut result = Ok(true);
        for page in self.geometry.mark_pages() {
            // Counted from the page of the address given, not from the first of the block: so does the kernel.
            let place = at.saturating_add(u64::from(page) * u64::from(self.geometry.writesize));
            let marker = Source::Bytes(&[0]);
            match self.write_page_oob(place, &marker, OpMode::Place, position) {
                // Behind the chip's end. The table learns of the block nevertheless.
                Err(FlashError::Invalid) => result = Err(FlashError::Invalid),
                other => other?,
            }
        }
        self.ledger
            .set_flags(block.index, BlockFlags { bad: true, ..flags });
        result
    }

    /// Whether the block carries a mark where one is looked for.
    pub fn is_marked(&mut self, block: &Block) -> Result<bool, FlashError> {
        let first = block.start.checked_div(u64::from(self.geometry.writesize));
        let first = first.ok_or(FlashError::Invalid)?;
        for page in self.geometry.mark_pages() {
            let place = first
                .saturating_add(u64::from(page))
                .saturating_mul(u64::from(self.geometry.oobsize))
                .saturating_add(u64::from(self.geometry.bad_block_position()));
            let mut mark = [0xff];
            self.medium.read(Area::Oob, place, Sink::Bytes(&mut mark))?;
            if mark != [0xff] {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// First opening of a chip's image: blocks that carry a mark are bad from then on. Answers how many.
    pub fn scan_factory_bad_blocks(&mut self) -> Result<u32, FlashError> {
        if !self.geometry.is_nand() || self.geometry.oobsize == 0 {
            return Ok(0);
        }
        let mut found = 0;
        for piece in self.geometry.pieces(0, self.geometry.size) {
            if self.is_marked(&piece.block)? {
                let flags = self.ledger.flags(piece.block.index)?;
                self.ledger
                    .set_flags(piece.block.index, BlockFlags { bad: true, ..flags });
                found += 1;
            }
        }
        Ok(found)
    }
}
