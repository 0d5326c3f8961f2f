//! Sends the planner's queries to the store and returns the replies.

use predictsql_optimizer::exchange::{
    Column, Conversation, Failure, Layout, Method, Question, Reply, Rows, Step, StoreRefusal,
};

use crate::lane::store::answer::Answer;
use crate::lane::store::error::LinkError;
use crate::lane::store::link::{Protocol, StoreLink};
use crate::lane::store::rows::{CellLayout, Codec, is_string, string_cell};
use crate::wire::{ColumnDefinition, ErrPacket, Malformed, lenenc};

/// Collation id of binary.
const BINARY: u16 = 63;

/// Sends the planner's queries for one statement.
pub struct Questions<'q, 'l> {
    /// The store connection.
    pub store: &'q mut StoreLink<'l>,
    /// The statement's protocol, with its parameters.
    pub protocol: &'q Protocol,
    /// The columns that the store described last.
    pub described: Vec<ColumnDefinition>,
}

impl<'q, 'l> Questions<'q, 'l> {
    /// For a statement in `protocol`.
    pub fn new(store: &'q mut StoreLink<'l>, protocol: &'q Protocol) -> Self {
        Self {
            store,
            protocol,
            described: Vec::new(),
        }
    }

    /// Exchanges queries and replies until the conversation has its outcome.
    ///
    /// # Errors
    /// The refusal of the conversation; an error of the store; the end of the session.
    pub async fn converse<C: Conversation>(
        &mut self,
        conversation: &mut C,
    ) -> Result<C::Outcome, LinkError> {
        let mut step = conversation.begin()?;
        loop {
            match step {
                Step::Ready(outcome) => return Ok(outcome),
                Step::Ask(question) => {
                    let reply = self.answer(&question).await?;
                    step = conversation.next(reply)?;
                }
            }
        }
    }

    /// The store's reply to a question.
    async fn answer(&mut self, question: &Question) -> Result<Reply, LinkError> {
        let text = &question.text;
        let answered = match question.method {
            Method::Describe => match self.described(&text.sql).await {
                Ok(described) => return Ok(Reply::Described(described)),
                Err(error) => Err(error),
            },
            Method::Query => self.store.ask(text, &Protocol::Text).await,
            Method::Execute => self.store.ask(text, self.protocol).await,
        };
        match answered {
            Ok(answer) => Ok(Reply::Rows(rows(&answer)?)),
            Err(LinkError::Refused(error)) => Ok(Reply::Refused(refusal(error))),
            Err(error) => Err(error),
        }
    }
}

impl Questions<'_, '_> {
    /// Describes a statement for the optimizer, and keeps the columns as the client sees them.
    async fn described(&mut self, sql: &str) -> Result<Vec<Column>, LinkError> {
        self.described = self.store.describe(sql).await?;
        Ok(match self.store.results_binary {
            true => {
                let types = self.store.describe_types(sql).await?;
                types.iter().map(described).collect()
            }
            false => self.described.iter().map(described).collect(),
        })
    }
}

impl StoreLink<'_> {
    /// The columns of a statement with the types of its expressions, whatever the character set
    /// that the session wants its results in.
    pub async fn describe_types(&mut self, sql: &str) -> Result<Vec<ColumnDefinition>, LinkError> {
        match self.results_binary {
            true => {
                let unconverted = "SET STATEMENT character_set_results = NULL FOR ";
                self.describe(&format!("{unconverted}{sql}")).await
            }
            false => self.describe(sql).await,
        }
    }
}

impl From<Failure> for LinkError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(refusal) => refusal.into(),
            Failure::Store(refusal) => Self::Refused(ErrPacket {
                code: refusal.code,
                sqlstate: refusal.sqlstate,
                message: refusal.message.into(),
            }),
        }
    }
}

fn refusal(error: ErrPacket) -> StoreRefusal {
    StoreRefusal {
        code: error.code,
        sqlstate: error.sqlstate,
        message: error.message.to_vec(),
    }
}

/// The optimizer's description of a column.
pub fn described(column: &ColumnDefinition) -> Column {
    Column {
        name: String::from_utf8_lossy(&column.name).into_owned(),
        layout: match CellLayout::of(column.column_type) {
            CellLayout::Fixed(bytes) => Layout::Fixed(bytes),
            CellLayout::Short => Layout::Short,
            CellLayout::String => Layout::String,
            CellLayout::Null => Layout::Null,
        },
        is_string: is_string(column.column_type),
        is_binary: is_binary(column),
        length: column.length,
    }
}

/// Whether a column's collation is binary.
pub fn is_binary(column: &ColumnDefinition) -> bool {
    column.charset == BINARY
}

fn rows(answer: &Answer) -> Result<Rows, Malformed> {
    let columns: Vec<Column> = answer.columns.iter().map(described).collect();
    let codec = answer.codec();
    let mut rows = Vec::with_capacity(answer.rows.len());
    for row in 0..answer.rows.len() {
        let cells = answer.cells(row)?.into_iter().zip(&columns);
        let value = |(cell, column): (Option<&[u8]>, &Column)| {
            cell.map(|cell| value(codec, column.layout, cell))
                .transpose()
        };
        rows.push(cells.map(value).collect::<Result<_, _>>()?);
    }
    Ok(Rows { columns, rows })
}

/// The value of an encoded cell: a string without its length prefix.
fn value(codec: Codec, layout: Layout, mut cell: &[u8]) -> Result<Vec<u8>, Malformed> {
    match (codec, layout) {
        (Codec::Text, _) | (Codec::Binary, Layout::String) => {
            Ok(lenenc::get_str(&mut cell)?.to_vec())
        }
        (Codec::Binary, Layout::Fixed(_) | Layout::Short | Layout::Null) => Ok(cell.to_vec()),
    }
}

/// Encodes a value as a cell of a column with this layout.
pub fn encoded(codec: Codec, layout: CellLayout, value: &[u8]) -> Vec<u8> {
    match (codec, layout) {
        (Codec::Text, _) | (Codec::Binary, CellLayout::String) => string_cell(value),
        (Codec::Binary, CellLayout::Fixed(_) | CellLayout::Short | CellLayout::Null) => {
            value.to_vec()
        }
    }
}
