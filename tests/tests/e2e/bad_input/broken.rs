//! What goes wrong while a statement runs: the store or the client goes away, the model is slow,
//! the spool is full.

use std::fs;
use std::net::Shutdown;
use std::sync::OnceLock;

use predictsql_tests::{Store, Wire, eventually};

use super::{Place, check_usable, create_model};
use crate::differential::answer::query;

/// Bytes of a row's padding.
const WIDE: usize = 200_000;
/// Rows: their whole result is larger than all socket buffers between store and client.
const ROWS: usize = 120;

/// A model that takes tens of milliseconds an image, and a table `wide.w` with wide rows.
fn create_slow(place: &Place, database: &str) {
    let mut root = place.store.root();
    root.run(&format!("CREATE DATABASE {database}"));
    root.run(&format!(
        "CREATE TABLE {database}.w (id INT PRIMARY KEY, photo VARCHAR(20), pad LONGTEXT)"
    ));
    root.run(&format!("USE {database}")); // sequences are tables of a database
    root.run(&format!(
        "INSERT INTO {database}.w SELECT seq, CONCAT(seq % 3 + 1, '.png'), REPEAT(CHAR(65 + seq % 26), {WIDE}) \
         FROM seq_1_to_{ROWS}"
    ));
    place.session().run(&create_model("snail", "slow.onnx"));
}

fn statement(schema: &str, database: &str) -> String {
    format!("SELECT id, {schema}.predict('snail', photo) AS label, pad FROM {database}.w")
}

#[test]
fn a_slow_model_does_not_let_the_store_cut_the_result() {
    // The slowest of all buffers between store and proxy are full long before the model is done.
    static STORE: OnceLock<Store> = OnceLock::new();
    let store =
        STORE.get_or_init(|| Store::start(&["--net-write-timeout=2", "--max-allowed-packet=64M"]));
    let place = Place::with(store, "sl_ml", "spool_memory_bytes_max = 1000000");
    create_slow(&place, "wide");
    let mut session = place.session();
    assert_eq!(
        session.value("SELECT @@net_write_timeout").as_deref(),
        Some("2")
    );
    let answer = session.run(&format!("{} ORDER BY id", statement("sl_ml", "wide")));
    assert_eq!(answer.rows.len(), ROWS);
    session.run("USE wide");
    let labels = session.rows("SELECT sl_ml.predict('snail', CONCAT(seq, '.png')) FROM seq_1_to_3");
    for (row, id) in answer.rows.iter().zip(1..) {
        let letter = char::from(65 + (id % 26) as u8).to_string();
        let expected = [
            Some(id.to_string()),
            labels[id % 3][0].clone(),
            Some(letter.repeat(WIDE)),
        ];
        assert!(row[..] == expected, "row {id}");
    }
    check_usable(&mut session, "sl_ml");
    assert_no_spool_files(&place);
}

#[test]
fn a_full_spool_is_an_error_and_the_session_goes_on() {
    let lane = "spool_memory_bytes_max = 100000\nspool_disk_bytes_max = 1000000";
    let place = Place::with(Store::shared(), "sp_ml", lane);
    create_slow(&place, "spooled");
    let mut session = place.session();
    let error = query(&mut session, &statement("sp_ml", "spooled")).unwrap_err();
    assert_eq!(
        (error.code, error.sqlstate.as_str()),
        (1021, "HY000"),
        "{error:?}"
    );
    assert!(error.message.contains("spool_disk_bytes_max"), "{error:?}");
    check_usable(&mut session, "sp_ml");
    assert_no_spool_files(&place);
}

#[test]
fn a_client_that_goes_away_leaves_nothing() {
    let place = Place::with(Store::shared(), "cl_ml", "");
    create_slow(&place, "leaving");
    let mut root = place.store.root();
    root.run("CREATE USER leaver@127.0.0.1");
    root.run("GRANT SELECT ON leaving.* TO leaver@127.0.0.1");
    root.run("GRANT EXECUTE ON cl_ml.* TO leaver@127.0.0.1");
    let mut client = Wire::login(place.proxy.address(), "leaver", "", None).unwrap();
    let sql = format!("\x03{}", statement("cl_ml", "leaving"));
    client.send(sql.as_bytes()).unwrap();
    client.read_packet().unwrap();
    assert_eq!(place.store.sessions_of(&mut root, "leaver"), 1);
    client.socket().shutdown(Shutdown::Both).unwrap();
    drop(client);
    eventually("the store session of the client ends", || {
        (place.store.sessions_of(&mut root, "leaver") == 0).then_some(())
    });
    // The executor is free for others.
    check_usable(&mut place.session(), "cl_ml");
    assert_no_spool_files(&place);
}

#[test]
fn a_store_that_goes_away_ends_the_session_with_an_error() {
    static STORE: OnceLock<Store> = OnceLock::new();
    let store = STORE.get_or_init(Store::own);
    let place = Place::with(store, "st_ml", "");
    create_slow(&place, "dying");
    let mut client = place.session();
    let sql = format!("\x03{}", statement("st_ml", "dying"));
    client.send(sql.as_bytes()).unwrap();
    let first = client.read_packet().unwrap();
    assert_eq!(first.payload, [3], "three columns");
    store.kill();
    // Rows may come that the store had sent before; the end is an error, or the connection's end,
    // and never an EOF as if all had come, unless all had.
    let mut rows = 0;
    loop {
        match client.read_packet() {
            Ok(packet) if packet.payload.len() > WIDE => rows += 1,
            Ok(packet) if packet.payload[0] == 0xfe && rows == ROWS => break,
            Ok(packet) => assert!(
                rows == 0 && packet.payload.len() < WIDE && packet.payload[0] != 0xff,
                "{packet:?} after {rows} rows"
            ),
            // As on a connection of its own: cut, without a word.
            Err(_) => break,
        }
    }
    store.restart();
    let mut session = place.session();
    check_usable(&mut session, "st_ml");
    assert_no_spool_files(&place);
}

/// Files of the spool have no name while they are open; once they are closed they are gone.
fn assert_no_spool_files(place: &Place) {
    let folder = format!("/proc/{}/fd", place.proxy.pid().as_raw_nonzero());
    eventually("no spool file is open", || {
        let open = fs::read_dir(&folder)
            .unwrap()
            .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
        let spools = open.filter(|path| path.to_string_lossy().contains("(deleted)"));
        (spools.count() == 0).then_some(())
    });
}
