//! Questions to the store and its replies, in plain types: a conversation asks, and somebody who
//! has a connection carries question and reply.

use crate::refusal::Refusal;
use crate::sql::fragment::Fragment;

/// ER_QUERY_INTERRUPTED, ER_STATEMENT_TIMEOUT of MariaDB, ER_CONNECTION_KILLED.
const INTERRUPTIONS: [u16; 3] = [1317, 1969, 1927];
/// ER_UNSUPPORTED_PS
const UNPREPARABLE: u16 = 1295;
/// ER_VIEW_NO_EXPLAIN
const NO_EXPLAIN: u16 = 1345;

/// How a question is put.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Method {
    /// The text is prepared, which checks and describes it, and not run.
    Describe,
    /// The text is run by the text protocol. It has no parameters.
    Query,
    /// The text is prepared and run with the client's parameters: rows of the binary protocol.
    Execute,
}

/// A question to the store, in the client's session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// How it is put.
    pub method: Method,
    /// What is sent.
    pub text: Fragment,
}

impl Question {
    /// The description of a statement's columns.
    pub fn describe(text: Fragment) -> Self {
        let method = Method::Describe;
        Self { method, text }
    }
}

/// How a value travels in rows of the binary protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Layout {
    /// So many bytes.
    Fixed(usize),
    /// One byte of length, then so many bytes: dates and times.
    Short,
    /// A length-encoded string.
    String,
    /// Never there: the type of NULL.
    Null,
}

/// A column as the store describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its alias in the statement.
    pub name: String,
    /// How its values travel in binary rows.
    pub layout: Layout,
    /// Its values are text or bytes.
    pub is_string: bool,
    /// Its collation is that of bytes.
    pub is_binary: bool,
    /// Longest value in bytes of the result's character set.
    pub length: u32,
}

/// The whole answer to a statement that was run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rows {
    /// The columns.
    pub columns: Vec<Column>,
    /// For each row one value a column, `None` for NULL: a string's bytes; of binary rows' other
    /// types the bytes of the protocol.
    pub rows: Vec<Vec<Option<Vec<u8>>>>,
}

impl Rows {
    /// The text of a value; `None` for NULL and where there is none.
    pub fn text(&self, row: usize, column: usize) -> Option<String> {
        let value = self.rows.get(row)?.get(column)?.as_ref()?;
        Some(String::from_utf8_lossy(value).into_owned())
    }

    /// The position of a column by its name, whatever the case.
    pub fn column(&self, name: &str) -> Option<usize> {
        let mut columns = self.columns.iter();
        columns.position(|c| c.name.eq_ignore_ascii_case(name))
    }
}

/// The store's refusal of a question, in its own words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreRefusal {
    /// Error number.
    pub code: u16,
    /// Five characters.
    pub sqlstate: [u8; 5],
    /// The sentence, in the connection's character set.
    pub message: Vec<u8>,
}

impl StoreRefusal {
    /// Whether the statement was ended: the refusal says nothing of the text.
    pub fn is_interruption(&self) -> bool {
        is_interruption(self.code)
    }

    /// Whether the store cannot prepare statements of this kind (CREATE PROCEDURE, say).
    pub fn is_unpreparable(&self) -> bool {
        self.code == UNPREPARABLE
    }

    /// Whether the store does not show the plan: who may read a view may not see how it is made.
    pub fn hides_plan(&self) -> bool {
        self.code == NO_EXPLAIN
    }

    /// The sentence as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.message).into_owned()
    }
}

/// Whether an error of the store says that a statement was ended.
pub fn is_interruption(code: u16) -> bool {
    INTERRUPTIONS.contains(&code)
}

/// The store's reply to a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// To [`Method::Describe`]: the columns of the statement's answer, none where it has no rows.
    Described(Vec<Column>),
    /// To [`Method::Query`] and [`Method::Execute`].
    Rows(Rows),
    /// To any.
    Refused(StoreRefusal),
}

impl Reply {
    /// The description that was asked for.
    ///
    /// # Errors
    /// The store's refusal.
    pub fn described(self) -> Result<Vec<Column>, Failure> {
        match self {
            Self::Described(columns) => Ok(columns),
            Self::Rows(_) => Err(unfit_reply()),
            Self::Refused(refusal) => Err(Failure::Store(refusal)),
        }
    }

    /// The rows that were asked for.
    ///
    /// # Errors
    /// The store's refusal.
    pub fn rows(self) -> Result<Rows, Failure> {
        match self {
            Self::Rows(rows) => Ok(rows),
            Self::Described(_) => Err(unfit_reply()),
            Self::Refused(refusal) => Err(Failure::Store(refusal)),
        }
    }
}

fn unfit_reply() -> Failure {
    Failure::Refused(Refusal::internal("a reply does not fit its question"))
}

/// Why a conversation has no outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The statement is refused here.
    Refused(Refusal),
    /// The store refuses it: its refusal is the statement's answer.
    Store(StoreRefusal),
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// What comes next in a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step<T> {
    /// The store is asked; the conversation goes on with its reply.
    Ask(Question),
    /// The conversation has come to its outcome.
    Ready(T),
}

/// Questions and replies in turn, up to an outcome:
/// the same replies give the same questions and outcome.
pub trait Conversation {
    /// What it comes to.
    type Outcome;

    /// The first step.
    ///
    /// # Errors
    /// See [`Conversation::next`].
    fn begin(&mut self) -> Result<Step<Self::Outcome>, Failure>;

    /// Takes the reply to the last question.
    ///
    /// # Errors
    /// The statement's refusal, or the store's.
    fn next(&mut self, reply: Reply) -> Result<Step<Self::Outcome>, Failure>;
}
