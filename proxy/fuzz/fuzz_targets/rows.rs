//! Fuzzes rows of both protocols.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| predictsql_proxy::fuzzing::rows(data));
