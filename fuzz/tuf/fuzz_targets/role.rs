#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tuf_fuzz::role(bytes));
