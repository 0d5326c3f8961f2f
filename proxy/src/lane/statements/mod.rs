//! The kinds of statements and commands that the lane answers.

pub mod catalog;
pub mod evaluate;
pub mod failure;
pub mod kill;
pub mod long;
pub mod named;
pub mod plain;
pub mod prepared;
pub mod route;
pub mod select;
pub mod several;
pub mod show_diagnostics;
pub mod views;
