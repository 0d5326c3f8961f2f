//! Fuzzes authentication packets and public keys.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| predictsql_proxy::fuzzing::passwords(data));
