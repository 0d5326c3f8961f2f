//! Client-visible errors for invalid options and models.

use predictsql_catalog::OptionError;
use predictsql_executor::{ImageRootError, ModelError};

use crate::error::{ErrorKind, SqlError};

impl From<OptionError> for SqlError {
    /// 1525 (HY000) for a wrong value or unknown class, 1064 for an unknown or missing option.
    fn from(error: OptionError) -> Self {
        match error {
            OptionError::Unknown { .. } | OptionError::Missing { .. } => {
                Self::new(ErrorKind::Syntax, error.to_string())
            }
            OptionError::Value { .. }
            | OptionError::UnknownClass { .. }
            | OptionError::Covers(_)
            | OptionError::Classes(_)
            | OptionError::Columns(_) => Self::wrong_value(error.to_string()),
        }
    }
}

impl From<&ImageRootError> for SqlError {
    /// 1525 (HY000) for what is no root, 1290 (HY000) for one outside the proxy's roots, 1317
    /// (70100) interrupted.
    fn from(error: &ImageRootError) -> Self {
        let kind = match error {
            ImageRootError::Malformed { .. } => ErrorKind::WrongValue,
            ImageRootError::Outside { .. } => ErrorKind::OptionPrevents,
            ImageRootError::Interrupted => ErrorKind::Interrupted,
        };
        Self::new(kind, error.to_string())
    }
}

impl From<&ModelError> for SqlError {
    /// | cause | code | SQLSTATE |
    /// |---|---|---|
    /// | ONNX Runtime missing | 1126 cannot open library | HY000 |
    /// | outside roots, too large, beyond limits of the trial | 1290 option prevents it | HY000 |
    /// | server not allowed | 1290 | HY000 |
    /// | not found | 1017 | HY000 |
    /// | cannot be read | 1024 | HY000 |
    /// | damaged, or not the file or served model that was created | 1033 | HY000 |
    /// | unsupported operator | 1235 | 42000 |
    /// | all waiting callers gone, or the loading thread died | 1317 interrupted | 70100 |
    /// | ONNX Runtime, a worker or a server failed, other loads hang | 1105 | HY000 |
    /// | URI, shapes, types, labels, values | 1525 wrong value | HY000 |
    fn from(error: &ModelError) -> Self {
        let kind = match error {
            ModelError::LibraryMissing { .. } => ErrorKind::CannotOpenLibrary,
            ModelError::OutsideRoots { .. }
            | ModelError::ServerNotAllowed { .. }
            | ModelError::TooLarge { .. }
            | ModelError::BesideTooLarge { .. }
            | ModelError::TrialSeconds { .. }
            | ModelError::TrialMemory { .. } => ErrorKind::OptionPrevents,
            ModelError::NotFound { .. } => ErrorKind::FileNotFound,
            ModelError::Unreadable { .. } => ErrorKind::FileUnreadable,
            ModelError::Corrupt { .. }
            | ModelError::Changed { .. }
            | ModelError::ServedChanged { .. } => ErrorKind::FileDamaged,
            ModelError::UnsupportedOperator { .. } => ErrorKind::Unsupported,
            ModelError::Interrupted { .. } => ErrorKind::Interrupted,
            ModelError::Runtime { .. }
            | ModelError::LoadsHang { .. }
            | ModelError::TrialDied { .. }
            | ModelError::NoTrial { .. }
            | ModelError::NoWorker { .. }
            | ModelError::ServerLost { .. }
            | ModelError::ServerRefused { .. }
            | ModelError::ServerAnswer { .. } => ErrorKind::Other,
            ModelError::Uri { .. }
            | ModelError::MemoryTooLarge { .. }
            | ModelError::OutputTooLarge { .. }
            | ModelError::ExternalWeights
            | ModelError::Options { .. }
            | ModelError::InputCount { .. }
            | ModelError::InputType { .. }
            | ModelError::InputShape { .. }
            | ModelError::ColumnInputs { .. }
            | ModelError::ColumnNames { .. }
            | ModelError::ColumnType { .. }
            | ModelError::ColumnShape { .. }
            | ModelError::ValueOutput { .. }
            | ModelError::MapKeys { .. }
            | ModelError::LabelOrder { .. }
            | ModelError::AmbiguousOutput { .. }
            | ModelError::NoSuchOutput { .. }
            | ModelError::OutputType { .. }
            | ModelError::OutputColumns { .. }
            | ModelError::OutputShape { .. }
            | ModelError::NotProbabilities { .. }
            | ModelError::NotFinite => ErrorKind::WrongValue,
        };
        Self::new(kind, error.to_string())
    }
}
