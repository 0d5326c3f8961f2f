//! A real `predictsql worker` on a free loopback port.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal};

use crate::binary::{binary_command, ort_library};
use crate::eventually::eventually;
use crate::http::{endpoint_address, metrics};
use crate::process::{Process, new_dir};

/// How long a worker may take to stop in order before it is killed at the end of a test.
const STOP_PATIENCE: Duration = Duration::from_secs(20);

/// How to run a worker. By default it has no roots, and one thread.
#[derive(Debug, Clone, Default)]
pub struct WorkerSettings {
    /// Lines of the table `[worker]`.
    pub worker: String,
    /// Lines of the table `[executor]`, but for the roots.
    pub executor: String,
    /// Roots below which it may read images.
    pub image_roots: Vec<PathBuf>,
    /// Roots below which it may load models.
    pub model_roots: Vec<PathBuf>,
    /// Further environment variables.
    pub environment: Vec<(String, String)>,
}

/// A running worker. It is stopped when dropped; its log is shown when the test has failed.
pub struct Worker {
    address: SocketAddr,
    settings: WorkerSettings,
    process: Mutex<Process>,
}

impl Worker {
    /// Starts a worker on a free port.
    pub fn start(settings: &WorkerSettings) -> Self {
        let (address, process) = spawn("127.0.0.1:0", settings);
        Self {
            address,
            settings: settings.clone(),
            process: Mutex::new(process),
        }
    }

    /// The end, and the log, of a worker that does not start.
    pub fn refused(settings: &WorkerSettings) -> (ExitStatus, String) {
        let mut process = begin("127.0.0.1:0", settings);
        let status = process.wait();
        (status, process.log())
    }

    /// Starts it again at the same address, after it has ended.
    pub fn restart(&self) {
        let (_, process) = spawn(&self.address.to_string(), &self.settings);
        *self.process() = process;
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it tells metrics and health over HTTP.
    ///
    /// # Panics
    /// It does not.
    pub fn http(&self) -> SocketAddr {
        endpoint_address(&self.log(), "http").expect("the HTTP endpoint is on")
    }

    /// The sum of a series of `/metrics` over its labels.
    ///
    /// # Panics
    /// It does not answer.
    pub fn metric(&self, series: &str) -> u64 {
        let of_series = |name: &str| name == series || name.starts_with(&format!("{series}{{"));
        let text = metrics(self.http());
        let lines = text.lines().filter_map(|line| line.rsplit_once(' '));
        let values = lines.filter(|(name, _)| of_series(name));
        values.map(|(_, value)| value.parse::<u64>().unwrap()).sum()
    }

    /// Its process.
    pub fn pid(&self) -> Pid {
        self.process().pid()
    }

    /// What it has logged since it was started last.
    pub fn log(&self) -> String {
        self.process().log()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        self.process().signal(signal);
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait(&self) -> ExitStatus {
        self.process().wait()
    }

    fn process(&self) -> MutexGuard<'_, Process> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.process().signal(Signal::CONT);
        self.process().terminate(STOP_PATIENCE);
    }
}

/// The tables `[workers]` of a proxy that uses these.
pub fn workers_table(workers: &[Worker]) -> String {
    let addresses: Vec<String> = workers.iter().map(|w| w.address().to_string()).collect();
    format!("[workers]\naddresses = {addresses:?}\n")
}

/// Starts the program.
fn begin(listen: &str, settings: &WorkerSettings) -> Process {
    let dir = new_dir("worker");
    let config = dir.join("worker.toml");
    std::fs::write(&config, settings_file(listen, settings)).unwrap();
    let mut command = binary_command();
    command.arg("worker").arg("--config").arg(&config);
    command.env("PREDICTSQL_LOG", "debug,h2=info");
    let environment = settings.environment.iter();
    command.envs(environment.map(|(name, value)| (name, value)));
    Process::spawn("worker", command, &dir.join("log")).unwrap()
}

/// Starts it, and waits until it listens.
fn spawn(listen: &str, settings: &WorkerSettings) -> (SocketAddr, Process) {
    let mut process = begin(listen, settings);
    let address = eventually("the worker is ready", || {
        if let Some(status) = process.try_wait() {
            panic!("the worker ended: {status}: {}", process.log());
        }
        ready_address(&process.log())
    });
    (address, process)
}

fn settings_file(listen: &str, settings: &WorkerSettings) -> String {
    let mut file = format!("[worker]\nlisten = {listen:?}\nhttp = \"127.0.0.1:0\"\n");
    writeln!(file, "{}\n[executor]", settings.worker).unwrap();
    writeln!(file, "ort_library = {:?}", ort_library()).unwrap();
    writeln!(file, "image_roots = {:?}", settings.image_roots).unwrap();
    writeln!(file, "model_roots = {:?}", settings.model_roots).unwrap();
    if !settings.executor.contains("threads") {
        writeln!(file, "threads = 1").unwrap();
    }
    file + &settings.executor
}

/// The address in the line that says that clients may come.
fn ready_address(log: &str) -> Option<SocketAddr> {
    let line = log
        .split_inclusive('\n')
        .find_map(|line| line.strip_prefix("ready: worker listening on "))?;
    line.ends_with('\n').then(|| line.trim().parse().unwrap())
}
