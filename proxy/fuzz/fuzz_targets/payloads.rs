//! Fuzzes OK, ERR, EOF, column definitions, lengths.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| predictsql_proxy::fuzzing::payloads(data));
