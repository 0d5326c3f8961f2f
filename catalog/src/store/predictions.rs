//! Table `predictions`: kept model outputs, by model and input content.
//!
//! Only the service account reads and writes it. Its content may be lost at any time; a row is
//! never changed except for the time of its last use.

use mysql_async::Conn;
use mysql_async::prelude::Queryable;

use super::{SchemaName, StoreError};

/// Maximum length of a kept output in bytes: the limit of a BLOB.
pub const OUTPUT_BYTES_MAX: usize = 65_535;

/// When a row is read, it is marked as used if its mark is older than this, in hours.
const USED_HOURS: u32 = 24;

/// Number of rows deleted by one statement.
const EVICTED_ROWS_MAX: u64 = 1000;

/// Up to this number of rows the table is counted at every check; larger tables only if the
/// store's estimate indicates that they may exceed their limit.
const COUNTED_ROWS_MAX: u64 = 100_000;

/// One kept output, stored or to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptOutput {
    /// Identity of model and options, see [`crate::Model::output_id`].
    pub output: [u8; 16],
    /// Identity of the input's content.
    pub input: [u8; 16],
    /// The output, as encoded by the caller.
    pub scores: Vec<u8>,
}

/// A kept output that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundOutput {
    /// The row.
    pub kept: KeptOutput,
    /// Whether it must be marked as used ([`mark_outputs_used`]).
    pub unmarked: bool,
}

/// Reads the kept outputs of `output` for `inputs`; intended for some hundreds at a time.
///
/// # Errors
/// Errors of the store.
pub async fn read_outputs(
    conn: &mut Conn,
    schema: &SchemaName,
    output: [u8; 16],
    inputs: &[[u8; 16]],
) -> Result<Vec<FoundOutput>, StoreError> {
    if inputs.is_empty() {
        return Ok(Vec::new());
    }
    let mut sql = format!(
        "SELECT input, scores, used_at + {USED_HOURS} < UNIX_TIMESTAMP() DIV 3600 \
         FROM `{schema}`.predictions WHERE output = "
    );
    put_bytes(&mut sql, &output);
    put_inputs(&mut sql, inputs);
    let rows: Vec<(Vec<u8>, Vec<u8>, bool)> = conn.query(sql).await?;
    let found = rows.into_iter().filter_map(|(input, scores, unmarked)| {
        let input = input.try_into().ok()?;
        Some(FoundOutput {
            kept: KeptOutput {
                output,
                input,
                scores,
            },
            unmarked,
        })
    });
    Ok(found.collect())
}

/// Inserts outputs that are not stored yet; intended for some hundreds at a time. Returns how many
/// were new.
///
/// # Errors
/// Errors of the store.
pub async fn write_outputs(
    conn: &mut Conn,
    schema: &SchemaName,
    rows: &[KeptOutput],
) -> Result<u64, StoreError> {
    let fitting = rows
        .iter()
        .filter(|row| row.scores.len() <= OUTPUT_BYTES_MAX);
    // In key order, so that two proxies that write the same rows do not block each other.
    let mut fitting: Vec<&KeptOutput> = fitting.collect();
    fitting.sort_unstable_by_key(|row| (row.output, row.input));
    if fitting.is_empty() {
        return Ok(0);
    }
    let mut sql = format!("INSERT IGNORE INTO `{schema}`.predictions VALUES ");
    for (number, row) in fitting.iter().enumerate() {
        sql.push_str(if number == 0 { "(" } else { ",(" });
        put_bytes(&mut sql, &row.output);
        sql.push(',');
        put_bytes(&mut sql, &row.input);
        sql.push(',');
        put_bytes(&mut sql, &row.scores);
        sql.push_str(",UNIX_TIMESTAMP() DIV 3600)");
    }
    conn.query_drop(sql).await?;
    Ok(conn.affected_rows())
}

/// Marks kept outputs as used now.
///
/// # Errors
/// Errors of the store.
pub async fn mark_outputs_used(
    conn: &mut Conn,
    schema: &SchemaName,
    output: [u8; 16],
    inputs: &[[u8; 16]],
) -> Result<(), StoreError> {
    if inputs.is_empty() {
        return Ok(());
    }
    let mut sql = format!(
        "UPDATE `{schema}`.predictions SET used_at = UNIX_TIMESTAMP() DIV 3600 WHERE output = "
    );
    put_bytes(&mut sql, &output);
    put_inputs(&mut sql, inputs);
    Ok(conn.query_drop(sql).await?)
}

/// If the table has more than `rows_max` rows, deletes the least recently used ones until a tenth
/// of the limit is free, with at most `deletes_max` statements. Returns the number of deleted
/// rows, and whether more must be deleted. Does nothing while another proxy is deleting.
///
/// # Errors
/// Errors of the store.
pub async fn evict_outputs(
    conn: &mut Conn,
    schema: &SchemaName,
    rows_max: u64,
    deletes_max: u64,
) -> Result<(u64, bool), StoreError> {
    let lock = format!("predictsql evict {schema}");
    let taken: Option<Option<i64>> = conn.exec_first("SELECT GET_LOCK(?, 0)", (&lock,)).await?;
    if taken.flatten() != Some(1) {
        return Ok((0, false));
    }
    let evicted = evict_locked(conn, schema, rows_max, deletes_max).await;
    // The lock is also released when the connection ends.
    let released = conn.exec_drop("DO RELEASE_LOCK(?)", (&lock,)).await;
    let evicted = evicted?;
    released?;
    Ok(evicted)
}

async fn evict_locked(
    conn: &mut Conn,
    schema: &SchemaName,
    rows_max: u64,
    deletes_max: u64,
) -> Result<(u64, bool), StoreError> {
    if rows_max > COUNTED_ROWS_MAX && estimated_rows(conn, schema).await? < rows_max / 2 {
        return Ok((0, false));
    }
    let count: Option<u64> = conn
        .query_first(format!("SELECT COUNT(*) FROM `{schema}`.predictions"))
        .await?;
    let count = count.unwrap_or(0);
    if count <= rows_max {
        return Ok((0, false));
    }
    let surplus = count - (rows_max - rows_max / 10);
    let mut deleted = 0;
    for _ in 0..deletes_max {
        let rows = (surplus - deleted).min(EVICTED_ROWS_MAX);
        conn.query_drop(format!(
            "DELETE FROM `{schema}`.predictions ORDER BY used_at LIMIT {rows}"
        ))
        .await?;
        deleted += conn.affected_rows().min(rows);
        if deleted == surplus || conn.affected_rows() < rows {
            return Ok((deleted, false));
        }
    }
    Ok((deleted, true))
}

/// The store's estimate, which may be off by half.
async fn estimated_rows(conn: &mut Conn, schema: &SchemaName) -> Result<u64, StoreError> {
    let rows: Option<Option<u64>> = conn
        .exec_first(
            "SELECT table_rows FROM information_schema.tables \
             WHERE table_schema = ? AND table_name = 'predictions'",
            (schema.as_str(),),
        )
        .await?;
    Ok(rows.flatten().unwrap_or(0))
}

fn put_inputs(sql: &mut String, inputs: &[[u8; 16]]) {
    sql.push_str(" AND input IN (");
    for (number, input) in inputs.iter().enumerate() {
        if number > 0 {
            sql.push(',');
        }
        put_bytes(sql, input);
    }
    sql.push(')');
}

/// Appends bytes as a hex literal, which is valid with any `sql_mode`.
fn put_bytes(sql: &mut String, bytes: &[u8]) {
    sql.push_str("x'");
    sql.push_str(&hex::encode(bytes));
    sql.push('\'');
}
