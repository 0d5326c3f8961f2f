//! The directory of an embedded store: ownership, layout, and locking.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, fcntl_lock, flock};

use super::error::EmbeddedError;

/// Marks a directory as created by PredictSQL, and is locked while a proxy uses it.
const LOCK_FILE: &str = "predictsql.lock";
/// Maximum path length of a Unix socket in bytes (`sun_path` without its terminating zero byte).
const SOCKET_PATH_BYTES_MAX: usize = 107;
/// InnoDB's system tablespace, which it needs to find all other tables. The server locks it while
/// it runs.
const SYSTEM_TABLESPACE: &str = "ibdata1";
/// Polling interval for a lock held by another process.
const LOCK_POLL: Duration = Duration::from_millis(100);

/// A directory used exclusively by this process until dropped.
#[derive(Debug)]
pub(super) struct DataDirectory {
    path: PathBuf,
    /// Holds the `flock`.
    _lock: File,
}

impl DataDirectory {
    /// Creates `dir` if it is missing, checks that PredictSQL created it, and locks it.
    pub(super) fn open(dir: &Path) -> Result<Self, EmbeddedError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(EmbeddedError::io("create", dir))?;
        let path = dir.canonicalize().map_err(EmbeddedError::io("open", dir))?;
        let lock_path = path.join(LOCK_FILE);
        if !lock_path.exists() && !is_empty(&path)? {
            return Err(EmbeddedError::Foreign { dir: path });
        }
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&lock_path)
            .map_err(EmbeddedError::io("open", &lock_path))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(EmbeddedError::InUse {
                    dir: path,
                    pid: holder(&mut lock),
                });
            }
            Err(error) => return Err(EmbeddedError::io("lock", lock_path)(error.into())),
        }
        sign(&mut lock).map_err(EmbeddedError::io("write", lock_path))?;
        let directory = Self { path, _lock: lock };
        for inner in [directory.files(), directory.tmp()] {
            fs::create_dir_all(&inner).map_err(EmbeddedError::io("create", inner))?;
        }
        Ok(directory)
    }

    /// The directory as an absolute path.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The server's data directory; exists only when it is complete.
    pub(super) fn store(&self) -> PathBuf {
        self.path.join("store")
    }

    /// The server's error log.
    pub(super) fn log(&self) -> PathBuf {
        self.path.join("store.log")
    }

    /// The directory accessible to LOAD_FILE and INTO OUTFILE.
    pub(super) fn files(&self) -> PathBuf {
        self.path.join("files")
    }

    /// The server's temporary files. Not in the system's directory: at its start a server removes
    /// files there that look like leftovers, which may be temporary tables of another server.
    pub(super) fn tmp(&self) -> PathBuf {
        self.path.join("tmp")
    }

    /// Waits until no server uses the data directory: one whose proxy was killed needs a moment to
    /// shut down. InnoDB locks its system tablespace while it runs.
    pub(super) fn wait_until_free(&self, time_max: Duration) -> Result<(), EmbeddedError> {
        let tablespace = self.store().join(SYSTEM_TABLESPACE);
        let began = Instant::now();
        let mut told = false;
        while is_locked(&tablespace)? {
            if began.elapsed() >= time_max {
                return Err(EmbeddedError::StillRunning {
                    dir: self.store(),
                    seconds: time_max.as_secs(),
                });
            }
            if !told {
                tracing::info!("waiting for the server of an earlier run to end");
                told = true;
            }
            std::thread::sleep(LOCK_POLL);
        }
        Ok(())
    }

    /// Rejects a store without a system tablespace. A server that finds neither it nor its log
    /// creates both again and starts, and no InnoDB table is found any more.
    pub(super) fn check_tablespace(&self) -> Result<(), EmbeddedError> {
        let file = self.store().join(SYSTEM_TABLESPACE);
        match fs::metadata(&file) {
            Ok(found) if found.len() > 0 => Ok(()),
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(EmbeddedError::io("open", file)(error))
            }
            _ => Err(EmbeddedError::Incomplete { file }),
        }
    }

    /// An SQL file that sets `password` for root when the server starts; `None` without a
    /// password. A file left behind by an earlier start is removed.
    pub(super) fn password_file(
        &self,
        password: Option<&str>,
    ) -> Result<Option<PathBuf>, EmbeddedError> {
        let path = self.path.join("root-password.sql");
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(EmbeddedError::io("remove", path)(error));
            }
            _ => {}
        }
        let Some(password) = password else {
            return Ok(None);
        };
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .and_then(|mut file| file.write_all(set_root_password(password).as_bytes()))
            .map_err(EmbeddedError::io("write", &path))?;
        Ok(Some(path))
    }
}

/// One line of SQL that sets the password of root@localhost to `password`.
pub(super) fn set_root_password(password: &str) -> String {
    let literal = password.replace('\\', "\\\\").replace('\'', "''");
    format!(
        "ALTER USER root@localhost IDENTIFIED VIA mysql_native_password USING PASSWORD('{literal}');\n"
    )
}

/// Location of the server's socket: in the data directory or, if its path is too long for a
/// socket, in a private directory under the system's temporary directory.
pub(super) struct SocketPlace {
    path: PathBuf,
    /// Removed when this value is dropped.
    _short: Option<tempfile::TempDir>,
}

impl SocketPlace {
    pub(super) fn choose(directory: &DataDirectory) -> Result<Self, EmbeddedError> {
        let path = directory.path().join("store.sock");
        if path.as_os_str().as_bytes().len() <= SOCKET_PATH_BYTES_MAX {
            return Ok(Self { path, _short: None });
        }
        // tempfile creates directories with mode 0700.
        let short = tempfile::Builder::new()
            .prefix("predictsql-")
            .tempdir_in("/tmp")
            .map_err(EmbeddedError::io("create a directory in", "/tmp"))?;
        Ok(Self {
            path: short.path().join("store.sock"),
            _short: Some(short),
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

fn is_empty(dir: &Path) -> Result<bool, EmbeddedError> {
    let mut entries = fs::read_dir(dir).map_err(EmbeddedError::io("read", dir))?;
    Ok(entries.next().is_none())
}

/// Whether another process holds a lock on `file`; false for a missing file.
fn is_locked(file: &Path) -> Result<bool, EmbeddedError> {
    let opened = match OpenOptions::new().read(true).write(true).open(file) {
        Ok(opened) => opened,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(EmbeddedError::io("open", file)(error)),
    };
    // Held for a moment only: closing the file releases it.
    match fcntl_lock(&opened, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(false),
        Err(rustix::io::Errno::AGAIN | rustix::io::Errno::ACCESS) => Ok(true),
        Err(error) => Err(EmbeddedError::io("lock", file)(error.into())),
    }
}

/// The process id in the lock file.
fn holder(lock: &mut File) -> String {
    let mut text = String::new();
    match lock.take(32).read_to_string(&mut text) {
        Ok(_) if text.trim().parse::<u32>().is_ok() => text.trim().to_owned(),
        _ => "unknown".to_owned(),
    }
}

/// Writes our process id to the lock file.
fn sign(lock: &mut File) -> io::Result<()> {
    lock.set_len(0)?;
    writeln!(lock, "{}", std::process::id())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_directory_is_used_by_one_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let first = DataDirectory::open(dir.path()).unwrap();
        let error = DataDirectory::open(dir.path()).unwrap_err();
        let EmbeddedError::InUse { pid, .. } = error else {
            panic!("{error}");
        };
        assert_eq!(pid, std::process::id().to_string());
        drop(first);
        DataDirectory::open(dir.path()).unwrap();
    }

    #[test]
    fn a_foreign_directory_is_refused_and_left_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("thesis.tex"), "x").unwrap();
        let error = DataDirectory::open(dir.path()).unwrap_err();
        assert!(matches!(error, EmbeddedError::Foreign { .. }), "{error}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_missing_directory_is_made_private() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let inner = dir.path().join("a/b");
        let opened = DataDirectory::open(&inner).unwrap();
        let mode = fs::metadata(opened.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }

    #[test]
    fn a_path_too_long_for_a_socket_is_replaced_by_a_short_private_one() {
        let dir = tempfile::tempdir().unwrap();
        let short = DataDirectory::open(&dir.path().join("s")).unwrap();
        assert!(
            SocketPlace::choose(&short)
                .unwrap()
                .path()
                .starts_with(short.path())
        );
        let long = DataDirectory::open(&dir.path().join("x".repeat(120))).unwrap();
        let place = SocketPlace::choose(&long).unwrap();
        assert!(place.path().as_os_str().len() <= SOCKET_PATH_BYTES_MAX);
        let parent = place.path().parent().unwrap().to_owned();
        assert!(parent.exists());
        drop(place);
        assert!(!parent.exists());
    }

    #[test]
    fn a_free_directory_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let directory = DataDirectory::open(dir.path()).unwrap();
        directory.wait_until_free(Duration::ZERO).unwrap();
        fs::create_dir(directory.store()).unwrap();
        fs::write(directory.store().join("ibdata1"), "").unwrap();
        directory.wait_until_free(Duration::ZERO).unwrap();
    }

    #[test]
    fn a_store_without_its_tablespace_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let directory = DataDirectory::open(dir.path()).unwrap();
        fs::create_dir(directory.store()).unwrap();
        let tablespace = directory.store().join(SYSTEM_TABLESPACE);
        let refused = || directory.check_tablespace().unwrap_err().to_string();
        assert!(
            refused().contains("restore it from a backup"),
            "{}",
            refused()
        );
        fs::write(&tablespace, "").unwrap();
        assert!(refused().contains("is missing or empty"), "{}", refused());
        fs::write(&tablespace, "x").unwrap();
        directory.check_tablespace().unwrap();
    }

    #[test]
    fn a_password_is_quoted() {
        assert_eq!(
            set_root_password(r"a'b\c"),
            "ALTER USER root@localhost IDENTIFIED VIA mysql_native_password \
             USING PASSWORD('a''b\\\\c');\n"
        );
    }

    #[test]
    fn a_password_file_is_private_and_goes_when_no_password_is_set() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let directory = DataDirectory::open(dir.path()).unwrap();
        let path = directory.password_file(Some("s")).unwrap().unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(directory.password_file(None).unwrap(), None);
        assert!(!path.exists());
    }
}
