//! Logins over unlike legs: whether a password goes in clear, under the store's key,
//! or nowhere depends on both.

use super::client::{self, Client, Denied};
use super::{BOTH, SECRET, accounts, attempt};
use predictsql_tests::authority::Authority;
use predictsql_tests::process::new_dir;
use predictsql_tests::scripted_store::{Account, Attempt, Plugin, Script, ScriptedStore, Way};
use predictsql_tests::{Proxy, Settings};
use std::path::PathBuf;
use std::sync::OnceLock;

/// Vouches for the proxies and the stores here.
fn authority() -> &'static Authority {
    static AUTHORITY: OnceLock<Authority> = OnceLock::new();
    AUTHORITY.get_or_init(Authority::new)
}

/// The leg between proxy and store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StoreLeg {
    Plain,
    Tls,
    Socket,
}

/// A store and a proxy that offers TLS.
struct Legs {
    store: ScriptedStore,
    proxy: Proxy,
    store_leg: StoreLeg,
}

impl Legs {
    fn new(store_leg: StoreLeg, script: Script) -> Self {
        let pair = authority().new_pair(&["127.0.0.1"]);
        let mut script = script;
        let mode = match store_leg {
            StoreLeg::Plain => "disabled",
            StoreLeg::Socket => "as_client",
            StoreLeg::Tls => {
                script.tls = Some(pair.clone());
                "required"
            }
        };
        let store = match store_leg {
            StoreLeg::Socket => ScriptedStore::on_socket(script, &new_dir("scripted").join("s")),
            _ => ScriptedStore::start(script),
        };
        let settings = Settings {
            service_account: false,
            top: format!(
                "[tls]\ncertificate = {:?}\nkey = {:?}\n[store_tls]\nmode = {mode:?}\nca = {:?}\n",
                pair.certificate,
                pair.key,
                authority().path()
            ),
            ..Settings::default()
        };
        let proxy = Proxy::serving(&store.url(), &settings).expect("the proxy starts");
        // A proxy asks a store on a socket whether it trusts it.
        store.take_attempts();
        Self {
            store,
            proxy,
            store_leg,
        }
    }

    fn with_accounts(store_leg: StoreLeg) -> Self {
        Self::new(
            store_leg,
            Script {
                accounts: accounts(),
                ..Script::default()
            },
        )
    }

    fn log_in(
        &self,
        client: Client,
        tls: bool,
        user: &str,
        password: &str,
    ) -> Result<String, Denied> {
        let ca = tls.then(|| authority().path());
        client.log_in(self.proxy.address(), user, password, ca.as_deref())
    }

    #[track_caller]
    fn lets_in(&self, client: Client, tls: bool, (user, password): (&str, &str), way: Way) {
        let what = format!("{client:?} TLS: {tls}, store {:?}: {user}", self.store_leg);
        let outcome = self.log_in(client, tls, user, password);
        assert_eq!(outcome, Ok(format!("{user}@%")), "{what}");
        assert_eq!(
            self.store.take_attempts(),
            [self.attempt(user, way, true)],
            "{what}"
        );
    }

    /// The store says no.
    #[track_caller]
    fn denies(&self, client: Client, tls: bool, (user, password): (&str, &str), way: Way) {
        let what = format!("{client:?} TLS: {tls}, store {:?}: {user}", self.store_leg);
        let denied = self.log_in(client, tls, user, password).expect_err(&what);
        assert_eq!(denied.code, 1045, "{what}: {denied:?}");
        assert!(
            denied.message.starts_with("Access denied for user '"),
            "{what}: {denied:?}"
        );
        assert_eq!(
            self.store.take_attempts(),
            [self.attempt(user, way, false)],
            "{what}"
        );
    }

    /// The proxy says no, before a password has gone anywhere.
    #[track_caller]
    fn refuses(&self, client: Client, tls: bool, (user, password): (&str, &str), why: &str) {
        let what = format!("{client:?} TLS: {tls}, store {:?}: {user}", self.store_leg);
        let denied = self.log_in(client, tls, user, password).expect_err(&what);
        assert_eq!(denied.code, 3159, "{what}: {denied:?}");
        assert!(denied.message.contains(why), "{what}: {denied:?}");
        assert_eq!(self.store.take_attempts(), [], "{what}");
    }

    fn attempt(&self, user: &str, way: Way, granted: bool) -> Attempt {
        Attempt {
            tls: self.store_leg == StoreLeg::Tls,
            ..attempt(user, way, granted)
        }
    }
}

const ADA: (&str, &str) = ("ada", SECRET);
const ADA_WRONG: (&str, &str) = ("ada", "wrong");
const TO_THE_PROXY: &str = "connect with TLS";

#[test]
fn both_legs_private_relay_the_password_in_clear() {
    for store_leg in [StoreLeg::Tls, StoreLeg::Socket] {
        let legs = Legs::with_accounts(store_leg);
        for &client in BOTH {
            legs.store.forget();
            legs.denies(client, true, ADA_WRONG, Way::Clear);
            legs.lets_in(client, true, ADA, Way::Clear);
            legs.lets_in(client, true, ADA, Way::Fast);
            legs.denies(client, true, ADA_WRONG, Way::Clear);
            legs.denies(client, true, ("nobody", "any"), Way::Clear);
            legs.lets_in(client, true, ("open", ""), Way::Empty);
            legs.lets_in(client, true, ("native", "old"), Way::Native);
        }
        legs.lets_in(Client::PyMySql, true, ("sha256", "older"), Way::Clear);
        legs.denies(Client::PyMySql, true, ("sha256", "wrong"), Way::Clear);
    }
}

#[test]
fn a_plain_store_gets_the_password_of_a_private_client_under_its_key() {
    let legs = Legs::with_accounts(StoreLeg::Plain);
    for &client in BOTH {
        legs.store.forget();
        legs.denies(client, true, ADA_WRONG, Way::Rsa);
        legs.lets_in(client, true, ADA, Way::Rsa);
        legs.lets_in(client, true, ADA, Way::Fast);
        legs.denies(client, true, ADA_WRONG, Way::Rsa);
        legs.denies(client, true, ("nobody", "any"), Way::Rsa);
        legs.denies(client, true, ("open", "any"), Way::Rsa);
        legs.lets_in(client, true, ("open", ""), Way::Empty);
        legs.lets_in(client, true, ("native", "old"), Way::Native);
    }
    // This plugin's password would already have been sent in clear with the login.
    let sha256 = ("sha256", "older");
    legs.refuses(Client::PyMySql, true, sha256, "[store_tls]");
    // A client without TLS does it all itself.
    legs.lets_in(Client::PyMySql, false, sha256, Way::Rsa);
}

#[test]
fn a_plain_store_of_another_default_plugin_is_asked_for_its_key_after_the_switch() {
    let script = Script {
        accounts: accounts(),
        default_plugin: Plugin::Native,
        ..Script::default()
    };
    let legs = Legs::new(StoreLeg::Plain, script);
    for &client in BOTH {
        legs.store.forget();
        legs.lets_in(client, true, ADA, Way::Rsa);
        legs.lets_in(client, true, ADA, Way::Fast);
    }
}

#[test]
fn a_plain_store_without_a_key_denies() {
    let script = Script {
        accounts: accounts(),
        rsa: false,
        ..Script::default()
    };
    let legs = Legs::new(StoreLeg::Plain, script);
    for &client in BOTH {
        legs.denies(client, true, ADA, Way::Rsa);
        legs.lets_in(client, true, ("native", "old"), Way::Native);
    }
}

#[test]
fn a_plain_client_of_a_private_store_is_let_in_where_it_is_cached() {
    for store_leg in [StoreLeg::Tls, StoreLeg::Socket] {
        let legs = Legs::with_accounts(store_leg);
        for &client in BOTH {
            legs.store.forget();
            legs.refuses(client, false, ADA, TO_THE_PROXY);
            legs.lets_in(client, true, ADA, Way::Clear);
            legs.lets_in(client, false, ADA, Way::Fast);
            // Not in the cache, as far as the store can tell.
            legs.refuses(client, false, ADA_WRONG, TO_THE_PROXY);
            legs.lets_in(client, false, ("native", "old"), Way::Native);
        }
        legs.refuses(Client::PyMySql, false, ("sha256", "older"), TO_THE_PROXY);
    }
}

#[test]
fn accounts_that_require_tls_get_it_where_the_store_leg_has_it() {
    let script = Script {
        accounts: vec![Account::new("ada", SECRET, Plugin::CachingSha2).require_tls()],
        ..Script::default()
    };
    let legs = Legs::new(StoreLeg::Tls, script.clone());
    legs.lets_in(Client::MysqlAsync, true, ADA, Way::Clear);
    legs.lets_in(Client::MysqlAsync, false, ADA, Way::Fast);
    let legs = Legs::new(StoreLeg::Plain, script);
    legs.denies(Client::MysqlAsync, true, ADA, Way::TlsRequired);
}

/// Both paths of a change of user; what the session then was, and how it ended.
fn change_users(store_leg: StoreLeg, tls: bool) -> (Vec<String>, Option<Denied>, Vec<Attempt>) {
    let legs = Legs::with_accounts(store_leg);
    let users = [("native", "old"), ADA, ("open", ""), ADA];
    let ca: Option<PathBuf> = tls.then(|| authority().path());
    let (seen, end) = client::change_users(legs.proxy.address(), &users, ca.as_deref());
    (seen, end, legs.store.take_attempts())
}

#[test]
fn a_session_over_like_legs_changes_user() {
    for store_leg in [StoreLeg::Tls, StoreLeg::Socket] {
        let (seen, end, attempts) = change_users(store_leg, true);
        assert_eq!(seen, ["native@%", "ada@%", "open@%", "ada@%"]);
        assert_eq!(end, None);
        let ways: Vec<_> = attempts.iter().map(|attempt| attempt.way).collect();
        assert_eq!(ways, [Way::Native, Way::Clear, Way::Empty, Way::Fast]);
    }
}

#[test]
fn a_session_over_unlike_legs_ends_before_a_password_goes_astray() {
    let unlike = [
        (StoreLeg::Plain, true),
        (StoreLeg::Tls, false),
        (StoreLeg::Socket, false),
    ];
    for (store_leg, tls) in unlike {
        let (seen, end, attempts) = change_users(store_leg, tls);
        assert_eq!(seen, ["native@%"], "{store_leg:?}");
        let end = end.expect("an error");
        assert!(
            end.message.contains("use TLS on both or on none"),
            "{store_leg:?}: {end:?}"
        );
        // The store has not even seen a wrong password.
        let ways: Vec<_> = attempts.iter().map(|attempt| attempt.way).collect();
        assert_eq!(ways, [Way::Native], "{store_leg:?}");
    }
}
