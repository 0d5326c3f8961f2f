//! Fuzzes the client's login.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| predictsql_proxy::fuzzing::login(data));
