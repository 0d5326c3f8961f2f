//! Temporary tables that the lane creates in a session for the relations of a statement.

use predictsql_optimizer::planning::Forced;
use predictsql_optimizer::quote_name;

use crate::lane::store::bounds::is_interruption;
use crate::lane::store::error::LinkError;
use crate::lane::store::link::StoreLink;

/// The temporary tables that the lane has created in a session and not dropped yet.
#[derive(Debug, Default)]
pub struct Tables {
    left: Vec<String>,
    made: u64,
    /// The relation kind that the session forces, for one statement.
    pub forced: Option<Forced>,
}

/// Generates names for one statement's tables.
#[derive(Debug)]
pub struct TableNames<'t> {
    tables: &'t mut Tables,
    schema: String,
    /// The kind of relation that the session forces.
    pub wanted: Option<Forced>,
}

impl Tables {
    /// Drops the tables of the last statement.
    pub async fn begin(
        &mut self,
        store: &mut StoreLink<'_>,
        schema: &str,
    ) -> Result<TableNames<'_>, LinkError> {
        if !self.left.is_empty() {
            let drop = format!("DROP TEMPORARY TABLE IF EXISTS {}", self.left.join(", "));
            match store.command(&drop).await {
                Ok(()) => self.left.clear(),
                // In a READ ONLY transaction: the next statement tries again.
                Err(LinkError::Refused(error)) if !is_interruption(error.code) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(TableNames {
            wanted: self.forced.take(),
            schema: quote_name(&format!("{schema}_session")),
            tables: self,
        })
    }

    /// Forgets the tables: the session was reset, and the store has dropped them.
    pub fn forget(&mut self) {
        self.left.clear();
    }
}

impl TableNames<'_> {
    /// The name of the next table.
    pub fn next(&mut self) -> String {
        let table = format!("{}.`r{}`", self.schema, self.tables.made);
        self.tables.made += 1;
        table
    }

    /// Registers a table that may have been created, to be dropped later.
    pub fn note(&mut self, table: String) {
        self.tables.left.push(table);
    }
}
