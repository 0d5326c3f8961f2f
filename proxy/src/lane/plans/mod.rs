//! Plans of statements with predictions: how they are made ready, run and shown.

pub(in crate::lane) mod answering;
pub(in crate::lane) mod condition;
pub(in crate::lane) mod deciding;
pub(in crate::lane) mod explain;
pub(in crate::lane) mod inputs;
pub(in crate::lane) mod materialise;
pub(in crate::lane) mod plan_text;
pub(in crate::lane) mod select;
pub(in crate::lane) mod stream;
pub(in crate::lane) mod verdict;
