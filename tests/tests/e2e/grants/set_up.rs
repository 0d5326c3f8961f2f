//! The schemas beside the catalog's: databases of others,
//! and stores that were set up when there was only one.

use predictsql_tests::binary::binary_command;
use predictsql_tests::{Proxy, Settings, Store, Wire, apparel, eventually};
use std::process::Output;

use crate::differential::shop::model;

fn init(schema: &str) -> Output {
    binary_command()
        .args([
            "init",
            "--store",
            &Store::shared().url(),
            "--schema",
            schema,
        ])
        .args(["--service-user", &format!("service_{schema}")])
        .env("PREDICTSQL_SERVICE_PASSWORD", "it's a \\ secret")
        .output()
        .unwrap()
}

fn schemata(root: &mut Wire, like: &str) -> Vec<String> {
    let sql = format!(
        "SELECT schema_name FROM information_schema.schemata WHERE schema_name LIKE '{like}' ORDER BY 1"
    );
    root.rows(&sql).into_iter().flatten().flatten().collect()
}

#[test]
fn databases_of_others_are_refused_and_not_touched() {
    let mut root = Store::shared().root();
    for (schema, name, content) in [
        (
            "grfa",
            "grfa_session",
            "CREATE TABLE grfa_session.mine (a INT)",
        ),
        (
            "grfb",
            "grfb_service",
            "CREATE TABLE grfb_service.mine (a INT)",
        ),
        (
            "grfc",
            "grfc_service",
            "CREATE PROCEDURE grfc_service.view_definitions() SELECT 1",
        ),
        (
            "grfd",
            "grfd_service",
            "CREATE FUNCTION grfd_service.mine() RETURNS INT RETURN 1",
        ),
    ] {
        root.run(&format!("CREATE DATABASE {name}"));
        root.run(content);
        let output = init(schema);
        assert!(!output.status.success(), "{schema}");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        let sentence = format!("database '{name}' exists and is not PredictSQL's");
        assert!(told.contains(&sentence), "{told}");
        assert_eq!(schemata(&mut root, &format!("{schema}%")), [name]);
        let rights = format!("SELECT COUNT(*) FROM mysql.db WHERE db LIKE '{schema}%'");
        assert_eq!(root.value(&rights).as_deref(), Some("0"));
        root.run(&format!("DROP DATABASE {name}"));
        assert!(init(schema).status.success());
        assert!(init(schema).status.success(), "and again");
    }
}

/// As up to version 6: the procedure in the catalog's own schema,
/// and the service account with the right to that.
#[test]
fn a_store_of_the_version_before_is_told_of_once_and_mended_by_init() {
    let settings = Settings {
        schema: "grold".to_owned(),
        ..Settings::default()
    };
    let store = Store::shared();
    let proxy = Proxy::start(store, &settings);
    proxy.root().run(&apparel::create_task());
    proxy.root().run(&model("apparel_nano").statement());
    drop(proxy);
    let mut root = store.root();
    for sql in [
        "CREATE DATABASE grold_shop",
        "CREATE TABLE grold_shop.products AS SELECT 1 AS id, 'photos/00001.png' AS photo",
        "CREATE VIEW grold_shop.kinds AS SELECT id, grold.apparel(photo) AS kind, photo FROM grold_shop.products",
        "DELETE FROM grold.schema_migrations WHERE version > 6",
        "DROP DATABASE grold_service",
        "CREATE PROCEDURE grold.view_definitions() READS SQL DATA SQL SECURITY DEFINER \
         SELECT 'x', 'x', 'x', 'x', 'x'",
        "GRANT EXECUTE ON PROCEDURE grold.view_definitions TO 'service_grold'@'127.0.0.1'",
        "CREATE USER gr_older@'127.0.0.1'",
        "GRANT EXECUTE ON grold.* TO gr_older@'127.0.0.1'",
    ] {
        root.run(sql);
    }
    let proxy = Proxy::start(store, &settings);
    let view = "SELECT kind FROM grold_shop.kinds";
    assert_eq!(proxy.root().error(view).code, 1644);
    let call = "SELECT grold.apparel(photo) FROM grold_shop.products";
    assert!(proxy.root().value(call).is_some(), "all else works");
    let warnings = |proxy: &Proxy| {
        let log = proxy.log();
        let told = log
            .lines()
            .filter(|line| line.contains("WARN") && line.contains("run `predictsql init`"));
        told.count()
    };
    assert_eq!(warnings(&proxy), 1, "{}", proxy.log());
    drop(proxy);

    assert!(init("grold").status.success());
    let mut other = Wire::login(store.address(), "gr_older", "", None).unwrap();
    assert!([1305, 1370].contains(&other.error("CALL grold.view_definitions()").code));
    let left = "SELECT COUNT(*) FROM mysql.proc WHERE db = 'grold' AND type = 'PROCEDURE'";
    assert_eq!(root.value(left).as_deref(), Some("0"));
    let proxy = Proxy::start(store, &settings);
    eventually("the view is seen", || proxy.root().query(view).ok());
    assert_eq!(warnings(&proxy), 0, "{}", proxy.log());
    drop(proxy);

    // A right that was taken away.
    for host in ["127.0.0.1", "localhost", "::1"] {
        root.run(&format!(
            "REVOKE EXECUTE ON PROCEDURE grold_service.view_definitions FROM 'service_grold'@'{host}'"
        ));
    }
    let proxy = Proxy::start(store, &settings);
    eventually("it is told", || (warnings(&proxy) == 1).then_some(()));
    assert!(
        proxy
            .log()
            .contains("by 'grold_service': run `predictsql init` again")
    );
    assert!(init("grold").status.success());
    eventually("the view is seen", || proxy.root().query(view).ok());
    assert_eq!(warnings(&proxy), 1, "{}", proxy.log());
}
