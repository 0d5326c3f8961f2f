//! Mutual TLS between proxies and workers.

use predictsql_tests::authority::Authority;
use predictsql_tests::{Proxy, Settings, Store, Worker, WorkerSettings, apparel, workers_table};

/// A worker that shows a certificate and lets in clients that show one.
fn worker(authority: &Authority) -> Worker {
    let pair = authority.new_pair(&["127.0.0.1"]);
    Worker::start(&WorkerSettings {
        worker: format!(
            "tls_certificate = {:?}\ntls_key = {:?}\ntls_client_ca = {:?}",
            pair.certificate,
            pair.key,
            authority.path()
        ),
        ..WorkerSettings::default()
    })
}

fn proxy(schema: &str, worker: Worker, tls: &str) -> (Proxy, Worker) {
    let workers = [worker];
    let settings = Settings {
        schema: schema.to_owned(),
        tables: format!(
            "{}worker_wait_seconds_max = 2\n{tls}",
            workers_table(&workers)
        ),
        ..Settings::default()
    };
    let proxy = Proxy::start(Store::shared(), &settings);
    let [worker] = workers;
    (proxy, worker)
}

#[test]
fn only_clients_with_a_certificate_are_let_in() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let own = authority.new_pair(&["proxy"]);
    let foreign = stranger.new_pair(&["proxy"]);
    let table = |ca: &Authority, pair: Option<&predictsql_tests::authority::Pair>| {
        let mut table = format!("tls_ca = {:?}\n", ca.path());
        if let Some(pair) = pair {
            table += &format!(
                "tls_certificate = {:?}\ntls_key = {:?}\n",
                pair.certificate, pair.key
            );
        }
        table
    };
    let cases = [
        ("workers_tls", table(&authority, Some(&own)), true),
        ("workers_tls_plain", String::new(), false),
        ("workers_tls_nobody", table(&authority, None), false),
        (
            "workers_tls_foreign",
            table(&authority, Some(&foreign)),
            false,
        ),
        ("workers_tls_untrusted", table(&stranger, Some(&own)), false),
    ];
    for (schema, tls, works) in cases {
        let (proxy, _worker) = proxy(schema, worker(&authority), &tls);
        let mut session = proxy.root();
        session.run(&apparel::create_task());
        let nano = apparel::zoo()
            .iter()
            .find(|model| model.name == "apparel_nano");
        let created = session.query(&nano.unwrap().statement());
        match created {
            Ok(_) => assert!(works, "{schema}"),
            Err(error) => assert!(
                !works && error.message.contains("no worker"),
                "{schema}: {error:?}"
            ),
        }
    }
}
