//! What predictions look like to the `mariadb` client, PyMySQL and mysql_async, unchanged. Plain
//! SQL of these and other clients has suites of its own, `tests/clients/`.

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder, Row, Value};
use predictsql_tests::apparel::{self, Photos};
use predictsql_tests::process::checkout;
use predictsql_tests::store::opts;
use predictsql_tests::wire::LoginError;
use predictsql_tests::{Proxy, Store, Wire};
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

/// The database that all tests here read.
const SHOP: &str = "clients_shop";

fn shop() -> &'static Proxy {
    static MADE: OnceLock<()> = OnceLock::new();
    let proxy = Proxy::with_zoo();
    MADE.get_or_init(|| apparel::create_shop(&mut Store::shared().root(), SHOP));
    proxy
}

fn client(program: &str, address: SocketAddr, user: &str) -> Command {
    let mut command = Command::new(program);
    command
        .args(["--no-defaults", "--protocol=tcp", "--host=127.0.0.1"])
        .arg(format!("--port={}", address.port()))
        .arg(format!("--user={user}"));
    command
}

fn mariadb(address: SocketAddr, arguments: &[&str]) -> Output {
    client("mariadb", address, "root")
        .args(arguments)
        .output()
        .unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn the_mariadb_client_shows_predictions() {
    let proxy = shop();
    let sql =
        "SELECT id, ml.predict('apparel', photo) AS class FROM products WHERE id <= 2 ORDER BY id";
    let output = mariadb(proxy.address(), &["--batch", SHOP, "-e", sql]);
    assert_eq!(
        out(&output),
        "id\tclass\n1\tAnkle boot\n2\tPullover\n",
        "{}",
        err(&output)
    );

    // Plain SQL, predictions and a change in one script, as typed at the prompt.
    let script = format!(
        "USE {SHOP}; SELECT COUNT(*) FROM truth; SELECT id FROM products \
         WHERE ml.apparel(photo) = 'Sandal' AND stock > 10 ORDER BY price, id LIMIT 1 OFFSET 1; DO 1; SELECT 'end'"
    );
    let output = mariadb(
        proxy.address(),
        &["--batch", "--skip-column-names", "-e", &script],
    );
    assert!(output.status.success(), "{}", err(&output));
    let lines: Vec<String> = out(&output).lines().map(str::to_owned).collect();
    assert_eq!(
        (lines.len(), &*lines[0], &*lines[2]),
        (3, "600", "end"),
        "{lines:?}"
    );

    let explained = mariadb(
        proxy.address(),
        &["--batch", SHOP, "-e", &format!("EXPLAIN {sql}")],
    );
    assert!(
        out(&explained).starts_with("EXPLAIN\n"),
        "{}",
        out(&explained)
    );
}

#[test]
fn the_mariadb_client_shows_warnings_of_predictions() {
    let proxy = shop();
    let sql = "SELECT ml.apparel('photos/none.png') AS class";
    let output = mariadb(proxy.address(), &["--batch", "--show-warnings", "-e", sql]);
    let shown = out(&output);
    assert!(output.status.success(), "{}", err(&output));
    assert!(shown.starts_with("class\nNULL\nWarning (Code "), "{shown}");
    assert!(shown.contains("photos/none.png"), "{shown}");
}

#[test]
fn the_mariadb_client_reports_errors_and_goes_on_where_told() {
    let proxy = shop();
    let cases = [
        (
            "SELECT ml.predict('no_task', photo) FROM products",
            "ERROR ",
        ),
        (
            "SELECT ml.apparel(nothing) FROM products",
            "ERROR 1054 (42S22) at line 1: ",
        ),
        (
            "SELECT ml.apparel(photo) FROM nowhere",
            "ERROR 1146 (42S02) at line 1: ",
        ),
        ("SELECT * FROM nowhere", "ERROR 1146 (42S02) at line 1: "),
    ];
    for (sql, head) in cases {
        let output = mariadb(proxy.address(), &[SHOP, "-e", sql]);
        assert_eq!(output.status.code(), Some(1), "{sql}");
        assert!(
            err(&output).lines().any(|line| line.starts_with(head)),
            "{sql}: {}",
            err(&output)
        );
        let output = scripted(proxy.address(), &format!("{sql};\nSELECT 'after';\n"));
        assert_eq!(out(&output), "after\nafter\n", "{sql}");
    }
}

/// A script at standard input, which goes on after errors.
fn scripted(address: SocketAddr, script: &str) -> Output {
    let mut child = client("mariadb", address, "root")
        .args(["--force", "--batch", SHOP])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(script.as_bytes()).unwrap();
    drop(stdin);
    child.wait_with_output().unwrap()
}

#[test]
fn pymysql_predicts_unchanged() {
    let proxy = shop();
    let python = std::env::var_os("PREDICTSQL_TEST_PYTHON")
        .map_or_else(|| checkout().join(".cache/venv/bin/python"), PathBuf::from);
    let output = Command::new(&python)
        .arg(checkout().join("tests/clients/python/pymysql_predictions.py"))
        .arg(proxy.address().port().to_string())
        .args([SHOP, &Photos::path(1)])
        .arg(apparel::photos().root())
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}: make setup installs it", python.display()));
    assert!(output.status.success(), "{}{}", out(&output), err(&output));
    assert_eq!(out(&output), "passed\n");
}

/// Accounts of both kinds; how the store lets them in is how the proxy does.
#[test]
fn passwords_are_the_stores_affair() {
    let (store, proxy) = (Store::shared(), shop());
    let mut root = store.root();
    for sql in [
        "CREATE OR REPLACE USER native@'127.0.0.1' IDENTIFIED BY 'it''s \\\\ a secret'",
        "CREATE OR REPLACE USER modern@'127.0.0.1' IDENTIFIED VIA ed25519 USING PASSWORD('another')",
        "CREATE OR REPLACE USER nobody@'127.0.0.1' ACCOUNT LOCK",
    ] {
        root.run(sql);
    }
    let logins = [
        ("native", "it's \\ a secret", true),
        ("modern", "another", true),
        ("native", "wrong", false),
        ("native", "", false),
        ("modern", "wrong", false),
        ("nobody", "", false),
        ("unknown", "x", false),
    ];
    for (user, password, let_in) in logins {
        let try_login = |address: SocketAddr| {
            let output = client("mariadb", address, user)
                .arg(format!("--password={password}"))
                .args([
                    "--batch",
                    "--skip-column-names",
                    "-e",
                    "SELECT CURRENT_USER()",
                ])
                .output()
                .unwrap();
            (output.status.code(), out(&output), err(&output))
        };
        let direct = try_login(store.address());
        assert_eq!(direct.0 == Some(0), let_in, "{user}: {direct:?}");
        assert_eq!(direct, try_login(proxy.address()), "{user}");
    }
    let refused = |address| match Wire::login(address, "native", "wrong", None) {
        Err(LoginError::Refused(error)) => error,
        _ => panic!("a wrong password is refused"),
    };
    let error = refused(proxy.address());
    assert_eq!((error.code, &*error.sqlstate), (1045, "28000"));
    assert_eq!(error, refused(store.address()));
}

async fn connect() -> Conn {
    let opts: OptsBuilder = shop().opts().db_name(Some(SHOP));
    Conn::new(opts).await.unwrap()
}

#[tokio::test]
async fn mysql_async_by_text() {
    let mut conn = connect().await;
    let rows: Vec<(u32, String)> = conn
        .query(
            "SELECT id, ml.predict('apparel', photo) FROM products WHERE id <= 3 ORDER BY id DESC",
        )
        .await
        .unwrap();
    assert_eq!(rows.len(), 3);
    assert_eq!(rows[2], (1, "Ankle boot".to_owned()));
    let none: Option<Row> = conn
        .query_first("SELECT ml.apparel(photo) FROM products WHERE 1 = 0")
        .await
        .unwrap();
    assert!(none.is_none());
    let plain: Option<u32> = conn
        .query_first("SELECT COUNT(*) FROM products")
        .await
        .unwrap();
    assert_eq!(plain, Some(600));
    conn.disconnect().await.unwrap();
}

#[tokio::test]
async fn mysql_async_by_prepared_statements() {
    let mut conn = connect().await;
    let by_text: Vec<u32> = conn
        .query("SELECT id FROM products WHERE ml.apparel(photo) = 'Bag' AND price < 50 ORDER BY id LIMIT 5")
        .await
        .unwrap();
    assert_eq!(by_text.len(), 5);

    // Parameters beside a call, compared with a call, and as LIMIT.
    let statement = conn
        .prep("SELECT id FROM products WHERE ml.predict('apparel', photo) = ? AND price < ? ORDER BY id LIMIT ?")
        .await
        .unwrap();
    assert_eq!((statement.num_params(), statement.num_columns()), (3, 1));
    for _ in 0..2 {
        let rows: Vec<u32> = conn.exec(&statement, ("Bag", 50, 5)).await.unwrap();
        assert_eq!(rows, by_text);
    }
    let none: Vec<u32> = conn
        .exec(&statement, ("no such class", 50, 5))
        .await
        .unwrap();
    assert!(none.is_empty());

    // A parameter inside a call: a path, bytes, NULL.
    let statement = conn.prep("SELECT ml.apparel(?), 7 AS n").await.unwrap();
    let photo = Photos::path(1);
    let bytes = std::fs::read(apparel::photos().root().join(&photo)).unwrap();
    let boot = Some("Ankle boot".to_owned());
    for (input, class) in [
        (Value::from(photo), boot.clone()),
        (Value::from(bytes), boot),
        (Value::NULL, None),
    ] {
        let row: Option<(Option<String>, u32)> =
            conn.exec_first(&statement, (input,)).await.unwrap();
        assert_eq!(row, Some((class, 7)));
    }
    conn.close(statement).await.unwrap();
    let still: Option<u32> = conn.query_first("SELECT 1").await.unwrap();
    assert_eq!(still, Some(1));
    conn.disconnect().await.unwrap();
}

/// What an ORM asks of a statement before it runs it, and of the server before it asks anything.
#[tokio::test]
async fn metadata_as_orms_ask_for_it() {
    let mut conn = connect().await;
    let statement = conn
        .prep("SELECT p.id, ml.predict('apparel', p.photo) AS class, ml.predict_proba('apparel', 'Bag', p.photo) FROM products p")
        .await
        .unwrap();
    let names: Vec<_> = statement
        .columns()
        .iter()
        .map(|c| c.name_str().into_owned())
        .collect();
    assert_eq!(
        names,
        ["id", "class", "ml.predict_proba('apparel', 'Bag', p.photo)"]
    );
    let result: Vec<Row> = conn
        .exec("SELECT ml.apparel(photo) AS c FROM products LIMIT 0", ())
        .await
        .unwrap();
    assert!(result.is_empty());
    let described: Vec<(String, String)> = conn
        .query("SELECT routine_name, data_type FROM information_schema.routines WHERE routine_schema = 'ml' AND routine_name = 'apparel'")
        .await
        .unwrap();
    assert_eq!(described.len(), 1);
    conn.reset().await.unwrap();
    let after: Option<String> = conn
        .exec_first(
            format!("SELECT ml.apparel(photo) FROM {SHOP}.products WHERE id = 1"),
            (),
        )
        .await
        .unwrap();
    assert_eq!(after.as_deref(), Some("Ankle boot"));
    conn.disconnect().await.unwrap();
}

#[tokio::test]
async fn a_driver_changes_user_and_password_in_one_session() {
    let (store, proxy) = (Store::shared(), shop());
    let mut root = store.root();
    root.run("CREATE OR REPLACE USER changed@'127.0.0.1' IDENTIFIED BY 'pass'");
    let mut conn = Conn::new(opts(proxy.address(), "root", "")).await.unwrap();
    let to = mysql_async::ChangeUserOpts::default()
        .with_user(Some("changed".to_owned()))
        .with_pass(Some("pass".to_owned()));
    conn.change_user(to).await.unwrap();
    let user: Option<String> = conn.query_first("SELECT CURRENT_USER()").await.unwrap();
    assert_eq!(user.as_deref(), Some("changed@127.0.0.1"));
    conn.disconnect().await.unwrap();
}
