//! The client's store connection while the lane uses it: the lane's own statements, rows and
//! values in the text and binary protocols, and the spool of buffered rows.

pub mod answer;
pub mod as_written;
pub mod before;
pub mod bounds;
pub mod error;
pub mod filling;
pub mod link;
pub mod ok;
pub mod parameters;
pub mod questions;
pub mod restoring;
pub mod result;
pub mod rows;
pub mod spool;
pub mod text_encoding;
