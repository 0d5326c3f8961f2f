//! Fuzzes parameters of prepared statements.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| predictsql_proxy::fuzzing::parameters(data));
