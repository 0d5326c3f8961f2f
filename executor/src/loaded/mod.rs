//! Models kept loaded: each has a slot, which its first caller has filled while the others wait.

mod cache;
mod slot;

pub(crate) use cache::Cache;
