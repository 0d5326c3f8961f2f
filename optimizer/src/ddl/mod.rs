//! Parser of catalog statements: `CREATE TASK`, `CREATE MODEL`, `DROP`, `SHOW`, `EVALUATE`, from
//! text to typed values.
//!
//! ```text
//! CREATE TASK [IF NOT EXISTS] t [KIND CLASSIFICATION]
//!   CLASSES ('a', ...) | CLASSES FROM FILE 'labels.txt' | CLASSES FROM MODEL 'uri'
//!   [INPUT i] [OPTIONS (k = v, ...)]
//! CREATE TASK [IF NOT EXISTS] t KIND REGRESSION [INPUT i] [OPTIONS (k = v, ...)]
//!   i: IMAGE | (c1 DOUBLE, c2 VARCHAR, ...)
//! CREATE MODEL [IF NOT EXISTS] m FOR TASK t FROM 'uri' [VERSION 'v']
//!   [COVERS ('a', ...)] [OPTIONS (k = v, ...)]
//!   v: number | 'text' | word | (v, ...) | FILE 'labels.txt'
//! DROP TASK [IF EXISTS] t          DROP MODEL [IF EXISTS] m [VERSION 'v']
//! SHOW TASKS [LIKE 'p' | WHERE e]  SHOW MODELS [FOR TASK t] [LIKE 'p' | WHERE e]
//! SHOW CREATE TASK t               SHOW CREATE MODEL m [VERSION 'v']
//! ALTER TASK t SET k = v, ...      ALTER MODEL m [VERSION 'v'] SET accuracy = v
//! EVALUATE TASK t ON (SELECT input, label FROM ...)
//! EVALUATE MODEL m[@v] ON (SELECT input, label FROM ...)
//!   either with [OPTIONS (foreign = 'warn' | 'keep')]
//! ```
//!
//! The grammar works on tokens; the catalog interprets the options.

mod head;
mod parser;
mod statement;

pub use head::{recognise, recognise_with_settings};
pub use parser::{parse, parse_in};
pub use statement::{
    CatalogStatement, Change, ClassesFrom, CreateModel, CreateTask, Evaluate, Evaluated, Show,
    ShowFilter, Work,
};

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
