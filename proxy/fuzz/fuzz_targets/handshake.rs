//! Fuzzes the whole relayed handshake.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| predictsql_proxy::fuzzing::handshake(data));
