//! The clients of these tests: each logs in, asks who it is, and leaves.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use mysql_async::prelude::Queryable;
use mysql_async::{ChangeUserOpts, Conn, Error, OptsBuilder};
use predictsql_tests::process::checkout;
use predictsql_tests::store::opts;

/// Prints the account, or the error's code and text.
const PYMYSQL: &str = "
import sys, pymysql
host, port, user, password = sys.argv[1:5]
try:
    connection = pymysql.connect(host=host, port=int(port), user=user, password=password.encode(), ssl_disabled=True)
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
    /// The account that the store let in.
    pub fn log_in(self, address: SocketAddr, user: &str, password: &str) -> Result<String, Denied> {
        match self {
            Self::MysqlAsync => mysql_async(opts(address, user, password)),
            Self::PyMySql => pymysql(address, user, password),
        }
    }
}

/// The account that a store on a socket lets in.
pub fn over_socket(socket: &Path, user: &str, password: &str) -> Result<String, Denied> {
    let opts = OptsBuilder::default()
        .socket(socket.to_str())
        .user(Some(user))
        .pass(Some(password));
    mysql_async(opts)
}

/// The accounts of a session that logs in as `first` and changes to each of `users`.
pub fn change_users(
    address: SocketAddr,
    first: (&str, &str),
    users: &[(&str, &str)],
) -> Vec<String> {
    block_on(async {
        let mut conn = Conn::new(opts(address, first.0, first.1)).await.unwrap();
        let mut seen = vec![account(&mut conn).await.unwrap()];
        for (user, password) in users {
            let to = ChangeUserOpts::default()
                .with_user(Some((*user).to_owned()))
                .with_pass(Some((*password).to_owned()));
            conn.change_user(to).await.unwrap();
            seen.push(account(&mut conn).await.unwrap());
        }
        conn.disconnect().await.unwrap();
        seen
    })
}

fn mysql_async(opts: OptsBuilder) -> Result<String, Denied> {
    let outcome = block_on(async {
        let mut conn = Conn::new(opts).await?;
        let account = account(&mut conn).await?;
        conn.disconnect().await?;
        Ok(account)
    });
    outcome.map_err(|error| match error {
        Error::Server(error) => Denied {
            code: error.code,
            message: error.message,
        },
        other => panic!("{other}"),
    })
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

fn pymysql(address: SocketAddr, user: &str, password: &str) -> Result<String, Denied> {
    let output = Command::new(python())
        .args(["-c", PYMYSQL, &address.ip().to_string()])
        .args([&address.port().to_string(), user, password])
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
