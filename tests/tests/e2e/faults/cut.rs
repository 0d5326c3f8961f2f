//! A store's connection that ends after each packet of an answer.

use super::until_end;
use predictsql_proxy::wire::command;
use predictsql_tests::{Cut, Proxy, Settings, Store, Wire, apparel};
use std::io;

const USER: &str = "cutter";
/// More packets than the store sends for any of the statements.
const PACKETS_MAX: usize = 500;

/// Has a session's store cut after so many packets of the answers to `commands`, and says whether
/// they all came. What must not come is a packet behind a complete answer,
/// or an answer that seems complete and is not.
fn answered(proxy: &Proxy, commands: &[Vec<u8>]) -> bool {
    let mut session = Wire::login(proxy.address(), USER, "", None).unwrap();
    for command in commands {
        if session.send(command).is_err() {
            return false;
        }
        match session.read_answer(command[0]) {
            // An ERR in mid-answer would end it, too: nothing here has a reason for one.
            Ok(answer) => {
                let error = answer.iter().find(|packet| packet.payload[0] == 0xff);
                assert_eq!(error, None, "{command:?}");
            }
            Err(error) => {
                assert_ne!(error.kind(), io::ErrorKind::WouldBlock, "{command:?}");
                return false;
            }
        }
    }
    // The store may be lost while the proxy has still to do with it. Then nothing comes,
    // in answer to a command or not.
    if session.send(&[command::PING]).is_ok() {
        match session.read_packet() {
            Ok(packet) => {
                assert_eq!((packet.seq, packet.payload[0]), (1, 0), "{packet:?}");
                return true;
            }
            Err(error) => assert_ne!(error.kind(), io::ErrorKind::WouldBlock),
        }
    }
    assert_eq!(until_end(&mut session), []);
    false
}

#[test]
fn nothing_follows_a_complete_answer_wherever_the_store_is_lost() {
    let store = Store::shared();
    let mut root = store.root();
    root.run(&format!("CREATE USER IF NOT EXISTS {USER}@'127.0.0.1'"));
    root.run(&format!(
        "GRANT SELECT, EXECUTE, CREATE TEMPORARY TABLES ON *.* TO {USER}@'127.0.0.1'"
    ));
    let cut = Cut::before(store.address(), USER);
    let settings = Settings {
        schema: "cut".to_owned(),
        ..Settings::default()
    };
    let proxy = Proxy::start_by_way_of(&cut.url(), store, &settings);
    apparel::create_zoo(&mut proxy.root(), |name| name == "apparel_nano");
    apparel::create_shop(&mut proxy.root(), "cut_shop");
    let command = |command: u8, sql: &str| [&[command], sql.as_bytes()].concat();
    let query = |sql| command(command::QUERY, sql);
    let filtered =
        "SELECT id FROM cut_shop.products WHERE id <= 8 AND cut.predict('apparel', photo) <> 'Bag'";
    let grouped = "SELECT cut.predict('apparel', photo) k, COUNT(*) FROM cut_shop.products WHERE id <= 8 GROUP BY k";
    for commands in [
        vec![query("SELECT 1"), query("SELECT 2, 3")],
        vec![query(filtered)],
        vec![query(grouped)],
        vec![query(&format!("EXPLAIN {filtered}"))],
        vec![command(command::STMT_PREPARE, filtered)],
    ] {
        let whole = (1..PACKETS_MAX).find(|packets| {
            cut.after(*packets);
            answered(&proxy, &commands)
        });
        assert!(whole.is_some_and(|packets| packets > 2), "{whole:?}");
    }
}
