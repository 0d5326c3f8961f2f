//! The child process, from the parent's side: start, output, end and reaping.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::interrupt::{Interrupt, Work};

/// Maximum length of a reply, in bytes: an error may contain names from the model.
const REPLY_BYTES_MAX: usize = 1 << 20;
/// Maximum bytes of the child's output that are kept.
const SAID_BYTES_MAX: usize = 4 << 10;

/// How a trial ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// No caller waited for it any more.
    Interrupted,
    /// At its time limit.
    Late,
    /// By itself.
    Itself(Child),
}

/// A child that ended by itself.
#[derive(Debug)]
pub(super) struct Child {
    /// Its reply, possibly incomplete.
    pub(super) reply: Vec<u8>,
    /// The beginning of its output.
    pub(super) said: String,
    status: ExitStatus,
}

impl Child {
    /// Whether the kernel ended it at its limit of CPU time.
    pub(super) fn used_up_its_seconds(&self) -> bool {
        self.status.signal() == Some(Signal::XCPU.as_raw())
    }

    /// Description of its end, as a clause.
    pub(super) fn how(&self) -> String {
        match self.status.signal() {
            Some(signal) if signal == Signal::KILL.as_raw() => {
                "was killed, perhaps by the system for lack of memory".to_string()
            }
            Some(signal) => format!("crashed (signal {signal})"),
            None => format!("ended without a word ({})", self.status),
        }
    }
}

/// A pipe from the child; input is read completely and kept up to a limit.
struct Heard {
    pipe: Option<File>,
    bytes: Vec<u8>,
    bytes_max: usize,
}

impl Heard {
    /// Makes the pipe non-blocking: a child of the child may keep its other end open.
    fn new(pipe: Option<OwnedFd>, bytes_max: usize) -> io::Result<Self> {
        if let Some(pipe) = &pipe {
            fcntl_setfl(pipe, fcntl_getfl(pipe)? | OFlags::NONBLOCK)?;
        }
        Ok(Self {
            pipe: pipe.map(File::from),
            bytes: Vec::new(),
            bytes_max,
        })
    }

    /// Reads the available bytes; those beyond the limit are dropped.
    fn take(&mut self) {
        let mut buffer = [0; 8 << 10];
        while let Some(pipe) = &mut self.pipe {
            match pipe.read(&mut buffer) {
                Ok(0) => self.pipe = None,
                Ok(read) => {
                    let room = self.bytes_max.saturating_sub(self.bytes.len());
                    let kept = buffer.get(..read.min(room)).unwrap_or_default();
                    self.bytes.extend_from_slice(kept);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => self.pipe = None,
            }
        }
    }
}

/// Ends and reaps its process when dropped.
struct Running {
    child: std::process::Child,
    handle: OwnedFd,
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended, or been reaped, already.
        let _ = pidfd_send_signal(&self.handle, Signal::KILL);
        let _ = self.child.wait();
    }
}

/// Runs the child until it ends, for at most `limit`, or until `interrupt` is set. The process is
/// always ended and reaped.
pub(super) fn run(
    mut command: Command,
    limit: Duration,
    interrupt: &Interrupt,
) -> io::Result<Ended> {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let handle = match pidfd_open(Pid::from_child(&child), PidfdFlags::empty()) {
        Ok(handle) => handle,
        Err(error) => {
            let _ = child.kill();
            let _ = child.wait();
            return Err(error.into());
        }
    };
    let stdout = child.stdout.take().map(OwnedFd::from);
    let stderr = child.stderr.take().map(OwnedFd::from);
    let mut running = Running { child, handle };
    let mut reply = Heard::new(stdout, REPLY_BYTES_MAX)?;
    let mut said = Heard::new(stderr, SAID_BYTES_MAX)?;
    let end = Work::Trial(running.handle.try_clone()?);
    let listened = interrupt.during(end, || {
        listen(&running.handle, [&mut reply, &mut said], limit)
    });
    let in_time = match listened {
        Some(in_time) => in_time?,
        None => return Ok(Ended::Interrupted),
    };
    if interrupt.is_set() {
        return Ok(Ended::Interrupted);
    }
    if !in_time {
        return Ok(Ended::Late);
    }
    Ok(Ended::Itself(Child {
        status: running.child.wait()?,
        reply: reply.bytes,
        said: String::from_utf8_lossy(&said.bytes).into_owned(),
    }))
}

/// Reads until the process ends; returns whether it ended within the limit.
fn listen(process: &OwnedFd, mut heard: [&mut Heard; 2], limit: Duration) -> io::Result<bool> {
    let begin = Instant::now();
    loop {
        let left = limit.saturating_sub(begin.elapsed());
        if left.is_zero() {
            return Ok(false);
        }
        let pipes = heard.iter().filter_map(|heard| heard.pipe.as_ref());
        let mut watched: Vec<PollFd<'_>> = vec![PollFd::new(process, PollFlags::IN)];
        watched.extend(pipes.map(|pipe| PollFd::from_borrowed_fd(pipe.as_fd(), PollFlags::IN)));
        let timeout = Timespec::try_from(left).map_err(io::Error::other)?;
        match poll(&mut watched, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let ended = watched.first().is_some_and(|p| !p.revents().is_empty());
        drop(watched);
        heard.iter_mut().for_each(|heard| heard.take());
        if ended {
            return Ok(true);
        }
    }
}
