//! Loaded models: each has a slot, which its first caller fills while the others wait.

mod cache;
mod slot;

pub(crate) use cache::Cache;
