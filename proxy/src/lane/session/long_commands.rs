//! What a session knows of its long commands.

use predictsql_optimizer::scan::Scan;

/// What a session knows of its long commands.
#[derive(Debug, Default)]
pub struct LongCommands {
    /// Reads the command that arrives.
    pub scan: Option<Box<Scan>>,
    /// The last command was forwarded without having been looked at as a whole.
    pub last_unseen: bool,
    /// Such a command has prepared a statement.
    pub prepared_unseen: bool,
}
