//! Sequences of commands that are more than a statement.

use super::tape::{Parameter, Tape, about, execute, prepare, query};
use predictsql_proxy::wire::{Capabilities, PACKET_BYTES_MAX, command};
use predictsql_tests::Wire;

/// What is run on a tape.
pub type Run = fn(&mut Tape);

/// What is run, by name.
pub const SCRIPTS: &[(&str, Run)] = &[
    ("simple commands", simple_commands),
    ("commands that no server knows", unknown_commands),
    ("field list", field_list),
    ("change of database and of options", database_and_options),
    ("reset and change of user", reset_and_change_user),
    ("kill", kill),
    ("quit", quit),
    ("parameters", parameters),
    ("cursors", cursors),
    ("long data", long_data),
    ("prepared procedures", prepared_procedures),
    ("bulk", bulk),
    ("the last prepared statement", last_prepared),
    ("errors of prepared statements", prepared_errors),
    ("local files", local_files),
    ("long rows", long_rows),
    ("long commands", long_commands),
    ("pipelined commands", pipelined),
    ("commands in pieces", pieces),
];

fn simple_commands(tape: &mut Tape) {
    tape.command(&[command::PING]);
    tape.command(&[command::DEBUG]);
    tape.command(&[command::REFRESH, 0x04]);
    // Its text tells the uptime: only its place among the answers is compared.
    tape.wire.send(&[command::STATISTICS]).unwrap();
    let statistics = tape.wire.read_packet().unwrap();
    assert!(statistics.payload.starts_with(b"Uptime:"), "{statistics:?}");
    tape.command(&[command::PING]);
}

fn unknown_commands(tape: &mut Tape) {
    let kinds = [
        command::SLEEP,
        command::CONNECT,
        command::TIME,
        command::DELAYED_INSERT,
        command::CREATE_DB,
        command::DROP_DB,
        command::DAEMON,
        0x20,
        0x50,
        0xf0,
        0xff,
    ];
    for kind in kinds {
        tape.command(&[kind]);
        tape.command(&[kind, b'f', b'x', 0]);
        tape.command(&[command::PING]);
    }
}

fn field_list(tape: &mut Tape) {
    tape.command(b"\x04pets\0");
    tape.command(b"\x04kinds\0%");
    tape.command(b"\x04pets\0na%");
    tape.command(b"\x04nowhere\0");
    tape.query("SELECT 1");
}

fn database_and_options(tape: &mut Tape) {
    tape.command(b"\x02fidelity");
    tape.command(b"\x02nowhere");
    tape.query("SELECT DATABASE()");
    tape.command(&[command::SET_OPTION, 1, 0]);
    tape.query("SELECT 1; SELECT 2");
    tape.command(&[command::SET_OPTION, 0, 0]);
    tape.query("SELECT 1; SELECT 2");
    tape.command(&[command::SET_OPTION, 9, 0]);
    tape.command(&[command::SET_OPTION]);
}

fn reset_and_change_user(tape: &mut Tape) {
    tape.query("SET @a = 1, sql_mode = 'ANSI_QUOTES'");
    let id = tape.prepare("SELECT ?");
    tape.command(&[command::RESET_CONNECTION]);
    tape.query("SELECT @a, \"text\", DATABASE()");
    tape.execute(id, 0, &[Parameter::Int(1)]);
    tape.query("SET @a = 2");
    tape.command(b"\x11plain\0\0fidelity\0\x2d\0mysql_native_password\0");
    tape.query("SELECT @a, CURRENT_USER(), DATABASE()");
    tape.command(b"\x11root\0\0\0\x08\0mysql_native_password\0");
    tape.query("SELECT CURRENT_USER(), DATABASE(), @@character_set_client");
}

fn kill(tape: &mut Tape) {
    let victim = Wire::login(tape.address, "root", "", None).unwrap();
    let kill = |id: u32| [&[command::PROCESS_KILL], &id.to_le_bytes()[..]].concat();
    let answer = tape.wire.command(&kill(victim.connection_id()));
    tape.keep(command::PROCESS_KILL, "kill of another session", answer);
    let answer = tape.wire.command(&kill(u32::MAX));
    tape.keep(
        command::PROCESS_KILL,
        "kill of a session that is not there",
        answer,
    );
    let own = tape.wire.connection_id();
    tape.wire.send(&kill(own)).unwrap();
    tape.until_closed("kill of the own session");
}

fn quit(tape: &mut Tape) {
    tape.query("SELECT 1");
    tape.wire.send(&[command::QUIT]).unwrap();
    tape.until_closed("quit");
}

fn parameters(tape: &mut Tape) {
    use Parameter::{Double, Int, Null, Text};
    let id = tape.prepare("SELECT ?, ?, ?, ? FROM pets WHERE id >= ? LIMIT ?");
    let values = [Int(-5), Double(0.1), Text("é"), Null, Int(2), Int(2)];
    tape.execute(id, 0, &values);
    tape.execute(id, 0, &values);
    tape.command(&about(command::STMT_RESET, id, &[]));
    tape.execute(id, 0, &values);
    let insert = tape.prepare("INSERT INTO pets (name, age, photo) VALUES (?, ?, ?)");
    tape.execute(insert, 0, &[Text("Hal"), Null, Text("ml.predict('t', x)")]);
    tape.execute(insert, 0, &[Null, Int(1), Null]);
    tape.query("SELECT * FROM pets");
    let all = tape.prepare("SELECT * FROM kinds WHERE a <=> ? OR a = ?");
    tape.execute(all, 0, &[Null, Int(-128)]);
    for id in [id, insert, all] {
        tape.command(&about(command::STMT_CLOSE, id, &[]));
    }
    tape.execute(all, 0, &[Null, Null]);
}

fn cursors(tape: &mut Tape) {
    const READ_ONLY: u8 = 1;
    let id = tape.prepare("SELECT n, t FROM many ORDER BY n");
    tape.execute(id, READ_ONLY, &[]);
    for rows in [1_u32, 10, 0, 500] {
        tape.command(&about(command::STMT_FETCH, id, &rows.to_le_bytes()));
    }
    tape.query("SELECT 'between two fetches'");
    tape.command(&about(command::STMT_FETCH, id, &10_000_u32.to_le_bytes()));
    tape.command(&about(command::STMT_FETCH, id, &1_u32.to_le_bytes()));
    tape.execute(id, READ_ONLY, &[]);
    tape.command(&about(command::STMT_RESET, id, &[]));
    tape.command(&about(command::STMT_FETCH, id, &1_u32.to_le_bytes()));
    let none = tape.prepare("SELECT n FROM many WHERE n < 0");
    tape.execute(none, READ_ONLY, &[]);
    tape.command(&about(command::STMT_FETCH, none, &5_u32.to_le_bytes()));
    let update = tape.prepare("UPDATE pets SET age = 1");
    tape.execute(update, READ_ONLY, &[]);
}

fn long_data(tape: &mut Tape) {
    let id = tape.prepare("SELECT LENGTH(?), MD5(?)");
    for (parameter, text) in [
        (0_u16, &b"ml.predict("[..]),
        (0, b"more"),
        (1, &[7; 100_000]),
    ] {
        let rest = [&parameter.to_le_bytes()[..], text].concat();
        tape.command(&about(command::STMT_SEND_LONG_DATA, id, &rest));
    }
    tape.execute(id, 0, &[Parameter::Long, Parameter::Long]);
    tape.command(&about(command::STMT_SEND_LONG_DATA, id, b"\x09\0beyond"));
    tape.execute(id, 0, &[Parameter::Null, Parameter::Null]);
    tape.command(&about(command::STMT_RESET, id, &[]));
    tape.command(&about(command::STMT_SEND_LONG_DATA, 4711, b"\0\0nobody"));
    tape.execute(id, 0, &[Parameter::Text("a"), Parameter::Int(1)]);
}

fn prepared_procedures(tape: &mut Tape) {
    let id = tape.prepare("CALL outs(?, ?, ?)");
    tape.execute(
        id,
        0,
        &[Parameter::Int(1), Parameter::Null, Parameter::Text("c")],
    );
    let two = tape.prepare("CALL two_results()");
    tape.execute(two, 0, &[]);
    tape.execute(two, 0, &[]);
    let fails = tape.prepare("CALL fails()");
    tape.execute(fails, 0, &[]);
    tape.query("SELECT 1");
}

/// MariaDB: many rows of parameters at once.
fn bulk(tape: &mut Tape) {
    tape.query("SELECT 1");
    if !tape.wire.capabilities().has(Capabilities::MARIADB_BULK) {
        return;
    }
    let id = tape.prepare("INSERT INTO many VALUES (?, ?)");
    let send_types = 128_u16;
    let mut payload = about(command::STMT_BULK_EXECUTE, id, &send_types.to_le_bytes());
    payload.extend([3, 0, 253, 0]);
    for n in 0..1000_u32 {
        payload.push(0);
        payload.extend((100_000 + n).to_le_bytes());
        // An indicator of 1 is NULL.
        payload.extend(if n % 3 == 0 {
            &b"\x01"[..]
        } else {
            b"\0\x03ml."
        });
    }
    tape.command(&payload);
    tape.query("SELECT COUNT(*), COUNT(t) FROM many WHERE n >= 100000");
    tape.command(&payload);
    tape.query("SHOW WARNINGS");
}

/// MariaDB: statement id -1 means the one prepared last, so that both commands may go at once.
fn last_prepared(tape: &mut Tape) {
    tape.prepare("SELECT id FROM pets WHERE id > ?");
    tape.execute(u32::MAX, 0, &[Parameter::Int(2)]);
    let insert = prepare("INSERT INTO pets (name) VALUES (?)");
    tape.pipeline(&[insert, execute(u32::MAX, 0, &[Parameter::Text("Ivo")])]);
    tape.query("SELECT name FROM pets");
}

fn prepared_errors(tape: &mut Tape) {
    tape.prepare("SELEC ?");
    tape.prepare("SELECT * FROM nowhere WHERE a = ?");
    tape.prepare("SELECT 1; SELECT 2");
    tape.prepare("");
    tape.execute(12345, 0, &[]);
    tape.command(&about(command::STMT_RESET, 12345, &[]));
    tape.command(&about(command::STMT_FETCH, 12345, &[1, 0, 0, 0]));
    tape.command(&about(command::STMT_CLOSE, 12345, &[]));
    let id = tape.prepare("SELECT ?");
    // Cut off before the parameters.
    tape.command(&about(command::STMT_EXECUTE, id, &[0, 1, 0, 0, 0]));
    tape.query("CREATE TABLE gone (a INT)");
    let gone = tape.prepare("SELECT * FROM gone");
    tape.query("DROP TABLE gone");
    tape.execute(gone, 0, &[]);
    tape.query("SELECT 1");
}

fn local_files(tape: &mut Tape) {
    let load = "LOAD DATA LOCAL INFILE 'any' INTO TABLE many";
    tape.load(load, b"50001\tone\n50002\ttwo\n");
    tape.load(load, b"");
    tape.load(load, b"\x03SELECT ml.predict('t', x)\n\x01\n\x0e");
    let lines: Vec<u8> = (0..20_000_u32)
        .flat_map(|n| format!("{}\tml.predict(\n", 60_000 + n).into_bytes())
        .collect();
    tape.load(load, &lines);
    tape.load("LOAD DATA LOCAL INFILE 'any' INTO TABLE nowhere", b"1\n");
    tape.load(
        &format!("{load}; SELECT COUNT(*) FROM many; {load}"),
        b"90001\tx\n",
    );
    tape.query("SELECT COUNT(*), MAX(n) FROM many");
    tape.query("LOAD DATA INFILE '/nowhere/x' INTO TABLE many");
}

/// Rows at and beyond the 16 MiB of a packet.
fn long_rows(tape: &mut Tape) {
    let cell_prefix = 4;
    for bytes in [
        PACKET_BYTES_MAX - cell_prefix - 1,
        PACKET_BYTES_MAX - cell_prefix,
        PACKET_BYTES_MAX,
    ] {
        tape.query(&format!("SELECT REPEAT('a', {bytes})"));
    }
    tape.query("SELECT 1, REPEAT('b', 20 * 1024 * 1024) UNION ALL SELECT 2, 'c'");
    let id = tape.prepare("SELECT REPEAT('d', ?)");
    tape.execute(id, 0, &[Parameter::Int(20 << 20)]);
    tape.query("SELECT 'after'");
}

fn long_commands(tape: &mut Tape) {
    for bytes in [(1 << 20) - 1, 1 << 20, 3 << 20] {
        tape.query(&format!("SELECT LENGTH('{}')", "x".repeat(bytes)));
    }
    let around = "\u{3}SELECT MD5('')".len();
    for bytes in [
        PACKET_BYTES_MAX - 1,
        PACKET_BYTES_MAX,
        PACKET_BYTES_MAX + 1,
        20 << 20,
    ] {
        tape.query(&format!("SELECT MD5('{}')", "y".repeat(bytes - around)));
    }
    tape.query("SELECT 'after'");
}

fn pipelined(tape: &mut Tape) {
    let mut commands: Vec<Vec<u8>> = (0..200)
        .map(|n| match n % 5 {
            0 => query(&format!("SELECT {n}")),
            1 => vec![command::PING],
            2 => query("SELECT 'ml.predict(x)' FROM pets"),
            3 => query("SELECT n, t FROM many WHERE n < 40"),
            _ => query("SELECT * FROM nowhere"),
        })
        .collect();
    commands.push(query("SELECT 1; SELECT 2"));
    commands.push(prepare("SELECT id FROM pets WHERE id < 3"));
    commands.push(execute(u32::MAX, 0, &[]));
    commands.push(vec![command::RESET_CONNECTION]);
    commands.push(query("SELECT DATABASE()"));
    tape.pipeline(&commands);
}

fn pieces(tape: &mut Tape) {
    let commands = [
        query("SELECT 1"),
        vec![command::PING],
        query("SELECT 'ml.predict(1)', id FROM pets"),
        prepare("SELECT ?, name FROM pets"),
        query("SELECT n FROM many WHERE n < 5; SELECT 2"),
    ];
    for bytes in [1, 2, 3, 5, 7] {
        tape.in_chunks(&commands, || bytes);
    }
    // A linear congruential generator: pieces of 1 to 32 bytes, the same on each run.
    let mut state = 12345_u32;
    tape.in_chunks(&commands, || {
        state = state.wrapping_mul(1_103_515_245).wrapping_add(12_345);
        1 + (state >> 16) as usize % 32
    });
}
