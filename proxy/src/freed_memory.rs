//! Has freed memory go back to the system.
//!
//! glibc takes large blocks from the system one by one and gives each back when it is freed. But with each block that it
//! frees it raises, up to 32 MiB, the size that it calls large, and what is smaller stays in its heaps: of ten models of
//! 63 MB that were dropped 1.3 GB were left. The thresholds can be fixed by the environment alone, before the process
//! starts, or by a call that needs unsafe code. So the program starts itself again.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Blocks of so many bytes, or more, go back when they are freed: glibc's own beginning.
const LARGE_BYTES: &str = "131072";

/// So many free bytes at the end of a heap stay for the next block that is not large.
const SPARE_BYTES: &str = "16777216";

/// glibc's names.
const VARIABLES: [(&str, &str); 2] = [
    ("MALLOC_MMAP_THRESHOLD_", LARGE_BYTES),
    ("MALLOC_TRIM_THRESHOLD_", SPARE_BYTES),
];

/// Says that this process is the second. A loader that drops glibc's variables leaves this one.
const DONE: &str = "PREDICTSQL_MALLOC_SET";

/// Starts this program again, in this process, with the thresholds in its environment, where neither it nor whoever
/// started it has set any. To be called before any thread exists.
pub fn give_back() {
    let is_set = |name: &str| std::env::var_os(name).is_some();
    let tuned = std::env::var("GLIBC_TUNABLES").is_ok_and(|all| all.contains("glibc.malloc"));
    if cfg!(not(target_env = "gnu"))
        || tuned
        || is_set(DONE)
        || VARIABLES.iter().any(|(name, _)| is_set(name))
    {
        return;
    }
    let error = start_again();
    tracing::debug!(%error, "memory that is freed may stay with this process");
}

/// Takes the thresholds that this program has set out of the environment of a child, which may want its own.
pub fn leave_out(child: &mut Command) -> &mut Command {
    if std::env::var_os(DONE).is_some() {
        for (name, _) in VARIABLES {
            child.env_remove(name);
        }
        child.env_remove(DONE);
    }
    child
}

/// Returns only when it failed.
fn start_again() -> io::Error {
    let program = match std::env::current_exe() {
        Ok(program) => program,
        Err(error) => return error,
    };
    let mut arguments = std::env::args_os();
    let mut again = Command::new(program);
    if let Some(name) = arguments.next() {
        again.arg0(name);
    }
    again.args(arguments).envs(VARIABLES).env(DONE, "1").exec()
}
