//! What programs with mysql_async do: every type by text and binary, streams,
//! several results, local files, resets.

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use mysql_async::prelude::Queryable;
use mysql_async::{
    ChangeUserOpts, Column, Conn, Error, OptsBuilder, Params, Pool, Row, SslOpts, TxOpts, Value,
};

use crate::place::Place;
use crate::transcript::{Transcript, every_type, shown};

const LARGE_ROWS: u64 = 100_000;
const LARGE_BYTES: usize = 18 << 20;

/// The suite.
pub fn run(place: &Place) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(steps(place))
}

async fn steps(place: &Place) -> String {
    let mut conn = Conn::new(opts(place)).await.unwrap();
    if let Some(labels) = place.expected {
        predict(&mut conn, labels).await;
        return String::new();
    }
    let mut out = Transcript::default();
    types(&mut out, &mut conn).await;
    parameters(&mut out, &mut conn).await;
    transactions(&mut out, &mut conn, place).await;
    large(&mut out, &mut conn).await;
    errors(&mut out, &mut conn).await;
    several(&mut out, &mut conn).await;
    local_files(&mut out, place).await;
    resets(&mut out, &mut conn, place).await;
    logins(&mut out, place).await;
    conn.disconnect().await.unwrap();
    out.end()
}

fn opts(place: &Place) -> OptsBuilder {
    let tls = place
        .ca
        .clone()
        .map(|ca| SslOpts::default().with_root_certs(vec![ca.into()]));
    OptsBuilder::default()
        .ip_or_hostname(place.address.ip().to_string())
        .tcp_port(place.address.port())
        .user(Some(&place.user))
        .pass(Some(place.password))
        .db_name(Some(&place.database))
        .prefer_socket(false)
        .max_allowed_packet(Some(64 << 20))
        .ssl_opts(tls)
}

fn column(column: &Column) -> String {
    format!(
        "{:?} of {:?}: {:?} {:?} {} {} {}",
        column.name_str(),
        column.org_table_str(),
        column.column_type(),
        column.flags(),
        column.column_length(),
        column.character_set(),
        column.decimals()
    )
}

fn cells(row: Row) -> Vec<String> {
    let cell = |value| match value {
        Value::Bytes(bytes) => format!("'{}'", shown(&bytes)),
        other => format!("{other:?}"),
    };
    row.unwrap().into_iter().map(cell).collect()
}

fn say_rows(out: &mut Transcript, step: &str, rows: Vec<Row>) {
    if let Some(row) = rows.first() {
        let columns: Vec<String> = row.columns_ref().iter().map(column).collect();
        out.say(step, columns);
    }
    for row in rows {
        out.say(step, cells(row));
    }
}

fn say_error(out: &mut Transcript, step: &str, result: Result<Vec<Row>, Error>) {
    match result {
        Err(Error::Server(error)) => out.say(step, (error.code, error.state, error.message)),
        Err(other) => panic!("{step}: {other}"),
        Ok(_) => panic!("{step} was not refused"),
    }
}

async fn types(out: &mut Transcript, conn: &mut Conn) {
    conn.query_drop("SET time_zone = '+00:00'").await.unwrap();
    for statement in every_type() {
        conn.query_drop(statement).await.unwrap();
        out.say(
            "made",
            (conn.affected_rows(), conn.last_insert_id(), conn.info()),
        );
    }
    let sql = "SELECT * FROM every_type ORDER BY id";
    let rows: Vec<Row> = conn.query(sql).await.unwrap();
    assert_eq!(rows.len(), 5);
    say_rows(out, "text", rows);
    let rows: Vec<Row> = conn.exec(sql, ()).await.unwrap();
    say_rows(out, "binary", rows);
    let statement = conn
        .prep("SELECT c_int + ? AS sum, ? AS given FROM every_type")
        .await
        .unwrap();
    let columns: Vec<String> = statement.columns().iter().map(column).collect();
    let params: Vec<String> = statement.params().iter().map(column).collect();
    out.say("prepared", (columns, params));
    conn.close(statement).await.unwrap();
}

async fn parameters(out: &mut Transcript, conn: &mut Conn) {
    let statement = conn
        .prep("SELECT ? AS a, CONCAT(?, '!') AS b, ? IS NULL AS c")
        .await
        .unwrap();
    let moment = Value::Date(2024, 2, 29, 1, 2, 3, 456_789);
    let values: [[Value; 3]; 6] = [
        [1.into(), "x".into(), Value::NULL],
        ["text".into(), 2.into(), 3.into()],
        [Value::NULL, Value::NULL, Value::NULL],
        [moment.clone(), moment, Value::Time(true, 2, 3, 4, 5, 6)],
        [u64::MAX.into(), i64::MIN.into(), f64::MAX.into()],
        [
            "ü".repeat(70_000).into(),
            1.5f32.into(),
            vec![0u8, 255].into(),
        ],
    ];
    for values in values {
        let rows: Vec<Row> = conn.exec(&statement, values.to_vec()).await.unwrap();
        say_rows(out, "again", rows);
    }
    conn.query_drop(
        "CREATE TABLE given (id INT AUTO_INCREMENT PRIMARY KEY, n DOUBLE, s TEXT, b BLOB)",
    )
    .await
    .unwrap();
    let rows = (0..500).map(|n| {
        Params::Positional(vec![
            (n / 3).into(),
            format!("row {n}").into(),
            vec![0u8, 1, 255].into(),
        ])
    });
    conn.exec_batch("INSERT INTO given (n, s, b) VALUES (?, ?, ?)", rows)
        .await
        .unwrap();
    out.say("batch", (conn.affected_rows(), conn.last_insert_id()));
    let named = Params::from(vec![("low", Value::from(3)), ("high", Value::from(5))]);
    let rows: Vec<Row> = conn
        .exec(
            "SELECT * FROM given WHERE id BETWEEN :low AND :high ORDER BY id",
            named,
        )
        .await
        .unwrap();
    say_rows(out, "named", rows);
    for sql in [
        "UPDATE given SET n = 5 WHERE id < 4",
        "DELETE FROM given WHERE id > 490",
        "REPLACE INTO given (id) VALUES (1)",
    ] {
        conn.query_drop(sql).await.unwrap();
        out.say(
            sql,
            (conn.affected_rows(), conn.last_insert_id(), conn.info()),
        );
    }
}

async fn transactions(out: &mut Transcript, conn: &mut Conn, place: &Place) {
    let mut other = Conn::new(opts(place)).await.unwrap();
    let count = "SELECT COUNT(*) FROM account";
    conn.query_drop("CREATE TABLE account (id INT PRIMARY KEY)")
        .await
        .unwrap();
    let mut transaction = conn.start_transaction(TxOpts::default()).await.unwrap();
    transaction
        .query_drop("INSERT INTO account VALUES (1), (2)")
        .await
        .unwrap();
    out.say(
        "before the commit",
        other.query_first::<u32, _>(count).await.unwrap(),
    );
    transaction.commit().await.unwrap();
    out.say(
        "after the commit",
        other.query_first::<u32, _>(count).await.unwrap(),
    );
    let mut transaction = conn.start_transaction(TxOpts::default()).await.unwrap();
    for sql in [
        "DELETE FROM account WHERE id = 1",
        "SAVEPOINT a",
        "DELETE FROM account",
        "ROLLBACK TO a",
    ] {
        transaction.query_drop(sql).await.unwrap();
    }
    out.say(
        "to the savepoint",
        transaction.query_first::<u32, _>(count).await.unwrap(),
    );
    transaction.rollback().await.unwrap();
    assert_eq!(conn.query_first::<u32, _>(count).await.unwrap(), Some(2));
    let mut read_only = TxOpts::default();
    read_only.with_readonly(true);
    let mut transaction = conn.start_transaction(read_only).await.unwrap();
    say_error(
        out,
        "read only",
        transaction.query("DELETE FROM account").await,
    );
    transaction.rollback().await.unwrap();
    other.disconnect().await.unwrap();
}

async fn large(out: &mut Transcript, conn: &mut Conn) {
    let sql = format!("SELECT seq, REPEAT('x', seq % 100) FROM seq_1_to_{LARGE_ROWS}");
    let total = LARGE_ROWS * (LARGE_ROWS + 1) / 2;
    let streamed = conn.query_stream::<(u64, Vec<u8>), _>(&sql).await.unwrap();
    let sum = streamed
        .try_fold(0, |sum, row| async move { Ok(sum + row.0) })
        .await;
    assert_eq!(sum.unwrap(), total);
    let streamed = conn
        .exec_stream::<(u64, Vec<u8>), _, _>(&sql, ())
        .await
        .unwrap();
    let sum = streamed
        .try_fold(0, |sum, row| async move { Ok(sum + row.0) })
        .await;
    assert_eq!(sum.unwrap(), total);
    // A stream that is dropped before its end; the next statement reads the rest.
    let mut streamed = conn.query_stream::<(u64, Vec<u8>), _>(&sql).await.unwrap();
    assert_eq!(streamed.next().await.unwrap().unwrap().0, 1);
    drop(streamed);
    out.say(
        "after it",
        conn.query_first::<String, _>("SELECT 'after'")
            .await
            .unwrap(),
    );
    let value: Vec<u8> = (0..LARGE_BYTES).map(|n| (n % 251) as u8).collect();
    conn.query_drop("CREATE TABLE large (b LONGBLOB)")
        .await
        .unwrap();
    conn.exec_drop("INSERT INTO large VALUES (?)", (&value,))
        .await
        .unwrap();
    let by_text: Option<Vec<u8>> = conn.query_first("SELECT b FROM large").await.unwrap();
    let by_binary: Option<Vec<u8>> = conn.exec_first("SELECT b FROM large", ()).await.unwrap();
    assert!(
        by_text.as_ref() == Some(&value) && by_binary == by_text,
        "the large value is another"
    );
}

async fn errors(out: &mut Transcript, conn: &mut Conn) {
    conn.query_drop("CREATE TABLE wrong (id INT PRIMARY KEY, s VARCHAR(3) NOT NULL)")
        .await
        .unwrap();
    let late =
        "SELECT (SELECT 1 FROM seq_1_to_2 b WHERE b.seq + 4998 < a.seq) FROM seq_1_to_6000 a";
    for sql in [
        "SELEC 1",
        "SELECT * FROM nowhere",
        "SELECT nothing FROM wrong",
        "INSERT INTO wrong VALUES (1, 'long')",
        "INSERT INTO wrong VALUES (1, NULL)",
        "INSERT INTO wrong VALUES (1, 'a'), (1, 'b')",
        "CREATE DATABASE elsewhere",
        "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'own grün'",
        late,
    ] {
        say_error(out, sql, conn.query(sql).await);
        say_error(out, sql, conn.exec(sql, ()).await);
        assert_eq!(
            conn.query_first::<u8, _>("SELECT 1").await.unwrap(),
            Some(1)
        );
    }
    conn.query_drop("SELECT 1/0").await.unwrap();
    out.say("warnings", conn.get_warnings());
    say_rows(out, "warnings", conn.query("SHOW WARNINGS").await.unwrap());
}

async fn several(out: &mut Transcript, conn: &mut Conn) {
    let body = "SELECT n, doubled; SELECT seq FROM seq_1_to_3; SET doubled = n * 2";
    conn.query_drop(format!(
        "CREATE PROCEDURE several(IN n INT, OUT doubled INT) BEGIN {body}; END"
    ))
    .await
    .unwrap();
    let texts = [
        "SELECT 1 AS a; DO 1; SELECT 'é' AS e; INSERT INTO wrong VALUES (2, 'b'); SELECT 3",
        "CALL several(4, @out); SELECT @out",
    ];
    for sql in texts {
        let mut result = conn.query_iter(sql).await.unwrap();
        while !result.is_empty() {
            out.say("set", (result.affected_rows(), result.last_insert_id()));
            say_rows(out, "set", result.collect().await.unwrap());
        }
    }
    // The binary protocol hands OUT parameters back as a result of its own.
    let mut result = conn.exec_iter("CALL several(?, ?)", (4, 0)).await.unwrap();
    while !result.is_empty() {
        say_rows(out, "binary set", result.collect().await.unwrap());
    }
    drop(result);
    say_error(
        out,
        "the second is wrong",
        all_rows(conn, "SELECT 1; SELECT * FROM nowhere; SELECT 3").await,
    );
}

async fn all_rows(conn: &mut Conn, sql: &str) -> Result<Vec<Row>, Error> {
    let mut result = conn.query_iter(sql).await?;
    let mut rows = Vec::new();
    while !result.is_empty() {
        rows.extend(result.collect::<Row>().await?);
    }
    result.drop_result().await?;
    Ok(rows)
}

async fn local_files(out: &mut Transcript, place: &Place) {
    let mut conn = Conn::new(opts(place)).await.unwrap();
    conn.query_drop("CREATE TABLE loaded (n INT PRIMARY KEY, s VARCHAR(40))")
        .await
        .unwrap();
    let sql = "LOAD DATA LOCAL INFILE 'rows' IGNORE INTO TABLE loaded";
    for lines in [20_000, 0, 3] {
        conn.set_infile_handler(async move {
            let chunks = (0..lines).map(|n| Ok(Bytes::from(format!("{n}\tline {n} ü\n"))));
            Ok(stream::iter(chunks).boxed())
        });
        conn.query_drop(sql).await.unwrap();
        out.say(
            "loaded",
            (conn.affected_rows(), conn.info(), conn.get_warnings()),
        );
    }
    say_rows(
        out,
        "loaded",
        conn.query("SELECT COUNT(*), SUM(n), MAX(s) FROM loaded")
            .await
            .unwrap(),
    );
    conn.disconnect().await.unwrap();
}

async fn resets(out: &mut Transcript, conn: &mut Conn, place: &Place) {
    let state = "SELECT @kept, DATABASE(), CURRENT_USER(), @@lock_wait_timeout = 5";
    let set = "SET @kept = 1, @@lock_wait_timeout = 5";
    conn.query_drop(set).await.unwrap();
    conn.ping().await.unwrap();
    say_rows(out, "state", conn.query(state).await.unwrap());
    assert!(conn.reset().await.unwrap());
    say_rows(out, "reset", conn.query(state).await.unwrap());
    conn.query_drop(set).await.unwrap();
    let to = ChangeUserOpts::default()
        .with_user(Some(place.user.clone()))
        .with_pass(Some(place.password.to_owned()))
        .with_db_name(Some(place.database.clone()));
    conn.change_user(to).await.unwrap();
    say_rows(out, "changed", conn.query(state).await.unwrap());
    let pool = Pool::new(opts(place));
    for n in 0..20u32 {
        let mut pooled = pool.get_conn().await.unwrap();
        let sum: Option<u32> = pooled.exec_first("SELECT ? + 1", (n,)).await.unwrap();
        assert_eq!(sum, Some(n + 1));
    }
    pool.disconnect().await.unwrap();
}

async fn logins(out: &mut Transcript, place: &Place) {
    for (step, opts) in [
        ("a wrong password", opts(place).pass(Some("wrong"))),
        ("no password", opts(place).pass(None::<String>)),
        ("a foreign database", opts(place).db_name(Some("mysql"))),
    ] {
        match Conn::new(opts).await {
            Err(Error::Server(error)) => out.say(step, (error.code, error.state, error.message)),
            Err(other) => panic!("{step}: {other}"),
            Ok(_) => panic!("{step} was not refused"),
        }
    }
}

async fn predict(conn: &mut Conn, labels: &[String]) {
    let sql = "SELECT ml.predict('apparel', photo) FROM photos ORDER BY id";
    assert_eq!(conn.query::<String, _>(sql).await.unwrap(), labels);
    let statement = conn
        .prep("SELECT ml.predict('apparel', photo) FROM photos WHERE id <= ? ORDER BY id")
        .await
        .unwrap();
    for count in [labels.len(), 3] {
        let found: Vec<String> = conn.exec(&statement, (count,)).await.unwrap();
        assert_eq!(found, labels[..count]);
    }
}
