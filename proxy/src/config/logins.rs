//! Limits of waiting for clients: at login and for the rest of a command.

use super::over::set;
use std::time::Duration;

/// Limits of waiting for clients, in time and number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoginLimits {
    /// Maximum time from a client's connection to the end of its login, including the store's
    /// part.
    pub login_time_max: Duration,
    /// Maximum concurrent connections before login from one address (an IPv6 network of 64 bits);
    /// 0 means no limit.
    pub logins_max_by_address: usize,
    /// Maximum time between two parts of a command; zero means no limit.
    pub command_stall_time_max: Duration,
}

impl Default for LoginLimits {
    fn default() -> Self {
        Self {
            // Like MariaDB's connect_timeout.
            login_time_max: Duration::from_secs(10),
            // All clients may connect through one load balancer.
            logins_max_by_address: 0,
            // Like MariaDB's net_read_timeout.
            command_stall_time_max: Duration::from_secs(30),
        }
    }
}

impl LoginLimits {
    /// Overrides these settings with those of the file.
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
