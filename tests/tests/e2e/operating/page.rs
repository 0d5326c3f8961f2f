//! What the page "Operating" names exists.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use predictsql_tests::apparel::{self, Photos};
use predictsql_tests::process::checkout;
use predictsql_tests::{Proxy, Settings, Store, Worker, WorkerSettings, workers_table};

use super::page;

#[test]
fn metrics_and_settings_of_the_page_exist() {
    // A series by worker or model is there once it has one.
    let workers = [Worker::start(&WorkerSettings::default())];
    let settings = Settings {
        schema: "op_metrics".to_owned(),
        tables: workers_table(&workers),
        model_roots: vec![apparel::model_root()],
        ..Settings::default()
    };
    let proxy = Proxy::start(Store::shared(), &settings);
    let mut session = proxy.root();
    apparel::create_zoo(&mut session, |name| name == "apparel_small");
    let photo = Photos::path(1);
    session.run(&format!("SELECT op_metrics.apparel('{photo}')"));
    let metrics = http_get(proxy.http(), "/metrics");
    let settings = std::fs::read_to_string(checkout().join("predictsql.toml")).unwrap();
    let (mut found, page) = ((0, 0), page());
    for word in page.split(|c: char| !(c.is_ascii_lowercase() || c == '_')) {
        if word.starts_with("predictsql_") && word != "predictsql_proxy" {
            assert!(metrics.contains(&format!("# TYPE {word} ")), "{word}");
            found.0 += 1;
        } else if word.ends_with("_max") || word.ends_with("_ms") {
            assert!(settings.contains(&format!("{word} = ")), "{word}");
            found.1 += 1;
        }
    }
    assert!(found.0 > 10 && found.1 > 5, "{found:?}");
}

fn http_get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
