//! The admin endpoint as drivers meet it: the programs of `tests/clients/admin/`, unchanged
//! drivers, and mysql_async.

use std::path::Path;
use std::process::Command;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder, Value};
use predictsql_tests::process::{checkout, new_dir};
use predictsql_tests::{Proxy, Settings, Store};

use crate::run::filled;

const PASSWORD: &str = "it's \\ $ecret";

fn proxy() -> Proxy {
    let settings = Settings {
        admin_password: Some(PASSWORD.to_owned()),
        ..Settings::default()
    };
    Proxy::start(Store::shared(), &settings)
}

/// Runs a program, which checks what it sees; `lines` is what it prints at its end.
#[track_caller]
fn check(program: impl AsRef<Path>, arguments: &[&str], lines: &[&str]) {
    let proxy = proxy();
    let address = proxy.admin();
    let clients = checkout().join("tests/clients");
    let output = Command::new(program.as_ref())
        .args(arguments.iter().map(|part| filled(part)))
        .current_dir(new_dir("admin-drivers"))
        .env("ADMIN_HOST", address.ip().to_string())
        .env("ADMIN_PORT", address.port().to_string())
        .env("ADMIN_PASSWORD", PASSWORD)
        .env("NODE_PATH", clients.join("node/node_modules"))
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let printed = String::from_utf8_lossy(&output.stdout);
    assert_eq!(printed.lines().collect::<Vec<_>>(), lines, "{errors}");
}

#[test]
fn admin_python() {
    let drivers = [
        "pymysql",
        "mysqlclient",
        "connector_pure",
        "connector_c",
        "sqlalchemy",
    ];
    let arguments = [&["{clients}/admin/drivers.py"], &drivers[..]].concat();
    check(filled("{python}"), &arguments, &drivers);
}

#[test]
fn admin_mysql2() {
    check("node", &["{clients}/admin/drivers.js"], &["mysql2"]);
}

#[test]
fn admin_php() {
    check("php", &["{clients}/admin/drivers.php"], &["mysqli", "pdo"]);
}

#[test]
fn admin_perl() {
    let drivers = ["MariaDB", "mysql"];
    let arguments = [&["{clients}/admin/drivers.pl"], &drivers[..]].concat();
    check("perl", &arguments, &drivers);
}

#[test]
fn admin_connector_j() {
    let script = "javac -d . -cp \"$DRIVER\" {clients}/admin/Drivers.java && \
                  exec java -cp \".:$DRIVER\" Drivers";
    let script = format!(
        "DRIVER=${{MARIADB_JAVA_CLIENT:-/usr/share/java/mariadb-java-client.jar}}; {script}"
    );
    let lines = [
        "connector_j",
        "connector_j?useServerPrepStmts=true",
        "connector_j?sessionVariables=sql_mode='ANSI'&useCompression=false",
    ];
    check("sh", &["-c", &script], &lines);
}

#[tokio::test]
async fn admin_mysql_async() {
    let proxy = proxy();
    let options = OptsBuilder::default()
        .ip_or_hostname(proxy.admin().ip().to_string())
        .tcp_port(proxy.admin().port())
        .user(Some("admin"))
        .pass(Some(PASSWORD))
        .prefer_socket(false)
        .db_name(Some("admin"))
        .setup(vec!["SET time_zone = '+00:00'"]);
    let mut conn = Conn::new(options).await.unwrap();
    let row: Option<(u64, String)> = conn
        .query_first("SELECT 1, @@version_comment")
        .await
        .unwrap();
    assert_eq!(row, Some((1, "PredictSQL admin endpoint".to_owned())));
    let row: Option<(i64, String, Value)> = conn
        .exec_first("SELECT ? + 1, @@license, NULL", (41,))
        .await
        .unwrap();
    assert_eq!(row, Some((42, "Apache-2.0".to_owned(), Value::NULL)));
    let metrics: Vec<(String, String, String)> = conn
        .exec("SHOW METRICS LIKE ?", ("predictsql_sessions",))
        .await
        .unwrap();
    assert_eq!(metrics.len(), 1, "{metrics:?}");
    conn.ping().await.unwrap();
    conn.reset().await.unwrap();
    let killed = conn
        .exec_drop("KILL SESSION ?", (4_000_000_000_u64,))
        .await
        .unwrap_err();
    assert!(
        matches!(&killed, mysql_async::Error::Server(e) if e.code == 1094),
        "{killed}"
    );
    conn.disconnect().await.unwrap();
}
