//! What programs with sqlx do: prepared statements by default, raw texts, descriptions,
//! transactions, pools, streams.

use futures_util::TryStreamExt;
use sqlx::mysql::{
    MySqlColumn, MySqlConnectOptions, MySqlConnection, MySqlPoolOptions, MySqlRow, MySqlSslMode,
};
use sqlx::{
    AssertSqlSafe, Column, ConnectOptions, Connection, Either, Error, Executor, Row, Statement,
    TypeInfo,
};

use crate::place::Place;
use crate::transcript::{Transcript, every_type, shown};

const LARGE_ROWS: i64 = 100_000;
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
    let mut connection = options(place).connect().await.unwrap();
    if let Some(labels) = place.expected {
        predict(&mut connection, labels).await;
        return String::new();
    }
    let mut out = Transcript::default();
    types(&mut out, &mut connection).await;
    parameters(&mut out, &mut connection).await;
    transactions(&mut out, &mut connection).await;
    large(&mut connection).await;
    errors(&mut out, &mut connection).await;
    several(&mut out, &mut connection).await;
    connection.ping().await.unwrap();
    connection.close().await.unwrap();
    pool(place).await;
    logins(&mut out, place).await;
    out.end()
}

fn options(place: &Place) -> MySqlConnectOptions {
    MySqlConnectOptions::new()
        .host(&place.address.ip().to_string())
        .port(place.address.port())
        .username(&place.user)
        .password(place.password)
        .database(&place.database)
        .ssl_mode(MySqlSslMode::Disabled)
}

fn column(column: &MySqlColumn) -> String {
    format!("{} {}", column.name(), column.type_info().name())
}

fn say_rows(out: &mut Transcript, step: &str, rows: &[MySqlRow]) {
    if let Some(row) = rows.first() {
        let columns: Vec<String> = row.columns().iter().map(column).collect();
        out.say(step, columns);
    }
    // Each cell as its bytes came: by text, or in the binary form of its type.
    for row in rows {
        let cell = |index| row.try_get_unchecked::<Option<&[u8]>, _>(index).unwrap();
        let cells: Vec<Option<String>> =
            (0..row.len()).map(|index| cell(index).map(shown)).collect();
        out.say(step, cells);
    }
}

fn say_error<T>(out: &mut Transcript, step: &str, result: Result<T, Error>) {
    let error = result
        .err()
        .unwrap_or_else(|| panic!("{step} was not refused"));
    let database = error
        .as_database_error()
        .unwrap_or_else(|| panic!("{step}: {error}"));
    out.say(step, (database.code(), database.kind(), database.message()));
}

async fn types(out: &mut Transcript, connection: &mut MySqlConnection) {
    for statement in every_type() {
        let done = connection
            .execute(sqlx::raw_sql(AssertSqlSafe(statement)))
            .await
            .unwrap();
        out.say("made", (done.rows_affected(), done.last_insert_id()));
    }
    let sql = "SELECT * FROM every_type ORDER BY id";
    let rows = sqlx::raw_sql(sql)
        .fetch_all(&mut *connection)
        .await
        .unwrap();
    assert_eq!(rows.len(), 5);
    say_rows(out, "text", &rows);
    let rows = sqlx::query(sql).fetch_all(&mut *connection).await.unwrap();
    say_rows(out, "binary", &rows);
    let (c_bigint, c_varchar): (i64, String) =
        sqlx::query_as("SELECT c_bigint, c_varchar FROM every_type WHERE id = 1")
            .fetch_one(&mut *connection)
            .await
            .unwrap();
    assert_eq!(c_bigint, -1_234_567_890_123_456_789);
    assert!(c_varchar.starts_with("grün 😀"), "{c_varchar}");
    let statement = connection
        .prepare(sqlx::SqlSafeStr::into_sql_str(
            "SELECT c_int, ? AS given FROM every_type",
        ))
        .await
        .unwrap();
    let columns: Vec<String> = statement.columns().iter().map(column).collect();
    out.say("prepared", (columns, statement.parameters()));
}

async fn parameters(out: &mut Transcript, connection: &mut MySqlConnection) {
    let sql = "SELECT ? AS a, CONCAT(?, '!') AS b";
    let queries = [
        sqlx::query(sql).bind(1i32).bind("x"),
        sqlx::query(sql).bind("text").bind(2.5f64),
        sqlx::query(sql).bind(None::<i64>).bind(None::<String>),
        sqlx::query(sql).bind(u64::MAX).bind(i64::MIN),
        sqlx::query(sql).bind(vec![0u8, 255]).bind(true),
        sqlx::query(sql).bind("ü".repeat(70_000)).bind(1.5f32),
    ];
    for query in queries {
        say_rows(
            out,
            "again",
            &query.fetch_all(&mut *connection).await.unwrap(),
        );
    }
    connection
        .execute("CREATE TABLE given (id INT AUTO_INCREMENT PRIMARY KEY, n DOUBLE, s TEXT)")
        .await
        .unwrap();
    for n in 0..300 {
        let insert = sqlx::query("INSERT INTO given (n, s) VALUES (?, ?)")
            .bind(n as f64 / 3.0)
            .bind(format!("row {n}"));
        let done = insert.execute(&mut *connection).await.unwrap();
        assert_eq!((done.rows_affected(), done.last_insert_id()), (1, n + 1));
    }
    let done = sqlx::query("UPDATE given SET s = ? WHERE id <= ?")
        .bind("x")
        .bind(10)
        .execute(&mut *connection)
        .await
        .unwrap();
    out.say("updated", (done.rows_affected(), done.last_insert_id()));
    // More statements than the client keeps: the oldest are closed.
    for n in 0..150i64 {
        let sql = AssertSqlSafe(format!("SELECT CAST(? AS SIGNED) + {n}"));
        let sum: i64 = sqlx::query_scalar(sql)
            .bind(n)
            .fetch_one(&mut *connection)
            .await
            .unwrap();
        assert_eq!(sum, 2 * n);
    }
    connection
        .execute("ALTER TABLE given ADD COLUMN later INT DEFAULT 9")
        .await
        .unwrap();
    let rows = sqlx::query("SELECT * FROM given WHERE id < ? ORDER BY id")
        .bind(3)
        .fetch_all(&mut *connection)
        .await
        .unwrap();
    say_rows(out, "after a change of the table", &rows);
}

async fn transactions(out: &mut Transcript, connection: &mut MySqlConnection) {
    connection
        .execute("CREATE TABLE account (id INT PRIMARY KEY)")
        .await
        .unwrap();
    let mut outer = connection.begin().await.unwrap();
    outer
        .execute("INSERT INTO account VALUES (1)")
        .await
        .unwrap();
    let mut inner = outer.begin().await.unwrap();
    inner
        .execute("INSERT INTO account VALUES (2)")
        .await
        .unwrap();
    inner.rollback().await.unwrap();
    let mut inner = outer.begin().await.unwrap();
    inner
        .execute("INSERT INTO account VALUES (3)")
        .await
        .unwrap();
    inner.commit().await.unwrap();
    outer.commit().await.unwrap();
    let mut lost = connection.begin().await.unwrap();
    lost.execute("DELETE FROM account").await.unwrap();
    drop(lost);
    let kept: Vec<i32> = sqlx::query_scalar("SELECT id FROM account ORDER BY id")
        .fetch_all(&mut *connection)
        .await
        .unwrap();
    assert_eq!(kept, [1, 3]);
    out.say("kept", kept);
    let mut read_only = connection
        .begin_with("START TRANSACTION READ ONLY")
        .await
        .unwrap();
    say_error(
        out,
        "read only",
        read_only.execute("DELETE FROM account").await,
    );
}

async fn large(connection: &mut MySqlConnection) {
    let sql = AssertSqlSafe(format!(
        "SELECT CAST(seq AS SIGNED), REPEAT('x', seq % 100) FROM seq_1_to_{LARGE_ROWS}"
    ));
    let rows = sqlx::query_as::<_, (i64, String)>(sql).fetch(&mut *connection);
    let sum = rows
        .try_fold(0, |sum, row| async move { Ok(sum + row.0) })
        .await
        .unwrap();
    assert_eq!(sum, LARGE_ROWS * (LARGE_ROWS + 1) / 2);
    // A stream that is dropped before its end.
    let mut rows = sqlx::query("SELECT seq FROM seq_1_to_100000").fetch(&mut *connection);
    assert!(rows.try_next().await.unwrap().is_some());
    drop(rows);
    let value: Vec<u8> = (0..LARGE_BYTES).map(|n| (n % 251) as u8).collect();
    connection
        .execute("CREATE TABLE large (b LONGBLOB)")
        .await
        .unwrap();
    sqlx::query("INSERT INTO large VALUES (?)")
        .bind(&value)
        .execute(&mut *connection)
        .await
        .unwrap();
    let found: Vec<u8> = sqlx::query_scalar("SELECT b FROM large")
        .fetch_one(&mut *connection)
        .await
        .unwrap();
    assert!(found == value, "the large value is another");
}

async fn errors(out: &mut Transcript, connection: &mut MySqlConnection) {
    connection
        .execute("CREATE TABLE wrong (id INT PRIMARY KEY, s VARCHAR(3) NOT NULL)")
        .await
        .unwrap();
    connection
        .execute("CREATE TABLE child (id INT, FOREIGN KEY (id) REFERENCES wrong (id))")
        .await
        .unwrap();
    for sql in [
        "SELEC 1",
        "SELECT * FROM nowhere",
        "SELECT nothing FROM wrong",
        "INSERT INTO wrong VALUES (1, 'long')",
        "INSERT INTO wrong VALUES (1, NULL)",
        "INSERT INTO wrong VALUES (1, 'a'), (1, 'b')",
        "INSERT INTO child VALUES (9)",
        "CREATE DATABASE elsewhere",
        "SELECT (SELECT 1 FROM seq_1_to_2 b WHERE b.seq + 4998 < a.seq) FROM seq_1_to_6000 a",
    ] {
        say_error(
            out,
            sql,
            sqlx::raw_sql(sql).fetch_all(&mut *connection).await,
        );
        say_error(out, sql, sqlx::query(sql).fetch_all(&mut *connection).await);
        let one: i32 = sqlx::query_scalar("SELECT 1")
            .fetch_one(&mut *connection)
            .await
            .unwrap();
        assert_eq!(one, 1);
    }
}

async fn several(out: &mut Transcript, connection: &mut MySqlConnection) {
    let sql = "SELECT 1 AS a; CREATE TABLE made (id INT); INSERT INTO made VALUES (1), (2); SELECT * FROM made; SELECT 'é' AS e";
    let results: Vec<_> = sqlx::raw_sql(sql)
        .fetch_many(&mut *connection)
        .try_collect()
        .await
        .unwrap();
    for result in results {
        match result {
            Either::Left(done) => out.say("done", (done.rows_affected(), done.last_insert_id())),
            Either::Right(row) => say_rows(out, "row", &[row]),
        }
    }
    connection
        .execute("CREATE PROCEDURE two() BEGIN SELECT 1 AS one; SELECT seq FROM seq_1_to_3; END")
        .await
        .unwrap();
    let rows = sqlx::query("CALL two()")
        .fetch_all(&mut *connection)
        .await
        .unwrap();
    for row in &rows {
        say_rows(out, "called", std::slice::from_ref(row));
    }
}

async fn pool(place: &Place) {
    let pool = MySqlPoolOptions::new()
        .max_connections(4)
        .connect_with(options(place))
        .await
        .unwrap();
    let work = |n: i64| {
        let pool = pool.clone();
        async move {
            sqlx::query_scalar::<_, i64>("SELECT CAST(? AS SIGNED) + SLEEP(0)")
                .bind(n)
                .fetch_one(&pool)
                .await
                .unwrap()
        }
    };
    let sums = futures_util::future::join_all((0..40).map(work)).await;
    assert_eq!(sums, (0..40).collect::<Vec<i64>>());
    pool.close().await;
}

async fn logins(out: &mut Transcript, place: &Place) {
    say_error(
        out,
        "a wrong password",
        options(place).password("wrong").connect().await,
    );
    say_error(
        out,
        "a foreign database",
        options(place).database("mysql").connect().await,
    );
}

async fn predict(connection: &mut MySqlConnection, labels: &[String]) {
    let sql = "SELECT ml.predict('apparel', photo) FROM photos ORDER BY id";
    let found: Vec<String> = sqlx::query_scalar(sql)
        .fetch_all(&mut *connection)
        .await
        .unwrap();
    assert_eq!(found, labels);
    let rows = sqlx::raw_sql(sql)
        .fetch_all(&mut *connection)
        .await
        .unwrap();
    let found: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(found, labels);
    let some = "SELECT ml.predict('apparel', photo) FROM photos WHERE id <= ? ORDER BY id";
    for count in [labels.len(), 3] {
        let asked = sqlx::query_scalar(some).bind(count as u64);
        let found: Vec<String> = asked.fetch_all(&mut *connection).await.unwrap();
        assert_eq!(found, labels[..count]);
    }
}
