//! Plans of statements with predictions: how they are made ready, run and shown.

pub mod answering;
pub mod condition;
pub mod deciding;
pub mod explain;
pub mod inputs;
pub mod materialise;
pub mod plan_text;
pub mod select;
pub mod stream;
pub mod verdict;
