//! Processes and folders of the tests, which end with the test process even if it is killed.
//!
//! A test process has one [`workplace`]: a temporary folder for everything. A shell watches over
//! it: when the test process ends, in whatever way, its standard input closes; then it kills the
//! processes that are still registered, and embedded stores' servers, and removes the folder.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::eventually::eventually;

const WATCHER: &str = r#"
trap '' INT TERM HUP
cat >/dev/null
for pid in $(ls "$1/pids") $(cat "$1"/*/store.pid 2>/dev/null); do
    # Its command line names the folder: a number that was given anew does not match.
    grep -q "$1" "/proc/$pid/cmdline" 2>/dev/null && kill -9 "$pid"
done
tries=0
until rm -rf "$1" 2>/dev/null || [ $tries -ge 50 ]; do tries=$((tries + 1)); sleep 0.1; done
"#;

struct Workplace {
    dir: PathBuf,
    // Its standard input is the lease of life of all processes.
    _watcher: Child,
}

/// The folder of this test process.
pub fn workplace() -> &'static Path {
    static WORKPLACE: OnceLock<Workplace> = OnceLock::new();
    &WORKPLACE
        .get_or_init(|| {
            let dir = tempfile::Builder::new()
                .prefix("predictsql-e2e-")
                .tempdir()
                .unwrap()
                .keep();
            fs::create_dir(dir.join("pids")).unwrap();
            let watcher = Command::new("sh")
                .args(["-c", WATCHER, "watcher"])
                .arg(&dir)
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            Workplace {
                dir,
                _watcher: watcher,
            }
        })
        .dir
}

/// A new folder of the workplace; it goes with it.
pub fn new_dir(name: &str) -> PathBuf {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let dir = workplace().join(format!("{name}-{number}"));
    fs::create_dir(&dir).unwrap();
    dir
}

/// Root of this checkout.
pub fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

/// A running program whose output goes to a file. Killed when dropped.
pub struct Process {
    name: &'static str,
    child: Child,
    log: PathBuf,
    ended: Option<ExitStatus>,
}

impl Process {
    /// Starts `command` with its output in `log`.
    ///
    /// # Errors
    /// The program cannot be run.
    pub fn spawn(name: &'static str, mut command: Command, log: &Path) -> io::Result<Self> {
        let output = File::options().create(true).append(true).open(log)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()?;
        fs::write(registration(child.id()), name)?;
        Ok(Self {
            name,
            child,
            log: log.to_owned(),
            ended: None,
        })
    }

    /// Its process id.
    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// What it has written.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Sends a signal, unless it has ended.
    pub fn signal(&mut self, signal: Signal) {
        if self.try_wait().is_none() {
            kill_process(self.pid(), signal).unwrap();
        }
    }

    /// How it ended, if it has.
    pub fn try_wait(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none()
            && let Some(status) = self.child.try_wait().unwrap()
        {
            self.ended = Some(status);
            let _ = fs::remove_file(registration(self.child.id()));
        }
        self.ended
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        let what = format!("the end of {} (pid {})", self.name, self.child.id());
        eventually(&what, || self.try_wait())
    }

    /// Asks it to end, and kills it when it does not within `patience`.
    pub fn terminate(&mut self, patience: Duration) -> ExitStatus {
        self.signal(Signal::TERM);
        let until = Instant::now() + patience;
        while self.try_wait().is_none() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
        self.signal(Signal::KILL);
        self.wait()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- output of {} ---\n{}---", self.name, self.log());
        } else {
            self.signal(Signal::KILL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_file(registration(self.child.id()));
    }
}

fn registration(pid: u32) -> PathBuf {
    workplace().join("pids").join(pid.to_string())
}

/// Whether a process runs; one that has ended and was not waited for does not.
pub fn is_running(pid: Pid) -> bool {
    let path = format!("/proc/{}/cmdline", pid.as_raw_nonzero());
    fs::read(path).is_ok_and(|command| !command.is_empty())
}
