//! SQL text handling: tokens, splicing, predict calls, and the clauses of a SELECT.

pub(crate) mod around;
pub mod bare;
pub(crate) mod blocks;
pub(crate) mod boolean;
pub(crate) mod calls;
pub(crate) mod clauses;
pub(crate) mod expression;
pub mod fragment;
pub(crate) mod functions;
pub mod heads;
pub(crate) mod hint;
pub(crate) mod key;
pub(crate) mod labels;
pub mod literals;
pub(crate) mod mask;
pub(crate) mod once;
pub mod prefilter;
pub mod scan;
pub(crate) mod select_list;
pub(crate) mod text;

pub use text::LexMode;
