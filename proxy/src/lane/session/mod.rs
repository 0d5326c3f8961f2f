//! State of the client's session before and after a statement.

pub mod current_database;
pub mod diagnostics;
pub mod effects;
pub mod lane;
pub mod last_query;
pub mod left;
pub mod long_commands;
pub mod named;
pub mod prepared;
pub mod settings;
pub mod temporary_tables;
