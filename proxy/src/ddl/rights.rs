//! The right that a catalog statement needs, asked of the store on the user's own session.

use predictsql_catalog::store::SchemaName;
use predictsql_optimizer::ddl::{Change, Work};

/// A right on one of the catalog's tables: who may change the table may change the catalog.
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
    /// The right that a change needs.
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

    /// The right that work needs.
    #[must_use]
    pub fn of_work(work: &Work) -> Self {
        match work {
            Work::Evaluate(_) => Self {
                privilege: Privilege::Insert,
                table: "models",
            },
        }
    }

    /// The table that the right is on.
    #[must_use]
    pub fn table(self) -> &'static str {
        self.table
    }

    /// A statement that needs the right: prepared on the user's session, and never executed, it is
    /// refused with 1142 where the right is missing.
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
