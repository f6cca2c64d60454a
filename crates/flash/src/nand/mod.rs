//! Raw NAND: pages with a spare area, written once between erases, with ECC that the host computes.
//!
//! Source: `nand_base.c` of Linux 6.1 (`nand_do_read_ops`, `nand_do_write_ops`, `nand_do_read_oob`,
//! `nand_do_write_oob`, `nand_block_markbad`), recorded over nandsim.

mod bad;
mod pages;
mod read;
mod rewrite;
mod spare;
mod write;

#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod tests;
