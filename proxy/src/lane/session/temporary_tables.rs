//! Temporary tables that the lane makes in a session, for relations of a statement.

use predictsql_optimizer::planning::Forced;
use predictsql_optimizer::quote_name;

use crate::lane::store::bounds::is_interruption;
use crate::lane::store::error::LinkError;
use crate::lane::store::link::StoreLink;

/// The temporary tables that the lane has made in a session, until they are dropped.
#[derive(Debug, Default)]
pub struct Tables {
    left: Vec<String>,
    made: u64,
    /// The session's choice, for one statement.
    pub forced: Option<Forced>,
}

/// Gives names to one statement's tables.
#[derive(Debug)]
pub struct TableNames<'t> {
    tables: &'t mut Tables,
    schema: String,
    /// The kind of relation that the session forces.
    pub wanted: Option<Forced>,
}

impl Tables {
    /// Drops what the last statement has left.
    pub async fn begin(
        &mut self,
        store: &mut StoreLink<'_>,
        schema: &str,
    ) -> Result<TableNames<'_>, LinkError> {
        if !self.left.is_empty() {
            let drop = format!("DROP TEMPORARY TABLE IF EXISTS {}", self.left.join(", "));
            match store.command(&drop).await {
                Ok(()) => self.left.clear(),
                // A READ ONLY transaction: later, then.
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

    /// The session was reset, and with it the store has dropped them.
    pub fn forget(&mut self) {
        self.left.clear();
    }
}

impl TableNames<'_> {
    /// The name of a table that is to be made.
    pub fn next(&mut self) -> String {
        let table = format!("{}.`r{}`", self.schema, self.tables.made);
        self.tables.made += 1;
        table
    }

    /// A table may have been made: it is to be dropped.
    pub fn note(&mut self, table: String) {
        self.tables.left.push(table);
    }
}
