//! The clients of these tests: each logs in, asks who it is, and leaves.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use mysql_async::prelude::Queryable;
use mysql_async::{ChangeUserOpts, Conn, Error, OptsBuilder, SslOpts};
use predictsql_tests::process::checkout;
use predictsql_tests::store::opts;

/// Prints the account, or the error's code and text.
const PYMYSQL: &str = "
import sys, pymysql
host, port, user, password, ca = sys.argv[1:6]
tls = dict(ssl_ca=ca, ssl_verify_cert=True, ssl_verify_identity=True) if ca else dict(ssl_disabled=True)
try:
    connection = pymysql.connect(host=host, port=int(port), user=user, password=password.encode(), **tls)
    with connection.cursor() as cursor:
        cursor.execute('SELECT CURRENT_USER()')
        print('in', cursor.fetchone()[0])
    connection.close()
except pymysql.err.OperationalError as error:
    print(*error.args)
";

/// A driver.
#[derive(Debug, Clone, Copy)]
pub enum Client {
    MysqlAsync,
    PyMySql,
}

/// The error that a login ended with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denied {
    pub code: u16,
    pub message: String,
}

impl Client {
    /// The account that the store let in. With TLS where there is the file of an authority's
    /// certificate, without where there is none.
    pub fn log_in(
        self,
        address: SocketAddr,
        user: &str,
        password: &str,
        tls: Option<&Path>,
    ) -> Result<String, Denied> {
        match self {
            Self::MysqlAsync => mysql_async(opts_with(address, user, password, tls)),
            Self::PyMySql => pymysql(address, user, password, tls),
        }
    }
}

fn opts_with(address: SocketAddr, user: &str, password: &str, tls: Option<&Path>) -> OptsBuilder {
    let tls = tls.map(|ca| {
        SslOpts::default()
            .with_root_certs(vec![ca.to_owned().into()])
            .with_disable_built_in_roots(true)
    });
    opts(address, user, password).ssl_opts(tls)
}

/// The accounts of a session that logs in as the first of `users` and changes to each of the
/// others, as far as it comes.
pub fn change_users(
    address: SocketAddr,
    users: &[(&str, &str)],
    tls: Option<&Path>,
) -> (Vec<String>, Option<Denied>) {
    let mut seen = Vec::new();
    let outcome = block_on(async {
        let (&(user, password), others) = users.split_first().expect("a first user");
        let mut conn = Conn::new(opts_with(address, user, password, tls)).await?;
        seen.push(account(&mut conn).await?);
        for &(user, password) in others {
            let to = ChangeUserOpts::default()
                .with_user(Some(user.to_owned()))
                .with_pass(Some(password.to_owned()));
            conn.change_user(to).await?;
            seen.push(account(&mut conn).await?);
        }
        conn.disconnect().await
    });
    (seen, outcome.err().map(denied))
}

fn mysql_async(opts: OptsBuilder) -> Result<String, Denied> {
    let outcome = block_on(async {
        let mut conn = Conn::new(opts).await?;
        let account = account(&mut conn).await?;
        conn.disconnect().await?;
        Ok(account)
    });
    outcome.map_err(denied)
}

fn denied(error: Error) -> Denied {
    match error {
        Error::Server(error) => Denied {
            code: error.code,
            message: error.message,
        },
        other => panic!("{other}"),
    }
}

async fn account(conn: &mut Conn) -> Result<String, Error> {
    let account = conn.query_first("SELECT CURRENT_USER()").await?;
    Ok(account.expect("a row"))
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(future)
}

fn pymysql(
    address: SocketAddr,
    user: &str,
    password: &str,
    tls: Option<&Path>,
) -> Result<String, Denied> {
    let ca = tls.map_or_else(String::new, |ca| ca.display().to_string());
    let output = Command::new(python())
        .args(["-c", PYMYSQL, &address.ip().to_string()])
        .args([&address.port().to_string(), user, password, &ca])
        .output()
        .expect("python runs: make setup");
    let text = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    let (head, rest) = text.trim_end().split_once(' ').expect(&errors);
    match head.parse() {
        Ok(code) => Err(Denied {
            code,
            message: rest.to_owned(),
        }),
        Err(_) => Ok(rest.to_owned()),
    }
}

fn python() -> PathBuf {
    std::env::var_os("PREDICTSQL_TEST_PYTHON")
        .map_or_else(|| checkout().join(".cache/venv/bin/python"), PathBuf::from)
}
