//! Fuzzes the resizer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| predictsql_executor::fuzzing::resizes(data));
