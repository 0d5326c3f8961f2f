//! `init`, its printed script, and an embedded store's account.

use std::io::Write;
use std::process::{Command, Stdio};

use mysql_async::prelude::Queryable;
use predictsql_catalog::store::{SchemaName, bootstrap};
use predictsql_proxy::account::{ServiceAccount, StoreAddress};
use predictsql_proxy::init::{ServiceUser, init, init_embedded, script};

use crate::bench::{Bench, TASK};
use crate::fixture::{Store, connect};

#[tokio::test]
async fn init_again_changes_the_password_and_keeps_the_catalog() {
    let mut bench = Bench::new("ddl_again").await;
    bench.run(TASK).await.unwrap();
    let user = ServiceUser {
        name: "svc_ddl_again".to_owned(),
        hosts: vec!["localhost".to_owned()],
        password: "new".to_owned(),
    };
    init(&mut bench.root, &bench.schema, &user).await.unwrap();
    connect(&Store::shared().socket(), "svc_ddl_again", Some("new"))
        .await
        .unwrap();
    bench.account.invalidate();
    // The pool's open connection lives on.
    assert_eq!(bench.account.snapshot().await.unwrap().tasks().count(), 1);
}

#[tokio::test]
async fn an_embedded_store_gets_an_account_each_time_it_starts() {
    let mut root = Store::shared().root().await;
    let schema = SchemaName::parse("ddl_embedded").unwrap();
    let store = StoreAddress::Unix(Store::shared().socket());
    let dir = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let config = init_embedded(&store, None, dir.path(), &schema)
            .await
            .unwrap();
        let account = ServiceAccount::start(config).unwrap();
        account.check().await.unwrap();
        account.snapshot().await.unwrap();
    }
    bootstrap(&mut root, &schema).await.unwrap();
}

#[tokio::test]
async fn the_printed_script_does_what_init_does() {
    let mut root = Store::shared().root().await;
    let user = ServiceUser {
        name: "predictsql_script".to_owned(),
        hosts: vec!["localhost".to_owned()],
        password: String::new(),
    };
    let printed = script(&SchemaName::parse("ddl_script").unwrap(), &user);
    let mut client = Command::new("mariadb")
        .args(["--no-defaults", "--user=root", "--socket"])
        .arg(Store::shared().socket())
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let script = printed.replace("<password>", "pw");
    client
        .stdin
        .take()
        .unwrap()
        .write_all(script.as_bytes())
        .unwrap();
    assert!(client.wait().unwrap().success());
    connect(&Store::shared().socket(), "predictsql_script", Some("pw"))
        .await
        .unwrap();

    // The same tables and functions as a bootstrap makes, down to the letter.
    let schema = SchemaName::parse("ddl_boot").unwrap();
    bootstrap(&mut root, &schema).await.unwrap();
    for table in [
        "schema_migrations",
        "meta",
        "tasks",
        "classes",
        "models",
        "evaluations",
        "votes",
        "model_stats",
        "confusion",
        "task_constraints",
        "task_priors",
        "task_options",
    ] {
        let mut made = Vec::new();
        for schema in ["ddl_script", "ddl_boot"] {
            let sql = format!("SHOW CREATE TABLE {schema}.{table}");
            let (_, text): (String, String) = root.query_first(sql).await.unwrap().unwrap();
            made.push(text);
        }
        assert_eq!(made[0], made[1]);
    }
    let made = SchemaName::parse("ddl_script").unwrap();
    bootstrap(&mut root, &made).await.unwrap();
}
