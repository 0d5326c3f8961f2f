//! Fuzzes the optimizer's reading of statements.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| predictsql_proxy::fuzzing::analysis(data));
