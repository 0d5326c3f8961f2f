//! Which legs have TLS, by settings, account and store.

use super::*;
use predictsql_tests::process::checkout;
use predictsql_tests::{Wire, apparel};
use std::io::{Read, Write};
use std::process::Command;

/// The start of a request for TLS: PROTOCOL_41, SSL, SECURE_CONNECTION, PLUGIN_AUTH;
/// packets up to 16 MiB; utf8mb4.
const REQUEST: [u8; 9] = [0x01, 0x8a, 0x08, 0, 0, 0, 0, 1, 45];

/// A whole request, with its header.
fn request() -> Vec<u8> {
    let mut request = vec![32, 0, 0, 1];
    request.extend(REQUEST);
    request.resize(4 + 32, 0);
    request
}

#[tokio::test]
async fn the_stores_leg_is_as_the_clients() {
    let proxy = Proxy::start(store(), &offering(""));
    let tls = Some(trusting(authority()));
    let mut conn = connect(proxy.address(), "root", tls.clone()).await.unwrap();
    assert_ne!(store_cipher(&mut conn).await, "");
    conn.disconnect().await.unwrap();
    let mut conn = connect(proxy.address(), "root", None).await.unwrap();
    assert_eq!(store_cipher(&mut conn).await, "");
    conn.disconnect().await.unwrap();

    let mut conn = connect(proxy.address(), "tls_only", tls).await.unwrap();
    conn.ping().await.unwrap();
    conn.disconnect().await.unwrap();
    let refused = connect(proxy.address(), "tls_only", None).await;
    assert_eq!(server_error(refused.unwrap_err()).0, 1045);
}

#[tokio::test]
async fn tls_with_the_store_can_be_required_or_left_out() {
    let required = Proxy::start(store(), &offering("[store_tls]\nmode = 'required'\n"));
    let mut conn = connect(required.address(), "tls_only", None).await.unwrap();
    assert_ne!(store_cipher(&mut conn).await, "");
    conn.disconnect().await.unwrap();

    let disabled = Proxy::start(store(), &offering("[store_tls]\nmode = 'disabled'\n"));
    let tls = Some(trusting(authority()));
    let mut conn = connect(disabled.address(), "root", tls).await.unwrap();
    assert_eq!(store_cipher(&mut conn).await, "");
    // Another user, by the store's own plugin, on legs that count their packets apart.
    conn.change_user(Default::default()).await.unwrap();
    conn.disconnect().await.unwrap();
}

#[tokio::test]
async fn clients_may_have_to_use_tls() {
    let proxy = Proxy::start(store(), &offering("required = true\n"));
    let refused = connect(proxy.address(), "root", None).await.unwrap_err();
    assert_eq!(server_error(refused).0, 3159);
    let tls = Some(trusting(authority()));
    let conn = connect(proxy.address(), "root", tls).await.unwrap();
    conn.disconnect().await.unwrap();
}

#[tokio::test]
async fn a_store_without_tls_is_told_to_those_who_need_it() {
    let proxy = Proxy::start(Store::shared(), &offering(""));
    let tls = Some(trusting(authority()));
    let refused = connect(proxy.address(), "root", tls).await.unwrap_err();
    let (code, message) = server_error(refused);
    assert_eq!(code, 1429, "{message}");
    assert!(message.contains("[store_tls]"), "{message}");
    let conn = connect(proxy.address(), "root", None).await.unwrap();
    conn.disconnect().await.unwrap();
}

#[tokio::test]
async fn a_store_on_a_socket_is_private_without_tls() {
    let url = format!("unix:{}", Store::shared().socket().display());
    let settings = Settings {
        service_account: false,
        ..offering("")
    };
    let proxy = Proxy::serving(&url, &settings).expect("the proxy starts");
    let tls = Some(trusting(authority()));
    let mut conn = connect(proxy.address(), "root", tls).await.unwrap();
    assert_eq!(store_cipher(&mut conn).await, "");
    conn.disconnect().await.unwrap();
}

#[tokio::test]
async fn the_stores_certificate_is_verified_as_far_as_asked() {
    let other = Authority::new();
    let elsewhere = start_store(&authority().new_pair(&["db.example"]));
    let (ca, wrong_ca) = (authority().path(), other.path());
    let cases = [
        (store(), format!("ca = {ca:?}"), None),
        (store(), format!("ca = {wrong_ca:?}"), Some("UnknownIssuer")),
        (store(), format!("ca = {wrong_ca:?}\nverify = 'none'"), None),
        (
            &elsewhere,
            format!("ca = {ca:?}"),
            Some("not valid for name"),
        ),
        (&elsewhere, format!("ca = {ca:?}\nverify = 'ca'"), None),
        (
            &elsewhere,
            format!("ca = {wrong_ca:?}\nverify = 'ca'"),
            Some("UnknownIssuer"),
        ),
        (&elsewhere, String::new(), None),
    ];
    for (store, lines, refusal) in cases {
        let lines = format!("[store_tls]\nmode = 'required'\n{lines}\n");
        let settings = Settings {
            service_account: false,
            ..top(&lines)
        };
        let proxy = Proxy::start(store, &settings);
        match (connect(proxy.address(), "root", None).await, refusal) {
            (Ok(conn), None) => conn.disconnect().await.unwrap(),
            (Ok(_), Some(_)) => panic!("{lines}: accepted"),
            (Err(error), refusal) => {
                let (code, message) = server_error(error);
                let expected = refusal.unwrap_or_else(|| panic!("{lines}: {message}"));
                assert_eq!(code, 1429, "{lines}: {message}");
                assert!(message.contains(expected), "{lines}: {message}");
            }
        }
    }
}

/// The request for TLS and its first record in one segment, as some clients send them.
#[tokio::test]
async fn a_client_need_not_wait_between_request_and_handshake() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, BufWriter};
    let proxy = Proxy::start(store(), &offering(""));
    let mut stream = tokio::net::TcpStream::connect(proxy.address())
        .await
        .unwrap();
    let mut header = [0; 4];
    stream.read_exact(&mut header).await.unwrap();
    let length = u32::from_le_bytes([header[0], header[1], header[2], 0]);
    let mut greeting = vec![0; length as usize];
    stream.read_exact(&mut greeting).await.unwrap();

    let request = request();
    let mut stream = BufWriter::new(stream);
    stream.write_all(&request).await.unwrap();
    assert_eq!(stream.buffer().len(), request.len(), "not sent yet");
    let connector = authority().connector();
    let name = "127.0.0.1".try_into().unwrap();
    let mut stream = connector.connect(name, stream).await.unwrap();

    let mut login = request[4..].to_vec();
    login.extend(b"root\0\0mysql_native_password\0");
    let mut packet = vec![login.len() as u8, 0, 0, 2];
    packet.extend(login);
    stream.write_all(&packet).await.unwrap();
    stream.flush().await.unwrap();
    stream.read_exact(&mut header).await.unwrap();
    assert_eq!((header[3], stream.read_u8().await.unwrap()), (3, 0), "OK");
}

#[test]
fn a_client_that_breaks_off_its_handshake_leaves_nothing() {
    let proxy = Proxy::start(store(), &offering(""));
    let mut stream = std::net::TcpStream::connect(proxy.address()).unwrap();
    stream.write_all(&request()).unwrap();
    stream
        .write_all(b"\x16\x03\x01 this is no handshake")
        .unwrap();
    // The greeting, and what TLS says of it, or a reset.
    let _ = stream.read_to_end(&mut Vec::new());
    assert!(Wire::login(proxy.address(), "root", "", None).is_ok());
}

#[tokio::test]
async fn everything_else_goes_on_as_without_tls() {
    let settings = offering("[store_tls]\nmode = 'required'\n");
    let proxy = Proxy::start(store(), &settings);
    let mut root = proxy.root();
    apparel::create_zoo(&mut root, |model| model == "apparel_small");
    apparel::create_shop(&mut root, "tls_shop");
    let tls = Some(trusting(authority()));
    let mut conn = connect(proxy.address(), "root", tls).await.unwrap();

    let sql = "SELECT id, ml.predict('apparel', photo) FROM tls_shop.products ORDER BY id LIMIT 50";
    let over_tls: Vec<(u32, Option<String>)> = conn.query(sql).await.unwrap();
    let plain: Vec<(u32, Option<String>)> = root
        .rows(sql)
        .into_iter()
        .map(|mut row| (row[0].take().unwrap().parse().unwrap(), row[1].take()))
        .collect();
    assert_eq!(over_tls, plain);
    assert_eq!(over_tls.len(), 50);

    conn.query_drop("USE tls_shop").await.unwrap();
    // Far more than sockets and TLS hold at once, in both directions.
    let long = "x".repeat(40 << 20);
    let back: Option<String> = conn.exec_first("SELECT ?", (&long,)).await.unwrap();
    assert!(back.is_some_and(|back| back == long));
    let count: Option<u64> = conn
        .query_first("SELECT COUNT(*) FROM (SELECT REPEAT('x', 1000) FROM seq_1_to_20000) t")
        .await
        .unwrap();
    assert_eq!(count, Some(20_000));
    let rows: Vec<String> = conn
        .query("SELECT REPEAT('y', 1000) FROM seq_1_to_20000")
        .await
        .unwrap();
    assert_eq!(rows.iter().map(String::len).sum::<usize>(), 20_000_000);
    conn.reset().await.unwrap();
    conn.disconnect().await.unwrap();
}

#[test]
fn stock_clients_over_tls() {
    let proxy = Proxy::start(store(), &offering(""));
    let ca = authority().path();
    let output = Command::new("mariadb")
        .args(["--no-defaults", "--protocol=tcp", "--host=127.0.0.1"])
        .arg(format!("--port={}", proxy.address().port()))
        .arg(format!("--ssl-ca={}", ca.display()))
        .args(["--ssl-verify-server-cert", "--user=tls_only", "--batch"])
        .args(["-e", "SELECT CURRENT_USER()"])
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    assert_eq!(output.stdout, b"CURRENT_USER()\ntls_only@%\n");

    let script = "
import sys, pymysql
connection = pymysql.connect(host='127.0.0.1', port=int(sys.argv[1]), user='tls_only', ssl_ca=sys.argv[2], ssl_verify_cert=True, ssl_verify_identity=True)
with connection.cursor() as cursor:
    cursor.execute('SELECT CURRENT_USER()')
    print(cursor.fetchone()[0])
";
    let python = std::env::var_os("PREDICTSQL_TEST_PYTHON")
        .map_or_else(|| checkout().join(".cache/venv/bin/python"), Into::into);
    let output = Command::new(python)
        .args(["-c", script, &proxy.address().port().to_string()])
        .arg(&ca)
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.stdout, b"tls_only@%\n", "{error}");
}
