//! The client's store connection while the lane has it: own statements, rows and values of both protocols, kept rows.

pub(in crate::lane) mod bounds;
pub(in crate::lane) mod link;
pub(crate) mod parameters;
pub(in crate::lane) mod questions;
pub(in crate::lane) mod result;
pub(crate) mod rows;
pub(in crate::lane) mod spool;
pub(crate) mod text_encoding;
