//! Fuzzes the decoders of images and what is made of them.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| predictsql_executor::fuzzing::images(data));
