//! Keeps the server running: one thread that starts it, waits for its end, and restarts it.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use tokio::sync::watch;

use super::error::EmbeddedError;

/// Maximum number of restarts within [`RESTART_WINDOW`].
const RESTARTS_MAX: usize = 5;
/// See [`RESTARTS_MAX`].
const RESTART_WINDOW: Duration = Duration::from_secs(60);
/// Delay before the first restart; doubled for each further one in the window.
const RESTART_DELAY: Duration = Duration::from_millis(100);
/// First and maximum delay between two checks whether the server accepts connections.
const PROBE_DELAY: Duration = Duration::from_millis(10);
const PROBE_DELAY_MAX: Duration = Duration::from_millis(200);
/// Timeout of one check.
const PROBE_TIME_MAX: Duration = Duration::from_secs(1);
/// Timeout for the end of a killed server: exceeded only if the kernel cannot end it.
const KILL_TIME_MAX: Duration = Duration::from_secs(5);
/// Maximum bytes at the end of the error log that are searched for its last lines.
const LOG_TAIL_BYTES_MAX: u64 = 16 << 10;
/// Number of lines shown of these: errors, and the last lines of any kind.
const ERRORS_SHOWN: usize = 8;
const LAST_LINES_SHOWN: usize = 4;
/// Markers in the log of a start, and of an error.
const STARTING: &str = "Starting MariaDB";
const ERROR: &str = "[ERROR]";

/// State of the server.
///
/// ```text
/// Starting -> Running -> Restarting -> Running ...
///     \          \            \-> Failed     (ended too often)
///      \----------\-------------> Stopped    (asked to, or the first start failed)
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreStatus {
    /// Started for the first time, not accepting connections yet.
    Starting,
    /// Accepting connections.
    Running,
    /// It ended unexpectedly and is being restarted; clients get a connect error meanwhile.
    Restarting,
    /// It ended too often and is not restarted.
    Failed,
    /// It was stopped, or its first start failed.
    Stopped,
}

/// The command to start, and its time limits.
pub(super) struct Launch {
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<OsString>,
    pub(super) socket: PathBuf,
    pub(super) log: PathBuf,
    pub(super) start_time_max: Duration,
    pub(super) stop_time_max: Duration,
}

/// The server and its supervising thread.
pub(super) struct Supervisor {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    stop_time_max: Duration,
}

struct Shared {
    state: Mutex<State>,
    /// Notified of every change of `state`.
    changed: Condvar,
    status: watch::Sender<StoreStatus>,
}

#[derive(Default)]
struct State {
    /// The server's process id until it is reaped: signals cannot hit another process.
    pid: Option<Pid>,
    stop: bool,
    ended: bool,
    /// Why the first start failed.
    error: Option<EmbeddedError>,
}

/// Result of one run of the server.
enum Run {
    /// It ended after it had accepted connections.
    Ended(ExitStatus),
    /// It never accepted connections.
    Failed(EmbeddedError),
}

impl Supervisor {
    /// Starts the server and waits until it accepts connections.
    pub(super) fn start(launch: Launch) -> Result<Self, EmbeddedError> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            changed: Condvar::new(),
            status: watch::Sender::new(StoreStatus::Starting),
        });
        let stop_time_max = launch.stop_time_max;
        let thread = std::thread::Builder::new()
            .name("store-supervisor".to_owned())
            .spawn({
                let shared = Arc::clone(&shared);
                move || shared.supervise(&launch)
            })
            .map_err(EmbeddedError::io("start a thread for", "the store"))?;
        let mut supervisor = Self {
            shared,
            thread: Some(thread),
            stop_time_max,
        };
        let mut state = supervisor.shared.lock();
        while !state.ended && *supervisor.shared.status.borrow() == StoreStatus::Starting {
            state = supervisor.shared.wait(state, Duration::MAX);
        }
        if !state.ended {
            drop(state);
            return Ok(supervisor);
        }
        let error = state.error.take().unwrap_or(EmbeddedError::Stopped);
        drop(state);
        supervisor.join();
        Err(error)
    }

    pub(super) fn status(&self) -> watch::Receiver<StoreStatus> {
        self.shared.status.subscribe()
    }

    /// Ends the server: requests a shutdown, waits, and kills it if it does not end.
    pub(super) fn stop(&mut self) {
        if self.thread.is_none() {
            return;
        }
        let mut state = self.shared.lock();
        state.stop = true;
        self.shared.changed.notify_all();
        signal_server(&state, Signal::TERM);
        // A process that was stopped by SIGSTOP handles other signals only after it continues.
        signal_server(&state, Signal::CONT);
        state = self.shared.wait_until_ended(state, self.stop_time_max);
        if !state.ended {
            tracing::warn!("the embedded store does not shut down: killing it");
            signal_server(&state, Signal::KILL);
            state = self.shared.wait_until_ended(state, KILL_TIME_MAX);
        }
        if !state.ended {
            tracing::error!("the embedded store cannot be ended");
            self.thread = None;
        }
        drop(state);
        self.join();
    }

    fn join(&mut self) {
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread of the embedded store panicked");
        }
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change of the state is one assignment, so a panic leaves it consistent.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>, time: Duration) -> MutexGuard<'a, State> {
        // A year represents "for ever", which some platforms cannot add to the current time.
        let time = time.min(Duration::from_secs(365 * 24 * 3600));
        self.changed
            .wait_timeout(state, time)
            .unwrap_or_else(PoisonError::into_inner)
            .0
    }

    fn wait_until_ended<'a>(
        &self,
        mut state: MutexGuard<'a, State>,
        time: Duration,
    ) -> MutexGuard<'a, State> {
        let began = Instant::now();
        while let Some(left) = time.checked_sub(began.elapsed())
            && !left.is_zero()
            && !state.ended
        {
            state = self.wait(state, left);
        }
        state
    }

    /// Waits for `time`, or until a stop is requested; returns whether it is.
    fn pause(&self, time: Duration) -> bool {
        let began = Instant::now();
        let mut state = self.lock();
        while let Some(left) = time.checked_sub(began.elapsed())
            && !left.is_zero()
            && !state.stop
        {
            state = self.wait(state, left);
        }
        state.stop
    }

    fn publish(&self, status: StoreStatus) {
        // Under the lock, so that a thread waiting for a change misses none.
        let _state = self.lock();
        self.status.send_replace(status);
        self.changed.notify_all();
    }

    fn end(&self, status: StoreStatus, error: Option<EmbeddedError>) {
        let mut state = self.lock();
        state.ended = true;
        state.error = error;
        self.status.send_replace(status);
        self.changed.notify_all();
    }

    /// Body of the thread: runs the server until a stop, or until it ends too often.
    fn supervise(&self, launch: &Launch) {
        let mut budget = RestartBudget::default();
        loop {
            let run = self.run(launch);
            if self.lock().stop {
                return self.end(StoreStatus::Stopped, None);
            }
            match run {
                Run::Failed(error) if *self.status.borrow() == StoreStatus::Starting => {
                    return self.end(StoreStatus::Stopped, Some(error));
                }
                Run::Failed(error) => tracing::error!("{error}"),
                Run::Ended(status) => {
                    tracing::error!(%status, log = %launch.log.display(), "the embedded store ended");
                }
            }
            self.publish(StoreStatus::Restarting);
            let Some(delay) = budget.next(Instant::now()) else {
                tracing::error!("the embedded store ended too often: it is not started again");
                return self.end(StoreStatus::Failed, None);
            };
            if self.pause(delay) {
                return self.end(StoreStatus::Stopped, None);
            }
        }
    }

    /// Runs the server once, from start to end.
    fn run(&self, launch: &Launch) -> Run {
        let mut child = match spawn(launch) {
            Ok(child) => child,
            Err(error) => return Run::Failed(error),
        };
        let pid = Pid::from_child(&child);
        {
            let mut state = self.lock();
            state.pid = Some(pid);
            // The stop was requested before there was a process to signal.
            if state.stop {
                signal_server(&state, Signal::TERM);
            }
        }
        let ready = self.wait_until_ready(launch, pid);
        match &ready {
            Ok(()) => {
                if *self.status.borrow() == StoreStatus::Restarting {
                    tracing::info!("the embedded store is running again");
                }
                self.publish(StoreStatus::Running);
            }
            Err(NotReady::Ended) => {}
            Err(NotReady::Late) => signal_server(&self.lock(), Signal::KILL),
        }
        let end = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        while matches!(waitid(WaitId::Pid(pid), end), Err(rustix::io::Errno::INTR)) {}
        // From here on the process must not be signalled: its id may be reused once it is reaped.
        self.lock().pid = None;
        let status = child.wait();
        match (ready, status) {
            (_, Err(error)) => Run::Failed(EmbeddedError::io("wait for", &launch.program)(error)),
            (Ok(()), Ok(status)) => Run::Ended(status),
            (Err(NotReady::Ended), Ok(status)) => Run::Failed(EmbeddedError::Exited {
                status: status.to_string(),
                log: launch.log.clone(),
                tail: log_tail(&launch.log),
            }),
            (Err(NotReady::Late), Ok(_)) => Run::Failed(EmbeddedError::NotReady {
                seconds: launch.start_time_max.as_secs(),
                log: launch.log.clone(),
                tail: log_tail(&launch.log),
            }),
        }
    }

    /// Checks the server with growing delays until it accepts connections or ends.
    fn wait_until_ready(&self, launch: &Launch, pid: Pid) -> Result<(), NotReady> {
        let began = Instant::now();
        let mut delay = PROBE_DELAY;
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        loop {
            if !matches!(waitid(WaitId::Pid(pid), look), Ok(None)) {
                return Err(NotReady::Ended);
            }
            if answers(&launch.socket) {
                return Ok(());
            }
            if began.elapsed() >= launch.start_time_max {
                return Err(NotReady::Late);
            }
            if self.pause(delay) {
                // Already signalled to stop: only wait for its end.
                return Err(NotReady::Ended);
            }
            delay = (delay * 2).min(PROBE_DELAY_MAX);
        }
    }
}

enum NotReady {
    Ended,
    Late,
}

fn signal_server(state: &State, signal: Signal) {
    if let Some(pid) = state.pid
        && let Err(error) = kill_process(pid, signal)
    {
        tracing::warn!(%error, "cannot signal the embedded store");
    }
}

fn spawn(launch: &Launch) -> Result<Child, EmbeddedError> {
    // Output of the server before it opens its log, and errors of the shim, go to the same file.
    let log = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(&launch.log)
        .map_err(EmbeddedError::io("open", &launch.log))?;
    Command::new(&launch.program)
        .args(&launch.arguments)
        // Ctrl-C at the terminal must reach only the proxy, which then stops the server in order.
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .map_err(EmbeddedError::io("run", &launch.program))
}

/// Whether a server sends a greeting on `socket`: protocol version 10 in the first byte of the
/// payload.
fn answers(socket: &Path) -> bool {
    let greeting = || -> io::Result<u8> {
        let mut stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(PROBE_TIME_MAX))?;
        let mut packet = [0; 5];
        stream.read_exact(&mut packet)?;
        Ok(packet[4])
    };
    greeting().is_ok_and(|version| version == 10)
}

/// Excerpt of the server's error log since its last start: errors, since the first is the most
/// informative and others follow from it, and its last lines.
fn log_tail(log: &Path) -> String {
    let read = || -> io::Result<String> {
        let mut file = File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL_BYTES_MAX)))?;
        let mut bytes = Vec::new();
        file.take(LOG_TAIL_BYTES_MAX).read_to_end(&mut bytes)?;
        Ok(telling(&String::from_utf8_lossy(&bytes)))
    };
    read().unwrap_or_else(|error| format!("(the log cannot be read: {error})"))
}

fn telling(log: &str) -> String {
    let start = log.rfind(STARTING).unwrap_or_default();
    let lines: Vec<&str> = log.get(start..).unwrap_or_default().lines().collect();
    let (before, last) = lines.split_at(lines.len().saturating_sub(LAST_LINES_SHOWN));
    let errors = before.iter().filter(|line| line.contains(ERROR));
    let shown: Vec<&str> = errors.take(ERRORS_SHOWN).chain(last).copied().collect();
    shown.join("\n")
}

/// Times of restarts, to distinguish a single crash from a server that cannot run.
#[derive(Default)]
struct RestartBudget {
    restarts: VecDeque<Instant>,
}

impl RestartBudget {
    /// Delay before a restart at `now`; `None` if there were too many.
    fn next(&mut self, now: Instant) -> Option<Duration> {
        while let Some(first) = self.restarts.front()
            && now.duration_since(*first) >= RESTART_WINDOW
        {
            self.restarts.pop_front();
        }
        if self.restarts.len() >= RESTARTS_MAX {
            return None;
        }
        let doublings = u32::try_from(self.restarts.len()).unwrap_or(u32::MAX);
        self.restarts.push_back(now);
        Some(RESTART_DELAY * 2_u32.saturating_pow(doublings))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn restarts_are_bounded_within_a_window_and_free_again_after_it() {
        let mut budget = RestartBudget::default();
        let start = Instant::now();
        let delays: Vec<_> = (0..6).map(|_| budget.next(start)).collect();
        let expected = [100, 200, 400, 800, 1600].map(|ms| Some(Duration::from_millis(ms)));
        assert_eq!(delays[..5], expected);
        assert_eq!(delays[5], None);
        assert_eq!(budget.next(start + RESTART_WINDOW), Some(RESTART_DELAY));
    }

    #[test]
    fn the_first_error_of_the_last_start_is_told() {
        let notes = "0 [Note] fine\n".repeat(20);
        let log = format!(
            "0 [Note] Starting MariaDB\n0 [ERROR] old\n0 [Note] Starting MariaDB 10\n{notes}0 [ERROR] the cause\n\
             {notes}0 [ERROR] a consequence\n0 [ERROR] Aborting\n"
        );
        let told = telling(&log);
        assert!(told.starts_with("0 [ERROR] the cause\n"), "{told}");
        assert!(
            told.ends_with("0 [ERROR] Aborting") && !told.contains("old"),
            "{told}"
        );
        assert_eq!(told.lines().count(), 1 + LAST_LINES_SHOWN, "{told}");
        assert_eq!(telling("no such program\n"), "no such program");
    }

    #[test]
    fn a_program_that_ends_at_once_is_an_error_with_the_end_of_its_log() {
        let dir = tempfile::tempdir().unwrap();
        let error = Supervisor::start(Launch {
            program: "/bin/sh".into(),
            arguments: ["-c", "echo no space left >&2; exit 3"]
                .map(OsString::from)
                .into(),
            socket: dir.path().join("s"),
            log: dir.path().join("log"),
            start_time_max: Duration::from_secs(60),
            stop_time_max: Duration::from_secs(1),
        })
        .err()
        .unwrap()
        .to_string();
        assert!(error.contains("exit status: 3"), "{error}");
        assert!(error.contains("no space left"), "{error}");
    }

    /// A program that greets like a server, and ends when signalled unless `deaf`.
    fn greeter(dir: &Path, deaf: bool) -> Launch {
        let script = "import os, signal, socket, sys, time\n\
             path, deaf = sys.argv[1], sys.argv[2] == 'true'\n\
             if deaf: signal.signal(signal.SIGTERM, signal.SIG_IGN)\n\
             s = socket.socket(socket.AF_UNIX)\n\
             s.bind(path)\n\
             s.listen()\n\
             while True: s.accept()[0].send(b'\\1\\0\\0\\0\\n')\n";
        let socket = dir.join("s");
        Launch {
            program: "/usr/bin/env".into(),
            arguments: ["python3", "-c", script]
                .map(OsString::from)
                .into_iter()
                .chain([socket.clone().into(), deaf.to_string().into()])
                .collect(),
            socket,
            log: dir.join("log"),
            start_time_max: Duration::from_secs(60),
            stop_time_max: if deaf {
                Duration::from_millis(50)
            } else {
                Duration::MAX
            },
        }
    }

    fn ends_stopped(deaf: bool) {
        let dir = tempfile::tempdir().unwrap();
        let mut supervisor = Supervisor::start(greeter(dir.path(), deaf)).unwrap();
        let pid = supervisor.shared.lock().pid.unwrap();
        kill_process(pid, Signal::STOP).unwrap();
        supervisor.stop();
        assert_eq!(*supervisor.status().borrow(), StoreStatus::Stopped);
        assert!(supervisor.shared.lock().ended);
    }

    #[test]
    fn a_stopped_server_is_told_to_end_in_order() {
        // With a practically unlimited stop time: the test would hang if the signal had no effect.
        ends_stopped(false);
    }

    #[test]
    fn a_server_that_does_not_end_is_killed() {
        ends_stopped(true);
    }

    #[test]
    fn a_program_that_never_answers_is_killed_and_reported() {
        let dir = tempfile::tempdir().unwrap();
        let error = Supervisor::start(Launch {
            program: "/bin/sleep".into(),
            arguments: vec!["600".into()],
            socket: dir.path().join("s"),
            log: dir.path().join("log"),
            start_time_max: Duration::from_millis(50),
            stop_time_max: Duration::from_secs(1),
        })
        .err()
        .unwrap();
        assert!(matches!(error, EmbeddedError::NotReady { .. }), "{error}");
    }
}
