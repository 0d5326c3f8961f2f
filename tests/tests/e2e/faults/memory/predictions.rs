//! What predict statements hold: images that are refused anyway, long rows,
//! rows for clients that do not read.

use super::super::{metric, query};
use super::{resident_bytes, settled, status_bytes};
use predictsql_proxy::wire::{command, lenenc};
use predictsql_tests::apparel::{self, Photos};
use predictsql_tests::process::{checkout, new_dir};
use predictsql_tests::{Proxy, Settings, Store, Wire, eventually};
use rustix::process::{Resource, Rlimit, prlimit};
use std::fs;
use std::sync::OnceLock;

/// A value that is no image, beyond all limits on images here, and longer than several packets.
const LONG_BYTES: usize = 40 << 20;
/// What an answer may cost beside what is counted: buffers of sockets, the lane and the allocator.
const SMALL_BYTES: u64 = 8 << 20;
/// The setting `image_bytes_max`.
const IMAGE_BYTES_MAX: usize = 2_500_000;
/// A client's rows are this many bytes each.
const WIDE_BYTES: usize = 60_000;
const WIDE_ROWS: usize = 150;

/// A store that takes long values.
fn store() -> &'static Store {
    static STORE: OnceLock<Store> = OnceLock::new();
    STORE.get_or_init(|| Store::start(&["--max-allowed-packet=256M"]))
}

/// A proxy with task `colour` in catalog `schema`, whose models are loaded.
fn place(schema: &str, lane: &str) -> Proxy {
    let models = new_dir("memory-models");
    let file = "colour_nchw.onnx";
    fs::copy(
        checkout().join("executor/tests/models").join(file),
        models.join(file),
    )
    .unwrap();
    let settings = Settings {
        schema: schema.to_owned(),
        lane: lane.to_owned(),
        executor: format!("image_bytes_max = {IMAGE_BYTES_MAX}\nthreads = 2"),
        tables: "[cache]\nmode = \"off\"\n".to_owned(),
        model_roots: vec![models],
        ..Settings::default()
    };
    let proxy = Proxy::start(store(), &settings);
    let mut root = proxy.root();
    root.run("CREATE TASK colour CLASSES ('red', 'green', 'blue')");
    root.run(
        "CREATE MODEL colours FOR TASK colour FROM 'colour_nchw.onnx' OPTIONS (layout = 'NCHW', \
         size = '8x8', channels = 3, mean = (0, 0, 0), std = (1, 1, 1), \
         labels = ('red', 'green', 'blue'), output = 'logits')",
    );
    let photo = fs::read(apparel::photos().root().join(Photos::path(1))).unwrap();
    let hex: String = photo.iter().map(|byte| format!("{byte:02X}")).collect();
    root.run(&format!("CREATE OR REPLACE DATABASE {schema}_data"));
    root.run(&format!("USE {schema}_data"));
    root.run("CREATE TABLE t (id INT PRIMARY KEY, photo LONGBLOB, pad LONGTEXT, name LONGTEXT)");
    root.run(&format!("INSERT INTO t (id, photo) VALUES (1, X'{hex}')"));
    let warm = root.value(&format!("SELECT {schema}.colour(photo) FROM t"));
    assert!(warm.is_some());
    proxy
}

/// A session in the database of [`place`].
fn session(proxy: &Proxy, schema: &str) -> Wire {
    let database = format!("{schema}_data");
    Wire::login(proxy.address(), "root", "", Some(&database)).unwrap()
}

/// How much more memory the proxy holds while it does `work`, at most.
fn peak_of<T>(proxy: &Proxy, work: impl FnOnce() -> T) -> (u64, T) {
    let before = resident_bytes(proxy);
    // Makes the highest so far that of now.
    fs::write(
        format!("/proc/{}/clear_refs", proxy.pid().as_raw_nonzero()),
        "5",
    )
    .unwrap();
    let done = work();
    (status_bytes(proxy, "VmHWM:").saturating_sub(before), done)
}

#[track_caller]
fn costs_little(proxy: &Proxy, what: &str, work: impl FnOnce()) {
    let (peak, ()) = peak_of(proxy, work);
    assert!(peak < SMALL_BYTES, "{what}: {peak} bytes");
}

fn too_large(session: &mut Wire, bytes: usize) {
    let warnings = session.rows("SHOW WARNINGS");
    let expected = format!(
        "Image of {bytes} bytes is too large ({bytes} bytes, limit {IMAGE_BYTES_MAX}): its prediction is NULL"
    );
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert_eq!(warnings[0][2].as_deref(), Some(&*expected));
}

#[test]
fn an_image_beyond_the_limit_is_not_read() {
    let proxy = place("mem_refused", "");
    let mut direct = store().root();
    direct.run("USE mem_refused_data");
    direct.run(&format!(
        "INSERT INTO t (id, photo) VALUES (2, REPEAT(X'80', {LONG_BYTES}))"
    ));
    let mut session = session(&proxy, "mem_refused");
    let call = "mem_refused.colour";
    for sql in [
        format!("SELECT {call}(photo) FROM t WHERE id = 2"),
        format!("SELECT {call}(CONCAT(photo, '')) FROM t WHERE id = 2"),
        format!("SELECT {call}(LEFT(photo, {LONG_BYTES} - 0 * RAND())) FROM t WHERE id = 2"),
        format!("SELECT MAX({call}(photo)) FROM t WHERE id = 2"),
        format!("SELECT {call}(REPEAT('p', {LONG_BYTES}))"),
    ] {
        costs_little(&proxy, &sql, || {
            assert_eq!(session.value(&sql), None, "{sql}");
            too_large(&mut session, LONG_BYTES);
        });
    }
    session.run("SET @long = REPEAT('p', 5000000)");
    assert_eq!(session.value(&format!("SELECT {call}(@long)")), None);
    too_large(&mut session, 5_000_000);
    // What fits is predicted beside it, and in every plan the same.
    let by_stream = session.rows(&format!("SELECT id, {call}(photo) FROM t ORDER BY id"));
    session.run("SET @ml_plan = 'temporary'");
    let by_table = session.rows(&format!("SELECT id, {call}(photo) FROM t ORDER BY id"));
    assert_eq!(by_stream, by_table);
    assert!(
        by_stream[0][1].is_some() && by_stream[1][1].is_none(),
        "{by_stream:?}"
    );
}

#[test]
fn images_of_megabytes_are_predicted_from_disk() {
    let proxy = place("mem_large", "");
    let mut direct = store().root();
    direct.run("USE mem_large_data");
    // PNG readers stop at the end of the image: what follows does not matter.
    direct.run("INSERT INTO t (id, photo, pad) SELECT id + 1, CONCAT(photo, REPEAT('x', 2000000)), 'p' FROM t");
    direct.run("INSERT INTO t (id, photo, pad) SELECT id + 2, photo, REPEAT('y', 3000000) FROM t");
    let call = "mem_large.colour";
    let mut session = session(&proxy, "mem_large");
    let label = session.value(&format!("SELECT {call}(photo) FROM t WHERE id = 1"));
    for (plan, sql) in [
        (
            "stream",
            format!("SELECT id, {call}(photo), LENGTH(pad) FROM t ORDER BY id"),
        ),
        (
            "temporary",
            format!("SELECT id, {call}(photo), LENGTH(pad) FROM t ORDER BY id"),
        ),
        (
            "stream",
            format!(
                "SELECT id, {call}(photo), pad FROM t WHERE {call}(photo) = '{}' ORDER BY id",
                label.as_deref().unwrap()
            ),
        ),
        (
            "temporary",
            format!("SELECT id, {call}(photo), pad FROM t ORDER BY id"),
        ),
    ] {
        session.run(&format!("SET @ml_plan = '{plan}'"));
        let rows = session.rows(&sql);
        let ids: Vec<_> = rows.iter().map(|row| row[0].clone().unwrap()).collect();
        assert_eq!(ids, ["1", "2", "3", "4"], "{sql}");
        assert!(rows.iter().all(|row| row[1] == label), "{sql}");
        let pads: Vec<_> = rows
            .iter()
            .map(|row| row[2].as_ref().map(String::len))
            .collect();
        if sql.contains("LENGTH") {
            assert_eq!(rows[3][2].as_deref(), Some("3000000"));
        } else {
            assert_eq!(
                pads,
                [None, Some(1), Some(3_000_000), Some(3_000_000)],
                "{sql}"
            );
        }
    }
    // In the binary protocol too the row is as the store would send it.
    let label = label.unwrap();
    let through = executed(
        &mut session,
        &format!("SELECT id, pad, {call}(photo), NULL FROM t WHERE id = 4"),
    );
    let expected = format!("SELECT id, pad, '{label}', NULL FROM t WHERE id = 4");
    assert!(through == executed(&mut direct, &expected));
    assert_eq!(metric(&proxy, "predictsql_spool_disk_bytes", ""), 0.0);
}

/// The payload of the only row of a statement that is prepared and executed.
fn executed(session: &mut Wire, sql: &str) -> Vec<u8> {
    let prepare = [&[command::STMT_PREPARE], sql.as_bytes()].concat();
    let prepared = session.command(&prepare).unwrap();
    let id = &prepared[0].payload[1..5];
    let execute = [&[command::STMT_EXECUTE], id, &[0, 1, 0, 0, 0]].concat();
    let answer = session.command(&execute).unwrap();
    let row = answer
        .iter()
        .find(|packet| packet.payload.len() > 1_000_000);
    row.unwrap().payload.clone()
}

/// Reads an answer of rows whose cells are `id`, a long value and a prediction, without keeping
/// it. Gives for each row the length of its payload,
/// and whether the long value is made of one byte.
fn read_long_rows(client: &mut Wire, bytes: usize) -> Vec<usize> {
    let mut rows = Vec::new();
    let (mut ends, mut length, mut same) = (0, 0, true);
    loop {
        let packet = client.read_packet().unwrap();
        let payload = &packet.payload[..];
        let is_end = payload.first() == Some(&0xfe) && payload.len() < 9;
        assert!(length > 0 || payload.first() != Some(&0xff), "{packet:?}");
        if length == 0 && is_end {
            ends += 1;
            if ends == 2 {
                return rows;
            }
        } else if ends == 1 {
            length += payload.len();
            same &= payload.iter().filter(|&&byte| byte != b'v').count() < 40;
            if payload.len() < 0xff_ffff {
                assert!(same);
                let mut written = Vec::new();
                lenenc::put_int(&mut written, bytes as u64);
                assert!(length >= bytes + written.len());
                rows.push(std::mem::take(&mut length));
            }
        }
    }
}

#[test]
fn a_long_row_passes_without_being_held() {
    let proxy = place("mem_passed", "");
    let mut direct = store().root();
    direct.run("USE mem_passed_data");
    direct.run(&format!(
        "INSERT INTO t (id, photo) VALUES (2, REPEAT('v', {LONG_BYTES}))"
    ));
    // Whole packets: the row ends with an empty one.
    let call = "mem_passed.colour";
    for sql in [
        format!("SELECT id, photo, {call}(photo) FROM t WHERE id = 2"),
        format!("SELECT id, photo, {call}(photo) AS c FROM t WHERE id = 2 ORDER BY c"),
        format!("SELECT id, photo, CONCAT({call}(photo), photo) FROM t WHERE id = 2"),
        format!("SELECT id, REPEAT(photo, 2), {call}(photo) IS NULL FROM t WHERE id = 2"),
    ] {
        let (peak, ()) = peak_of(&proxy, || {
            std::thread::scope(|scope| {
                for _ in 0..2 {
                    scope.spawn(|| {
                        let mut client = session(&proxy, "mem_passed");
                        client.send(&query(&sql)).unwrap();
                        let rows = read_long_rows(&mut client, LONG_BYTES);
                        assert_eq!(rows.len(), 1);
                        let repeats = if sql.contains("REPEAT") { 2 } else { 1 };
                        let cells = rows[0] - repeats * LONG_BYTES;
                        assert!((12..=13).contains(&cells), "{cells} bytes beside the value");
                        assert_eq!(client.value("SELECT 1").as_deref(), Some("1"));
                    });
                }
            });
        });
        assert!(peak < 2 * SMALL_BYTES, "{sql}: {peak} bytes");
    }
    assert_eq!(metric(&proxy, "predictsql_spool_disk_bytes", ""), 0.0);
}

/// Rows of [`WIDE_BYTES`], in table `wide`.
fn create_wide(schema: &str) {
    let mut root = store().root();
    root.run(&format!("USE {schema}_data"));
    root.run("CREATE TABLE wide (id INT PRIMARY KEY, photo LONGBLOB, pad LONGTEXT)");
    root.run(&format!(
        "INSERT INTO wide SELECT seq, (SELECT photo FROM t WHERE id = 1), REPEAT('w', {WIDE_BYTES}) \
         FROM seq_1_to_{WIDE_ROWS}"
    ));
}

#[test]
fn clients_that_do_not_read_hold_no_more_than_the_limits() {
    const CLIENTS: usize = 30;
    const MEMORY: u64 = 16 << 20;
    const DISK: u64 = 32 << 20;
    /// What each statement holds beside what is counted.
    const EACH: u64 = 2 << 20;
    let proxy = place(
        "mem_deaf",
        &format!("statements_memory_bytes_max = {MEMORY}\nstatements_disk_bytes_max = {DISK}"),
    );
    create_wide("mem_deaf");
    let wide = "SELECT id, mem_deaf.colour(photo), pad FROM wide";
    let held = |name: &str| metric(&proxy, &format!("predictsql_spool_{name}_bytes"), "") as u64;
    let held_now = || {
        let rows = metric(&proxy, "predictsql_rows_read_total", "");
        (held("memory"), held("disk"), rows)
    };
    let (peak, clients) = peak_of(&proxy, || {
        let mut clients: Vec<Wire> = Vec::new();
        for _ in 0..CLIENTS {
            let mut client = session(&proxy, "mem_deaf");
            client.send(&query(wide)).unwrap();
            clients.push(client);
        }
        settled("the rows wait", || {
            Some(held_now()).filter(|h| h.1 > DISK / 2)
        });
        clients
    });
    let (memory, disk) = (held("memory"), held("disk"));
    assert!(disk <= DISK, "{disk}");
    assert!(memory <= MEMORY + CLIENTS as u64 * (1 << 20), "{memory}");
    assert!(
        peak <= MEMORY + CLIENTS as u64 * EACH + SMALL_BYTES,
        "{peak}"
    );

    // One who reads is answered.
    let mut reader = session(&proxy, "mem_deaf");
    let labels = reader.rows("SELECT id, mem_deaf.colour(photo) FROM wide");
    assert_eq!(labels.len(), WIDE_ROWS);
    let counted = "SELECT mem_deaf.colour(photo) AS c, COUNT(*) FROM wide GROUP BY c";
    assert_eq!(reader.rows(counted).len(), 1);

    // The others get all of their rows, or those that had found room and an error; and go on.
    let mut refused = 0;
    for mut client in clients {
        let answer = client.read_answer(command::QUERY).unwrap();
        let last = &answer.last().unwrap().payload;
        if last[0] == 0xff {
            let message = String::from_utf8_lossy(last);
            assert_eq!(u16::from_le_bytes([last[1], last[2]]), 1021, "{message}");
            assert!(message.contains("statements_disk_bytes_max"), "{message}");
            refused += 1;
        } else {
            let rows = answer
                .iter()
                .filter(|p| p.payload.len() > WIDE_BYTES)
                .count();
            assert_eq!(rows, WIDE_ROWS);
        }
        assert_eq!(client.value("SELECT 1").as_deref(), Some("1"));
    }
    assert!(refused > 0);
    assert_eq!((held("memory"), held("disk")), (0, 0));
}

#[test]
fn clients_that_leave_give_all_back() {
    let proxy = place("mem_left", "spool_memory_bytes_max = 100000");
    create_wide("mem_left");
    let held = |name: &str| metric(&proxy, &format!("predictsql_spool_{name}_bytes"), "");
    let mut clients = Vec::new();
    for sql in [
        "SELECT id, mem_left.colour(photo), pad FROM wide",
        "SELECT id, mem_left.colour(photo) AS c, pad FROM wide ORDER BY c",
    ] {
        let mut client = session(&proxy, "mem_left");
        client.send(&query(sql)).unwrap();
        clients.push(client);
    }
    eventually("rows wait on disk", || {
        (held("disk") > WIDE_BYTES as f64).then_some(())
    });
    drop(clients);
    eventually("all is given back", || {
        (held("memory") == 0.0 && held("disk") == 0.0).then_some(())
    });
}

#[test]
fn a_full_disk_is_an_error_of_the_statement() {
    let proxy = place("mem_full", "spool_memory_bytes_max = 100000");
    create_wide("mem_full");
    let mut client = session(&proxy, "mem_full");
    let wide = "SELECT id, mem_full.colour(photo), pad FROM wide";
    let sorted = "SELECT id, mem_full.colour(photo) AS c, pad FROM wide ORDER BY c";
    let long = format!("SELECT id, mem_full.colour(photo), REPEAT('l', {LONG_BYTES}) FROM t");
    // No file of the process may grow beyond this: its log is far shorter, what waits is longer.
    let log_bytes = proxy.log().len() as u64;
    let before = prlimit(
        Some(proxy.pid()),
        Resource::Fsize,
        Rlimit {
            current: Some(log_bytes + (1 << 20)),
            maximum: None,
        },
    )
    .unwrap();
    for sql in [wide, sorted, &long] {
        let mut deaf = session(&proxy, "mem_full");
        deaf.send(&query(sql)).unwrap();
        eventually("it runs", || {
            let read = metric(&proxy, "predictsql_statements_running", "");
            (read >= 1.0).then_some(())
        });
        let answer = deaf.read_answer(command::QUERY).unwrap();
        let last = &answer.last().unwrap().payload;
        if sql == wide && last[0] != 0xff {
            continue; // it was read as fast as it came
        }
        let message = String::from_utf8_lossy(last);
        assert_eq!(
            (last[0], u16::from_le_bytes([last[1], last[2]])),
            (0xff, 1021),
            "{message}"
        );
        assert!(message.contains("HY000Disk full"), "{message}");
        assert_eq!(deaf.value("SELECT 1").as_deref(), Some("1"));
    }
    prlimit(Some(proxy.pid()), Resource::Fsize, before).unwrap();
    for sql in [wide, sorted] {
        assert_eq!(client.rows(sql).len(), WIDE_ROWS);
    }
    assert_eq!(metric(&proxy, "predictsql_spool_disk_bytes", ""), 0.0);
}

#[test]
fn data_sent_ahead_is_bounded_over_all_sessions() {
    const PART_BYTES: usize = 200_000;
    // A quarter is for data sent ahead.
    let proxy = place("mem_ahead", "statements_memory_bytes_max = 2000000");
    let prepared = || {
        let mut client = session(&proxy, "mem_ahead");
        let sql = b"SELECT mem_ahead.colour(?)";
        let answer = client
            .command(&[&[command::STMT_PREPARE], &sql[..]].concat())
            .unwrap();
        let id = answer[0].payload[1..5].to_vec();
        (client, id)
    };
    let send = |client: &mut Wire, id: &[u8]| {
        let head = [&[command::STMT_SEND_LONG_DATA], id, &[0, 0]].concat();
        client
            .send(&[head, vec![b'x'; PART_BYTES]].concat())
            .unwrap();
    };
    let execute = |client: &mut Wire, id: &[u8]| {
        let rest = [0, 1, 0, 0, 0, 0, 1, 252, 0];
        let answer = client
            .command(&[&[command::STMT_EXECUTE], id, &rest].concat())
            .unwrap();
        let last = answer.last().unwrap().payload.clone();
        (last[0] == 0xff).then(|| u16::from_le_bytes([last[1], last[2]]))
    };
    let (mut first, first_id) = prepared();
    let (mut second, second_id) = prepared();
    send(&mut first, &first_id);
    send(&mut first, &first_id);
    assert_eq!(first.value("SELECT 1").as_deref(), Some("1"));
    send(&mut second, &second_id);
    assert_eq!(execute(&mut second, &second_id), Some(1041));
    assert_eq!(execute(&mut first, &first_id), None);
    // A client has its answer a moment before what it has sent is given back.
    eventually("what was sent ahead is given back", || {
        (metric(&proxy, "predictsql_spool_memory_bytes", "") == 0.0).then_some(())
    });
    send(&mut second, &second_id);
    assert_eq!(execute(&mut second, &second_id), None);
    assert_eq!(metric(&proxy, "predictsql_spool_memory_bytes", ""), 0.0);
}
