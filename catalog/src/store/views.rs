//! Definitions of the store's views, read through a procedure.
//!
//! The store shows a view's definition only to users who may read the view. The service account
//! has no privileges outside of the catalog, and needs none: the procedure runs with the
//! privileges of the admin who set up the catalog. It is in a separate schema, so that EXECUTE on
//! the whole schema of the catalog, which users of all tasks have, does not include it.

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error};

use super::schema::MARKER;
use super::{SchemaName, StoreError};

/// Name of the procedure in [`SchemaName::service`].
pub(super) const PROCEDURE: &str = "view_definitions";

/// Errors that `init` fixes: no privilege on the procedure, no such schema, no such procedure.
const NOT_SET_UP: [u16; 4] = [1044, 1049, 1305, 1370];

/// A view of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewDefinition {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// Its query as printed by the store.
    pub definition: String,
    /// UNDEFINED, MERGE or TEMPTABLE.
    pub algorithm: String,
    /// Value of `collation_connection` at its creation.
    pub collation: String,
}

/// Statements by an admin that create the procedure, and drop that of catalogs up to version 6.
pub fn views_procedure(schema: &SchemaName) -> [String; 3] {
    let service = schema.service();
    let create = format!(
        "CREATE OR REPLACE PROCEDURE `{service}`.{PROCEDURE}() READS SQL DATA SQL SECURITY DEFINER \
         COMMENT '{MARKER}' SELECT table_schema, table_name, view_definition, algorithm, collation_connection \
         FROM information_schema.views WHERE view_definition <> '' \
         AND table_schema NOT IN ('information_schema', 'mysql', 'performance_schema', 'sys')"
    );
    [
        format!("DROP PROCEDURE IF EXISTS `{schema}`.{PROCEDURE}"),
        format!("CREATE DATABASE IF NOT EXISTS `{service}` CHARACTER SET utf8mb4"),
        create,
    ]
}

/// Grants the privilege to call it.
pub fn grant_views_procedure(schema: &SchemaName, account: &str) -> String {
    let service = schema.service();
    format!("GRANT EXECUTE ON PROCEDURE `{service}`.`{PROCEDURE}` TO {account}")
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
    /// `None` for a view that is being dropped: its columns may be NULL.
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

/// All views whose definitions the admin may see, and whether table names are compared
/// case-insensitively.
pub async fn views(
    conn: &mut Conn,
    schema: &SchemaName,
) -> Result<(Vec<ViewDefinition>, bool), StoreError> {
    let names: Option<u8> = conn.query_first("SELECT @@lower_case_table_names").await?;
    let call = format!("CALL `{}`.{PROCEDURE}()", schema.service());
    let rows: Vec<DefinitionRow> = conn.query(call).await.map_err(|error| match error {
        Error::Server(refusal) if NOT_SET_UP.contains(&refusal.code) => StoreError::ViewsNotSetUp {
            schema: schema.service(),
        },
        error => error.into(),
    })?;
    let views = rows.into_iter().filter_map(ViewDefinition::of_row);
    Ok((views.collect(), names.unwrap_or(0) != 0))
}
