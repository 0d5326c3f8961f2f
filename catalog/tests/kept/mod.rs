//! Outputs of models in the store: kept, found, marked, evicted.

use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use predictsql_catalog::store::{
    KeptOutput, OUTPUT_BYTES_MAX, evict_outputs, mark_outputs_used, read_outputs, write_outputs,
};

use crate::fixture::{Store, value};
use crate::set_up;

fn kept(output: u8, input: u8, scores: &[u8]) -> KeptOutput {
    KeptOutput {
        output: [output; 16],
        input: [input; 16],
        scores: scores.to_vec(),
    }
}

#[tokio::test]
async fn outputs_are_kept_once_found_by_model_and_input_and_marked_when_used() {
    let (mut conn, schema) = set_up("kept").await;
    let all = [kept(1, 1, b"\0'\xff\\"), kept(1, 2, b""), kept(2, 1, b"x")];
    assert_eq!(write_outputs(&mut conn, &schema, &all).await.unwrap(), 3);
    let again = [kept(1, 1, b"other"), kept(1, 3, b"new")];
    assert_eq!(write_outputs(&mut conn, &schema, &again).await.unwrap(), 1);
    let long = [kept(1, 9, &vec![0; OUTPUT_BYTES_MAX + 1])];
    assert_eq!(write_outputs(&mut conn, &schema, &long).await.unwrap(), 0);
    let inputs = [[1; 16], [2; 16], [9; 16]];
    let mut found = read_outputs(&mut conn, &schema, [1; 16], &inputs)
        .await
        .unwrap();
    found.sort_by_key(|f| f.kept.input);
    assert!(found.iter().all(|f| !f.unmarked));
    let found: Vec<KeptOutput> = found.into_iter().map(|f| f.kept).collect();
    assert_eq!(found, all[..2]);

    conn.query_drop("UPDATE kept.predictions SET used_at = used_at - 30")
        .await
        .unwrap();
    mark_outputs_used(&mut conn, &schema, [1; 16], &inputs[..1])
        .await
        .unwrap();
    let found = read_outputs(&mut conn, &schema, [1; 16], &inputs)
        .await
        .unwrap();
    let unmarked = found.iter().filter(|f| f.unmarked).map(|f| f.kept.input[0]);
    assert_eq!(unmarked.collect::<Vec<u8>>(), [2]);
}

#[tokio::test]
async fn the_outputs_used_least_recently_go_when_there_are_too_many() {
    let (mut conn, schema) = set_up("evicted").await;
    let rows: Vec<KeptOutput> = (0..100).map(|input| kept(1, input, b"x")).collect();
    write_outputs(&mut conn, &schema, &rows).await.unwrap();
    conn.query_drop("UPDATE evicted.predictions SET used_at = ORD(input)")
        .await
        .unwrap();
    let evict = async |conn: &mut Conn, rows_max, deletes_max| {
        let evicted = evict_outputs(conn, &schema, rows_max, deletes_max);
        evicted.await.unwrap()
    };
    assert_eq!(evict(&mut conn, 100, 5).await, (0, false));
    assert_eq!(evict(&mut conn, 50, 0).await, (0, true));
    let mut other = Store::shared().root().await;
    other
        .query_drop("DO GET_LOCK('predictsql evict evicted', 0)")
        .await
        .unwrap();
    assert_eq!(evict(&mut conn, 50, 5).await, (0, false), "another does it");
    other
        .query_drop("DO RELEASE_LOCK('predictsql evict evicted')")
        .await
        .unwrap();
    assert_eq!(evict(&mut conn, 50, 5).await, (55, false));
    let left = "SELECT CONCAT(COUNT(*), ' ', MIN(used_at)) FROM evicted.predictions";
    assert_eq!(value(&mut conn, left).await.as_deref(), Some("45 55"));
}
