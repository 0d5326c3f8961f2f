//! Tasks that are bound to image roots stay so.

use mysql_async::prelude::Queryable;
use predictsql_catalog::store::{StoreError, alter_task, create_task};
use predictsql_catalog::task_definition;

use super::{set_up, snapshot, task, value};

#[tokio::test]
async fn a_task_is_not_freed_from_its_image_roots_by_chance() {
    let (mut conn, schema) = set_up("bound").await;
    let new = task("animals");
    create_task(&mut conn, &schema, &new).await.unwrap();
    let known = new.task.clone();
    let mut bound = known.clone();
    bound.image_roots.truncate(1);
    alter_task(&mut conn, &schema, &known, &bound)
        .await
        .unwrap();
    let read = snapshot(&mut conn, &schema).await.unwrap();
    assert_eq!(read.task("animals").map(|task| &**task), Some(&bound));
    let definition = "SELECT definition FROM bound.tasks";
    let shown = value(&mut conn, definition).await;
    assert_eq!(shown, Some(task_definition(&bound)));

    // A change that began before does not bring the former roots back.
    let mut other = known.clone();
    other.accuracy_slack_points = 3.0;
    let stale = alter_task(&mut conn, &schema, &known, &other).await;
    assert!(
        matches!(stale, Err(StoreError::TaskChanged(_))),
        "{stale:?}"
    );
    assert_eq!(value(&mut conn, definition).await, shown);

    // Roots that cannot be read are not the same as none.
    for broken in ["[]", "", "[1]", "/srv/a"] {
        let sql = "UPDATE bound.task_options SET value = ? WHERE name = 'image_roots'";
        conn.exec_drop(sql, (broken,)).await.unwrap();
        let read = snapshot(&mut conn, &schema).await.unwrap();
        assert!(read.task("animals").is_none(), "{broken}");
    }
}
