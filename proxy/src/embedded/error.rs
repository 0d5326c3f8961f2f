//! What can go wrong with an embedded store, in sentences that say what to do.

use std::io;
use std::path::PathBuf;

/// Why an embedded store could not be started.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    /// A program of MariaDB is not on this machine.
    #[error(
        "`{program}` was not found: install MariaDB 10.6 or later \
         (Debian, Ubuntu: `apt-get install mariadb-server`; Fedora, RHEL: `dnf install mariadb-server`), \
         or use a running one with --store"
    )]
    NotInstalled {
        /// The missing program.
        program: String,
    },
    /// Another proxy holds the directory.
    #[error("{} is in use by another instance (pid {pid}): stop it, or choose another directory", dir.display())]
    InUse {
        /// The directory asked for.
        dir: PathBuf,
        /// The process that holds it, `unknown` when it did not say.
        pid: String,
    },
    /// The directory holds something that PredictSQL did not make.
    #[error(
        "{} is not empty and was not made by PredictSQL: choose an empty or a new directory",
        dir.display()
    )]
    Foreign {
        /// The directory asked for.
        dir: PathBuf,
    },
    /// A server that an earlier proxy left behind does not end.
    #[error(
        "a MariaDB server still runs on {} after {seconds} s: end it first (`fuser {}/ibdata1` names it)",
        dir.display(), dir.display()
    )]
    StillRunning {
        /// The server's data directory.
        dir: PathBuf,
        /// How long was waited for it.
        seconds: u64,
    },
    /// A file is gone that the server would replace by an empty one.
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
        /// What was tried, as a verb.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The first set-up of the data directory failed.
    #[error("the embedded store could not be created: `{program}` {status}\n{output}")]
    Create {
        /// The program that failed.
        program: String,
        /// How it ended.
        status: String,
        /// The last lines it wrote.
        output: String,
    },
    /// The server ended before it answered.
    #[error("the embedded store ended at start ({status}); the end of {} says:\n{tail}", log.display())]
    Exited {
        /// How it ended.
        status: String,
        /// The server's error log.
        log: PathBuf,
        /// Its last lines.
        tail: String,
    },
    /// The server lives, but did not answer in time.
    #[error(
        "the embedded store did not answer within {seconds} s; the end of {} says:\n{tail}",
        log.display()
    )]
    NotReady {
        /// The time allowed.
        seconds: u64,
        /// The server's error log.
        log: PathBuf,
        /// Its last lines.
        tail: String,
    },
    /// It was told to stop before it answered.
    #[error("the embedded store was stopped before it answered")]
    Stopped,
}

impl EmbeddedError {
    /// For `map_err`: an [`EmbeddedError::Io`] about `path`.
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
