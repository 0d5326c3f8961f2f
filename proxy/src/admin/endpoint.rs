//! State and access control of the admin endpoint.

use crate::admin_login::AdminLogin;
use crate::admission::WrongLogins;
use crate::http::Status;
use crate::reload::Settings;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::Semaphore;

/// Maximum concurrent sessions; a further one is refused with error 1040.
const SESSIONS_MAX: usize = 16;

/// State and access control of the admin endpoint.
pub struct Admin {
    pub(super) status: Arc<Status>,
    pub(super) settings: Settings,
    pub(super) login: AdminLogin,
    pub(super) wrong_logins: WrongLogins,
    /// Permits for sessions that have logged in.
    pub(super) places: Arc<Semaphore>,
    /// Port of the endpoint.
    pub(super) port: u16,
    pub(super) started: Instant,
}

impl Admin {
    /// An endpoint that shows the parts of `status` and `settings` to users with the credentials
    /// `login`.
    #[must_use]
    pub fn new(status: Arc<Status>, settings: Settings, login: AdminLogin, port: u16) -> Self {
        let delay_max = settings.config().admin.wrong_login_delay_max;
        Self {
            status,
            settings,
            login,
            wrong_logins: WrongLogins::new(delay_max),
            places: Arc::new(Semaphore::new(SESSIONS_MAX)),
            port,
            started: Instant::now(),
        }
    }

    /// Maximum number of sessions.
    pub(super) fn sessions_max(&self) -> usize {
        SESSIONS_MAX
    }

    /// Number of sessions now.
    pub(super) fn sessions(&self) -> usize {
        SESSIONS_MAX.saturating_sub(self.places.available_permits())
    }
}
