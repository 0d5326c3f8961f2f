//! What is not read piles up nowhere: neither a result nor what a client sends.

mod predictions;

use super::{plain, query};
use predictsql_proxy::wire::command;
use predictsql_tests::wire::packets;
use predictsql_tests::{Proxy, Store, Wire, eventually};
use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The proxy's whole memory, at its highest.
const MEMORY_BYTES_MAX: u64 = 64 << 20;
/// How many looks in a row find the same where nothing moves any more.
const SAME_LOOKS: usize = 10;

/// A size of the proxy's, as `/proc/PID/status` names it.
fn status_bytes(proxy: &Proxy, name: &str) -> u64 {
    let path = format!("/proc/{}/status", proxy.pid().as_raw_nonzero());
    let status = std::fs::read_to_string(path).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kibibytes = line.unwrap().trim().strip_suffix("kB").unwrap().trim();
    kibibytes.parse::<u64>().unwrap() * 1024
}

fn resident_bytes(proxy: &Proxy) -> u64 {
    status_bytes(proxy, "VmRSS:")
}

#[track_caller]
fn memory_stays_small(proxy: &Proxy) {
    let bytes = status_bytes(proxy, "VmHWM:");
    assert!(bytes < MEMORY_BYTES_MAX, "{bytes} bytes");
}

/// Waits until `look` finds the same many times in a row.
#[track_caller]
fn settled<T: PartialEq>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let (mut last, mut same) = (None, 0);
    eventually(what, || {
        let now = look();
        same = if now.is_some() && now == last {
            same + 1
        } else {
            0
        };
        last = now;
        if same < SAME_LOOKS { None } else { last.take() }
    })
}

#[test]
fn a_gigabyte_for_a_client_that_does_not_read_waits_in_the_store() {
    const ROWS: usize = 17_900;
    const CELL_BYTES: usize = 60_000;
    let store = Store::shared();
    let proxy = Proxy::start(store, &plain(""));
    let mut root = store.root();
    let mut client = Wire::login(proxy.address(), "root", "", Some("mysql")).unwrap();
    let sql = format!("SELECT REPEAT('x', {CELL_BYTES}) FROM seq_1_to_{ROWS}");
    client.send(&query(&sql)).unwrap();
    let id = client.connection_id();
    let state = format!("SELECT state FROM information_schema.processlist WHERE id = {id}");
    settled("the store waits for the client", || {
        root.value(&state).filter(|state| state == "Writing to net")
    });
    memory_stays_small(&proxy);

    let (mut rows, mut cell_bytes) = (0, 0);
    let mut ends = 0;
    while ends < 2 {
        let packet = client.read_packet().unwrap();
        match packet.payload.as_slice() {
            [0xfe, ..] if packet.payload.len() < 9 => ends += 1,
            // A length of two bytes, and the cell.
            [0xfc, _, _, cell @ ..] => {
                rows += 1;
                cell_bytes += cell.len();
            }
            _ => assert_eq!(ends, 0, "{packet:?}"),
        }
    }
    assert_eq!((rows, cell_bytes), (ROWS, ROWS * CELL_BYTES));
    memory_stays_small(&proxy);
    assert_eq!(client.value("SELECT 1").as_deref(), Some("1"));
}

/// Sends `bytes` while the store does not read, and has it read on when nothing moves any more.
fn send_against_a_wall(client: &Wire, bytes: &[u8], proxy: &Proxy, open: impl FnOnce()) {
    let sent = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for part in bytes.chunks(1 << 20) {
                client.socket().write_all(part).unwrap();
                sent.fetch_add(part.len(), Relaxed);
            }
        });
        let before = settled("the client waits", || Some(sent.load(Relaxed)));
        assert!(before < bytes.len(), "all of it went somewhere");
        memory_stays_small(proxy);
        open();
    });
    assert_eq!(sent.into_inner(), bytes.len());
}

#[test]
fn a_file_waits_in_the_client_while_the_store_does_not_read() {
    const LINES: usize = 200;
    let store = Store::shared();
    let proxy = Proxy::start(store, &plain(""));
    let mut root = store.root();
    root.run("CREATE OR REPLACE DATABASE memory");
    root.run("CREATE TABLE memory.t (a INT PRIMARY KEY)");
    root.run("BEGIN");
    root.run("INSERT INTO memory.t VALUES (1)");
    let mut client = proxy.root();
    let load = "LOAD DATA LOCAL INFILE 'x' INTO TABLE memory.t (@line) SET a = 1";
    client.send(&query(load)).unwrap();
    assert_eq!(client.read_packet().unwrap().payload, b"\xfbx");
    // Its first row waits for the other's to be committed or not.
    let line = [&vec![b'x'; 1 << 20][..], b"\n"].concat();
    let (mut file, mut seq) = (Vec::new(), 2_u8);
    for line in std::iter::repeat_n(&line, LINES) {
        file.extend(packets(line, seq));
        seq = seq.wrapping_add(1);
    }
    file.extend(packets(b"", seq));
    send_against_a_wall(&client, &file, &proxy, || {
        root.run("ROLLBACK");
    });
    let answer = client.read_answer(command::PING).unwrap();
    assert_eq!(answer[0].payload[0], 0, "{answer:?}");
    assert_eq!(client.value("SELECT a FROM memory.t").as_deref(), Some("1"));
    memory_stays_small(&proxy);
}

#[test]
fn big_statements_wait_in_the_client_while_the_store_works() {
    const STATEMENTS: usize = 8;
    const LITERAL_BYTES: usize = 20 << 20;
    let store = Store::shared();
    let proxy = Proxy::start(store, &plain(""));
    let mut root = store.root();
    root.run("DO GET_LOCK('memory', 0)");
    let mut client = proxy.root();
    let wait = packets(&query("DO GET_LOCK('memory', 100)"), 0);
    let big = format!("SELECT LENGTH('{}')", "x".repeat(LITERAL_BYTES));
    let bytes = [wait, packets(&query(&big), 0).repeat(STATEMENTS)].concat();
    send_against_a_wall(&client, &bytes, &proxy, || {
        root.run("DO RELEASE_LOCK('memory')");
    });
    client.read_answer(command::QUERY).unwrap();
    let length = LITERAL_BYTES.to_string();
    let row = [&[u8::try_from(length.len()).unwrap()], length.as_bytes()].concat();
    for _ in 0..STATEMENTS {
        let answer = client.read_answer(command::QUERY).unwrap();
        assert!(
            answer.iter().any(|packet| packet.payload == row),
            "{answer:?}"
        );
    }
    memory_stays_small(&proxy);
}
