//! The service account: its cache, its connections and its limits.

use mysql_async::prelude::Queryable;
use predictsql_catalog::Snapshot;
use predictsql_catalog::store::SchemaName;
use predictsql_proxy::account::{AccountConfig, AccountError, ServiceAccount, StoreAddress};
use predictsql_proxy::error::SqlError;

use crate::bench::{Bench, TASK};
use crate::fixture::{Store, value};

#[tokio::test]
async fn the_cached_catalog_is_kept_until_an_own_change_and_looked_at_again_after_it() {
    let mut bench = Bench::new("ddl_cache").await;
    bench.run(TASK).await.unwrap();
    let first = bench.account.snapshot().await.unwrap();
    let again = bench.account.snapshot().await.unwrap();
    assert!(std::sync::Arc::ptr_eq(&first, &again));
    let change = "UPDATE ddl_cache.tasks SET accuracy_slack_points = 7";
    bench.root.query_drop(change).await.unwrap();
    // Without a new epoch nothing is read again, but the look itself is made.
    bench.account.invalidate();
    let slack = |catalog: &Snapshot| catalog.task("animals").unwrap().accuracy_slack_points;
    assert_eq!(slack(&bench.account.snapshot().await.unwrap()), 2.0);
    bench
        .root
        .query_drop("UPDATE ddl_cache.meta SET epoch = epoch + 1")
        .await
        .unwrap();
    assert_eq!(slack(&bench.account.snapshot().await.unwrap()), 2.0);
    bench.account.invalidate();
    assert_eq!(slack(&bench.account.snapshot().await.unwrap()), 7.0);
}

#[tokio::test]
async fn the_account_serves_many_runtimes_and_outlives_each() {
    let bench = Bench::new("ddl_runtimes").await;
    bench.run(TASK).await.unwrap();
    for _ in 0..3 {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let account = bench.account.clone();
                std::thread::spawn(move || {
                    let runtime = tokio::runtime::Builder::new_current_thread()
                        .enable_all()
                        .build()
                        .unwrap();
                    runtime.block_on(async move {
                        account.invalidate();
                        account.snapshot().await.unwrap().tasks().count()
                    })
                })
            })
            .collect();
        for thread in threads {
            assert_eq!(thread.join().unwrap(), 1);
        }
    }
    bench.account.close().await;
    bench.account.invalidate();
    assert!(matches!(
        bench.account.snapshot().await,
        Err(AccountError::Stopped)
    ));
}

#[tokio::test]
async fn connections_that_the_store_closed_are_replaced() {
    let mut bench = Bench::new("ddl_killed").await;
    bench.run(TASK).await.unwrap();
    for _ in 0..3 {
        bench.account.snapshot().await.unwrap();
        let kill = "KILL USER 'svc_ddl_killed'@'localhost'";
        bench.root.query_drop(kill).await.unwrap();
        // The store closes a killed connection a moment later.
        let left =
            "SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'svc_ddl_killed'";
        while value(&mut bench.root, left).await.as_deref() != Some("0") {}
        bench.account.invalidate();
        assert_eq!(bench.account.snapshot().await.unwrap().tasks().count(), 1);
    }
}

#[tokio::test]
async fn the_service_account_can_do_no_more_than_its_work() {
    let mut bench = Bench::new("ddl_least").await;
    bench
        .root
        .query_drop("CREATE DATABASE ddl_secret; CREATE TABLE ddl_secret.t (a INT)")
        .await
        .unwrap();
    for sql in [
        "SELECT * FROM ddl_secret.t",
        "SELECT * FROM mysql.user",
        "CREATE TABLE ddl_least.x (a INT)",
        "DROP TABLE ddl_least.models",
        "DELETE FROM ddl_least.schema_migrations",
        "CREATE USER x",
    ] {
        let result = bench
            .account
            .run(move |mut conn, _| async move { Ok(conn.query_drop(sql).await?) })
            .await;
        let Err(AccountError::Store(error)) = result else {
            panic!("{sql} was allowed")
        };
        assert!(
            matches!(error.server_code(), Some(1044 | 1142 | 1227)),
            "{sql}: {error}"
        );
        let shown = SqlError::from(AccountError::Store(error)).message;
        assert!(
            !shown.contains("ddl_least") && !shown.contains("svc"),
            "{shown}"
        );
    }
}

#[tokio::test]
async fn an_account_without_a_catalog_or_login_says_what_to_run() {
    let mut root = Store::shared().root().await;
    root.query_drop(
        "CREATE USER 'bare'@'localhost'; GRANT SELECT ON no_catalog.* TO 'bare'@'localhost'",
    )
    .await
    .unwrap();
    let store = StoreAddress::Unix(Store::shared().socket());
    let mut config = AccountConfig::new(store, "bare", None);
    config.schema = SchemaName::parse("no_catalog").unwrap();
    let account = ServiceAccount::start(config.clone()).unwrap();
    let error = SqlError::from(account.snapshot().await.unwrap_err());
    assert!(error.message.contains("predictsql init"), "{error}");
    assert!(account.check().await.is_err());
    config.password = Some("wrong".to_owned());
    let account = ServiceAccount::start(config).unwrap();
    let error = SqlError::from(account.snapshot().await.unwrap_err());
    assert!(
        error.message.contains("refused the service account"),
        "{error}"
    );
}
