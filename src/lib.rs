//! libmtdshim.so: answers the Linux MTD interface inside a guest program.
//!
//! Loaded with LD_PRELOAD under qemu-arm. It emulates /dev/mtdN, /dev/mtdNro, /dev/mtdblockN, /proc/mtd and
//! /sys/class/mtd over plain image files, and passes everything else through. It does not emulate UBI, mounting, or
//! programs that do not go through a C library (static ones, direct system calls).
//!
//! The edge of the project: the only room that knows libc symbols, raw pointers and descriptors. See
//! docs/ARCHITECTURE.md.

// redhook's macros make items named after the functions, with their arguments, and statics that are written once.
#![allow(
    non_camel_case_types,
    non_upper_case_globals,
    non_snake_case,
    static_mut_refs,
    clippy::too_many_arguments
)]
#![cfg(all(target_arch = "arm", target_os = "linux"))]

mod answers;
mod attributes;
mod backing;
mod begin;
mod block_cache;
mod block_copies;
mod calls;
mod children;
mod copies;
mod cut_files;
mod descriptors;
mod directories;
mod files;
mod glance;
mod globbing;
mod guest_memory;
mod hooks;
mod late;
mod libc_kind;
mod merged;
mod neon;
mod node_files;
mod nodes;
mod paths;
mod place;
mod process_lock;
mod processor;
mod readable;
mod root_names;
mod runtime;
mod settings;
mod shadow;
mod signals;
mod stand_in;
mod streams;
mod sys;
mod sysfs_tree;
mod text_files;
mod trace;
mod unseen;
mod ways_out;
mod world;
