//! Fuzzes the tracker of answers.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| predictsql_proxy::fuzzing::answers(data));
