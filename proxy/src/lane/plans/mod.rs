//! Plans of statements with predictions: how they are made ready, run and shown.

pub mod answered;
pub mod answering;
pub mod deciding;
pub mod explain;
pub mod inputs;
pub mod materialise;
pub mod reading;
pub mod ready;
pub mod run;
pub mod stream;
pub mod unreadable;
