//! The privilege needed by a catalog statement, checked by the store in the user's own session.

use predictsql_catalog::store::SchemaName;
use predictsql_optimizer::ddl::{Change, Work};

/// A privilege on one of the catalog's tables; it implies the permission for the corresponding
/// catalog change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Right {
    privilege: Privilege,
    /// Name of the table.
    table: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Privilege {
    Insert,
    Update,
    Delete,
}

impl Right {
    /// The privilege needed for a change.
    #[must_use]
    pub fn of_change(change: &Change) -> Self {
        let (privilege, table) = match change {
            Change::CreateTask(_) => (Privilege::Insert, "tasks"),
            Change::CreateModel(_) => (Privilege::Insert, "models"),
            Change::AlterTask { .. } => (Privilege::Update, "tasks"),
            Change::AlterModel { .. } => (Privilege::Update, "models"),
            Change::DropTask { .. } => (Privilege::Delete, "tasks"),
            Change::DropModel { .. } => (Privilege::Delete, "models"),
        };
        Self { privilege, table }
    }

    /// The privilege needed for evaluating.
    #[must_use]
    pub fn of_work(work: &Work) -> Self {
        match work {
            Work::Evaluate(_) => Self {
                privilege: Privilege::Insert,
                table: "models",
            },
        }
    }

    /// Name of the table.
    #[must_use]
    pub fn table(self) -> &'static str {
        self.table
    }

    /// A statement that needs the privilege. It is prepared in the user's session and never
    /// executed; preparing fails with 1142 if the privilege is missing.
    #[must_use]
    pub fn probe(self, schema: &SchemaName) -> String {
        let table = self.table;
        match self.privilege {
            Privilege::Insert => {
                format!("INSERT INTO `{schema}`.`{table}` (`name`) VALUES ('')")
            }
            Privilege::Update => {
                format!("UPDATE `{schema}`.`{table}` SET `definition` = '' WHERE `name` = ''")
            }
            Privilege::Delete => format!("DELETE FROM `{schema}`.`{table}` WHERE `name` = ''"),
        }
    }
}
