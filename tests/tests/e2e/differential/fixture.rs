//! The proxy that is compared, with its tables, and the naive functions: made once a process.

use std::sync::OnceLock;

use predictsql_tests::{Proxy, Store};

use super::{flowers, naive, shop};

/// The proxy with task, models and tables of [`shop`], and the naive functions.
pub fn fixture() -> &'static Proxy {
    &made().0
}

/// Another proxy of the same catalog, whose inferences are its own.
pub fn second_proxy() -> &'static Proxy {
    static MADE: OnceLock<Proxy> = OnceLock::new();
    MADE.get_or_init(|| {
        let settings = made().1.settings();
        Proxy::start(Store::shared(), &settings)
    })
}

/// The proxy of [`fixture`] with its images.
pub fn made() -> &'static (Proxy, shop::Shop) {
    static MADE: OnceLock<(Proxy, shop::Shop)> = OnceLock::new();
    MADE.get_or_init(|| {
        let shop = shop::Shop::new();
        let proxy = Proxy::start(Store::shared(), &shop.settings());
        shop::create_models(&mut proxy.root());
        flowers::create_models(&mut proxy.root());
        let mut store = Store::shared().root();
        shop.create_tables(&mut store, "df", shop::LARGE);
        let scores = naive::create(&mut store, &shop::naive_models(), &shop.inputs());
        shop::check_thresholds(&scores);
        flowers::create_table(&mut store, "df");
        flowers::create_naive(&mut store);
        (proxy, shop)
    })
}
