//! The replies from which the optimizer's tests plan whole statements: what a real store answers
//! today. With `PREDICTSQL_RECORD=1` they are recorded anew.

#[path = "../../../../optimizer/tests/planned/conversation.rs"]
mod conversation;
#[path = "../../../../optimizer/tests/planned/replies.rs"]
mod replies;
#[path = "../../../../optimizer/tests/planned/statements.rs"]
mod statements;

use bytes::Bytes;
use predictsql_optimizer::exchange::{Column, Layout, Method, Question, Reply, Rows, StoreRefusal};
use predictsql_proxy::wire::{ColumnDefinition, ErrPacket, command, lenenc};
use predictsql_tests::process::checkout;
use predictsql_tests::wire::SqlError;
use predictsql_tests::{Store, Wire};

use self::conversation::{Planned, plan, session_key};
use self::replies::{Replies, key};
use self::statements::{GROUPS, Statement, Value, catalog};
use super::answer::{self, Answer, Param};
use super::fixture::made;
use super::schemas::{LANE, in_schema, plain_name};
use super::{flowers, shop};

/// Of this test alone.
const DATABASE: &str = "recorded";

#[test]
fn the_store_answers_the_questions_of_planning_as_recorded() {
    let path = replies::path(&checkout().join("optimizer"));
    let recorded = Replies::read(&path);
    let mut now = Replies::default();
    let mut store = Store::shared().root();
    create_tables(&mut store);
    let mut different = Vec::new();
    let of_group = |(name, statements): &(&'static str, &'static [Statement])| {
        let name = *name;
        statements.iter().map(move |statement| (name, statement))
    };
    for (group, statement) in GROUPS.iter().flat_map(of_group) {
        let mut session = Store::shared().root();
        session.run(&format!("USE {DATABASE}"));
        if let Some(setting) = statement.setting {
            session.run(setting);
        }
        let mut answer = |question: &Question| {
            let reply = answer(&mut session, statement, question);
            let key = key(&session_key(statement), question);
            now.record(&key, &reply);
            match recorded.reply(&key) {
                // The store's estimates are its own.
                Some(_) if question.text.sql.starts_with("EXPLAIN") => {}
                Some(recorded) if recorded == reply => {}
                recorded => different.push(format!("{key}\n{recorded:?}\n{reply:?}")),
            }
            reply
        };
        let nodes = plan(
            statement,
            &catalog(),
            &mut answer,
            |planned| match planned {
                Planned::Plan(plan) => Ok(plan.nodes.len()),
                Planned::Failed(failure) => Err(failure),
            },
        );
        if nodes.is_err() != (group == "refused") {
            different.push(format!("{group}: {}\n{nodes:?}", statement.sql));
        }
    }
    let unasked = recorded.keys().filter(|key| now.reply(key).is_none());
    different.extend(unasked.map(|key| format!("not asked any more: {key}")));
    if std::env::var_os("PREDICTSQL_RECORD").is_some() {
        std::fs::write(&path, now.text()).unwrap();
    } else {
        assert!(different.is_empty(), "{}", different.join("\n\n"));
    }
}

fn create_tables(store: &mut Wire) {
    let shop = &made().1;
    shop.create_tables(store, DATABASE, shop::SMALL);
    flowers::create_table(store, DATABASE);
    store.run(&format!("CREATE TABLE {DATABASE}.w LIKE {DATABASE}.p"));
    store.run(&format!(
        "INSERT INTO {DATABASE}.w SELECT * FROM {DATABASE}.p"
    ));
    let tables = ["p", "q", "w", "f"].map(|table| format!("{DATABASE}.{table}"));
    store.run(&format!("ANALYZE TABLE {}", tables.join(", ")));
}

/// The store's reply, in terms of a catalog in schema `ml`.
fn answer(session: &mut Wire, statement: &Statement, question: &Question) -> Reply {
    let sql = in_schema(&question.text.sql, LANE);
    let params: Vec<Param> = question
        .text
        .parameters
        .iter()
        .map(|n| param(&statement.parameters[*n]))
        .collect();
    let answered = match question.method {
        Method::Describe => describe(session, &sql).map(Reply::Described),
        Method::Query => answer::query(session, &sql).map(rows),
        Method::Execute => answer::execute_once(session, &sql, &params).map(rows),
    };
    answered.unwrap_or_else(|error| {
        let mut sqlstate = *b"HY000";
        sqlstate.copy_from_slice(error.sqlstate.as_bytes());
        Reply::Refused(StoreRefusal {
            code: error.code,
            sqlstate,
            message: plain_name(&error.message)
                .replace(DATABASE, "df")
                .into_bytes(),
        })
    })
}

fn param(value: &Value) -> Param {
    match value {
        Value::Null => Param::Null,
        Value::Int(value) => Param::Int(*value),
        Value::Text(value) => Param::Text((*value).to_owned()),
        Value::Bytes(value) => Param::Bytes(value.to_vec()),
    }
}

fn rows(answer: Answer) -> Reply {
    Reply::Rows(Rows {
        columns: answer.columns.iter().map(column).collect(),
        rows: answer.rows,
    })
}

fn column(definition: &ColumnDefinition) -> Column {
    const BINARY: u16 = 63;
    Column {
        name: plain_name(&String::from_utf8_lossy(&definition.name)),
        layout: match definition.column_type {
            1 => Layout::Fixed(1),
            2 | 13 => Layout::Fixed(2),
            3 | 4 | 9 => Layout::Fixed(4),
            5 | 8 => Layout::Fixed(8),
            7 | 10 | 11 | 12 | 14 | 17..=19 => Layout::Short,
            6 => Layout::Null,
            _ => Layout::String,
        },
        is_string: matches!(definition.column_type, 6 | 15 | 245 | 247..=254),
        is_binary: definition.charset == BINARY,
        length: definition.length,
    }
}

/// Prepares a statement, and closes it.
fn describe(session: &mut Wire, sql: &str) -> Result<Vec<Column>, SqlError> {
    let payload = [&[command::STMT_PREPARE], sql.as_bytes()].concat();
    let packets = session.command(&payload).unwrap();
    let first = &packets[0].payload;
    if ErrPacket::is_err(first) {
        let error = ErrPacket::parse(first).unwrap();
        return Err(SqlError {
            code: error.code,
            sqlstate: String::from_utf8_lossy(&error.sqlstate).into_owned(),
            message: String::from_utf8_lossy(&error.message).into_owned(),
        });
    }
    let mut input = &first[1..];
    let id = lenenc::get_u32(&mut input).unwrap();
    let columns = usize::from(lenenc::get_u16(&mut input).unwrap());
    let parameters = usize::from(lenenc::get_u16(&mut input).unwrap());
    // The definitions of each kind are followed by an EOF.
    let skipped = 1 + parameters + usize::from(parameters > 0);
    let definitions = packets.iter().skip(skipped).take(columns);
    let columns = definitions.map(|packet| {
        let payload = Bytes::from(packet.payload.clone());
        column(&ColumnDefinition::parse(&payload, session.capabilities()).unwrap())
    });
    let columns = columns.collect();
    answer::close(session, id);
    Ok(columns)
}
