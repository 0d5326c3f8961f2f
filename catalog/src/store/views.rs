//! Definitions of the store's views, by way of a procedure.
//!
//! A definition is shown to whoever may read the view. The service account may read nothing but
//! the catalog, and need not: the procedure looks with the rights of the admin who set the catalog
//! up. It stands in a schema of its own, so that EXECUTE on the whole of the catalog's schema, as
//! users of all tasks have it, is no right to it.

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error};

use super::schema::MARKER;
use super::{SchemaName, StoreError};

/// Name of the procedure in [`SchemaName::service`].
pub(super) const PROCEDURE: &str = "view_definitions";

/// Refusals that `init` mends: no right to the procedure, no such schema, no such procedure.
const NOT_SET_UP: [u16; 4] = [1044, 1049, 1305, 1370];

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

/// What an admin runs to make it, and to drop the one of catalogs up to version 6.
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

/// The right to call it.
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

/// All views whose definitions the admin may see,
/// and whether names of tables compare without case.
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
