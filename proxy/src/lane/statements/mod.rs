//! The kinds of statements and commands that the lane answers.

pub(in crate::lane) mod catalog;
pub(in crate::lane) mod evaluate;
pub(in crate::lane) mod failure;
pub(crate) mod kill;
pub(in crate::lane) mod named;
pub(in crate::lane) mod prepared;
pub(in crate::lane) mod several;
pub(in crate::lane) mod views;
