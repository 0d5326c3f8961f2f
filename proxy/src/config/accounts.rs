//! The tables `[service]` and `[admin]`: the proxy's own account at the store, and the account of
//! the admin endpoint.

use super::args::ServeArgs;
use super::endpoint::Endpoint;
use super::error::ConfigError;
use super::secret::hidden;
use super::variables::{ADMIN_PASSWORD_VARIABLE, SERVICE_PASSWORD_VARIABLE};
use crate::admin_login::AdminLogin;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Default user of the admin endpoint.
const ADMIN_USER_DEFAULT: &str = "admin";
/// Default port of the admin endpoint on loopback, if a password is configured but no address.
const ADMIN_PORT_DEFAULT: u16 = 6307;
/// Default maximum delay of a login to the admin endpoint after failed ones.
const WRONG_LOGIN_DELAY_MAX_DEFAULT: Duration = Duration::from_secs(5);

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ServiceFile {
    user: Option<String>,
    #[serde(rename(serialize = "password"), serialize_with = "hidden")]
    password_file: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct AdminFile {
    listen: Option<Endpoint>,
    user: Option<String>,
    #[serde(rename(serialize = "password"), serialize_with = "hidden")]
    password_file: Option<PathBuf>,
    wrong_login_delay_seconds_max: Option<u64>,
}

/// Credentials of the service account at an external store.
#[derive(Clone, PartialEq, Eq)]
pub struct ServiceLogin {
    /// User name.
    pub user: String,
    /// Password; none for an account without one.
    pub password: Option<String>,
}

/// Keeps the password out of logs.
impl std::fmt::Debug for ServiceLogin {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("ServiceLogin")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

/// Settings of the admin endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminConfig {
    /// Address to listen on.
    pub listen: Endpoint,
    /// Credentials of its user; none without a password.
    pub login: Option<AdminLogin>,
    /// Maximum delay of a login after failed ones from the same address.
    pub wrong_login_delay_max: Duration,
}

impl AdminConfig {
    /// Disabled endpoint.
    pub(super) fn off() -> Self {
        Self {
            listen: Endpoint::Off,
            login: None,
            wrong_login_delay_max: WRONG_LOGIN_DELAY_MAX_DEFAULT,
        }
    }

    /// The equivalent file table, without the password.
    pub(super) fn as_typed(&self) -> AdminFile {
        AdminFile {
            listen: Some(self.listen),
            user: self.login.as_ref().map(|login| login.user().to_owned()),
            password_file: self.login.as_ref().map(|_| PathBuf::new()),
            wrong_login_delay_seconds_max: Some(self.wrong_login_delay_max.as_secs()),
        }
    }
}

/// The equivalent file table of the login, without the password.
pub(super) fn service_as_typed(login: Option<&ServiceLogin>) -> ServiceFile {
    let password = login.and_then(|login| login.password.as_ref());
    ServiceFile {
        user: login.map(|login| login.user.clone()),
        password_file: password.map(|_| PathBuf::new()),
    }
}

pub(super) fn service(
    args: &ServeArgs,
    file: &ServiceFile,
    environment: impl Fn(&str) -> Option<String>,
) -> Result<Option<ServiceLogin>, ConfigError> {
    let Some(user) = args.service_user.clone().or_else(|| file.user.clone()) else {
        return Ok(None);
    };
    let in_environment = environment(SERVICE_PASSWORD_VARIABLE);
    let password = password(in_environment, file.password_file.as_deref())?;
    Ok(Some(ServiceLogin { user, password }))
}

/// The password from the environment, otherwise the one in the file.
fn password(
    in_environment: Option<String>,
    file: Option<&Path>,
) -> Result<Option<String>, ConfigError> {
    let (None, Some(path)) = (&in_environment, file) else {
        return Ok(in_environment);
    };
    let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Password {
        path: path.to_owned(),
        source,
    })?;
    Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned()))
}

/// Settings of the endpoint, which is enabled by default if a login is possible.
pub(super) fn admin(
    args: &ServeArgs,
    file: &AdminFile,
    environment: impl Fn(&str) -> Option<String>,
) -> Result<AdminConfig, ConfigError> {
    let in_environment = environment(ADMIN_PASSWORD_VARIABLE);
    let password = password(in_environment, file.password_file.as_deref())?;
    let user = file.user.as_deref().unwrap_or(ADMIN_USER_DEFAULT);
    let login = password
        .filter(|password| !password.is_empty())
        .map(|password| AdminLogin::new(user, &password));
    let by_default = match login {
        Some(_) => Endpoint::IfFree(SocketAddr::from(([127, 0, 0, 1], ADMIN_PORT_DEFAULT))),
        None => Endpoint::Off,
    };
    let listen = args.admin.or(file.listen).unwrap_or(by_default);
    let delay_max = file.wrong_login_delay_seconds_max.map(Duration::from_secs);
    Ok(AdminConfig {
        listen,
        login,
        wrong_login_delay_max: delay_max.unwrap_or(WRONG_LOGIN_DELAY_MAX_DEFAULT),
    })
}
