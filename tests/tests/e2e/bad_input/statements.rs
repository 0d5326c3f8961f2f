//! Errors that depend on the statement, the image or the model alone.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use predictsql_tests::process::checkout;
use predictsql_tests::{Proxy, Settings, Store, Wire};

use super::{Place, check_usable, create_model, shared};
use crate::differential::answer::{Param, close, execute, execute_payload, prepare, query};
use predictsql_proxy::wire::{ErrPacket, command};

/// Runs statements that fail; each error must have the code, the SQLSTATE and the words, and leave
/// the session usable.
#[track_caller]
fn check_errors(place: &Place, session: &mut Wire, cases: &[(&str, u16, &str, &str)]) {
    let before = place.catalog();
    let mut wrong = Vec::new();
    for (sql, code, sqlstate, words) in cases {
        let sql = sql.replace("ml.", &format!("{}.", place.schema));
        match session.query(&sql) {
            Ok(answers) => wrong.push(format!("{sql}\n    no error but {answers:?}")),
            Err(error) => {
                let expected = error.code == *code && error.sqlstate == *sqlstate;
                if !expected || !error.message.contains(words) {
                    wrong.push(format!(
                        "{sql}\n    {error:?}, expected {code} {sqlstate} {words}"
                    ));
                }
            }
        }
        check_usable(session, place.schema);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(place.catalog(), before, "something was left behind");
}

#[test]
fn wrong_calls_name_what_is_wrong() {
    let place = shared();
    let mut session = place.session();
    session.run("USE bi");
    check_errors(
        place,
        &mut session,
        &[
            (
                "SELECT ml.predict('nope', photo) FROM p",
                1305,
                "42000",
                "'nope'",
            ),
            (
                "SELECT ml.predict('colours@9', photo) FROM p",
                1305,
                "42000",
                "colours@9",
            ),
            ("SELECT ml.nope(photo) FROM p", 1305, "42000", "nope"),
            (
                "SELECT ml.predict_proba('colour', 'pink', photo) FROM p",
                1525,
                "HY000",
                "'red', 'green', 'blue'",
            ),
            (
                "SELECT ml.predict('colour') FROM p",
                1318,
                "42000",
                "expected 2, got 1",
            ),
            (
                "SELECT ml.colour(photo, id) FROM p",
                1318,
                "42000",
                "expected 1, got 2",
            ),
            (
                "SELECT ml.colour() FROM p",
                1318,
                "42000",
                "expected 1, got 0",
            ),
            (
                "SELECT ml.predict(photo, photo) FROM p",
                1210,
                "HY000",
                "string literal",
            ),
            (
                "SELECT ml.predict(1, photo) FROM p",
                1210,
                "HY000",
                "string literal",
            ),
            ("SELECT ml.colour(price) FROM p", 1210, "HY000", "price"),
            ("SELECT ml.colour(NOW())", 1210, "HY000", "NOW()"),
            ("SELECT ml.colour(foto) FROM p", 1054, "42S22", "foto"),
            (
                "SELECT ml.colour(photo), nope FROM p",
                1054,
                "42S22",
                "nope",
            ),
            ("SELECT ml.colour(photo) FROM nope", 1146, "42S02", "nope"),
            ("SELECT ml.colour(photo) FORM p", 1064, "42000", "p"),
            ("SELECT ml.colour(photo FROM p", 1064, "42000", "syntax"),
            (
                "SELECT id FROM p WHERE ml.colour(photo) = GROUP",
                1064,
                "42000",
                "syntax",
            ),
            ("SELECT ml.colour(?)", 1064, "42000", "?"),
        ],
    );
}

#[test]
fn unsupported_places_are_named() {
    let place = shared();
    let mut session = place.session();
    session.run("USE bi");
    let construct = |sql, words| (sql, 1235, "42000", words);
    check_errors(
        place,
        &mut session,
        &[
            construct(
                "BEGIN NOT ATOMIC SELECT ml.colour(photo) FROM p; END",
                "several statements",
            ),
            construct(
                "ANALYZE FORMAT=XML SELECT ml.colour(photo) FROM p",
                "FORMAT",
            ),
            construct(
                "CREATE PROCEDURE made() SELECT ml.colour(photo) FROM p",
                "CREATE",
            ),
            construct(
                "SELECT COUNT(ml.colour(IF(RAND() < 2, photo, NULL))) FROM p",
                "RAND()",
            ),
            construct(
                "SELECT ml.colour(LAG(photo) OVER (ORDER BY id)), 1 FROM p ORDER BY 1",
                "LAG()",
            ),
            construct(
                "INSERT INTO p (id, label) VALUES (9, ml.colour(photo))",
                "values cannot be found",
            ),
            construct("SELECT ml.has('colour', 'red', photo) FROM p", "has()"),
            construct(
                "SELECT ml.colour(photo) /*!50000 , 1 */ FROM p",
                "executable comments",
            ),
        ],
    );
    assert_eq!(
        session.value("SELECT COUNT(*) FROM p").as_deref(),
        Some("4")
    );
    assert_eq!(session.rows("SHOW TABLES").len(), 1);
    session.run("SET character_set_results = ucs2");
    let error = session.error("SELECT bi_ml.colour(photo) FROM p");
    assert_eq!(error.code, 1235, "{error:?}");
    session.run("SET character_set_results = utf16");
    assert_eq!(
        session.error("SELECT bi_ml.colour(photo) FROM p").code,
        1235
    );
    session.run("SET NAMES utf8mb4");
    // A chain as deep as this would not fit a thread's stack as a tree.
    let chain = " AND 1".repeat(140_000);
    let error = session.error(&format!(
        "SELECT 1 FROM p WHERE bi_ml.colour(photo) = ''{chain}"
    ));
    assert_eq!(error.code, 1235, "{error:?}");
    session.run("SET NAMES latin1");
    let sql = [
        &b"\x03SELECT bi_ml.colour(photo), '"[..],
        b"\xe9",
        b"' FROM p",
    ]
    .concat();
    let answer = session.command(&sql).unwrap();
    assert!(!ErrPacket::is_err(&answer[0].payload), "{answer:?}");
    // A second byte that is a backslash cannot be told from one.
    session.run("SET NAMES sjis");
    let sql = [
        &b"\x03SELECT bi_ml.colour(photo), '"[..],
        b"\x83\\",
        b"' FROM p",
    ]
    .concat();
    let answer = session.command(&sql).unwrap();
    assert_eq!(ErrPacket::parse(&answer[0].payload).unwrap().code, 1235);
}

#[test]
fn unreadable_images_are_null_with_a_warning_or_an_error_if_asked() {
    let place = Place::new("im_ml");
    let (images, outside) = (&place.images, place.models.join("outside.png"));
    fs::copy(images.join("1.png"), &outside).unwrap();
    fs::write(images.join("text.png"), "this is text").unwrap();
    let whole = fs::read(images.join("1.png")).unwrap();
    fs::write(images.join("cut.png"), &whole[..whole.len() / 2]).unwrap();
    let mut huge = whole.clone();
    huge[16..24].copy_from_slice(&[0, 0, 0xc3, 0x50, 0, 0, 0xc3, 0x50]);
    let crc = crc32(&huge[12..29]);
    huge[29..33].copy_from_slice(&crc.to_be_bytes());
    fs::write(images.join("huge.png"), huge).unwrap();
    symlink(&outside, images.join("link.png")).unwrap();
    let fifo = Command::new("mkfifo").arg(images.join("fifo.png")).status();
    assert!(fifo.unwrap().success());
    fs::create_dir(images.join("folder.png")).unwrap();
    let outside = outside.display().to_string();
    let wrong = [
        ("none.png", "does not exist"),
        ("text.png", "image"),
        ("cut.png", "damaged"),
        ("huge.png", "pixels"),
        ("link.png", "outside the allowed image roots"),
        ("fifo.png", "file"),
        ("folder.png", "file"),
        (&outside, "outside the allowed image roots"),
        ("../secret.png", "outside the allowed image roots"),
        ("/etc/passwd", "outside the allowed image roots"),
        ("s3://bucket/x.png", "s3"),
        ("", "empty"),
    ];
    let mut session = place.session();
    for (path, reason) in wrong {
        session.run("SET @ml_on_error = NULL");
        let answer = session.run(&format!(
            "SELECT 7, im_ml.colour('{path}'), im_ml.colour('1.png') IS NULL"
        ));
        assert_eq!(
            answer.rows,
            [[Some("7".into()), None, Some("0".into())]],
            "{path}"
        );
        assert_eq!(answer.warnings, 1, "{path}");
        let warnings = session.rows("SHOW WARNINGS");
        let [level, code, message] = &warnings[0][..] else {
            panic!("{warnings:?}");
        };
        assert_eq!(
            (level.as_deref(), code.as_deref()),
            (Some("Warning"), Some("1366"))
        );
        let message = message.as_deref().unwrap();
        assert!(
            message.contains(reason) && message.contains(path),
            "{path}: {message}"
        );
        assert_eq!(
            session.value("SHOW COUNT(*) WARNINGS").as_deref(),
            Some("1")
        );
        assert_eq!(session.rows("SHOW ERRORS").len(), 0);
        session.run("SET @ml_on_error = 'fail'");
        let error = session.error(&format!("SELECT im_ml.colour('{path}')"));
        assert_eq!(
            (error.code, error.sqlstate.as_str()),
            (1366, "HY000"),
            "{path}"
        );
        assert!(error.message.contains(reason), "{error:?}");
        assert_eq!(session.rows("SHOW ERRORS").len(), 1);
        check_usable(&mut session, "im_ml");
    }
    session.run("SET @ml_on_error = 'explode'");
    assert_eq!(session.error("SELECT im_ml.colour('1.png')").code, 1231);
    session.run("SET @ml_on_error = NULL");
    let sql = "SELECT id, im_ml.colour(CONCAT(id, '.png')) FROM (SELECT 1 AS id UNION SELECT 77 UNION SELECT 78) AS d";
    assert_eq!(session.run(sql).warnings, 2);
    assert_eq!(session.rows("SHOW WARNINGS").len(), 2);
    session.run("SELECT 1");
    assert_eq!(session.rows("SHOW WARNINGS").len(), 0);
}

fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |c, _| {
            (c >> 1) ^ (0xedb8_8320 & (c & 1).wrapping_neg())
        })
    };
    !bytes.iter().fold(!0, step)
}

#[test]
fn wrong_models_are_refused_and_leave_nothing_behind() {
    let place = Place::new("mo_ml");
    let whole = fs::read(place.models.join("colour_nchw.onnx")).unwrap();
    fs::write(place.models.join("half.onnx"), &whole[..whole.len() / 2]).unwrap();
    let other = fs::read(checkout().join("executor/tests/models/several_outputs.onnx")).unwrap();
    fs::write(place.models.join("changing.onnx"), &other).unwrap();
    let mut session = place.session();
    let good = |file: &str| create_model("bad", file);
    let cases = [
        (good("half.onnx"), 1033, "damaged"),
        (good("cut_in_half.onnx"), 1033, "damaged"),
        (good("text.onnx"), 1033, "damaged"),
        (good("none.onnx"), 1017, "does not exist"),
        (good("../../etc/passwd"), 1290, "outside"),
        (good("two_columns.onnx"), 1525, "2 columns"),
        (
            good("colour_nchw.onnx").replace("8x8", "9x9"),
            1525,
            "shape",
        ),
        (
            good("colour_nchw.onnx").replace("NCHW", "NHWC"),
            1525,
            "shape",
        ),
        (
            good("colour_nchw.onnx")
                .replace("('red', 'green', 'blue')", "('red', 'green', 'pink')"),
            1525,
            "pink",
        ),
        (
            good("colour_nchw.onnx").replace("('red', 'green', 'blue')", "('red', 'green')"),
            1525,
            "label",
        ),
        (
            good("colour_nchw.onnx").replace("TASK colour", "TASK nope"),
            1305,
            "nope",
        ),
        (
            good("colour_nchw.onnx").replace("MODEL bad", "MODEL colours"),
            1304,
            "colours",
        ),
    ];
    let before = place.catalog();
    for (sql, code, words) in cases {
        let error = session.error(&sql);
        assert!(
            error.code == code && error.message.contains(words),
            "{sql}\n    {error:?}"
        );
        assert_eq!(place.catalog(), before, "{sql}");
        check_usable(&mut session, "mo_ml");
    }
    // A model that is cut after it was created, and not loaded yet.
    session.run(&create_model("changing", "changing.onnx"));
    fs::write(
        place.models.join("changing.onnx"),
        &other[..other.len() / 2],
    )
    .unwrap();
    let error = session.error("SELECT mo_ml.predict('changing', '1.png')");
    assert_eq!(
        (error.code, error.sqlstate.as_str()),
        (1033, "HY000"),
        "{error:?}"
    );
    session.run("DROP MODEL changing");
    check_usable(&mut session, "mo_ml");
}

#[test]
fn rights_are_the_stores() {
    let place = shared();
    let mut root = place.store.root();
    root.run("CREATE USER bi_none@127.0.0.1");
    root.run("GRANT SELECT (id) ON bi.p TO bi_none@127.0.0.1");
    root.run("CREATE USER bi_reader@127.0.0.1");
    root.run("GRANT SELECT ON bi.* TO bi_reader@127.0.0.1");
    let login = |user: &str| Wire::login(place.proxy.address(), user, "", None).unwrap();
    let mut reader = login("bi_reader");
    let error = reader.error("SELECT bi_ml.colour(photo) FROM bi.p");
    assert_eq!(
        (error.code, error.sqlstate.as_str()),
        (1370, "42000"),
        "{error:?}"
    );
    let error = reader.error("SELECT bi_ml.predict('colours', photo) FROM bi.p");
    assert_eq!(error.code, 1370, "{error:?}");
    let error = reader.error("CREATE TASK mine CLASSES ('a', 'b')");
    assert_eq!(
        (error.code, error.sqlstate.as_str()),
        (1142, "42000"),
        "{error:?}"
    );
    assert_eq!(reader.error("DROP TASK colour").code, 1142);
    assert_eq!(reader.error("DROP MODEL colours").code, 1142);
    assert_eq!(
        reader.error(&create_model("mine", "colour_nchw.onnx")).code,
        1142
    );
    root.run("GRANT EXECUTE ON FUNCTION bi_ml.colour TO bi_reader@127.0.0.1");
    root.run("GRANT EXECUTE ON FUNCTION bi_ml.colour TO bi_none@127.0.0.1");
    assert_eq!(reader.rows("SELECT bi_ml.colour(photo) FROM bi.p").len(), 4);
    let mut none = login("bi_none");
    let error = none.error("SELECT bi_ml.colour(photo) FROM bi.p");
    assert!([1142, 1143].contains(&error.code), "{error:?}");
    assert_eq!(
        none.error("SELECT bi_ml.colour(photo) FROM mysql.user")
            .code,
        1142
    );
    check_usable(&mut none, "bi_ml");
}

#[test]
fn without_a_service_account_only_predictions_fail() {
    let settings = Settings {
        schema: shared().schema.to_owned(),
        service_account: false,
        ..Settings::default()
    };
    let proxy = Proxy::start(Store::shared(), &settings);
    let mut session = proxy.root();
    for sql in [
        "SELECT bi_ml.predict('colour', 'x')",
        "CREATE TASK t CLASSES ('a', 'b')",
        "SHOW TASKS",
    ] {
        let error = session.error(sql);
        assert!(
            error.code == 1105 && error.message.contains("predictsql init"),
            "{error:?}"
        );
        assert_eq!(session.value("SELECT 1").as_deref(), Some("1"));
    }
}

#[test]
fn a_statement_of_megabytes_is_looked_at() {
    let place = shared();
    let mut session = place.session();
    let sql = |bytes: usize| format!("SELECT bi_ml.colour('1.png') /* {} */", "x".repeat(bytes));
    assert!(query(&mut session, &sql(2 << 20)).is_ok());
    session.run("SET SESSION sql_mode = CONCAT(@@sql_mode, ',NO_BACKSLASH_ESCAPES')");
    assert!(query(&mut session, &sql(2 << 20)).is_ok());
    check_usable(&mut session, "bi_ml");
}

#[test]
fn prepared_statements_live_as_the_stores_do() {
    let place = Place::new("ps_ml");
    let mut session = place.session();
    // The last one prepared goes by the id -1 too.
    let id = prepare(&mut session, "SELECT ps_ml.colour(?)").unwrap();
    let path = [Param::Text("1.png".to_owned())];
    let label = execute(&mut session, id, &path).unwrap();
    assert!(label.rows[0][0].is_some());
    let last = execute(&mut session, u32::MAX, &path).unwrap();
    assert_eq!(last.rows, label.rows);
    // Data sent ahead: the image itself.
    let image = fs::read(place.images.join("1.png")).unwrap();
    for part in image.chunks(100) {
        let head = [
            &[command::STMT_SEND_LONG_DATA][..],
            &id.to_le_bytes(),
            &[0, 0],
        ]
        .concat();
        session.send(&[&head[..], part].concat()).unwrap();
    }
    let mut payload = execute_payload(id, &[Param::Bytes(Vec::new())]);
    payload.pop(); // the value was sent ahead
    let answer = session.command(&payload).unwrap();
    let by_bytes = execute(&mut session, id, &[Param::Bytes(image)]).unwrap();
    assert_eq!(by_bytes.rows, label.rows);
    assert_eq!(answer.len(), 5, "{answer:?}");
    assert_eq!(
        answer[3].payload[2..],
        [
            &[label.rows[0][0].as_ref().unwrap().len() as u8][..],
            label.rows[0][0].as_ref().unwrap()
        ]
        .concat()
    );
    // Its text means what it meant when it was prepared, or nothing.
    session.run("CREATE DATABASE ps_other");
    session.run("USE ps_other");
    let error = execute(&mut session, id, &path).unwrap_err();
    assert_eq!(error.code, 1235, "{error:?}");
    session.run("DROP DATABASE ps_other");
    assert!(execute(&mut session, id, &path).is_ok());
    // In binary rows a number of another width would be misread.
    let error = prepare(&mut session, "SELECT CAST(ps_ml.colour('1.png') AS SIGNED)")
        .and_then(|id| execute(&mut session, id, &[]));
    assert!(error.map_or_else(|e| e.code == 1235, |rows| rows.rows.len() == 1));
    // Prepared over one task, executed after it was dropped.
    session.run("DROP MODEL colours");
    session.run("DROP TASK colour");
    let error = execute(&mut session, id, &path).unwrap_err();
    assert_eq!(
        (error.code, error.sqlstate.as_str()),
        (1305, "42000"),
        "{error:?}"
    );
    close(&mut session, id);
    let error = execute(&mut session, id, &path).unwrap_err();
    assert_eq!(error.code, 1243, "{error:?}");
    assert_eq!(session.value("SELECT 1").as_deref(), Some("1"));
}
