//! Relations of key and answer: inline in the statement's text while they are small, else
//! temporary tables of the session.

use std::collections::HashSet;

use predictsql_catalog::AnswerShape;
use predictsql_optimizer::Fragment;
use predictsql_optimizer::materialise::{KeyForm, RelationAnswer, Target};
use predictsql_optimizer::planning::Forced;

use crate::error::SqlError;
use crate::lane::session::temporary_tables::TableNames;
use crate::lane::store::error::LinkError;
use crate::lane::store::link::{Protocol, StoreLink};
use crate::predict::Answer;

/// Keys up to which a relation travels in the statement's text: so far the store looks them up at
/// least as fast there as in a temporary table, which has to be made and filled besides.
const INLINE_KEYS: usize = 10_000;

/// Most keys of a relation where no temporary table can be made.
const INLINE_KEYS_MAX: usize = 20_000;

/// Most bytes of a relation in the statement's text, where it stands once a call: the store takes
/// no longer statement than its `max_allowed_packet`.
const INLINE_BYTES_MAX: usize = 1 << 20;

/// Rows, and bytes, of one INSERT into a temporary table.
const INSERT_ROWS: usize = 1000;
const INSERT_BYTES: usize = 256 * 1024;

/// Error codes of the store for a session that can create no temporary table: no privilege, no
/// such schema, a READ ONLY transaction or server.
const NO_TABLE: [u16; 6] = [1044, 1049, 1142, 1290, 1792, 1836];

/// One relation of a statement.
#[derive(Debug)]
pub struct Relation<'p> {
    target: &'p Target,
    form: KeyForm,
    key_bytes: usize,
    /// How often it would stand in the text.
    copies: usize,
    forced: Option<Forced>,
    /// Rows that are in no table.
    rows: Vec<String>,
    rows_bytes: usize,
    /// Keys of an inline relation.
    known: HashSet<Vec<u8>>,
    table: Option<String>,
    keys: usize,
    /// Why the store makes no table.
    no_table: Option<String>,
}

impl<'p> Relation<'p> {
    /// An empty relation; inline it would stand `copies` times in the statement's text.
    pub fn new(
        target: &'p Target,
        (form, key_bytes): (KeyForm, usize),
        copies: usize,
        forced: Option<Forced>,
    ) -> Self {
        Self {
            target,
            form,
            key_bytes,
            copies,
            forced,
            rows: Vec::new(),
            rows_bytes: 0,
            known: HashSet::new(),
            table: None,
            keys: 0,
            no_table: None,
        }
    }

    /// Number of keys.
    pub fn keys(&self) -> usize {
        self.keys
    }

    /// Whether its keys are a table, by which a harvest can leave out those that are there.
    pub fn is_table(&self) -> bool {
        self.table.is_some()
    }

    /// Keys that are there for sure: those in a table are not known here.
    pub fn known(&self) -> &HashSet<Vec<u8>> {
        &self.known
    }

    /// Takes them, to be given back by [`Relation::know`]. Until then those that are added are.
    pub fn take_known(&mut self) -> HashSet<Vec<u8>> {
        std::mem::take(&mut self.known)
    }

    /// Adds keys that are there.
    pub fn know(&mut self, mut known: HashSet<Vec<u8>>) {
        if self.table.is_none() {
            known.extend(self.known.drain());
            self.known = known;
        }
    }

    /// The relation as a table reference.
    pub fn source(&self) -> String {
        match &self.table {
            Some(table) => table.clone(),
            None => self.target.inline(&self.rows),
        }
    }

    /// Adds an answer.
    pub fn add(&mut self, key: &[u8], answer: &Answer) -> Result<(), SqlError> {
        if key.len() > self.key_bytes {
            return Err(SqlError::other(
                "an input is longer than the store described it; try again",
            ));
        }
        if key.is_empty() {
            return Ok(()); // the row of NULL says the same
        }
        self.keys += 1;
        let scores: Vec<Option<f64>> = (0..self.target.scored.len())
            .map(|place| answer.score(place))
            .collect();
        let row = match self.target.task.answer_shape() {
            AnswerShape::Value => RelationAnswer::Value(answer.value()),
            AnswerShape::Label => RelationAnswer::Class {
                code: answer.code(),
                scores: &scores,
            },
        };
        let row = Target::row(key, &row);
        self.rows_bytes += row.len() + 1;
        self.rows.push(row);
        if self.table.is_none() {
            self.known.insert(key.to_vec());
        }
        Ok(())
    }

    /// Whether [`Relation::settle`] has something to do. `last`: no more answers come for now.
    pub fn is_due(&self, last: bool) -> bool {
        let outgrown = self.rows.len() > INLINE_KEYS || self.text_bytes() > INLINE_BYTES_MAX;
        match (&self.table, self.forced) {
            (Some(_), _) => last || self.rows.len() >= INSERT_ROWS,
            (None, Some(Forced::Inline)) => self.outgrown_text(),
            (None, _) if self.no_table.is_some() => self.outgrown_text(),
            (None, Some(Forced::Temporary)) => last || outgrown,
            (None, _) => outgrown,
        }
    }

    fn text_bytes(&self) -> usize {
        self.rows_bytes.saturating_mul(self.copies)
    }

    fn outgrown_text(&self) -> bool {
        self.rows.len() > INLINE_KEYS_MAX || self.text_bytes() > INLINE_BYTES_MAX * 4
    }

    /// Moves the rows to a temporary table where they are too many for the text.
    pub async fn settle(
        &mut self,
        store: &mut StoreLink<'_>,
        names: &mut TableNames<'_>,
    ) -> Result<(), LinkError> {
        if self.table.is_none() {
            if self.forced == Some(Forced::Inline) || self.no_table.is_some() {
                return Err(self.too_many().into());
            }
            self.create(store, names).await?;
            if self.table.is_none() {
                return match self.is_due(false) {
                    true => Err(self.too_many().into()),
                    false => Ok(()),
                };
            }
        }
        self.insert(store).await
    }

    async fn create(
        &mut self,
        store: &mut StoreLink<'_>,
        names: &mut TableNames<'_>,
    ) -> Result<(), LinkError> {
        let table = names.next();
        match store
            .command(&self.target.create(&table, self.key_bytes))
            .await
        {
            Ok(()) => {}
            Err(LinkError::Refused(error)) if NO_TABLE.contains(&error.code) => {
                self.no_table = Some(String::from_utf8_lossy(&error.message).into_owned());
                return Ok(());
            }
            Err(error) => return Err(error),
        }
        names.note(table.clone());
        self.table = Some(table);
        self.known = HashSet::new();
        let null = self.target.null_row();
        self.rows.push(null);
        Ok(())
    }

    async fn insert(&mut self, store: &mut StoreLink<'_>) -> Result<(), LinkError> {
        let Some(table) = self.table.clone() else {
            return Ok(());
        };
        let rows = std::mem::take(&mut self.rows);
        self.rows_bytes = 0;
        let mut sql = String::new();
        let mut count = 0;
        for row in rows {
            sql.push_str(if count == 0 { "" } else { "," });
            sql.push_str(&row);
            count += 1;
            if count == INSERT_ROWS || sql.len() >= INSERT_BYTES {
                insert(store, &table, &sql).await?;
                (count, sql) = (0, String::new());
            }
        }
        if count > 0 {
            insert(store, &table, &sql).await?;
        }
        Ok(())
    }

    fn too_many(&self) -> SqlError {
        let reason = self.no_table.as_deref().unwrap_or("@ml_plan = 'inline'");
        SqlError::unsupported(format_args!(
            "more than {INLINE_KEYS_MAX} different inputs, or {} bytes of them, where no temporary \
             table can be made ({reason})",
            INLINE_BYTES_MAX * 4
        ))
    }

    /// The form of its keys.
    pub fn form(&self) -> KeyForm {
        self.form
    }
}

/// A key may have come by another harvest before.
async fn insert(store: &mut StoreLink<'_>, table: &str, rows: &str) -> Result<(), LinkError> {
    store
        .command(&format!("INSERT IGNORE INTO {table} VALUES {rows}"))
        .await
}

impl StoreLink<'_> {
    /// Runs a statement of the lane's own that gives no rows.
    pub async fn command(&mut self, sql: &str) -> Result<(), LinkError> {
        let statement = Fragment {
            sql: sql.to_owned(),
            parameters: Vec::new(),
        };
        match self.run(&statement, &Protocol::Text).await? {
            (crate::lane::store::link::Head::Done(_), _) => Ok(()),
            (crate::lane::store::link::Head::Rows(_), _) => {
                self.drain().await?;
                Ok(())
            }
        }
    }
}
