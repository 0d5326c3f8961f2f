//! Fuzzes framer and tracker of a session.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| predictsql_proxy::fuzzing::commands(data));
