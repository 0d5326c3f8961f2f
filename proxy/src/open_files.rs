//! The process's limit of open files: each client needs two, its own connection and one to the
//! store.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Open files of a client's session.
const FILES_PER_CLIENT: u64 = 2;
/// Open files besides those of clients: listeners, the service account, models, images, spools.
const FILES_SPARE: u64 = 64;

/// Raises the limit as far as permitted, and warns if it is not enough for `connections_max`
/// clients.
pub fn raise_limit(connections_max: usize) {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let soft = limit.current;
        limit.current = limit.maximum;
        if let Err(error) = setrlimit(Resource::Nofile, limit) {
            tracing::debug!(%error, "raising the limit of open files");
            limit.current = soft;
        }
    }
    let needed = files_needed(connections_max);
    if let Some(files_max) = limit.current
        && files_max < needed
    {
        tracing::warn!(
            "this process may open {files_max} files, and connections_max = {connections_max} needs {needed}: \
             raise its hard limit (ulimit -Hn, LimitNOFILE=) or lower connections_max"
        );
    }
}

fn files_needed(connections_max: usize) -> u64 {
    u64::try_from(connections_max)
        .unwrap_or(u64::MAX)
        .saturating_mul(FILES_PER_CLIENT)
        .saturating_add(FILES_SPARE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_raised_to_what_is_allowed() {
        raise_limit(1);
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current, limit.maximum);
    }

    #[test]
    fn clients_need_two_files_each() {
        assert_eq!(files_needed(100), 264);
        assert_eq!(files_needed(usize::MAX), u64::MAX);
    }
}
