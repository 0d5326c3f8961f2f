//! Logins and changes of user, those that succeed and those that fail.

use super::script::Script;
use super::{kills, odd_commands};
use crate::fidelity::encode::query;
use crate::fidelity::tape::Tape;
use predictsql_proxy::wire::{Capabilities, command};
use predictsql_tests::wire::{Login, packets};

/// Of account `curved`: with 32 bytes MariaDB's ed25519 is the standard one.
const CURVED: &str = "0123456789abcdef0123456789abcdef";
const ED25519: &str = "client_ed25519";

pub fn scripts() -> Vec<Script<'static>> {
    vec![
        Script::new("logins", logins),
        Script::new("logins that are refused", refused_logins),
        Script::new("logins under another plugin", logins_by_plugin),
        Script::new("logins in other character sets", logins_in_character_sets),
        Script::new("logins with attributes", logins_with_attributes),
        Script::new("an expired password", expired_password),
        Script::new("a ration of connections", rationed),
        Script::new("change of user", change_of_user),
        Script::new(
            "changes of user that are refused, and other waits",
            slow_refusals,
        )
        .long(),
        Script::new("change of user to another database", other_database),
        Script::new("change of user to another plugin", other_plugin)
            .needs(Capabilities::PLUGIN_AUTH),
        Script::new("change of user with attributes", with_attributes),
        Script::new("change of user in a transaction", within_transaction),
        Script::new("change of user before other commands", before_others)
            .needs(Capabilities::PLUGIN_AUTH),
    ]
}

fn login(tape: &Tape, user: &'static str, password: &'static str) -> Login<'static> {
    Login {
        user,
        password,
        ..tape.client.login()
    }
}

fn who(tape: &mut Tape) {
    tape.query("SELECT USER(), CURRENT_USER(), DATABASE(), @a");
}

fn logins(tape: &mut Tape) {
    for (user, password, database) in [
        ("plain", "", None),
        ("plain", "", Some("fidelity")),
        ("named", "secret", None),
        ("named", "secret", Some("information_schema")),
        ("root", "", Some("mysql")),
    ] {
        tape.login(&Login {
            database,
            ..login(tape, user, password)
        });
        who(tape);
    }
}

fn refused_logins(tape: &mut Tape) {
    for (user, password, database) in [
        ("nobody", "", None),
        ("nobody", "guess", Some("fidelity")),
        ("named", "", None),
        ("named", "wrong", None),
        ("plain", "unasked", None),
        ("plain", "", Some("nowhere")),
        ("plain", "", Some("mysql")),
        ("locked", "", None),
        ("secured", "", None),
        ("", "", None),
    ] {
        tape.try_login(&Login {
            database,
            ..login(tape, user, password)
        });
    }
}

fn logins_by_plugin(tape: &mut Tape) {
    for (user, password) in [
        ("curved", CURVED),
        ("curved", "guessguessguessguessguessguessgu"),
        ("curved", ""),
        ("named", "secret"),
        ("plain", ""),
    ] {
        for plugin in [
            "mysql_native_password",
            ED25519,
            "caching_sha2_password",
            "",
        ] {
            tape.try_login(&Login {
                plugin,
                ..login(tape, user, password)
            });
        }
    }
    if tape.has(Capabilities::PLUGIN_AUTH) {
        tape.login(&login(tape, "curved", CURVED));
        who(tape);
    }
}

fn logins_in_character_sets(tape: &mut Tape) {
    // utf16 is no client's, and there are no collations 0 and 250.
    for charset in [54, 0, 250] {
        tape.try_login(&Login {
            charset,
            ..login(tape, "plain", "")
        });
    }
    // latin1, sjis, gbk, binary, utf8mb3.
    for charset in [8, 13, 28, 63, 33] {
        tape.login(&Login {
            charset,
            database: Some("fidelity"),
            ..login(tape, "plain", "")
        });
        tape.query("SELECT @@character_set_client, @@collation_connection, name, 'x' FROM pets");
    }
}

fn logins_with_attributes(tape: &mut Tape) {
    let long = "v".repeat(300);
    let longer = "w".repeat(60_000);
    let sets: [&[(&str, &str)]; 4] = [
        &[],
        &[("_client_name", "libmariadb"), ("_os", "Linux")],
        &[("", ""), ("ünï", "cödé"), ("long", &long)],
        &[("longer", &longer)],
    ];
    for attributes in sets {
        tape.try_login(&Login {
            attributes,
            ..login(tape, "plain", "")
        });
    }
}

fn expired_password(tape: &mut Tape) {
    tape.try_login(&login(tape, "expired", "wrong"));
    tape.login(&login(tape, "expired", "secret"));
    tape.query("SELECT 1");
    tape.prepare("SELECT 1");
    tape.command(&[command::PING]);
    tape.command(&[command::RESET_CONNECTION]);
    tape.query("SELECT 1");
}

fn rationed(tape: &mut Tape) {
    for _ in 0..3 {
        tape.try_login(&login(tape, "rationed", ""));
    }
}

fn change_of_user(tape: &mut Tape) {
    tape.query("SET @a = 2, sql_mode = 'ANSI_QUOTES'");
    tape.query("CREATE TEMPORARY TABLE of_root (a INT)");
    let id = tape.prepare("SELECT 1");
    for (user, password) in [("plain", ""), ("named", "secret"), ("root", "")] {
        tape.change_user(&Login {
            database: Some("fidelity"),
            ..login(tape, user, password)
        });
        who(tape);
        tape.query("SELECT * FROM of_root");
        tape.query("SELECT \"text\"");
        tape.execute(id, 0, &[]);
    }
    let charset = 8;
    tape.change_user(&Login {
        charset,
        ..login(tape, "plain", "")
    });
    tape.query("SELECT CURRENT_USER(), DATABASE(), @@character_set_client");
}

/// The store takes a second over each of these.
fn slow_refusals(tape: &mut Tape) {
    tape.at_once(&[
        &|tape| refused(tape, "named", "wrong", None),
        &|tape| refused(tape, "named", "", Some("fidelity")),
        &|tape| refused(tape, "nobody", "", None),
        &|tape| refused(tape, "locked", "", None),
        &|tape| refused(tape, "secured", "", None),
        &|tape| refused(tape, "plain", "", Some("nowhere")),
        &|tape| refused(tape, "plain", "", Some("mysql")),
        &odd_commands::change_user_cut_short,
        &kills::waits_too_long,
    ]);
}

fn refused(
    tape: &mut Tape,
    user: &'static str,
    password: &'static str,
    database: Option<&'static str>,
) {
    tape.query("SET @a = 3");
    tape.change_user(&Login {
        database,
        ..login(tape, user, password)
    });
    // The session goes on as it was, or it has ended.
    let who = query("SELECT CURRENT_USER(), DATABASE(), @a");
    match tape.wire.command(&who) {
        Ok(answer) => tape.keep(command::QUERY, "who am I", Ok(answer)),
        Err(_) => tape.until_closed("the end"),
    }
}

fn other_database(tape: &mut Tape) {
    for database in [Some("information_schema"), None, Some("fidelity")] {
        tape.change_user(&Login {
            database,
            ..login(tape, "plain", "")
        });
        tape.query("SELECT CURRENT_USER(), DATABASE()");
    }
}

fn other_plugin(tape: &mut Tape) {
    for plugin in ["mysql_native_password", ED25519, "no_such_plugin"] {
        for (user, password) in [("curved", CURVED), ("named", "secret")] {
            tape.change_user(&Login {
                plugin,
                ..login(tape, user, password)
            });
            who(tape);
        }
    }
}

fn with_attributes(tape: &mut Tape) {
    let long = "v".repeat(3000);
    let sets: [&[(&str, &str)]; 3] = [
        &[],
        &[("program_name", "ml.predict('t', x)")],
        &[("a", ""), ("long", &long)],
    ];
    for attributes in sets {
        tape.change_user(&Login {
            attributes,
            database: Some("fidelity"),
            charset: 8,
            ..login(tape, "plain", "")
        });
        tape.query("SELECT CURRENT_USER(), @@character_set_client, DATABASE()");
    }
}

fn within_transaction(tape: &mut Tape) {
    tape.query("BEGIN");
    tape.query("INSERT INTO pets (name) VALUES ('never')");
    tape.change_user(&Login {
        database: Some("fidelity"),
        ..login(tape, "plain", "")
    });
    tape.query("SELECT COUNT(*), @@in_transaction FROM pets WHERE name = 'never'");
}

/// Everything in one write: the command, the empty proof that it will be asked for,
/// and a statement.
fn before_others(tape: &mut Tape) {
    tape.query("SET @a = 4");
    let change = tape.wire.change_user_command(&login(tape, "plain", ""));
    let bytes = [
        packets(&change, 0),
        packets(b"", 2),
        packets(&query("SELECT CURRENT_USER(), @a"), 0),
        packets(&[command::PING], 0),
    ];
    tape.wire.send_raw(&bytes.concat()).unwrap();
    let asked = tape.wire.read_packet().map(|packet| vec![packet]);
    tape.keep(command::CHANGE_USER, "a request for a proof", asked);
    tape.read_answers(&[
        vec![command::PING],
        query("SELECT CURRENT_USER(), @a"),
        vec![command::PING],
    ]);
}
