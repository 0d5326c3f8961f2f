//! Fuzz targets for reading images: functions that take arbitrary bytes and panic if an invariant
//! is violated.
//!
//! `executor/fuzz/` runs each under libFuzzer; the tests here run the same functions over the same
//! corpus, and over mutations of it, on stable Rust, and count memory. Not compiled into the
//! library.

#[cfg(test)]
mod allocation;
mod images;
#[cfg(test)]
#[path = "../../../proxy/src/fuzzing/mutation.rs"]
mod mutation;
#[cfg(test)]
#[path = "../../../proxy/src/fuzzing/seed.rs"]
mod seed;
#[cfg(test)]
mod structure;
#[cfg(test)]
mod tests;

pub use images::{images, resizes};

/// Runs a function and returns its peak memory, in bytes; 0 if it is not counted.
fn peak<T>(function: impl FnOnce() -> T) -> (T, u64) {
    #[cfg(test)]
    {
        allocation::peak(function)
    }
    #[cfg(not(test))]
    {
        (function(), 0)
    }
}
