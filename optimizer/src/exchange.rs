//! Questions to the store and its replies, in plain types: a conversation emits questions, and the
//! caller, who has a connection, sends them and returns the replies.

use crate::refusal::Refusal;
use crate::sql::fragment::Fragment;

/// ER_QUERY_INTERRUPTED, ER_STATEMENT_TIMEOUT of MariaDB, ER_CONNECTION_KILLED.
const INTERRUPTIONS: [u16; 3] = [1317, 1969, 1927];
/// ER_UNSUPPORTED_PS
const UNPREPARABLE: u16 = 1295;
/// ER_VIEW_NO_EXPLAIN
const NO_EXPLAIN: u16 = 1345;

/// How a question is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Method {
    /// Prepare the text without executing it: the store checks and describes it.
    Describe,
    /// Execute by the text protocol, without parameters.
    Query,
    /// Prepare and execute with the client's parameters; rows come in the binary protocol.
    Execute,
}

/// A question to the store, sent in the client's session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// How it is sent.
    pub method: Method,
    /// The SQL text and its parameters.
    pub text: Fragment,
}

impl Question {
    /// Asks for the description of a statement's columns.
    pub fn describe(text: Fragment) -> Self {
        let method = Method::Describe;
        Self { method, text }
    }
}

/// Encoding of a value in binary protocol rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Layout {
    /// A fixed number of bytes.
    Fixed(usize),
    /// A length byte, then that many bytes: dates and times.
    Short,
    /// A length-encoded string.
    String,
    /// No bytes: the type of NULL.
    Null,
}

/// A column as the store describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its alias in the statement.
    pub name: String,
    /// Encoding of its values in binary rows.
    pub layout: Layout,
    /// Whether its values are text or bytes.
    pub is_string: bool,
    /// Whether it has the binary collation.
    pub is_binary: bool,
    /// Maximum value length in bytes of the result's character set.
    pub length: u32,
}

/// The complete result set of an executed statement.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rows {
    /// The columns.
    pub columns: Vec<Column>,
    /// For each row one value per column, `None` for NULL. Strings: their bytes; other types in
    /// binary rows: their bytes as in the protocol.
    pub rows: Vec<Vec<Option<Vec<u8>>>>,
}

impl Rows {
    /// A value as text; `None` if it is NULL or does not exist.
    pub fn text(&self, row: usize, column: usize) -> Option<String> {
        let value = self.rows.get(row)?.get(column)?.as_ref()?;
        Some(String::from_utf8_lossy(value).into_owned())
    }

    /// The position of a column by name, case-insensitive.
    pub fn column(&self, name: &str) -> Option<usize> {
        let mut columns = self.columns.iter();
        columns.position(|c| c.name.eq_ignore_ascii_case(name))
    }
}

/// An error packet of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreRefusal {
    /// Error code.
    pub code: u16,
    /// SQLSTATE.
    pub sqlstate: [u8; 5],
    /// Error message, in the connection's character set.
    pub message: Vec<u8>,
}

impl StoreRefusal {
    /// Whether the statement was killed or timed out: the error is not caused by its text.
    pub fn is_interruption(&self) -> bool {
        is_interruption(self.code)
    }

    /// Whether the store cannot prepare statements of this kind (CREATE PROCEDURE, say).
    pub fn is_unpreparable(&self) -> bool {
        self.code == UNPREPARABLE
    }

    /// Whether the store refuses to EXPLAIN a view: the user may read it but not see its
    /// definition.
    pub fn hides_plan(&self) -> bool {
        self.code == NO_EXPLAIN
    }

    /// The message as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.message).into_owned()
    }
}

/// Whether an error code of the store means that a statement was interrupted.
pub fn is_interruption(code: u16) -> bool {
    INTERRUPTIONS.contains(&code)
}

/// The store's reply to a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// To [`Method::Describe`]: the columns of the result set, empty if there is none.
    Described(Vec<Column>),
    /// To [`Method::Query`] and [`Method::Execute`].
    Rows(Rows),
    /// To any method: an error.
    Refused(StoreRefusal),
}

impl Reply {
    /// The requested description.
    ///
    /// # Errors
    /// The store's error, or an internal error on a reply of another kind.
    pub fn described(self) -> Result<Vec<Column>, Failure> {
        match self {
            Self::Described(columns) => Ok(columns),
            Self::Rows(_) => Err(unfit_reply()),
            Self::Refused(refusal) => Err(Failure::Store(refusal)),
        }
    }

    /// The requested rows.
    ///
    /// # Errors
    /// The store's error, or an internal error on a reply of another kind.
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

/// Why a conversation failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The statement is refused by PredictSQL.
    Refused(Refusal),
    /// The store returned an error, which is the statement's result.
    Store(StoreRefusal),
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// The next step of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step<T> {
    /// A question for the store; the conversation continues with its reply.
    Ask(Question),
    /// The conversation is finished.
    Ready(T),
}

/// A sequence of questions and replies that ends with an outcome. Deterministic: the same replies
/// give the same questions and outcome.
pub trait Conversation {
    /// Type of the outcome.
    type Outcome;

    /// The first step.
    ///
    /// # Errors
    /// See [`Conversation::next`].
    fn begin(&mut self) -> Result<Step<Self::Outcome>, Failure>;

    /// Processes the reply to the last question.
    ///
    /// # Errors
    /// The statement is refused by PredictSQL or by the store.
    fn next(&mut self, reply: Reply) -> Result<Step<Self::Outcome>, Failure>;
}
