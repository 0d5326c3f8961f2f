//! Statements for both protocols, in groups of a session each, and the state that they start from.

mod definitions;
mod errors;
mod information;
mod reading;
mod reset;
mod routines;
mod session;
mod tools;
mod values;
mod writing;

pub use reset::RESET;

/// Groups of statements. Later ones find what earlier ones have left.
pub const GROUPS: &[(&str, &[&str])] = &[
    ("values", values::VALUES),
    ("types", values::TYPES),
    ("reading", reading::READING),
    ("names of ours, not meant for us", errors::NAMES),
    ("information", information::INFORMATION),
    ("session state", session::SESSION),
    ("transactions", session::TRANSACTIONS),
    ("routines", routines::ROUTINES),
    ("errors", errors::ERRORS),
    ("several statements at once", routines::MULTI),
    ("tools", tools::TOOLS),
    ("definitions", definitions::DEFINITIONS),
    ("writing", writing::WRITING),
];
