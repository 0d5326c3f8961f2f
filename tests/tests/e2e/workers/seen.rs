//! What operators see of workers: `SHOW WORKERS` and metrics.

use predictsql_tests::{Proxy, Settings, Store, eventually, workers_table};
use rustix::process::Signal;

use super::{apparel, workers};
use crate::admin::{PASSWORD, admin, metric};

#[test]
fn operators_see_what_workers_do_and_why_one_does_nothing() {
    let workers = workers(2);
    let settings = Settings {
        schema: "workers_seen".to_owned(),
        tables: workers_table(&workers),
        model_roots: vec![apparel::model_root()],
        admin_password: Some(PASSWORD.to_owned()),
        ..Settings::default()
    };
    let proxy = Proxy::start(Store::shared(), &settings);
    let mut session = proxy.root();
    apparel::create_shop(&mut session, "workers_seen_shop");
    apparel::create_zoo(&mut session, |name| name == "apparel_small");
    session.run("SET @ml_cache = 'off'");
    let sql = "SELECT COUNT(workers_seen.apparel(photo)) FROM workers_seen_shop.products";
    session.run(sql);

    let of = |place: usize| {
        let address = workers[place].address().to_string();
        let mut rows = admin(&proxy, &format!("SHOW WORKERS LIKE '{address}'"));
        assert_eq!(rows.len(), 1, "{rows:?}");
        let shown = |name: &str| metric(&proxy, &format!("{name}{{worker=\"{address}\"}}"));
        let series = [
            "predictsql_worker_up",
            "predictsql_worker_inputs_outstanding",
            "predictsql_worker_requests_answered_total",
            "predictsql_worker_lost_total",
        ];
        (rows.remove(0), series.map(shown))
    };
    for place in [0, 1] {
        let (row, [up, outstanding, answered, lost]) = of(place);
        assert_eq!(row[1..6], ["up", "cpu", "1", "1", "0"], "{row:?}");
        assert!(answered >= 1.0, "{answered}");
        assert_eq!(
            row[6..],
            [format!("{answered}"), "0".to_owned(), "NULL".to_owned()]
        );
        assert_eq!([up, outstanding, lost], [1.0, 0.0, 0.0]);
    }
    workers[0].signal(Signal::KILL);
    workers[0].wait();
    let row = eventually("the proxy notices the loss", || {
        let (row, [up, _, _, lost]) = of(0);
        ([up, lost] == [0.0, 1.0]).then_some(row)
    });
    assert_eq!(row[1..5], ["down", "NULL", "NULL", "0"], "{row:?}");
    assert_eq!(row[7], "1");
    assert_ne!(row[8], "NULL");
    assert_eq!(of(1).0[1], "up");
}
