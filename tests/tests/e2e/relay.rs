//! The life of sessions: limits, ends, and what is left behind.

use predictsql_tests::{Proxy, Store, apparel};

#[test]
fn smoke() {
    let proxy = Proxy::start(Store::shared(), &Default::default());
    let mut session = proxy.root();
    assert_eq!(session.value("SELECT 1").as_deref(), Some("1"));
    apparel::create_zoo(&mut session, |name| name == "apparel_small");
    apparel::create_shop(&mut session, "smoke");
    let rows = session.rows("SELECT COUNT(*) FROM smoke.truth");
    println!("{rows:?}");
    let rows = session.rows(
        "SELECT p.id, ml.predict('apparel', p.photo) FROM smoke.products p JOIN smoke.truth t USING (id) WHERE ml.predict('apparel', p.photo) = t.label",
    );
    println!("{} {:?}", rows.len(), rows[0]);
    assert!(rows.len() > 500);
}
