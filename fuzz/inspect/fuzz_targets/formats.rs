#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| inspect_fuzz::formats(bytes));
