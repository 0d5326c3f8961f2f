//! Plans of statements with predictions: how they are made ready, run and shown.

pub(in crate::lane) mod answered;
pub(in crate::lane) mod answering;
pub(in crate::lane) mod deciding;
pub(in crate::lane) mod explain;
pub(in crate::lane) mod inputs;
pub(in crate::lane) mod materialise;
pub(in crate::lane) mod reading;
pub(in crate::lane) mod ready;
pub(in crate::lane) mod run;
pub(in crate::lane) mod stream;
pub(in crate::lane) mod verdict;
