//! Finds MariaDB's programs, and creates new data directories with them.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::directory::{DataDirectory, set_root_password};
use super::error::EmbeddedError;

/// Directories outside of PATH in which distributions install MariaDB's programs.
const PROGRAM_DIRS: [&str; 5] = [
    "/usr/sbin",
    "/usr/bin",
    "/usr/libexec",
    "/usr/local/sbin",
    "/usr/local/bin",
];

/// Restricts the accounts of a new store: `root` only through the socket, no anonymous users, no
/// database that everybody may write to.
const ACCOUNTS: &str = "\
DELETE FROM mysql.global_priv WHERE User = '' OR (User = 'root' AND Host <> 'localhost');
DELETE FROM mysql.proxies_priv WHERE User = '' OR (User = 'root' AND Host <> 'localhost');
DELETE FROM mysql.db WHERE User = '';
DROP DATABASE IF EXISTS test;
FLUSH PRIVILEGES;
";

/// The path of `program`, searched in PATH and in the directories of distributions.
pub(super) fn find(program: &str) -> Result<PathBuf, EmbeddedError> {
    let path = env::var_os("PATH").unwrap_or_default();
    let dirs = env::split_paths(&path).chain(PROGRAM_DIRS.map(PathBuf::from));
    find_in(program, dirs).ok_or_else(|| EmbeddedError::NotInstalled {
        program: program.to_owned(),
    })
}

fn find_in(program: &str, dirs: impl Iterator<Item = PathBuf>) -> Option<PathBuf> {
    dirs.filter(|dir| dir.is_absolute())
        .map(|dir| dir.join(program))
        .find(|path| {
            path.metadata()
                .is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
        })
}

/// `--user=root` if we are root, since MariaDB refuses to run as root otherwise; the server always
/// runs as the proxy's own user.
pub(super) fn run_as_user() -> Option<OsString> {
    rustix::process::geteuid()
        .is_root()
        .then(|| OsString::from("--user=root"))
}

/// Creates the data directory. It is renamed to its final name when it is complete, so an
/// interrupted creation is repeated next time.
pub(super) fn create_store(
    directory: &DataDirectory,
    mariadbd: &Path,
    root_password: Option<&str>,
) -> Result<(), EmbeddedError> {
    let installer = find("mariadb-install-db")?;
    tracing::info!(
        directory = %directory.path().display(),
        "creating the embedded store (once, some seconds)"
    );
    let unfinished = directory.path().join("store.unfinished");
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished).map_err(EmbeddedError::io("remove", &unfinished))?;
    }
    let arguments = bootstrap_arguments(directory, &unfinished);
    install(&installer, &arguments)?;
    set_accounts(mariadbd, &arguments, root_password.unwrap_or_default())?;
    fs::rename(&unfinished, directory.store()).map_err(EmbeddedError::io("rename", &unfinished))?;
    fs::File::open(directory.path())
        .and_then(|dir| dir.sync_all())
        .map_err(EmbeddedError::io("sync", directory.path()))
}

fn install(installer: &Path, arguments: &[OsString]) -> Result<(), EmbeddedError> {
    let output = Command::new(installer)
        .args(arguments)
        .args([
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
            "--skip-name-resolve",
        ])
        .stdin(Stdio::null())
        .output()
        .map_err(EmbeddedError::io("run", installer))?;
    succeeded("mariadb-install-db", &output)
}

/// Runs SQL on a data directory that no server is using.
fn set_accounts(
    mariadbd: &Path,
    arguments: &[OsString],
    root_password: &str,
) -> Result<(), EmbeddedError> {
    let mut child = Command::new(mariadbd)
        .args(arguments)
        .arg("--bootstrap")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(EmbeddedError::io("run", mariadbd))?;
    let sql = format!("{ACCOUNTS}{}", set_root_password(root_password));
    // The SQL fits into the pipe's buffer, so this cannot deadlock with a child that only writes.
    let written = child
        .stdin
        .take()
        .map_or(Ok(()), |mut stdin| stdin.write_all(sql.as_bytes()));
    let output = child
        .wait_with_output()
        .map_err(EmbeddedError::io("run", mariadbd))?;
    succeeded("mariadbd --bootstrap", &output)?;
    written.map_err(EmbeddedError::io("write to", mariadbd))
}

/// Arguments of every program that works on an incomplete data directory.
fn bootstrap_arguments(directory: &DataDirectory, datadir: &Path) -> Vec<OsString> {
    let tmp = directory.tmp();
    let mut arguments = vec![OsString::from("--no-defaults")];
    for (name, value) in [("--datadir=", datadir), ("--tmpdir=", &tmp)] {
        let mut argument = OsString::from(name);
        argument.push(value);
        arguments.push(argument);
    }
    arguments.extend(run_as_user());
    arguments
}

fn succeeded(program: &str, output: &Output) -> Result<(), EmbeddedError> {
    if output.status.success() {
        return Ok(());
    }
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    Err(EmbeddedError::Create {
        program: program.to_owned(),
        status: output.status.to_string(),
        output: last_lines(&text, 12),
    })
}

/// The last `count` lines of `text`.
pub(super) fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let start = lines.len().saturating_sub(count);
    lines.get(start..).unwrap_or_default().join("\n")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_program_is_found_in_order_and_only_where_it_can_run() {
        let dir = tempfile::tempdir().unwrap();
        let dirs: Vec<PathBuf> = ["plain", "run", "later"]
            .iter()
            .map(|name| dir.path().join(name))
            .collect();
        for dir in &dirs {
            fs::create_dir(dir).unwrap();
            fs::write(dir.join("mariadbd"), "").unwrap();
        }
        for dir in &dirs[1..] {
            fs::set_permissions(dir.join("mariadbd"), fs::Permissions::from_mode(0o755)).unwrap();
        }
        let found = find_in("mariadbd", dirs.clone().into_iter());
        assert_eq!(found, Some(dirs[1].join("mariadbd")));
        assert_eq!(find_in("mysqld", dirs.into_iter()), None);
    }

    #[test]
    fn a_relative_entry_of_path_is_not_trusted() {
        assert_eq!(
            find_in("Cargo.toml", std::iter::once(PathBuf::from("."))),
            None
        );
    }

    #[test]
    fn a_missing_program_says_how_to_get_it() {
        let error = find("no-such-program-of-mariadb").unwrap_err().to_string();
        assert!(error.contains("apt-get install mariadb-server"), "{error}");
    }

    #[test]
    fn last_lines_are_the_last() {
        assert_eq!(last_lines("a\nb\nc\n", 2), "b\nc");
        assert_eq!(last_lines("a", 2), "a");
        assert_eq!(last_lines("", 2), "");
    }
}
