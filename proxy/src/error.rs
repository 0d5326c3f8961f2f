//! Client-visible errors: their kinds, and a kind with a message.

use predictsql_optimizer::{Refusal, RefusalKind};
use strum::IntoStaticStr;
use thiserror::Error;

use crate::wire::ErrPacket;

/// Outcome of a command of the predict lane, as the label `outcome` of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Outcome {
    /// The client received its answer.
    Ok,
    /// Forwarded to the store, which answers it.
    Forwarded,
    /// The store rejected the lane's statement.
    RefusedByStore,
    /// The statement could not be parsed.
    Syntax,
    /// The limit of images to run through models would be exceeded.
    OverLimit,
    /// The statement uses an unsupported feature.
    Unsupported,
    /// The statement names a task or model that does not exist.
    UnknownName,
    /// The statement was ended by a KILL.
    Interrupted,
    /// The statement has an invalid value.
    WrongValue,
    /// Any other error.
    Error,
    /// The client connection was lost.
    ClientLost,
    /// The store connection was lost.
    StoreLost,
    /// The store's answer violated the protocol.
    Protocol,
    /// The session was ended.
    Stopped,
}

impl Outcome {
    /// The label's value.
    #[must_use]
    pub fn label(self) -> &'static str {
        self.into()
    }
}

/// Kind of error. Determines the MySQL error number, the SQLSTATE, and the label of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr)]
#[cfg_attr(test, derive(strum::EnumIter))]
pub enum ErrorKind {
    /// The text is not a supported statement.
    Syntax,
    /// The statement would exceed the limit of images to run through models.
    TooManyInferences,
    /// An unsupported feature.
    Unsupported,
    /// There is no task, model or function of that name.
    UnknownName,
    /// The statement was interrupted.
    Interrupted,
    /// An invalid value.
    WrongValue,
    /// A failure without its own code.
    Other,
    /// There is no column of that name.
    UnknownColumn,
    /// A column of a derived table whose name another one has.
    DuplicateColumn,
    /// A constraint on predictions that cannot be satisfied.
    Constraint,
    /// A variable cannot be set to that value.
    WrongVariableValue,
    /// Wrong number of arguments of a function.
    ArgumentCount,
    /// Arguments of wrong types or values.
    WrongArguments,
    /// Wrong number of columns of a query.
    ColumnCount,
    /// An input cannot be read, and the statement is configured to fail then.
    UnreadableInput,
    /// The user lacks a privilege on a table.
    TableAccessDenied,
    /// The user lacks a privilege on a column.
    ColumnAccessDenied,
    /// The statement took longer than `max_statement_time`.
    StatementTimeout,
    /// The statement took longer than `@ml_max_seconds`.
    ExecutionTimeExceeded,
    /// Lock wait timeout; the statement may be retried.
    LockWaitTimeout,
    /// A parameter is longer than allowed.
    PacketTooLarge,
    /// Not enough memory for the statement.
    OutOfMemory,
    /// Not enough disk space for the statement.
    DiskFull,
    /// The statement to execute was not prepared.
    UnknownPreparedStatement,
    /// A task, model or function of that name already exists.
    AlreadyExists,
    /// Another object refers to it.
    Referenced,
    /// The store's binary log prevents the service account from creating functions.
    BinaryLog,
    /// An option prevents it.
    OptionPrevents,
    /// ONNX Runtime cannot be loaded.
    CannotOpenLibrary,
    /// There is no such file.
    FileNotFound,
    /// A file cannot be read.
    FileUnreadable,
    /// A file has invalid content.
    FileDamaged,
    /// The proxy is shutting down.
    Shutdown,
    /// An operator ended the session.
    ConnectionKilled,
    /// The store connection was lost.
    StoreLost,
    /// The store cannot be reached.
    StoreUnreachable,
    /// The store violated the protocol.
    StoreMisunderstood,
    /// TLS is required.
    TlsRequired,
    /// A login that the proxy does not support.
    BadHandshake,
    /// The limit of connections is reached.
    TooManyConnections,
}

impl ErrorKind {
    /// The MySQL error number. Never one of 2000 to 2999: these are reserved for client libraries,
    /// and MariaDB's takes an ERR packet with such a number for malformed (error 2027).
    #[must_use]
    pub const fn code(self) -> u16 {
        self.row().0
    }

    /// The SQLSTATE, five characters.
    #[must_use]
    pub const fn sqlstate(self) -> &'static str {
        let state: &[u8] = self.row().1;
        match std::str::from_utf8(state) {
            Ok(state) => state,
            Err(_) => "HY000",
        }
    }

    /// Outcome of a command that fails with this kind.
    #[must_use]
    pub const fn outcome(self) -> Outcome {
        self.row().2
    }

    /// An ERR packet of this kind.
    #[must_use]
    pub fn packet(self, message: impl Into<String>) -> ErrPacket {
        ErrPacket::new(self.code(), self.row().1, message)
    }

    /// Error number, SQLSTATE, and outcome.
    const fn row(self) -> (u16, &'static [u8; 5], Outcome) {
        use Outcome::{
            Error, Interrupted, OverLimit, Syntax, UnknownName, Unsupported, WrongValue,
        };
        match self {
            Self::Syntax => (1064, b"42000", Syntax),
            Self::TooManyInferences => (1104, b"42000", OverLimit),
            Self::Unsupported => (1235, b"42000", Unsupported),
            Self::UnknownName => (1305, b"42000", UnknownName),
            Self::Interrupted => (1317, b"70100", Interrupted),
            Self::WrongValue => (1525, b"HY000", WrongValue),
            Self::Other => (1105, b"HY000", Error),
            Self::UnknownColumn => (1054, b"42S22", Error),
            Self::DuplicateColumn => (1060, b"42S21", Error),
            Self::Constraint => (1644, b"45000", Error),
            Self::WrongVariableValue => (1231, b"42000", Error),
            Self::ArgumentCount => (1318, b"42000", Error),
            Self::WrongArguments => (1210, b"HY000", Error),
            Self::ColumnCount => (1241, b"21000", Error),
            Self::UnreadableInput => (1366, b"HY000", Error),
            Self::TableAccessDenied => (1142, b"42000", Error),
            Self::ColumnAccessDenied => (1143, b"42000", Error),
            Self::StatementTimeout => (1969, b"70100", Error),
            Self::ExecutionTimeExceeded => (3024, b"HY000", Error),
            Self::LockWaitTimeout => (1205, b"HY000", Error),
            Self::PacketTooLarge => (1153, b"08S01", Error),
            Self::OutOfMemory => (1041, b"HY000", Error),
            Self::DiskFull => (1021, b"HY000", Error),
            Self::UnknownPreparedStatement => (1243, b"HY000", Error),
            Self::AlreadyExists => (1304, b"42000", Error),
            Self::Referenced => (1451, b"23000", Error),
            Self::BinaryLog => (1419, b"HY000", Error),
            Self::OptionPrevents => (1290, b"HY000", Error),
            Self::CannotOpenLibrary => (1126, b"HY000", Error),
            Self::FileNotFound => (1017, b"HY000", Error),
            Self::FileUnreadable => (1024, b"HY000", Error),
            Self::FileDamaged => (1033, b"HY000", Error),
            Self::Shutdown => (1053, b"08S01", Error),
            Self::ConnectionKilled => (1927, b"70100", Error),
            Self::StoreLost => (1158, b"08S01", Error),
            Self::StoreUnreachable => (1429, b"HY000", Error),
            Self::StoreMisunderstood => (1156, b"08S01", Error),
            Self::TlsRequired => (3159, b"HY000", Error),
            Self::BadHandshake => (1043, b"08S01", Error),
            Self::TooManyConnections => (1040, b"08004", Error),
        }
    }
}

impl From<RefusalKind> for ErrorKind {
    fn from(kind: RefusalKind) -> Self {
        match kind {
            RefusalKind::Syntax => Self::Syntax,
            RefusalKind::Unsupported | RefusalKind::NoModel => Self::Unsupported,
            RefusalKind::UnknownTarget => Self::UnknownName,
            RefusalKind::UnknownColumn => Self::UnknownColumn,
            RefusalKind::DuplicateColumn => Self::DuplicateColumn,
            RefusalKind::Constraint => Self::Constraint,
            RefusalKind::Prior => Self::WrongVariableValue,
            RefusalKind::ArgumentCount => Self::ArgumentCount,
            RefusalKind::Argument => Self::WrongArguments,
            RefusalKind::UnknownClass => Self::WrongValue,
            RefusalKind::Internal => Self::Other,
        }
    }
}

/// An error that the lane or a catalog statement answers with.
///
/// The message is for the user: it names what is wrong and what to do, and contains no literals,
/// passwords or internal text.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("ERROR {code} ({state}): {message}", code = kind.code(), state = kind.sqlstate())]
pub struct SqlError {
    /// What went wrong.
    pub kind: ErrorKind,
    /// Text for the user.
    pub message: String,
}

impl SqlError {
    /// An error of this kind with this message.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }

    /// `construct` is not supported yet.
    pub fn unsupported(construct: impl std::fmt::Display) -> Self {
        Self::new(
            ErrorKind::Unsupported,
            format!("PredictSQL does not yet support {construct}"),
        )
    }

    /// There is no task, model or function of that name.
    pub fn unknown(kind: &str, name: &str) -> Self {
        let message = format!("{kind} '{name}' does not exist");
        Self::new(ErrorKind::UnknownName, message)
    }

    /// An invalid value.
    pub fn wrong_value(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::WrongValue, message)
    }

    /// A failure without its own code.
    pub fn other(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Other, message)
    }

    /// The MySQL error number.
    #[must_use]
    pub const fn code(&self) -> u16 {
        self.kind.code()
    }

    /// The SQLSTATE, five characters.
    #[must_use]
    pub const fn sqlstate(&self) -> &'static str {
        self.kind.sqlstate()
    }

    /// The error as an ERR packet.
    #[must_use]
    pub fn packet(&self) -> ErrPacket {
        self.kind.packet(self.message.clone())
    }
}

impl From<Refusal> for SqlError {
    fn from(refusal: Refusal) -> Self {
        Self::new(refusal.kind.into(), refusal.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use strum::IntoEnumIterator;

    #[test]
    fn no_two_kinds_have_one_number_and_none_is_a_client_librarys() {
        let mut codes: Vec<u16> = ErrorKind::iter().map(ErrorKind::code).collect();
        assert!(codes.iter().all(|code| !(2000..3000).contains(code)));
        let kinds = codes.len();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), kinds);
        for kind in ErrorKind::iter() {
            assert!(kind.sqlstate().bytes().all(|b| b.is_ascii_alphanumeric()));
        }
    }

    #[test]
    fn an_error_is_shown_with_number_and_state_and_labelled_by_its_kind() {
        let error = SqlError::unknown("Task", "t");
        let shown = "ERROR 1305 (42000): Task 't' does not exist";
        assert_eq!(error.to_string(), shown);
        assert_eq!(&error.packet().sqlstate, b"42000");
        assert_eq!(error.kind.outcome().label(), "unknown_name");
        assert_eq!(Outcome::RefusedByStore.label(), "refused_by_store");
        assert_eq!(ErrorKind::StatementTimeout.outcome().label(), "error");
    }
}
