//! What sysfs shows of the board's devices: which attributes, their texts, where they hang. For `shadow` and its tree.

use crate::paths::PathBuffer;
use crate::shadow::Attribute;
use crate::world::{device_of, with_state};
use chardev::Device;
use chardev::text::{self, Text};
use image::board::Hardware;
use mtd_abi::errno::Errno;

pub fn has_attribute(attribute: &Attribute<'_>) -> bool {
    with_state(|state| {
        state.view(attribute.index()).is_ok_and(|view| {
            text::has_attribute(view.is_partition, attribute.kind(), attribute.name())
        })
    })
}

#[inline(never)]
pub fn attribute_text(attribute: &Attribute<'_>, content: &mut Text<'_>) -> Result<(), Errno> {
    with_state(|state| {
        let view = *state.view(attribute.index())?;
        // Counters need the chip; an attribute of a chip that cannot be opened still has the others.
        let _ = state.count_bad_blocks(&view);
        let board = state.board.as_ref().ok_or(Errno::ENODEV)?;
        let geometry = board.geometry(view.chip).ok_or(Errno::ENODEV)?;
        let device = device_of(&view, &geometry);
        let stats = crate::backing::ecc_stats(board, view.index);
        let threshold = crate::backing::bitflip_threshold(board, view.index);
        text::attribute(
            content,
            &device,
            stats,
            threshold,
            attribute.kind(),
            attribute.name(),
        )
        .ok_or(Errno::ENOENT)?;
        if attribute.kind() == text::Node::Char && attribute.name() == b"uevent" {
            text::push_uevent(content, board.hardware(&view).uevent.as_bytes(), b"OF_");
        }
        Ok(())
    })
}

/// Every device and where it hangs.
#[inline(never)]
pub fn for_each_device(body: &mut dyn FnMut(&Device<'_>, &Hardware)) -> Result<(), Errno> {
    with_state(|state| {
        let board = state.board(true).ok_or(Errno::ENODEV)?;
        for view in board.devices() {
            if let Some(geometry) = board.geometry(view.chip) {
                body(&device_of(&view, &geometry), &board.hardware(&view));
            }
        }
        Ok(())
    })
}

/// A number that changes with the device table of the board, whose `directory` this tells as well.
pub fn board_directory_and_stamp(directory: &mut PathBuffer) -> Option<u32> {
    with_state(|state| {
        let board = state.board(true)?;
        directory.set(&[board.directory().as_bytes()])?;
        Some(board.devices().fold(2_166_136_261u32, |hash, view| {
            let mix = |hash: u32, word: u32| (hash ^ word).wrapping_mul(16_777_619);
            let hash = mix(mix(hash, view.index), view.generation);
            if !crate::shadow::is_hardware_noted() {
                return hash;
            }
            let hardware = board.hardware(&view);
            let texts = [hardware.parent, hardware.parent_uevent, hardware.uevent];
            let texts = texts.iter().flat_map(|text| text.as_bytes());
            texts.fold(hash, |hash, &byte| mix(hash, u32::from(byte)))
        }))
    })
}
