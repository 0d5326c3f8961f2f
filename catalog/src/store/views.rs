//! Definitions of the store's views, by way of a procedure.
//!
//! A definition is shown to whoever may read the view. The service account may read nothing but the
//! catalog, and need not: the procedure looks with the rights of the admin who set the catalog up.

use mysql_async::Conn;
use mysql_async::prelude::Queryable;

use super::{SchemaName, StoreError};

/// Name of the procedure in the catalog's schema.
const PROCEDURE: &str = "view_definitions";

/// A view of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewDefinition {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// Its query, as the store prints it.
    pub definition: String,
    /// UNDEFINED, MERGE or TEMPTABLE.
    pub algorithm: String,
    /// `collation_connection` when it was made.
    pub collation: String,
}

/// `CREATE OR REPLACE PROCEDURE`, for an admin.
pub fn views_procedure(schema: &SchemaName) -> String {
    format!(
        "CREATE OR REPLACE PROCEDURE `{schema}`.{PROCEDURE}() READS SQL DATA SQL SECURITY DEFINER \
         SELECT table_schema, table_name, view_definition, algorithm, collation_connection \
         FROM information_schema.views WHERE view_definition <> '' \
         AND table_schema NOT IN ('information_schema', 'mysql', 'performance_schema', 'sys')"
    )
}

/// The right to call it.
pub fn grant_views_procedure(schema: &SchemaName, account: &str) -> String {
    format!("GRANT EXECUTE ON PROCEDURE `{schema}`.`{PROCEDURE}` TO {account}")
}

/// Schema, name, definition, algorithm, collation.
type DefinitionRow = (
    Option<String>,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<String>,
);

impl ViewDefinition {
    /// `None` for a view that is being dropped: it may have NULLs.
    fn of_row((schema, name, definition, algorithm, collation): DefinitionRow) -> Option<Self> {
        Some(Self {
            schema: schema?,
            name: name?,
            definition: definition?,
            algorithm: algorithm?,
            collation: collation?,
        })
    }
}

/// All views whose definitions the admin may see, and whether names of tables compare without case.
pub async fn views(
    conn: &mut Conn,
    schema: &SchemaName,
) -> Result<(Vec<ViewDefinition>, bool), StoreError> {
    let names: Option<u8> = conn.query_first("SELECT @@lower_case_table_names").await?;
    let rows: Vec<DefinitionRow> = conn.query(format!("CALL `{schema}`.{PROCEDURE}()")).await?;
    let views = rows.into_iter().filter_map(ViewDefinition::of_row);
    Ok((views.collect(), names.unwrap_or(0) != 0))
}
