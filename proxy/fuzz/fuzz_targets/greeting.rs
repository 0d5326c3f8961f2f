//! Fuzzes the store's greeting.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| predictsql_proxy::fuzzing::greeting(data));
