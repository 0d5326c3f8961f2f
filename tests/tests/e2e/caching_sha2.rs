//! Logins to stores of MySQL 8's plugins: each scene is played against the scripted store directly
//! and through the proxy, by mysql_async and PyMySQL, and must end the same,
//! by the same way of proving the password.

mod client;
mod legs;

use client::{Client, Denied};
use predictsql_tests::scripted_store::{Account, Attempt, Plugin, Script, ScriptedStore, Way};
use predictsql_tests::{Proxy, Settings};

/// A proxy of `store` that does no predictions.
fn serve(store: &ScriptedStore) -> Proxy {
    let settings = Settings {
        service_account: false,
        ..Settings::default()
    };
    Proxy::serving(&store.url(), &settings).expect("the proxy starts")
}

fn accounts() -> Vec<Account> {
    vec![
        Account::new("ada", "it's a sécret", Plugin::CachingSha2),
        Account::new("open", "", Plugin::CachingSha2),
        Account::new("native", "old", Plugin::Native),
        Account::new("sha256", "older", Plugin::Sha256),
    ]
}

fn attempt(user: &str, way: Way, granted: bool) -> Attempt {
    Attempt {
        user: user.to_owned(),
        way,
        tls: false,
        granted,
    }
}

/// One login and what must come of it.
struct Scene {
    user: &'static str,
    password: &'static str,
    way: Way,
    granted: bool,
}

fn scene(user: &'static str, password: &'static str, way: Way, granted: bool) -> Scene {
    Scene {
        user,
        password,
        way,
        granted,
    }
}

/// Plays the scenes one after another, on one store for each client and each path to it.
fn play(script: &Script, clients: &[Client], scenes: &[Scene]) {
    for client in clients {
        for through_proxy in [false, true] {
            let store = ScriptedStore::start(script.clone());
            let proxy = through_proxy.then(|| serve(&store));
            let address = proxy.as_ref().map_or(store.address(), Proxy::address);
            for scene in scenes {
                let what = format!("{client:?} {} through proxy: {through_proxy}", scene.user);
                let outcome = client.log_in(address, scene.user, scene.password, None);
                if scene.granted {
                    assert_eq!(outcome, Ok(format!("{}@%", scene.user)), "{what}");
                } else {
                    let denied = outcome.expect_err(&what);
                    assert_eq!(denied, access_denied(scene), "{what}");
                }
                let expected = attempt(scene.user, scene.way, scene.granted);
                assert_eq!(store.take_attempts(), [expected], "{what}");
            }
        }
    }
}

fn access_denied(scene: &Scene) -> Denied {
    let using = if scene.way == Way::Empty { "NO" } else { "YES" };
    Denied {
        code: 1045,
        message: format!(
            "Access denied for user '{}'@'localhost' (using password: {using})",
            scene.user
        ),
    }
}

const SECRET: &str = "it's a sécret";
const BOTH: &[Client] = &[Client::MysqlAsync, Client::PyMySql];

#[test]
fn the_first_login_proves_the_password_in_full_and_the_next_ones_fast() {
    let script = Script {
        accounts: accounts(),
        ..Script::default()
    };
    let scenes = [
        scene("ada", SECRET, Way::Rsa, true),
        scene("ada", SECRET, Way::Fast, true),
        // A wrong password is not in the cache: it is asked for in full, and then refused.
        scene("ada", "wrong", Way::Rsa, false),
        scene("ada", SECRET, Way::Fast, true),
    ];
    play(&script, BOTH, &scenes);
}

#[test]
fn wrong_passwords_and_unknown_users_are_denied_in_the_stores_words() {
    let script = Script {
        accounts: accounts(),
        ..Script::default()
    };
    let scenes = [
        scene("ada", "wrong", Way::Rsa, false),
        scene("nobody", "any", Way::Rsa, false),
        scene("ada", "", Way::Empty, false),
        scene("nobody", "", Way::Empty, false),
        scene("open", "any", Way::Rsa, false),
        scene("open", "", Way::Empty, true),
    ];
    play(&script, BOTH, &scenes);
}

#[test]
fn plugins_are_switched_in_either_direction() {
    for default_plugin in [Plugin::Native, Plugin::CachingSha2] {
        let script = Script {
            accounts: accounts(),
            default_plugin,
            ..Script::default()
        };
        let scenes = [
            scene("native", "old", Way::Native, true),
            scene("native", "wrong", Way::Native, false),
            scene("ada", SECRET, Way::Rsa, true),
            scene("ada", SECRET, Way::Fast, true),
            scene("open", "", Way::Empty, true),
        ];
        play(&script, BOTH, &scenes);
        // mysql_async does not know this plugin.
        let scenes = [
            scene("sha256", "older", Way::Rsa, true),
            scene("sha256", "wrong", Way::Rsa, false),
        ];
        play(&script, &[Client::PyMySql], &scenes);
    }
}

#[test]
fn a_forgotten_password_is_proved_in_full_again() {
    let store = ScriptedStore::start(Script {
        accounts: accounts(),
        ..Script::default()
    });
    let proxy = serve(&store);
    for client in BOTH {
        store.forget();
        for way in [Way::Rsa, Way::Fast] {
            let user = client.log_in(proxy.address(), "ada", SECRET, None);
            assert_eq!(user.as_deref(), Ok("ada@%"));
            assert_eq!(store.take_attempts(), [attempt("ada", way, true)]);
        }
    }
}

#[test]
fn a_session_changes_user_by_the_full_path_and_by_the_fast_one() {
    let store = ScriptedStore::start(Script {
        accounts: accounts(),
        ..Script::default()
    });
    let proxy = serve(&store);
    let users = [
        ("native", "old"),
        ("ada", SECRET),
        ("open", ""),
        ("ada", SECRET),
    ];
    let (seen, end) = client::change_users(proxy.address(), &users, None);
    assert_eq!(seen, ["native@%", "ada@%", "open@%", "ada@%"]);
    assert_eq!(end, None);
    let expected = [
        attempt("native", Way::Native, true),
        attempt("ada", Way::Rsa, true),
        attempt("open", Way::Empty, true),
        attempt("ada", Way::Fast, true),
    ];
    assert_eq!(store.take_attempts(), expected);
}
