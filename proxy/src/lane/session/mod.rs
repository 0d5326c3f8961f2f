//! The client's session as a statement finds it and as it leaves it.

pub(in crate::lane) mod current_database;
pub(crate) mod diagnostics;
pub(in crate::lane) mod effects;
pub(in crate::lane) mod last_query;
pub(in crate::lane) mod settings;
