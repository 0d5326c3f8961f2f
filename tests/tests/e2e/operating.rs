//! What `docs/operating.md` says: its statements are run, and its errors,
//! metrics and settings looked for.

mod page;

use predictsql_tests::apparel::Photos;
use predictsql_tests::authority::Authority;
use predictsql_tests::binary::binary_command;
use predictsql_tests::process::checkout;
use predictsql_tests::{Proxy, Settings, Store, Wire, eventually};
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

/// Every way to spell a prediction of task `apparel`.
const SPELLINGS: [&str; 4] = [
    "ml.apparel(photo)",
    "ml.predict('apparel', photo)",
    "ml.predict('apparel_small', photo)",
    "ml.predict_proba('apparel', 'Bag', photo)",
];

fn page() -> String {
    std::fs::read_to_string(checkout().join("docs/operating.md")).unwrap()
}

/// The statements of a block of the page as they stand there.
fn block(name: &str) -> Vec<String> {
    let page = page();
    let head = format!("<!-- tested: {name} -->\n```sql\n");
    let (_, block) = page.split_once(&head).unwrap_or_else(|| panic!("{name}"));
    let (block, _) = block.split_once("```").unwrap();
    // None of them holds a semicolon but as its last character of a line.
    let statements = block.split(";\n").map(str::trim);
    let statements = statements.filter(|statement| !statement.is_empty());
    statements.map(str::to_owned).collect()
}

/// The same for clients of this machine and another schema than `ml`.
fn block_here(name: &str, schema: &str) -> Vec<String> {
    let here = |statement: String| {
        statement
            .replace("10.0.0.5", "127.0.0.1")
            .replace("`ml`", &format!("`{schema}`"))
            .replace("'ml'", &format!("'{schema}'"))
            .replace("ml\\_session", &format!("{schema}\\_session"))
            .replace("`ml_session`", &format!("`{schema}_session`"))
            .replace("ml\\_service", &format!("{schema}\\_service"))
            .replace("`ml_service`", &format!("`{schema}_service`"))
            .replace("'ml_service'", &format!("'{schema}_service'"))
    };
    block(name).into_iter().map(here).collect()
}

/// Fails unless the page tells this text of a server or of the proxy, for whatever address.
#[track_caller]
fn assert_told(text: &str) {
    let page = page().replace("10.0.0.5", "127.0.0.1");
    assert!(page.contains(text), "the page does not tell: {text}");
}

fn run_all(root: &mut Wire, statements: &[String]) {
    for statement in statements {
        root.run(statement);
    }
}

fn login(address: SocketAddr, user: &str) -> Wire {
    Wire::login(address, user, "", None).unwrap()
}

fn client(program: &str, address: SocketAddr, user: &str) -> Command {
    let mut command = Command::new(program);
    command
        .args(["--no-defaults", "--protocol=tcp", "--host=127.0.0.1"])
        .arg(format!("--port={}", address.port()))
        .arg(format!("--user={user}"));
    command
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Database `name` with one product, and view `kinds` of its prediction.
fn create_shop(root: &mut Wire, name: &str) {
    root.run(&format!("CREATE DATABASE {name}"));
    root.run(&format!(
        "CREATE TABLE {name}.products (id INT, photo VARCHAR(200))"
    ));
    let photo = Photos::path(1);
    root.run(&format!(
        "INSERT INTO {name}.products VALUES (1, '{photo}')"
    ));
    root.run(&format!(
        "CREATE VIEW {name}.kinds AS SELECT id, ml.apparel(photo) AS kind FROM {name}.products"
    ));
}

#[test]
fn execute_on_a_tasks_function_is_the_right_to_predict() {
    let (store, proxy) = (Store::shared(), Proxy::with_zoo());
    let mut root = store.root();
    create_shop(&mut root, "op_rights");
    for user in ["ann", "generic", "of_role"] {
        root.run(&format!("CREATE USER {user}@'127.0.0.1'"));
        root.run(&format!(
            "GRANT SELECT ON op_rights.* TO {user}@'127.0.0.1'"
        ));
    }
    for sql in [
        "GRANT EXECUTE ON FUNCTION ml.predict TO generic@'127.0.0.1'",
        "CREATE ROLE predictors",
        "GRANT EXECUTE ON FUNCTION ml.apparel TO predictors",
        "GRANT predictors TO of_role@'127.0.0.1'",
        "SET DEFAULT ROLE predictors FOR of_role@'127.0.0.1'",
    ] {
        root.run(sql);
    }
    let sql = |spelling| format!("SELECT {spelling} FROM op_rights.products");
    let (mut ann, mut generic) = (
        login(proxy.address(), "ann"),
        login(proxy.address(), "generic"),
    );
    for spelling in SPELLINGS {
        let error = ann.error(&sql(spelling));
        assert_eq!(error.code, 1370, "{spelling}");
        assert_told(&format!("ERROR 1370 (42000): {}", error.message));
        assert_eq!(generic.error(&sql(spelling)).code, 1370, "{spelling}");
    }
    run_all(&mut root, &block_here("user grants", "ml"));
    for user in ["ann", "of_role"] {
        let mut user = login(proxy.address(), user);
        for spelling in SPELLINGS {
            assert!(user.value(&sql(spelling)).is_some(), "{spelling}");
        }
    }
}

#[test]
fn keepers_of_the_catalog_have_rights_on_its_tables() {
    let settings = Settings {
        schema: "opkeepers".to_owned(),
        ..Settings::default()
    };
    let proxy = Proxy::start(Store::shared(), &settings);
    let mut root = Store::shared().root();
    root.run("CREATE USER mona@'127.0.0.1'");
    root.run("CREATE USER lee@'127.0.0.1'");
    let mut mona = login(proxy.address(), "mona");
    let statements = [
        "CREATE TASK shoes CLASSES ('a', 'b')",
        "SHOW TASKS",
        "SHOW MODELS",
        "SHOW CREATE TASK shoes",
        "ALTER TASK shoes SET min_accuracy = 0.9",
        "DROP TASK shoes",
    ];
    for sql in statements.iter().filter(|sql| **sql != statements[3]) {
        assert_eq!(mona.error(sql).code, 1142, "{sql}");
    }
    run_all(&mut root, &block_here("keeper grants", "opkeepers"));
    for sql in statements {
        mona.run(sql);
        if sql == statements[0] {
            root.run("GRANT EXECUTE ON FUNCTION opkeepers.shoes TO lee@'127.0.0.1'");
        }
    }
    // The function has taken the grants on it with it.
    assert_eq!(root.rows("SHOW GRANTS FOR lee@'127.0.0.1'").len(), 1);
}

#[test]
fn the_service_account_gets_what_the_page_lists() {
    let output = binary_command()
        .args(["init", "--print", "--store", "mysql://db.example:3306"])
        .args(["--service-host", "10.0.0.5"])
        .output()
        .unwrap();
    let script = String::from_utf8(output.stdout).unwrap();
    let grants = script
        .lines()
        .filter_map(|line| line.strip_suffix(" //"))
        .filter(|line| line.starts_with("GRANT "));
    let (to_all, own): (Vec<&str>, Vec<&str>) =
        grants.partition(|grant| grant.ends_with(" PUBLIC"));
    assert_eq!(block("service grants"), own);
    for grant in to_all {
        assert_told(grant);
    }
}

#[test]
fn an_admin_without_super_sets_the_catalog_up() {
    let store = Store::shared();
    let mut root = store.root();
    root.run("CREATE USER admin@'127.0.0.1'");
    let grants = block_here("admin grants", "opadmin");
    root.run(&grants[0]);
    let init = || init(store, "opadmin", &["--admin-user", "admin"]);
    assert!(!init().status.success());
    run_all(&mut root, &grants[1..]);
    let output = init();
    assert!(output.status.success(), "{}", err(&output));
}

/// Runs `predictsql init` for `schema`, with a service account of its own.
fn init(store: &Store, schema: &str, arguments: &[&str]) -> Output {
    binary_command()
        .args(["init", "--store", &store.url(), "--schema", schema])
        .args(["--service-user", &format!("service_{schema}")])
        .args(arguments)
        .env("PREDICTSQL_SERVICE_PASSWORD", "it's a \\ secret")
        .output()
        .unwrap()
}

#[test]
fn past_the_proxy_a_function_says_where_to_go() {
    Proxy::with_zoo();
    let mut direct = Store::shared().root();
    create_shop(&mut direct, "op_past");
    let error = direct.error("SELECT ml.apparel(photo) FROM op_past.products");
    assert_told(&format!(
        "ERROR {} ({}): {}",
        error.code, error.sqlstate, error.message
    ));
    for sql in [
        "SELECT * FROM op_past.kinds",
        "SELECT ml.apparel(NULL)",
        "CREATE TABLE op_past.stored AS SELECT ml.apparel(photo) FROM op_past.products",
        "INSERT INTO op_past.products SELECT 2, ml.apparel(photo) FROM op_past.products",
    ] {
        assert_eq!(direct.error(sql), error, "{sql}");
    }
    let generated =
        "CREATE TABLE op_past.g (photo TEXT, kind VARCHAR(9) AS (ml.apparel(photo)) STORED)";
    assert_eq!(direct.error(generated).code, 1901);
    for (sql, rows) in [
        ("DESCRIBE op_past.kinds", 2),
        ("SHOW CREATE VIEW op_past.kinds", 1),
        ("SELECT id FROM op_past.kinds", 1),
        ("SELECT COUNT(*) FROM op_past.kinds", 1),
        ("EXPLAIN SELECT ml.apparel(photo) FROM op_past.products", 1),
        ("SELECT name FROM ml.tasks WHERE name = 'apparel'", 1),
    ] {
        assert_eq!(direct.rows(sql).len(), rows, "{sql}");
    }
    direct.run("PREPARE p FROM 'SELECT ml.apparel(photo) FROM op_past.products'");
    // Through the proxy too, where a statement hides its calls.
    let hidden = "SELECT /*!50000 ml.apparel(photo) */ FROM op_past.products";
    assert_eq!(Proxy::shared().root().error(hidden), error);
}

/// What `mariadb-dump` writes as user `backup`.
fn dump(arguments: &[&str]) -> Output {
    client("mariadb-dump", Store::shared().address(), "backup")
        .arg("--single-transaction")
        .args(arguments)
        .output()
        .unwrap()
}

/// Has the `mariadb` client run a script; its error, if there is one.
fn restore(address: SocketAddr, database: &[&str], script: &[u8]) -> Option<String> {
    let mut child = client("mariadb", address, "root")
        .args(database)
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // It ends at its first error, which may be before the script's end.
    let _ = stdin.write_all(script);
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    (!output.status.success()).then(|| err(&output))
}

#[test]
fn a_dump_is_restored_on_another_server() {
    let source = Proxy::with_zoo();
    let mut root = Store::shared().root();
    create_shop(&mut root, "op_dump");
    for sql in [
        "CREATE USER backup@'127.0.0.1'",
        "GRANT SELECT, SHOW VIEW ON op_dump.* TO backup@'127.0.0.1'",
        "GRANT SELECT ON ml.* TO backup@'127.0.0.1'",
    ] {
        root.run(sql);
    }
    let refused = dump(&["op_dump"]);
    assert!(!refused.status.success());
    assert_told(err(&refused).trim());
    run_all(&mut root, &block_here("backup grants", "ml"));
    let shop = dump(&["op_dump"]);
    assert!(shop.status.success(), "{}", err(&shop));
    let without_functions = dump(&["ml"]).stdout;

    // A view before its function.
    let target = Store::own();
    let mut there = target.root();
    there.run("CREATE DATABASE op_dump");
    let database = ["op_dump"];
    let missing = restore(target.address(), &database, &shop.stdout).unwrap();
    assert!(
        missing.contains("FUNCTION ml.apparel does not exist"),
        "{missing}"
    );
    assert_told("ERROR 1305 (42000): FUNCTION ml.apparel does not exist");

    // A catalog without its functions, which `init` makes.
    there.run("CREATE DATABASE ml");
    assert_eq!(restore(target.address(), &["ml"], &without_functions), None);
    assert!(restore(target.address(), &database, &shop.stdout).is_some());
    let proxy = Proxy::start(&target, &Settings::default());
    assert_eq!(restore(target.address(), &database, &shop.stdout), None);
    let predict = "SELECT ml.apparel(photo) FROM op_dump.products";
    let expected = source.root().value(predict);
    assert!(expected.is_some());
    assert_eq!(proxy.root().value(predict), expected);

    whole_dumps_are_in_order(&mut root, &target, &proxy);
    assert_eq!(proxy.root().value(predict), expected);
    renamed(&target, &without_functions);
    read_only(&mut there, &proxy);
}

/// All databases in one dump, restored through the proxy, whichever comes first.
fn whole_dumps_are_in_order(root: &mut Wire, target: &Store, proxy: &Proxy) {
    let all = ["--routines", "--databases", "op_dump", "ml"];
    let lacking = dump(&all);
    assert!(
        err(&lacking).contains("SHOW CREATE FUNCTION"),
        "{lacking:?}"
    );
    assert_told("`GRANT SELECT ON mysql.proc`");
    root.run("GRANT SELECT ON mysql.proc TO backup@'127.0.0.1'");
    let whole = dump(&all);
    assert!(whole.status.success(), "{}", err(&whole));
    let mut there = target.root();
    there.run("DROP DATABASE op_dump");
    there.run("DROP DATABASE ml");
    assert_eq!(restore(proxy.address(), &[], &whole.stdout), None);
    assert_eq!(there.rows("DESCRIBE op_dump.kinds").len(), 2);
}

fn renamed(target: &Store, catalog: &[u8]) {
    let mut there = target.root();
    there.run("CREATE DATABASE op_vision");
    assert_eq!(restore(target.address(), &["op_vision"], catalog), None);
    let output = init(target, "op_vision", &[]);
    assert!(output.status.success(), "{}", err(&output));
    let error = there.error("SELECT op_vision.apparel('x')");
    assert!(error.message.starts_with("op_vision.apparel is answered"));
}

fn read_only(there: &mut Wire, proxy: &Proxy) {
    there.run("SET GLOBAL read_only = 1");
    let mut session = proxy.root();
    let error = session.error("CREATE TASK late CLASSES ('a', 'b')");
    assert_told(&format!("ERROR 1290 (HY000): {}", error.message));
    assert!(session.value("SELECT ml.apparel(NULL) IS NULL").is_some());
}

#[test]
fn removal_leaves_nothing_in_the_store() {
    let store = Store::shared();
    let settings = Settings {
        schema: "opgone".to_owned(),
        ..Settings::default()
    };
    let proxy = Proxy::start(store, &settings);
    proxy.root().run("CREATE TASK shoes CLASSES ('a', 'b')");
    drop(proxy);
    let mut root = store.root();
    for sql in [
        "CREATE DATABASE op_stays",
        "CREATE VIEW op_stays.v AS SELECT opgone.shoes('x') AS kind",
        "CREATE USER stays@'127.0.0.1'",
        "GRANT EXECUTE ON FUNCTION opgone.shoes TO stays@'127.0.0.1'",
        "GRANT SELECT, INSERT ON opgone.tasks TO stays@'127.0.0.1'",
        "GRANT EXECUTE ON opgone.* TO stays@'127.0.0.1'",
        "CREATE ROLE stayers",
        "GRANT EXECUTE ON FUNCTION opgone.shoes TO stayers",
    ] {
        root.run(sql);
    }
    let views = block_here("views", "opgone");
    let found = root.rows(&views[0]);
    assert_eq!(found, [[Some("op_stays".into()), Some("v".into())]]);
    let revokes = root.rows(&block_here("revokes", "opgone")[0]);
    for mut row in revokes {
        root.run(row[0].take().unwrap().trim_end_matches(';'));
    }
    for statement in block_here("removal", "opgone") {
        // The fixture's store is a local one: three accounts.
        for host in ["127.0.0.1", "localhost", "::1"] {
            let account = format!("'service_opgone'@'{host}'");
            if statement.starts_with("DROP USER") {
                root.run(&statement.replace("'predictsql'@'127.0.0.1'", &account));
            }
        }
        if !statement.starts_with("DROP USER") {
            root.run(&statement);
        }
    }
    let left = "SELECT 'db', user FROM mysql.db WHERE db LIKE 'opgone%' \
         UNION SELECT 'table', user FROM mysql.tables_priv WHERE db LIKE 'opgone%' \
         UNION SELECT 'routine', user FROM mysql.procs_priv WHERE db LIKE 'opgone%' \
         UNION SELECT 'function', name FROM mysql.proc WHERE db LIKE 'opgone%' \
         UNION SELECT 'user', user FROM mysql.global_priv WHERE user LIKE '%opgone%' \
         UNION SELECT 'schema', schema_name FROM information_schema.schemata WHERE schema_name LIKE 'opgone%'";
    assert_eq!(root.rows(left), Vec::<Vec<Option<String>>>::new());
    // Broken, as the page says, where nobody looked for it first.
    assert_eq!(root.error("SELECT * FROM op_stays.v").code, 1356);
    assert_eq!(root.rows("SHOW GRANTS FOR stays@'127.0.0.1'").len(), 1);
}

#[test]
fn a_login_through_the_proxy_is_the_proxys_connection() {
    let authority = Authority::new();
    let names = ["127.0.0.1", "localhost"];
    let (server, shown, own) = (
        authority.new_pair(&names),
        authority.new_pair(&names),
        authority.new_pair(&names),
    );
    let store = Store::start(&[
        &format!("--ssl-cert={}", server.certificate.display()),
        &format!("--ssl-key={}", server.key.display()),
        &format!("--ssl-ca={}", authority.path().display()),
        "--log-bin=binlog",
        "--server-id=1",
    ]);
    let top = format!(
        "[tls]\ncertificate = {:?}\nkey = {:?}\n",
        shown.certificate, shown.key
    );
    let proxy = Proxy::start(
        &store,
        &Settings {
            top,
            ..Settings::default()
        },
    );
    let mut root = store.root();
    for (user, demand) in [
        ("cert", "X509"),
        ("subject", "SUBJECT '/CN=server of the tests'"),
        ("cipher", "CIPHER 'TLS_AES_256_GCM_SHA384'"),
        ("elsewhere", "NONE"),
    ] {
        let host = if user == "elsewhere" {
            "127.0.0.9"
        } else {
            "127.0.0.1"
        };
        root.run(&format!(
            "CREATE USER {user}@'{host}' IDENTIFIED BY 'pw' REQUIRE {demand}"
        ));
    }
    let log_in = |address, user: &str, arguments: &[&str]| {
        let output = client("mariadb", address, user)
            .args(["--password=pw", "--batch", "--skip-column-names"])
            .arg(format!("--ssl-ca={}", authority.path().display()))
            .arg(format!("--ssl-cert={}", own.certificate.display()))
            .arg(format!("--ssl-key={}", own.key.display()))
            .args(arguments)
            .args(["-e", "SHOW STATUS LIKE 'Compression'"])
            .output()
            .unwrap();
        let out = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            Ok(out)
        } else {
            Err(err(&output).trim().to_owned())
        }
    };
    for user in ["cert", "subject"] {
        assert!(log_in(store.address(), user, &[]).is_ok(), "{user}");
        let refused = log_in(proxy.address(), user, &[]).unwrap_err();
        assert!(refused.starts_with("ERROR 1045 (28000): "), "{refused}");
        if user == "cert" {
            assert_told(&refused);
        }
    }
    let refused = log_in(proxy.address(), "elsewhere", &[]).unwrap_err();
    assert!(refused.starts_with("ERROR 1045 (28000): "), "{refused}");
    let compressed = |address| log_in(address, "cipher", &["--compress"]).unwrap();
    assert_eq!(compressed(store.address()), "Compression\tON\n");
    assert_eq!(compressed(proxy.address()), "Compression\tOFF\n");

    let seen = seen_from(proxy.address(), "127.0.0.9");
    assert_eq!(seen, "root@127.0.0.1");

    let error = proxy.root().error("CREATE TASK shoes CLASSES ('a', 'b')");
    assert_told(&format!("ERROR 1419 (HY000): {}", error.message));
    root.run("SET GLOBAL log_bin_trust_function_creators = 1");
    proxy.root().run("CREATE TASK shoes CLASSES ('a', 'b')");
}

/// What `USER()` says to a client at `address` of this machine.
fn seen_from(proxy: SocketAddr, address: &str) -> String {
    let script = "import pymysql, sys\n\
         c = pymysql.connect(host='127.0.0.1', port=int(sys.argv[1]), user='root', bind_address=sys.argv[2])\n\
         q = c.cursor()\n\
         q.execute('SELECT USER()')\n\
         print(q.fetchone()[0], end='')";
    let python = std::env::var_os("PREDICTSQL_TEST_PYTHON")
        .map_or_else(|| checkout().join(".cache/venv/bin/python"), PathBuf::from);
    let output = Command::new(python)
        .args(["-c", script, &proxy.port().to_string(), address])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", err(&output));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_proxy_serves_beside_a_catalog_of_another_version() {
    let store = Store::shared();
    let settings = Settings {
        schema: "op_versions".to_owned(),
        ..Settings::default()
    };
    drop(Proxy::start(store, &settings));
    let mut root = store.root();
    let newer = "UPDATE op_versions.schema_migrations SET version = version + 999";
    let older = "DELETE FROM op_versions.schema_migrations";
    for (change, told) in [
        (newer, "this PredictSQL knows only up to"),
        (older, "is not set up for this version"),
    ] {
        root.run(change);
        let proxy = Proxy::start(store, &settings);
        assert!(proxy.log().contains(told), "{change}");
        assert_told(told);
        assert_eq!(proxy.root().value("SELECT 1").as_deref(), Some("1"));
        assert_eq!(proxy.root().rows("SHOW TASKS").len(), 0);
        assert_eq!(
            init(store, "op_versions", &[]).status.success(),
            change == older
        );
    }
}

/// As where a program that collects the log has died.
#[test]
fn a_proxy_whose_log_nobody_reads_stops_in_order() {
    let mut child = binary_command()
        .args(["serve", "--listen", "127.0.0.1:0", "--http", "off"])
        .args(["--store", &Store::shared().url()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stderr.take());
    let mut ready = String::new();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    stdout.read_line(&mut ready).unwrap();
    assert!(ready.starts_with("ready: "), "{ready}");
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    let ended = catch_unwind(AssertUnwindSafe(|| {
        eventually("the proxy ends", || child.try_wait().unwrap())
    }));
    if ended.is_err() {
        child.kill().unwrap();
    }
    assert!(ended.unwrap().success());
}
