//! TLS on either leg: who gets it, what is verified,
//! how certificates and settings change under load.

mod certificate;
mod legs;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error, SslOpts};
use predictsql_tests::authority::{Authority, Pair};
use predictsql_tests::store::opts;
use predictsql_tests::{Proxy, Settings, Store};
use std::net::SocketAddr;
use std::sync::OnceLock;

/// Names of the stores' and the proxies' host.
const HERE: &[&str] = &["127.0.0.1", "localhost"];

/// Vouches for the store and for the proxies of these tests.
fn authority() -> &'static Authority {
    static AUTHORITY: OnceLock<Authority> = OnceLock::new();
    AUTHORITY.get_or_init(Authority::new)
}

/// A store that offers TLS, with an account `tls_only` that must use it.
/// Its predictions are set up.
fn store() -> &'static Store {
    static STORE: OnceLock<Store> = OnceLock::new();
    STORE.get_or_init(|| {
        let store = start_store(&authority().new_pair(HERE));
        store.root().run("CREATE USER tls_only REQUIRE SSL");
        store
    })
}

fn start_store(pair: &Pair) -> Store {
    Store::start(&[
        &format!("--ssl-cert={}", pair.certificate.display()),
        &format!("--ssl-key={}", pair.key.display()),
    ])
}

/// Settings `[tls]` with a certificate of [`authority`], and `rest`.
fn offering(rest: &str) -> Settings {
    with_pair(&authority().new_pair(HERE), rest)
}

fn with_pair(pair: &Pair, rest: &str) -> Settings {
    top(&format!(
        "[tls]\ncertificate = {:?}\nkey = {:?}\n{rest}",
        pair.certificate, pair.key
    ))
}

fn top(top: &str) -> Settings {
    Settings {
        top: top.to_owned(),
        ..Settings::default()
    }
}

/// Trusts `authority` alone, and looks at the name.
fn trusting(authority: &Authority) -> SslOpts {
    SslOpts::default()
        .with_root_certs(vec![authority.path().into()])
        .with_disable_built_in_roots(true)
}

/// Takes whoever answers.
fn trusting_anybody() -> SslOpts {
    SslOpts::default()
        .with_danger_accept_invalid_certs(true)
        .with_danger_skip_domain_validation(true)
}

async fn connect(address: SocketAddr, user: &str, tls: Option<SslOpts>) -> Result<Conn, Error> {
    Conn::new(opts(address, user, "").ssl_opts(tls)).await
}

/// The cipher of the store's leg; empty for none.
async fn store_cipher(conn: &mut Conn) -> String {
    let status: Option<(String, String)> = conn
        .query_first("SHOW SESSION STATUS LIKE 'Ssl_cipher'")
        .await
        .unwrap();
    status.unwrap().1
}

#[track_caller]
fn server_error(error: Error) -> (u16, String) {
    match error {
        Error::Server(error) => (error.code, error.message),
        error => panic!("not an error of the server: {error}"),
    }
}
