//! How long clients are waited for: at their login, and in the middle of a command.

use super::over::set;
use std::time::Duration;

/// How long, and how many, clients may keep the proxy waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoginLimits {
    /// Time between a client's connection and the end of its login,
    /// the store's part of it included.
    pub login_time_max: Duration,
    /// Connections of one address (an IPv6 network of 64 bits) at once; 0 for no limit.
    pub logins_max_by_address: usize,
    /// Time between two parts of a command; zero for no limit.
    pub command_stall_time_max: Duration,
}

impl Default for LoginLimits {
    fn default() -> Self {
        Self {
            // As MariaDB's connect_timeout.
            login_time_max: Duration::from_secs(10),
            // All clients may come from one load balancer.
            logins_max_by_address: 0,
            // As MariaDB's net_read_timeout.
            command_stall_time_max: Duration::from_secs(30),
        }
    }
}

impl LoginLimits {
    /// Puts what is typed over this.
    pub(super) fn take(
        &mut self,
        seconds_max: Option<u64>,
        max_by_address: Option<usize>,
        stall_seconds_max: Option<u64>,
    ) {
        set(
            &mut self.login_time_max,
            seconds_max.map(Duration::from_secs),
        );
        set(&mut self.logins_max_by_address, max_by_address);
        set(
            &mut self.command_stall_time_max,
            stall_seconds_max.map(Duration::from_secs),
        );
    }
}
