//! Fuzz targets: functions that take arbitrary bytes and panic if an invariant of the proxy is
//! violated.
//!
//! `proxy/fuzz/` runs each under libFuzzer; the tests here run the same functions over the same
//! corpora, and over mutations of them, on stable Rust. The first bytes of an input choose
//! parameters (capabilities, limits, boundaries of reads), the rest is sent by a peer. Compiled
//! into neither library nor binary.

mod analysis;
mod answers;
mod commands;
mod framing;
mod handshake;
mod input;
mod logins;
#[cfg(test)]
mod mutation;
mod packets;
mod parameters;
mod passwords;
mod rows;
#[cfg(test)]
mod seed;
mod statements;
#[cfg(test)]
mod tests;

pub use analysis::analysis;
pub use answers::answers;
pub use commands::commands;
pub use handshake::handshake;
pub use logins::{greeting, login};
pub use packets::{frames, payloads};
pub use parameters::parameters;
pub use passwords::passwords;
pub use rows::rows;
pub use statements::statements;

/// A target: returns for every input, or panics.
pub type Target = fn(&[u8]);

/// All targets, with the names of their corpora.
pub const TARGETS: &[(&str, Target)] = &[
    ("analysis", analysis),
    ("answers", answers),
    ("commands", commands),
    ("frames", frames),
    ("greeting", greeting),
    ("handshake", handshake),
    ("login", login),
    ("parameters", parameters),
    ("passwords", passwords),
    ("payloads", payloads),
    ("rows", rows),
    ("statements", statements),
];
