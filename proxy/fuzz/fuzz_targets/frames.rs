//! Fuzzes packets cut anywhere.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| predictsql_proxy::fuzzing::frames(data));
