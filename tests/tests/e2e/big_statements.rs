//! Images of megabytes in statements: as literals, parameters and long data; what is answered
//! where a limit is met; and plain statements of such a length.

use std::sync::OnceLock;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder, Params, Value};
use predictsql_proxy::wire::command;
use predictsql_tests::process::checkout;
use predictsql_tests::{Proxy, Settings, Store, Wire};

const PACKET: &str = "--max-allowed-packet=64M";

fn store() -> &'static Store {
    static STORE: OnceLock<Store> = OnceLock::new();
    STORE.get_or_init(|| Store::start(&[PACKET]))
}

fn proxy(schema: &str, top: &str) -> Proxy {
    let settings = Settings {
        schema: schema.to_owned(),
        top: top.to_owned(),
        image_roots: vec![checkout().join("executor/tests/images")],
        model_roots: vec![checkout().join("executor/tests/models")],
        executor: "threads = 2".to_owned(),
        ..Settings::default()
    };
    let proxy = Proxy::start(store(), &settings);
    let mut session = proxy.root();
    session.run("CREATE TASK pixel KIND REGRESSION");
    session.run(
        "CREATE MODEL pixel_model FOR TASK pixel FROM 'first_pixel.onnx' OPTIONS (size = 8, scale = 1)",
    );
    session.run(&format!("CREATE DATABASE {schema}_db"));
    proxy
}

/// A bitmap of 8 x 8 pixels of one shade, and as many more bytes, all values among them.
fn image(shade: u8, more_bytes: usize) -> Vec<u8> {
    let pixels = 8 * 8 * 3;
    let mut image = b"BM".to_vec();
    for number in [
        54 + pixels,
        0,
        54,
        40,
        8,
        8,
        1 | 24 << 16,
        0,
        pixels,
        0,
        0,
        0,
        0_u32,
    ] {
        image.extend_from_slice(&number.to_le_bytes());
    }
    image.resize(image.len() + pixels as usize, shade);
    let mut state = 1_u32;
    image.extend((0..more_bytes).map(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    }));
    image
}

/// A literal as drivers write one.
fn literal(bytes: &[u8]) -> Vec<u8> {
    let mut literal = b"'".to_vec();
    for &byte in bytes {
        match byte {
            0 => literal.extend_from_slice(b"\\0"),
            b'\n' => literal.extend_from_slice(b"\\n"),
            b'\'' | b'"' | b'\\' => literal.extend_from_slice(&[b'\\', byte]),
            _ => literal.push(byte),
        }
    }
    literal.push(b'\'');
    literal
}

fn hex(bytes: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |half: u8| DIGITS[usize::from(half)];
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

/// The only cell of the only row, or the error.
fn answer(session: &mut Wire, parts: &[&[u8]]) -> Result<Option<String>, String> {
    let sql = [&[command::QUERY][..], &parts.concat()].concat();
    let packets = session.command(&sql).unwrap();
    let error = packets
        .iter()
        .find(|packet| packet.payload.first() == Some(&0xff));
    match error {
        Some(error) => Err(String::from_utf8_lossy(&error.payload[1..]).into_owned()),
        None => {
            let rows: Vec<_> = packets.iter().rev().skip(1).take(1).collect();
            let cell = rows.first().and_then(|row| row.payload.split_first());
            Ok(cell
                .filter(|(length, _)| **length < 0xfb)
                .map(|(length, cell)| {
                    String::from_utf8_lossy(&cell[..usize::from(*length)]).into_owned()
                }))
        }
    }
}

/// The number that `first_pixel` makes of a pixel of this shade.
fn shade(value: Option<String>) -> u32 {
    let number: f64 = value.expect("a prediction").parse().unwrap();
    number as u32 & 0xff
}

#[test]
fn an_image_of_megabytes_is_predicted_in_every_spelling() {
    let proxy = proxy("big_spelled", "");
    let mut session = proxy.root();
    session.run("CREATE TABLE big_spelled_db.t (photo LONGBLOB, kind DOUBLE)");
    for (shade_of, bytes) in [(40, 2 << 20), (90, 9_000_000), (200, 17 << 20)] {
        let image = image(shade_of, bytes);
        let expected = u32::from(shade_of);
        let (quoted, digits) = (literal(&image), hex(&image));
        let call = |before: &'static str, data: &[u8], after: &str| {
            [
                b"SELECT big_spelled.pixel(",
                before.as_bytes(),
                data,
                after.as_bytes(),
                b")",
            ]
            .concat()
        };
        let mut spellings = vec![call("_binary", &quoted, ""), call("", &quoted, "")];
        if bytes < 9 << 20 {
            spellings.extend([call("x'", &digits, "'"), call("0x", &digits, "")]);
        }
        for (number, sql) in spellings.iter().enumerate() {
            let value = answer(&mut session, &[sql]).unwrap();
            assert_eq!(shade(value), expected, "spelling {number} of {bytes} bytes");
        }
        for charset in ["latin1", "binary"] {
            session.run(&format!("SET NAMES {charset}"));
            let value = answer(&mut session, &[&call("", &quoted, "")]).unwrap();
            assert_eq!(shade(value), expected, "{charset}");
        }
        session.run("SET NAMES utf8mb4");
        let insert: [&[u8]; 5] = [
            b"INSERT INTO big_spelled_db.t VALUES (_binary",
            &quoted,
            b", big_spelled.pixel(",
            &quoted,
            b"))",
        ];
        assert_eq!(answer(&mut session, &insert), Ok(None));
        let stored =
            "SELECT kind, LENGTH(photo), big_spelled.pixel(photo) = kind FROM big_spelled_db.t";
        let rows = session.rows(stored);
        assert_eq!(shade(rows[0][0].clone()), expected);
        let length = image.len().to_string();
        assert_eq!(rows[0][1..], [Some(length), Some("1".to_owned())]);
        session.run("TRUNCATE big_spelled_db.t");
    }
    // What was reserved is free again: many such statements, one after the other.
    let sql = [
        b"SELECT big_spelled.pixel(",
        &literal(&image(7, 2 << 20))[..],
        b")",
    ]
    .concat();
    for _ in 0..20 {
        assert_eq!(shade(answer(&mut session, &[&sql]).unwrap()), 7);
    }
}

/// mysql_async binds bytes, and sends those beyond 16 MiB ahead.
#[tokio::test]
async fn parameters_and_long_data_of_megabytes_are_predicted() {
    let proxy = tokio::task::spawn_blocking(|| proxy("big_bound", ""))
        .await
        .unwrap();
    let options: OptsBuilder = proxy.opts().max_allowed_packet(Some(64 << 20));
    let mut conn = Conn::new(options).await.unwrap();
    for (shade_of, bytes) in [(10_u8, 100), (20, 2 << 20), (30, 18 << 20), (40, 2 << 20)] {
        let image = Value::Bytes(image(shade_of, bytes));
        let sql = "SELECT big_bound.pixel(?), LENGTH(?)";
        let parameters = Params::Positional(vec![image.clone(), image.clone()]);
        let (value, length): (f64, u64) = conn.exec_first(sql, parameters).await.unwrap().unwrap();
        assert_eq!(
            (value as u32 & 0xff, length > 0),
            (u32::from(shade_of), true)
        );
        let plain: Option<u64> = conn.exec_first("SELECT LENGTH(?)", (image,)).await.unwrap();
        assert_eq!(plain, Some(length));
    }
    conn.disconnect().await.unwrap();
}

#[test]
fn beyond_a_limit_the_error_names_the_setting() {
    let settings = "inspect_bytes_max = 3_000_000\ninspect_memory_bytes_max = 7_000_000";
    let proxy = proxy("big_limits", settings);
    let mut session = proxy.root();
    let quoted = |bytes: usize| literal(&image(50, bytes));
    let select = |session: &mut Wire, bytes| {
        answer(
            session,
            &[b"SELECT big_limits.pixel(", &quoted(bytes), b")"],
        )
    };
    assert_eq!(shade(select(&mut session, 1 << 20).unwrap()), 50);
    // Twice the length fits, thrice does not.
    let memory = select(&mut session, 2_600_000).unwrap_err();
    assert!(memory.contains("inspect_memory_bytes_max"), "{memory}");
    for sql in [
        &[&b"SELECT big_limits.pixel("[..], &quoted(5_000_000), b")"][..],
        &[
            b"SELECT ",
            &quoted(5_000_000),
            b" = 1, big_limits.pixel('x')",
        ],
        &[
            b"SELECT LENGTH(",
            &quoted(20_000_000),
            b"), big_limits.pixel('x')",
        ],
    ] {
        let error = answer(&mut session, sql).unwrap_err();
        assert!(error.contains("inspect_bytes_max"), "{error}");
        assert!(!error.contains("connect through its port"), "{error}");
    }
    // A parameter of a statement of the lane.
    let mut prepared = predictsql_prepare(&mut session, "SELECT big_limits.pixel(?)");
    prepared.extend_from_slice(b"\0\x01\0\0\0\0\x01\xfc\0\xfd\0\0\x40");
    let execute = [&[command::STMT_EXECUTE][..], &prepared, &vec![7; 0x40_0000]].concat();
    let packets = session.command(&execute).unwrap();
    let error = String::from_utf8_lossy(&packets[0].payload).into_owned();
    assert!(error.contains("inspect_bytes_max"), "{error}");
    // The session goes on.
    assert_eq!(session.value("SELECT 1").as_deref(), Some("1"));
    assert_eq!(shade(select(&mut session, 1 << 20).unwrap()), 50);
}

/// Prepares a statement and returns its id as bytes.
fn predictsql_prepare(session: &mut Wire, sql: &str) -> Vec<u8> {
    let payload = [&[command::STMT_PREPARE], sql.as_bytes()].concat();
    let packets = session.command(&payload).unwrap();
    packets[0].payload[1..5].to_vec()
}

#[test]
fn plain_statements_of_megabytes_are_not_held_in_memory() {
    let proxy = proxy("big_plain", "");
    let mut sessions: Vec<Wire> = (0..8).map(|_| proxy.root()).collect();
    sessions[0].run("CREATE TABLE big_plain_db.t (photo LONGBLOB)");
    let resident_kib = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", proxy.pid())).unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("VmHWM"))
            .unwrap();
        line.split_whitespace()
            .nth(1)
            .unwrap()
            .parse::<u64>()
            .unwrap()
    };
    let before = resident_kib();
    let sql = [
        b"INSERT INTO big_plain_db.t VALUES (_binary",
        &literal(&image(1, 15 << 20))[..],
        b")",
    ]
    .concat();
    std::thread::scope(|scope| {
        for session in &mut sessions {
            scope.spawn(|| {
                for _ in 0..3 {
                    assert_eq!(answer(session, &[&sql]), Ok(None));
                }
            });
        }
    });
    let more = resident_kib() - before;
    assert!(more < 60 * 1024, "8 statements of 16 MB took {more} KiB");
    let count =
        sessions[0].value("SELECT COUNT(*) FROM big_plain_db.t WHERE LENGTH(photo) > 15000000");
    assert_eq!(count.as_deref(), Some("24"));
}
