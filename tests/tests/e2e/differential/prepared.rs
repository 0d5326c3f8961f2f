//! Prepared statements by their commands: last ids, cursors, data sent ahead, other types.

use predictsql_proxy::wire::command;
use predictsql_tests::Wire;

use super::answer::{Answer, Param, execute, execute_payload, prepare, query};
use super::pair::Pair;
use super::schemas::{LANE, NAIVE, in_schema};

/// The id by which MariaDB's clients mean the statement prepared last.
const LAST: u32 = u32::MAX;
/// CURSOR_TYPE_READ_ONLY
const CURSOR: u8 = 1;

/// A statement of each plan, with a parameter in a call and one beside it.
const STATEMENTS: [&str; 3] = [
    "SELECT id, ml.apparel(CONCAT(photo, ?)) FROM p WHERE ml.apparel(photo) <> ? ORDER BY id",
    "SELECT ml.apparel(CONCAT(photo, ?)) AS k, COUNT(*) FROM p WHERE ml.apparel(photo) <> ? GROUP BY k ORDER BY k",
    "SELECT id FROM p WHERE ml.apparel(CONCAT(photo, ?)) IN (SELECT ml.apparel(photo) FROM p WHERE ml.apparel(photo) <> ?) ORDER BY id",
];

fn text(text: &str) -> Param {
    Param::Text(text.to_owned())
}

/// A statement in both sessions: its ids.
fn prepared(pair: &mut Pair, sql: &str) -> (u32, u32) {
    let lane = prepare(&mut pair.lane, &in_schema(sql, LANE)).unwrap();
    (
        lane,
        prepare(&mut pair.naive, &in_schema(sql, NAIVE)).unwrap(),
    )
}

#[track_caller]
fn assert_same(pair: &mut Pair, ids: (u32, u32), params: &[Param]) {
    let lane = execute(&mut pair.lane, ids.0, params).unwrap();
    let naive = execute(&mut pair.naive, ids.1, params).unwrap();
    assert_eq!(lane.difference(&naive, true), None, "{params:?}");
}

#[test]
fn executions_take_other_values_and_types() {
    let mut pair = Pair::open();
    for sql in STATEMENTS {
        let ids = prepared(&mut pair, sql);
        for params in [
            [text(""), text("Bag")],
            [Param::Bytes(Vec::new()), text("Sandal")],
            [Param::Null, text("Bag")],
            [text(""), Param::Int(0)],
            [Param::Int(7), Param::Double(0.5)],
            [text(""), Param::Null],
        ] {
            assert_same(&mut pair, ids, &params);
        }
    }
}

#[test]
fn data_sent_ahead_is_a_parameter() {
    let mut pair = Pair::open();
    for sql in STATEMENTS {
        let ids = prepared(&mut pair, sql);
        for (session, id) in [(&mut pair.lane, ids.0), (&mut pair.naive, ids.1)] {
            for part in ["Ba", "g"] {
                session.send(&long_data(id, 1, part)).unwrap();
            }
        }
        let ahead = [text(""), Param::Bytes(Vec::new())];
        let answers = [(&mut pair.lane, ids.0), (&mut pair.naive, ids.1)].map(|(session, id)| {
            // A value that was sent ahead is not in the packet.
            let mut payload = execute_payload(id, &ahead);
            payload.pop();
            answer_of(session, &payload)
        });
        let [lane, naive] = answers;
        assert!(!naive.is_empty());
        assert_eq!(lane, naive, "{sql}");
        // It is used up.
        assert_same(&mut pair, ids, &[text(""), text("Sandal")]);
    }
}

/// The rows' payloads of an execution.
fn answer_of(session: &mut Wire, payload: &[u8]) -> Vec<Vec<u8>> {
    let packets = session.command(payload).unwrap();
    let columns = usize::from(packets[0].payload[0]);
    let rows = packets.iter().skip(2 + columns);
    let rows: Vec<_> = rows.map(|packet| packet.payload.to_vec()).collect();
    rows[..rows.len() - 1].to_vec()
}

fn long_data(id: u32, parameter: u16, data: &str) -> Vec<u8> {
    let mut payload = vec![command::STMT_SEND_LONG_DATA];
    payload.extend(id.to_le_bytes());
    payload.extend(parameter.to_le_bytes());
    payload.extend(data.as_bytes());
    payload
}

/// A cursor may be refused by sending the rows at once,
/// without the flag that says that there is one.
#[test]
fn a_client_that_asks_for_a_cursor_gets_all_rows() {
    let mut pair = Pair::open();
    let params = [text(""), text("Bag")];
    for sql in STATEMENTS {
        let ids = prepared(&mut pair, sql);
        let mut payload = execute_payload(ids.0, &params);
        payload[5] = CURSOR;
        let lane = answer_of(&mut pair.lane, &payload);
        let naive = answer_of(&mut pair.naive, &execute_payload(ids.1, &params));
        assert_eq!(lane, naive, "{sql}");
        assert!(!lane.is_empty());
    }
    assert_eq!(pair.lane.value("SELECT 1").as_deref(), Some("1"));
}

#[test]
fn the_last_id_means_what_the_client_has_prepared_last() {
    let mut pair = Pair::open();
    let predicted = "SELECT ml.apparel(photo) FROM p WHERE id = ?";
    let plain = "SELECT id + ? FROM p ORDER BY id LIMIT 1";
    let three = [Param::Int(3)];
    for order in [
        [predicted, plain],
        [plain, predicted],
        [plain, plain],
        [predicted, predicted],
    ] {
        for sql in order {
            prepared(&mut pair, sql);
            assert_same(&mut pair, (LAST, LAST), &three);
            // The lane prepares statements of its own for this one.
            for (session, schema) in [(&mut pair.lane, LANE), (&mut pair.naive, NAIVE)] {
                query(
                    session,
                    &in_schema(
                        "SELECT ml.apparel(photo), COUNT(*) FROM p GROUP BY 1",
                        schema,
                    ),
                )
                .unwrap();
            }
            assert_same(&mut pair, (LAST, LAST), &three);
            let reset = [&[command::STMT_RESET][..], &LAST.to_le_bytes()].concat();
            pair.lane.command(&reset).unwrap();
            assert_same(&mut pair, (LAST, LAST), &three);
        }
    }
    // What is closed, or could not be prepared, is no longer the last.
    for session in [&mut pair.lane, &mut pair.naive] {
        session
            .send(&[&[command::STMT_CLOSE][..], &LAST.to_le_bytes()].concat())
            .unwrap();
        assert_eq!(error(execute(session, LAST, &three)), 1243);
        prepare(session, plain).unwrap();
        prepare(session, "SELECT nonsense FROM p").unwrap_err();
    }
    pair.lane.run("SELECT dm.apparel(photo) FROM p LIMIT 1");
    for session in [&mut pair.lane, &mut pair.naive] {
        assert_eq!(error(execute(session, LAST, &three)), 1243);
    }
    // A predicting statement that cannot be prepared is no last one either,
    // whether the store refuses it or the lane.
    let session = &mut pair.lane;
    for unprepared in [
        "SELECT ml.apparel(nosuch) FROM p",
        "SELECT ml.predict() FROM p",
    ] {
        prepare(session, plain).unwrap();
        execute(session, LAST, &three).unwrap();
        prepare(session, &in_schema(unprepared, LANE)).unwrap_err();
        let refused = execute(session, LAST, &three);
        assert_eq!(error(refused), 1243, "{unprepared}");
    }
}

fn error(answered: Result<Answer, predictsql_tests::wire::SqlError>) -> u16 {
    answered.unwrap_err().code
}
