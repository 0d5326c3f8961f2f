//! Priority of the executor's threads.

/// Nice value of the executor's threads: relayed sessions have priority.
const NICENESS: i32 = 5;

/// Lowers the priority of the calling thread, and of threads it starts, below that of relayed
/// sessions.
pub(crate) fn lower_priority() {
    // Without the privilege to change it, the priority stays unchanged.
    let _ = rustix::process::setpriority_process(None, NICENESS);
}
