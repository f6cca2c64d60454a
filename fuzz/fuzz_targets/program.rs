#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mtdshim_fuzz::program(data));
