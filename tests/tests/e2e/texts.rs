//! Spellings of inputs, names of columns, and statements around predictions that differ from
//! session to session and from driver to driver.

use predictsql_proxy::wire::command;
use predictsql_tests::process::checkout;
use predictsql_tests::{Proxy, Settings, Store, Wire};

fn proxy(schema: &str) -> (Proxy, Wire) {
    let settings = Settings {
        schema: schema.to_owned(),
        image_roots: vec![checkout().join("executor/tests/images")],
        model_roots: vec![
            checkout().join("executor/tests/models"),
            checkout().join("executor/tests/columns"),
        ],
        executor: "threads = 2".to_owned(),
        ..Settings::default()
    };
    let proxy = Proxy::start(Store::shared(), &settings);
    let session = proxy.root();
    (proxy, session)
}

/// A task that answers the sum of two columns, and one of classes.
fn make_columns_tasks(session: &mut Wire) {
    let root = checkout().join("executor/tests/columns");
    let model = |name: &str| format!("FROM '{}/{name}.onnx'", root.display());
    session.run("CREATE TASK total KIND REGRESSION INPUT (broken DOUBLE, whole DOUBLE)");
    session.run(&format!(
        "CREATE MODEL total_sum FOR TASK total {}",
        model("sum")
    ));
    session.run(
        "CREATE TASK iris CLASSES ('setosa', 'versicolor', 'virginica') \
         INPUT (sepal_length DOUBLE, sepal_width DOUBLE, petal_length DOUBLE, petal_width DOUBLE)",
    );
    session.run(&format!(
        "CREATE MODEL iris_sk FOR TASK iris {}",
        model("iris_tensor")
    ));
}

#[test]
fn literals_of_each_kind_are_what_a_column_of_them_is() {
    let (_proxy, mut session) = proxy("tx_kinds");
    make_columns_tasks(&mut session);
    session.run("CREATE DATABASE tx_kinds_db");
    session.run("CREATE TABLE tx_kinds_db.t (value DOUBLE)");
    for literal in [
        "b'0'",
        "b'101'",
        "B'1'",
        "0b11",
        "0x41",
        "0x332e35",
        "(0x41)",
        "x'332e35'",
        "DATE'2020-01-01'",
        "TIME'10:11:12'",
        "TIMESTAMP'2020-01-01 01:02:03'",
        "_utf8mb4'3.5'",
        "_latin1'3.5'",
        "N'3.5'",
        "TRUE",
        "1e0",
        ".5",
        "-b'1'",
        "NULL",
    ] {
        session.run("TRUNCATE tx_kinds_db.t");
        session.run(&format!("INSERT INTO tx_kinds_db.t SELECT {literal} + 0e0"));
        let stored = session.rows("SELECT tx_kinds.total(value, 1) FROM tx_kinds_db.t");
        let written = session.rows(&format!("SELECT tx_kinds.total({literal}, 1)"));
        assert_eq!(written, stored, "{literal}");
        let grouped = session.rows(&format!(
            "SELECT MAX(tx_kinds.total({literal}, 1)) FROM tx_kinds_db.t"
        ));
        assert_eq!(grouped, stored, "{literal} in an aggregate");
    }
}

/// The names that a session sees, in the text protocol.
fn names(session: &mut Wire, sql: &[u8]) -> Vec<Vec<u8>> {
    let packets = session.command(&[&[command::QUERY], sql].concat()).unwrap();
    let count = usize::from(packets[0].payload[0]);
    assert!(count < 0xfb, "{}", packets[0].payload.escape_ascii());
    packets[1..=count]
        .iter()
        .map(|packet| name(&packet.payload))
        .collect()
}

/// The names as the store describes the same text.
fn described(session: &mut Wire, sql: &[u8]) -> Vec<Vec<u8>> {
    let packets = session
        .command(&[&[command::STMT_PREPARE], sql].concat())
        .unwrap();
    let head = &packets[0].payload;
    let (columns, parameters) = (usize::from(head[5]), usize::from(head[7]));
    assert_eq!((head[0], parameters), (0, 0));
    packets[1..=columns]
        .iter()
        .map(|packet| name(&packet.payload))
        .collect()
}

/// The alias in a column definition.
fn name(definition: &[u8]) -> Vec<u8> {
    let mut rest = definition;
    let mut name = Vec::new();
    for _ in 0..5 {
        name = predictsql_proxy::wire::lenenc::get_str(&mut rest)
            .unwrap()
            .to_vec();
    }
    name
}

#[test]
fn columns_without_an_alias_are_named_as_the_store_names_them() {
    let (_proxy, mut session) = proxy("tx_names");
    session.run("CREATE TASK pixel KIND REGRESSION");
    session
        .run("CREATE MODEL pixel_model FOR TASK pixel FROM 'first_pixel.onnx' OPTIONS (size = 8)");
    session.run("CREATE DATABASE tx_names_db");
    session.run("CREATE TABLE tx_names_db.t (photo VARCHAR(200)) CHARACTER SET utf8mb4");
    session.run("INSERT INTO tx_names_db.t VALUES ('missing.png')");
    let mut direct = Store::shared().root();
    let long = format!("'{}'", "x".repeat(300));
    let accents = format!("'{}'", "\u{e9}".repeat(300));
    let inputs: [&[u8]; 9] = [
        "'a\u{1f600}.png'".as_bytes(),
        "'\u{e9}'".as_bytes(),
        b"'it''s'",
        br"'a\'b\\c\n'",
        b"'\xe9\xff'",
        b"_binary'\x89PNG\xff\\0'",
        long.as_bytes(),
        accents.as_bytes(),
        b"photo",
    ];
    for charset in ["utf8mb4", "utf8mb3", "latin1", "binary"] {
        for session in [&mut session, &mut direct] {
            session.run(&format!("SET NAMES {charset}"));
        }
        for input in inputs {
            if charset == "latin1" && input.starts_with(b"_binary") {
                continue; // see the test of names that drivers can decode
            }
            let call = [b"tx_names.pixel(", input, b")"].concat();
            for sql in [
                [b"SELECT ", &call[..], b" FROM tx_names_db.t"].concat(),
                [
                    b"SELECT ",
                    &call[..],
                    b", COUNT(*) FROM tx_names_db.t GROUP BY photo",
                ]
                .concat(),
                [
                    b"(SELECT 1, ",
                    &call[..],
                    b" FROM tx_names_db.t) UNION SELECT 2, 3",
                ]
                .concat(),
                [
                    b"SELECT * FROM (SELECT ",
                    &call[..],
                    b" FROM tx_names_db.t) t",
                ]
                .concat(),
            ] {
                let expected = described(&mut direct, &sql);
                let shown = sql.escape_ascii().to_string();
                assert_eq!(names(&mut session, &sql), expected, "{charset}: {shown}");
                assert_eq!(
                    described(&mut session, &sql),
                    expected,
                    "{charset}, prepared: {shown}"
                );
            }
        }
    }
}

#[test]
fn a_name_with_the_data_of_an_image_can_be_decoded() {
    let (_proxy, mut session) = proxy("tx_data");
    session.run("CREATE TASK pixel KIND REGRESSION");
    session
        .run("CREATE MODEL pixel_model FOR TASK pixel FROM 'first_pixel.onnx' OPTIONS (size = 8)");
    for charset in ["utf8mb4", "latin1"] {
        session.run(&format!("SET NAMES {charset}"));
        let found = names(&mut session, b"SELECT tx_data.pixel('\x89PNG\x81\\0')");
        assert_eq!(found, [br"tx_data.pixel('\x89PNG\x81\0')"], "{charset}");
    }
}

#[test]
fn elements_that_the_parser_does_not_know_need_no_alias() {
    let (_proxy, mut session) = proxy("tx_syntax");
    make_columns_tasks(&mut session);
    session.run("CREATE DATABASE tx_syntax_db");
    session.run("CREATE TABLE tx_syntax_db.t (id INT, word VARCHAR(20))");
    session.run("INSERT INTO tx_syntax_db.t VALUES (1, 'bee'), (2, 'cat')");
    for (element, expected) in [
        ("tx_syntax.iris(5.1, 3.5, 1.4, id) SOUNDS LIKE 'a'", None),
        (
            "CONVERT(tx_syntax.iris(5.1, 3.5, 1.4, id) USING latin1)",
            None,
        ),
        (
            "REGEXP_REPLACE(tx_syntax.iris(5.1, 3.5, 1.4, id), '(?<x>.)', 'q')",
            Some("qqqqqq"),
        ),
        ("tx_syntax.iris(5.1, 3.5, 1.4, id) RLIKE '^[sv]'", Some("1")),
        (
            "word SOUNDS LIKE tx_syntax.iris(5.1, 3.5, 1.4, id)",
            Some("0"),
        ),
        (
            "tx_syntax.iris(5.1, 3.5, 1.4, id) COLLATE utf8mb4_bin",
            None,
        ),
    ] {
        for suffix in ["ORDER BY id LIMIT 1", "GROUP BY id ORDER BY id LIMIT 1"] {
            let sql = format!(
                "SELECT {element}, CONVERT(word USING latin1), word SOUNDS LIKE 'bea' FROM tx_syntax_db.t {suffix}"
            );
            let answer = session.run(&sql);
            assert_eq!(answer.rows[0][1].as_deref(), Some("bee"), "{sql}");
            assert_eq!(answer.rows[0][2].as_deref(), Some("1"), "{sql}");
            if let Some(expected) = expected {
                assert_eq!(answer.rows[0][0].as_deref(), Some(expected), "{sql}");
            }
            assert_eq!(names(&mut session, sql.as_bytes())[0], element.as_bytes());
        }
    }
}

#[test]
fn sessions_whose_texts_are_bytes_have_the_same_answers() {
    let (_proxy, mut session) = proxy("tx_binary");
    make_columns_tasks(&mut session);
    session.run("CREATE TASK pixel KIND REGRESSION");
    session
        .run("CREATE MODEL pixel_model FOR TASK pixel FROM 'first_pixel.onnx' OPTIONS (size = 8)");
    session.run("CREATE DATABASE tx_binary_db");
    session.run("USE tx_binary_db");
    session.run(
        "CREATE TABLE tx_binary_db.t (id INT, path VARCHAR(99) CHARACTER SET latin1, x DOUBLE, truth VARCHAR(9) CHARACTER SET utf8mb4)",
    );
    session.run("INSERT INTO tx_binary_db.t SELECT seq, 'unusual/bytes_behind.png', seq / 2, 'setosa' FROM seq_1_to_6");
    let statements = [
        "SELECT id, tx_binary.iris(5.1, 3.5, 1.4, x) FROM tx_binary_db.t ORDER BY id",
        "SELECT tx_binary.iris(5.1, 3.5, 1.4, x) k, COUNT(*) FROM tx_binary_db.t GROUP BY k ORDER BY k",
        "SELECT id FROM tx_binary_db.t WHERE tx_binary.iris(5.1, 3.5, 1.4, x) = truth ORDER BY id",
        "SELECT id, tx_binary.pixel(path) FROM tx_binary_db.t ORDER BY id",
        "SELECT tx_binary.pixel('unusual/bytes_behind.png')",
        "SELECT CONCAT(tx_binary.iris(5.1, 3.5, 1.4, x), truth, '-') FROM tx_binary_db.t ORDER BY id",
        "SELECT k FROM (SELECT tx_binary.iris(5.1, 3.5, 1.4, x) k FROM tx_binary_db.t) d ORDER BY k",
    ];
    let answers = |session: &mut Wire, set: &str| {
        session.run(set);
        statements.map(|sql| session.rows(sql))
    };
    let expected = answers(&mut session, "SET NAMES utf8mb4");
    for set in [
        "SET NAMES binary",
        "SET character_set_results = binary",
        "SET character_set_results = NULL",
        "SET NAMES latin1",
    ] {
        session.run("SET NAMES utf8mb4");
        assert_eq!(answers(&mut session, set), expected, "{set}");
        let evaluated = session
            .rows("EVALUATE MODEL iris_sk ON (SELECT 5.1, 3.5, 1.4, x, truth FROM tx_binary_db.t)");
        assert_eq!(evaluated[0][2].as_deref(), Some("6"), "{set}");
    }
}

#[test]
fn a_first_execution_with_nulls_only_binds_no_types() {
    let (_proxy, mut session) = proxy("tx_nulls");
    make_columns_tasks(&mut session);
    let prepare = [
        &[command::STMT_PREPARE][..],
        b"SELECT tx_nulls.total(?, ?), ?",
    ]
    .concat();
    let id = session.command(&prepare).unwrap()[0].payload[1..5].to_vec();
    // All three are NULL, and no types follow.
    let execute = [&[command::STMT_EXECUTE][..], &id, b"\0\x01\0\0\0\x07\0"].concat();
    let packets = session.command(&execute).unwrap();
    assert_eq!(
        packets[0].payload,
        [2],
        "{}",
        packets[0].payload.escape_ascii()
    );
    let row = packets.iter().rev().nth(1).unwrap();
    assert_eq!(row.payload, [0, 0b1100], "both columns are NULL");
}

#[test]
fn a_local_file_is_loaded_among_several_statements() {
    let (_proxy, mut session) = proxy("tx_load");
    make_columns_tasks(&mut session);
    session.run("CREATE DATABASE tx_load_db");
    session.run("CREATE TABLE tx_load_db.t (x DOUBLE, y DOUBLE)");
    session.local_file = b"1\t2\n3\t4\n".to_vec();
    let load = "LOAD DATA LOCAL INFILE 'any' INTO TABLE tx_load_db.t";
    let answers = session
        .query(&format!("SELECT tx_load.total(1, 1); {load}; SELECT COUNT(tx_load.total(x, y)) FROM tx_load_db.t; {load}; SELECT 7"))
        .unwrap();
    assert_eq!(answers.len(), 5);
    assert_eq!(answers[2].rows, [[Some("2".to_owned())]]);
    assert_eq!(answers[4].rows, [[Some("7".to_owned())]]);
    let count = session.value("SELECT COUNT(*) FROM tx_load_db.t");
    assert_eq!(count.as_deref(), Some("2"), "the second file is empty");
    let failed = session.error(&format!(
        "SELECT tx_load.total(1, 1); {load}_missing; SELECT 7"
    ));
    assert_eq!(failed.code, 1146);
    assert_eq!(session.value("SELECT 8").as_deref(), Some("8"));
}
