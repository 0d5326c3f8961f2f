//! A catalog of an older version, brought up to date.

use mysql_async::prelude::Queryable;
use predictsql_catalog::store::{StoreError, bootstrap, check, create_task};

use super::{set_up, snapshot, task};

#[tokio::test]
async fn an_older_catalog_is_refused_until_a_bootstrap_brings_it_up_to_date() {
    let (mut conn, schema) = set_up("older").await;
    conn.query_drop(
        "DROP TABLE older.task_priors, older.task_options; DELETE FROM older.schema_migrations WHERE version > 5",
    )
    .await
    .unwrap();
    let refused = check(&mut conn, &schema).await;
    assert!(matches!(refused, Err(StoreError::NotSetUp { .. })));
    bootstrap(&mut conn, &schema).await.unwrap();
    check(&mut conn, &schema).await.unwrap();
    let mut new = task("animals");
    new.task.image_roots = vec!["/".repeat(4096)];
    create_task(&mut conn, &schema, &new).await.unwrap();
    let read = snapshot(&mut conn, &schema).await.unwrap();
    assert_eq!(read.task("animals").map(|task| &**task), Some(&new.task));
}
