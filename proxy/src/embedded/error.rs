//! Errors of an embedded store, with instructions.

use std::io;
use std::path::PathBuf;

/// Why an embedded store could not be started.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    /// A program of MariaDB is not installed.
    #[error(
        "`{program}` was not found: install MariaDB 10.6 or later \
         (Debian, Ubuntu: `apt-get install mariadb-server`; Fedora, RHEL: `dnf install mariadb-server`), \
         or use a running one with --store"
    )]
    NotInstalled {
        /// The missing program.
        program: String,
    },
    /// Another proxy uses the directory.
    #[error("{} is in use by another instance (pid {pid}): stop it, or choose another directory", dir.display())]
    InUse {
        /// The requested directory.
        dir: PathBuf,
        /// Id of the process that uses it, or `unknown`.
        pid: String,
    },
    /// The directory has content that was not created by PredictSQL.
    #[error(
        "{} is not empty and was not made by PredictSQL: choose an empty or a new directory",
        dir.display()
    )]
    Foreign {
        /// The requested directory.
        dir: PathBuf,
    },
    /// A server left behind by an earlier proxy does not end.
    #[error(
        "a MariaDB server still runs on {} after {seconds} s: end it first (`fuser {}/ibdata1` names it)",
        dir.display(), dir.display()
    )]
    StillRunning {
        /// The server's data directory.
        dir: PathBuf,
        /// Duration of the wait.
        seconds: u64,
    },
    /// A file is missing that the server would replace by an empty one.
    #[error(
        "the store's {} is missing or empty: restore it from a backup of the whole directory; \
         without it no table of InnoDB can be read, and nothing was changed",
        file.display()
    )]
    Incomplete {
        /// The file.
        file: PathBuf,
    },
    /// A file or directory could not be used.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// The attempted action, as a verb.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// Creating the data directory failed.
    #[error("the embedded store could not be created: `{program}` {status}\n{output}")]
    Create {
        /// The program that failed.
        program: String,
        /// Its exit status.
        status: String,
        /// The last lines of its output.
        output: String,
    },
    /// The server ended before it accepted connections.
    #[error("the embedded store ended at start ({status}); the end of {} says:\n{tail}", log.display())]
    Exited {
        /// Its exit status.
        status: String,
        /// The server's error log.
        log: PathBuf,
        /// Its last lines.
        tail: String,
    },
    /// The server runs, but did not accept connections in time.
    #[error(
        "the embedded store did not answer within {seconds} s; the end of {} says:\n{tail}",
        log.display()
    )]
    NotReady {
        /// The time limit.
        seconds: u64,
        /// The server's error log.
        log: PathBuf,
        /// Its last lines.
        tail: String,
    },
    /// It was stopped before it accepted connections.
    #[error("the embedded store was stopped before it answered")]
    Stopped,
}

impl EmbeddedError {
    /// For `map_err`: creates an [`EmbeddedError::Io`] for `path`.
    pub(super) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }
}
