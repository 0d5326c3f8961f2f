//! What the admin endpoint shows, and to whom.

use crate::admin_login::AdminLogin;
use crate::admission::WrongLogins;
use crate::http::Telltale;
use crate::reload::Settings;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Sessions at once; one more is refused with error 1040.
const SESSIONS_MAX: usize = 16;
/// What the endpoint shows, and to whom.
pub struct Admin {
    pub(super) telltale: Arc<Telltale>,
    pub(super) settings: Settings,
    pub(super) login: AdminLogin,
    pub(super) wrong_logins: WrongLogins,
    /// Places of sessions that have logged in.
    pub(super) places: Arc<Semaphore>,
}

impl Admin {
    /// Shows `telltale`'s parts and `settings` to who knows `login`.
    #[must_use]
    pub fn new(telltale: Arc<Telltale>, settings: Settings, login: AdminLogin) -> Self {
        let delay_max = settings.config().admin.wrong_login_delay_max;
        Self {
            telltale,
            settings,
            login,
            wrong_logins: WrongLogins::new(delay_max),
            places: Arc::new(Semaphore::new(SESSIONS_MAX)),
        }
    }
}
