//! The programs that the benchmark runs: found, never installed.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::error::RelayBenchError;

/// Where servers live that are not on every user's PATH.
const SYSTEM_FOLDERS: [&str; 5] = [
    "/usr/sbin",
    "/usr/bin",
    "/usr/libexec",
    "/usr/local/sbin",
    "/usr/local/bin",
];

/// Paths of all that is run besides PredictSQL.
#[derive(Debug, Clone)]
pub struct Programs {
    /// The store.
    pub mariadbd: PathBuf,
    /// Makes its data directory.
    pub install_db: PathBuf,
    /// The yardstick.
    pub haproxy: PathBuf,
    /// The load.
    pub sysbench: PathBuf,
}

impl Programs {
    /// Looks in PATH and in the system's folders.
    ///
    /// # Errors
    /// [`RelayBenchError::Missing`] names every program that is not there, and what holds it.
    pub fn find() -> Result<Self, RelayBenchError> {
        let mut missing = Vec::new();
        let mut find = |program: &str, package: &str| {
            find(program).unwrap_or_else(|| {
                missing.push(format!(
                    "{program} (Debian, Ubuntu: apt-get install {package})"
                ));
                PathBuf::new()
            })
        };
        let programs = Self {
            mariadbd: find("mariadbd", "mariadb-server-core"),
            install_db: find("mariadb-install-db", "mariadb-server-core"),
            haproxy: find("haproxy", "haproxy"),
            sysbench: find("sysbench", "sysbench"),
        };
        if missing.is_empty() {
            Ok(programs)
        } else {
            Err(RelayBenchError::Missing(missing))
        }
    }

    /// The versions that the result is about, as the programs tell them.
    pub fn versions(&self) -> Vec<String> {
        let ask = |program: &Path, flag: &str| {
            let output = Command::new(program).arg(flag).output().ok()?;
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            Some(text.lines().next()?.trim().to_owned())
        };
        let told = [
            ask(&self.mariadbd, "--version"),
            ask(&self.haproxy, "-v"),
            ask(&self.sysbench, "--version"),
        ];
        told.into_iter().flatten().collect()
    }
}

/// Looks for one program in PATH and in the system's folders.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(SYSTEM_FOLDERS.map(PathBuf::from));
    let mut places = folders.map(|folder| folder.join(program));
    places.find(|place| place.is_file())
}

/// Runs a program to its end.
///
/// # Errors
/// It cannot be started, or fails; with what it said last.
pub fn run(command: &mut Command) -> Result<String, RelayBenchError> {
    let program = Path::new(command.get_program());
    let name = program.file_name().unwrap_or(command.get_program());
    let program = name.to_string_lossy().into_owned();
    let failed = |reason: String| RelayBenchError::Program {
        program: program.clone(),
        reason,
    };
    let output = command
        .output()
        .map_err(|error| failed(error.to_string()))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(said);
    }
    let error = String::from_utf8_lossy(&output.stderr);
    Err(failed(super::server::last_lines(&format!("{said}{error}"))))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn programs_are_found_and_their_failures_told() {
        let sh = find("sh").unwrap();
        assert!(find("no-such-program").is_none());
        let said = run(Command::new(&sh).args(["-c", "echo fine"])).unwrap();
        assert_eq!(said, "fine\n");
        let failed = run(Command::new(&sh).args(["-c", "echo why >&2; exit 3"])).unwrap_err();
        assert_eq!(failed.to_string(), "sh: why");
    }
}
