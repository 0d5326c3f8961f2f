//! `predictsql init`: sets up the catalog and the service account, with an admin's login.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, OptsBuilder};
use predictsql_catalog::store::{self, SchemaName, StoreError, quote_text};
use thiserror::Error;

use crate::account::{AccountConfig, StoreAddress};
use crate::config::StoreTlsArgs;

/// Default user name of the service account.
pub const SERVICE_USER: &str = "predictsql";

/// Name of the file in an embedded store's directory that contains the service account's password.
const PASSWORD_FILE: &str = "service-password";

/// Number of random bytes in a generated password.
const PASSWORD_BYTES: usize = 24;

/// Arguments of `predictsql init`.
#[derive(Debug, clap::Args)]
pub struct InitArgs {
    /// The store: mysql://HOST:PORT or unix:/PATH
    #[arg(long, value_name = "URL")]
    pub store: StoreAddress,
    /// TLS with the store, in whose `as_client` there is TLS only with --store-tls-ca
    #[command(flatten)]
    pub store_tls: StoreTlsArgs,
    /// Admin account that may create databases, users and functions, and grant
    #[arg(long, value_name = "NAME", default_value = "root")]
    pub admin_user: String,
    /// Environment variable that holds the admin's password [none: log in without one,
    /// as by socket]
    #[arg(long, value_name = "VAR")]
    pub admin_password_env: Option<String>,
    /// Service account to create
    #[arg(long, value_name = "NAME", default_value = SERVICE_USER)]
    pub service_user: String,
    /// Environment variable that holds the service account's password
    #[arg(
        long,
        value_name = "VAR",
        default_value = "PREDICTSQL_SERVICE_PASSWORD"
    )]
    pub service_password_env: String,
    /// Host from which the service account connects; may be repeated [default: this machine for a
    /// local store, else %]
    #[arg(long, value_name = "HOST")]
    pub service_host: Vec<String>,
    /// Schema of the catalog
    #[arg(long, value_name = "NAME", default_value = "ml")]
    pub schema: String,
    /// Print the SQL and connect to nothing
    #[arg(long)]
    pub print: bool,
}

/// Why the set-up failed.
#[derive(Debug, Error)]
pub enum InitError {
    /// A named environment variable is missing, empty or not Unicode.
    #[error("environment variable {0} holds no password; set it")]
    Environment(String),
    /// The admin cannot connect.
    #[error("cannot connect to {store} as '{user}': {cause}")]
    Connect {
        /// The store.
        store: String,
        /// The admin.
        user: String,
        /// Error of the store or the system.
        cause: mysql_async::Error,
    },
    /// The catalog could not be set up.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// The store refused a statement.
    #[error("`{statement}` failed: {cause}")]
    Statement {
        /// The statement, without its password.
        statement: String,
        /// The store's error.
        cause: mysql_async::Error,
    },
    /// The password file of an embedded store cannot be read or written.
    #[error("cannot use {path}: {cause}")]
    PasswordFile {
        /// The file.
        path: String,
        /// The system's error.
        cause: io::Error,
    },
    /// Standard output is closed.
    #[error("cannot print: {0}")]
    Print(#[from] io::Error),
}

/// The service account to create.
#[derive(Clone)]
pub struct ServiceUser {
    /// User name.
    pub name: String,
    /// Hosts that it connects from; one account per host.
    pub hosts: Vec<String>,
    /// Password.
    pub password: String,
}

/// A statement to run, and its text without a password.
struct Statement {
    sql: String,
    shown: String,
}

impl Statement {
    fn plain(sql: String) -> Self {
        Self {
            shown: sql.clone(),
            sql,
        }
    }
}

/// Runs `predictsql init` and prints the executed statements.
pub async fn run(args: &InitArgs) -> Result<(), InitError> {
    let schema = SchemaName::parse(&args.schema)?;
    let hosts = service_hosts(&args.service_host, &args.store);
    if args.print {
        let user = ServiceUser {
            name: args.service_user.clone(),
            hosts,
            password: String::new(),
        };
        io::stdout().write_all(script(&schema, &user).as_bytes())?;
        return Ok(());
    }
    let password = environment(&args.service_password_env)?;
    let admin_password = args
        .admin_password_env
        .as_deref()
        .map(environment)
        .transpose()?;
    let user = ServiceUser {
        name: args.service_user.clone(),
        hosts,
        password,
    };
    let opts = args.store.opts(&args.admin_user, admin_password.as_deref());
    let opts = opts.ssl_opts(args.store_tls.config().service());
    let mut conn = connect(&args.store, &args.admin_user, opts).await?;
    let report = init(&mut conn, &schema, &user).await?;
    // The work is done; an error of closing the connection does not matter.
    let _ = conn.disconnect().await;
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "-- catalog in schema `{schema}` of {} is set up",
        args.store
    )?;
    for line in report.statements {
        writeln!(out, "{line};")?;
    }
    for note in report.notes {
        writeln!(out, "-- note: {note}")?;
    }
    Ok(())
}

/// Result of [`init`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InitReport {
    /// Statements about the service account, without passwords.
    pub statements: Vec<String>,
    /// Notes for the admin.
    pub notes: Vec<String>,
}

/// Creates or migrates the catalog, and creates the service account with the grants that it needs.
/// Running it again sets the password again and changes nothing else.
pub async fn init(
    conn: &mut Conn,
    schema: &SchemaName,
    user: &ServiceUser,
) -> Result<InitReport, InitError> {
    store::bootstrap(conn, schema).await?;
    let mut statements = Vec::new();
    for statement in account_statements(schema, user) {
        if let Err(cause) = conn.query_drop(statement.sql).await {
            return Err(InitError::Statement {
                statement: statement.shown,
                cause,
            });
        }
        statements.push(statement.shown);
    }
    let binary_log: Option<(bool, bool)> = conn
        .query_first("SELECT @@global.log_bin, @@global.log_bin_trust_function_creators")
        .await
        .map_err(StoreError::from)?;
    let mut notes = Vec::new();
    if binary_log == Some((true, false)) {
        notes.push(
            "the store's binary log is on: CREATE TASK will need \
             `SET GLOBAL log_bin_trust_function_creators = 1` (and the same in its configuration), \
             or SUPER for the service account"
                .to_owned(),
        );
    }
    Ok(InitReport { statements, notes })
}

/// Sets up an embedded store through its root account. Returns the configuration of the service
/// account, whose random password is stored in `data_dir`.
pub async fn init_embedded(
    store: &StoreAddress,
    root_password: Option<&str>,
    data_dir: &Path,
    schema: &SchemaName,
) -> Result<AccountConfig, InitError> {
    let path = data_dir.join(PASSWORD_FILE);
    let password = kept_password(&path).map_err(|cause| InitError::PasswordFile {
        path: path.display().to_string(),
        cause,
    })?;
    let user = ServiceUser {
        name: SERVICE_USER.to_owned(),
        hosts: service_hosts(&[], store),
        password: password.clone(),
    };
    let mut conn = connect(store, "root", store.opts("root", root_password)).await?;
    init(&mut conn, schema, &user).await?;
    // The work is done; an error of closing the connection does not matter.
    let _ = conn.disconnect().await;
    let mut config = AccountConfig::new(store.clone(), SERVICE_USER, Some(password));
    config.schema = schema.clone();
    Ok(config)
}

async fn connect(store: &StoreAddress, user: &str, opts: OptsBuilder) -> Result<Conn, InitError> {
    Conn::new(Opts::from(opts))
        .await
        .map_err(|cause| InitError::Connect {
            store: store.to_string(),
            user: user.to_owned(),
            cause,
        })
}

fn environment(variable: &str) -> Result<String, InitError> {
    std::env::var(variable)
        .ok()
        .filter(|password| !password.is_empty())
        .ok_or_else(|| InitError::Environment(variable.to_owned()))
}

/// Hosts of the service account. A local store sees a client on its Unix socket as `localhost`,
/// and a TCP client by its address or, if it resolves names, as `localhost`.
fn service_hosts(given: &[String], store: &StoreAddress) -> Vec<String> {
    let hosts: &[&str] = match store {
        _ if !given.is_empty() => return given.to_vec(),
        StoreAddress::Unix(_) => &["localhost"],
        StoreAddress::Tcp { .. } if store.is_local() => &["localhost", "127.0.0.1", "::1"],
        StoreAddress::Tcp { .. } => &["%"],
    };
    hosts.iter().map(|host| (*host).to_owned()).collect()
}

/// CREATE USER and GRANT statements, for a session whose `sql_mode` lacks NO_BACKSLASH_ESCAPES.
fn account_statements(schema: &SchemaName, user: &ServiceUser) -> Vec<Statement> {
    let mut statements = Vec::new();
    for host in &user.hosts {
        let account = format!("{}@{}", quote_text(&user.name), quote_text(host));
        for head in ["CREATE USER IF NOT EXISTS", "ALTER USER"] {
            statements.push(Statement {
                sql: format!(
                    "{head} {account} IDENTIFIED BY {}",
                    quote_text(&user.password)
                ),
                shown: format!("{head} {account} IDENTIFIED BY '<password>'"),
            });
        }
        statements.extend(grants(schema, &account).into_iter().map(Statement::plain));
    }
    statements
}

/// The minimal privileges of the service account: to read the catalog, change its rows, and create
/// and drop stubs. It may neither alter the tables nor read anything else in the store.
fn grants(schema: &SchemaName, account: &str) -> Vec<String> {
    // `_` is a wildcard in the database name of a GRANT on all tables, and only there.
    let all = schema.as_str().replace('_', "\\_");
    vec![
        format!("GRANT SELECT, CREATE ROUTINE, ALTER ROUTINE ON `{all}`.* TO {account}"),
        store::grant_views_procedure(schema, account),
        format!("GRANT UPDATE ON `{schema}`.`meta` TO {account}"),
        format!("GRANT INSERT, UPDATE, DELETE ON `{schema}`.`tasks` TO {account}"),
        format!("GRANT INSERT ON `{schema}`.`classes` TO {account}"),
        format!("GRANT INSERT, DELETE ON `{schema}`.`task_constraints` TO {account}"),
        format!("GRANT INSERT, DELETE ON `{schema}`.`task_priors` TO {account}"),
        format!("GRANT INSERT, DELETE ON `{schema}`.`task_options` TO {account}"),
        format!("GRANT INSERT, UPDATE, DELETE ON `{schema}`.`models` TO {account}"),
        format!("GRANT INSERT, UPDATE, DELETE ON `{schema}`.`evaluations` TO {account}"),
        format!("GRANT INSERT, DELETE ON `{schema}`.`votes` TO {account}"),
        format!("GRANT INSERT, DELETE ON `{schema}`.`model_stats` TO {account}"),
        format!("GRANT INSERT, DELETE ON `{schema}`.`confusion` TO {account}"),
        format!("GRANT INSERT, UPDATE, DELETE ON `{schema}`.`predictions` TO {account}"),
    ]
}

/// All statements of [`init`], as a script for the `mariadb` client with `<password>` as a
/// placeholder for the password.
pub fn script(schema: &SchemaName, user: &ServiceUser) -> String {
    let mut script = String::from("-- Replace <password> before running this.\nDELIMITER //\n");
    for statement in store::bootstrap_script(schema) {
        script.push_str(&statement);
        script.push_str(" //\n");
    }
    for statement in account_statements(schema, user) {
        script.push_str(&statement.shown);
        script.push_str(" //\n");
    }
    script.push_str("DELIMITER ;\n");
    script
}

/// Reads the password stored at `path`, or generates one and stores it with access for the owner
/// only.
fn kept_password(path: &Path) -> io::Result<String> {
    match fs::read_to_string(path) {
        Ok(password) if password.len() == PASSWORD_BYTES * 2 => return Ok(password),
        // Truncated by a crash: generated again, since `init` sets the account's password each
        // time.
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let mut random = [0_u8; PASSWORD_BYTES];
    fs::File::open("/dev/urandom")?.read_exact(&mut random)?;
    let password = hex::encode(random);
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(password.as_bytes())?;
    file.sync_all()?;
    Ok(password)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn user() -> ServiceUser {
        ServiceUser {
            name: "predictsql".to_owned(),
            hosts: vec!["localhost".to_owned()],
            password: "it's\\secret".to_owned(),
        }
    }

    #[test]
    fn passwords_are_quoted_when_run_and_hidden_when_shown() {
        let statements = account_statements(&SchemaName::default(), &user());
        assert!(
            statements[0]
                .sql
                .ends_with(r"IDENTIFIED BY 'it''s\\secret'")
        );
        assert!(statements.iter().all(|s| !s.shown.contains("secret")));
        assert!(!script(&SchemaName::default(), &user()).contains("secret"));
    }

    #[test]
    fn grants_on_all_tables_do_not_match_other_schemas() {
        let schema = SchemaName::parse("ml_x").unwrap();
        let grants = grants(&schema, "'a'@'b'");
        assert!(grants[0].contains(r"ON `ml\_x`.* TO"));
        let of_table = |grant: &String| grant.contains("ON `ml_x`.`meta` TO");
        assert!(grants.iter().any(of_table));
    }

    #[test]
    fn a_kept_password_is_random_private_and_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(PASSWORD_FILE);
        let first = kept_password(&path).unwrap();
        assert_eq!(kept_password(&path).unwrap(), first);
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        fs::write(&path, "cut").unwrap();
        assert_ne!(kept_password(&path).unwrap(), first);
    }

    #[test]
    fn hosts_follow_the_store() {
        let hosts = |address: &str| service_hosts(&[], &address.parse().unwrap());
        assert_eq!(hosts("unix:/run/m.sock"), ["localhost"]);
        assert_eq!(
            hosts("mysql://127.0.0.1:3306"),
            ["localhost", "127.0.0.1", "::1"]
        );
        assert_eq!(hosts("mysql://db:3306"), ["%"]);
    }
}
