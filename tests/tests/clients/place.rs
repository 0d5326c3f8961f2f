//! Where a suite runs: an account, a database of its own,
//! and an address at which both are reached.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::OnceLock;

use predictsql_tests::apparel::Photos;
use predictsql_tests::authority::Authority;
use predictsql_tests::{Proxy, Settings, Store, Wire};

/// Photos that a suite has predicted, and the task that it names.
const PHOTOS: usize = 20;
const TASK: &str = "apparel";
/// Has characters that quoting loses.
const PASSWORD: &str = "it's 1 \"s&cret\"";

/// What a suite is told. A run's database is new.
pub struct Place {
    /// Where to connect.
    pub address: SocketAddr,
    /// The account.
    pub user: String,
    /// Its password.
    pub password: &'static str,
    /// An empty database.
    pub database: String,
    /// To predict the photos of table `photos`, and only this: their labels by id.
    pub expected: Option<&'static [String]>,
    /// To connect by TLS, verified by the certificate in this file.
    pub ca: Option<PathBuf>,
}

impl Place {
    /// Makes the account of suite `name`, with all rights on databases named after it and those of
    /// tasks.
    pub fn account(name: &str) -> Self {
        let place = Self {
            address: Store::shared().address(),
            user: format!("user_{name}"),
            password: PASSWORD,
            // An end that no name has, so that no database's name begins with another's.
            database: format!("{name}_client"),
            expected: None,
            ca: None,
        };
        place.create_account(&mut Store::shared().root());
        place
    }

    fn create_account(&self, root: &mut Wire) {
        let account = format!("{}@'127.0.0.1'", self.user);
        root.run(&format!(
            "CREATE OR REPLACE USER {account} IDENTIFIED BY '{}'",
            PASSWORD.replace('\'', "''")
        ));
        let pattern = self.database.replace('_', "\\_");
        for granted in [
            format!("ALL ON `{pattern}`.*"),
            format!("ALL ON `{pattern}\\_%`.*"),
            "EXECUTE ON ml.*".to_owned(),
        ] {
            root.run(&format!("GRANT {granted} TO {account}"));
        }
    }

    /// The store itself, or a proxy without TLS.
    pub fn at(&mut self, address: SocketAddr) -> &Self {
        (self.address, self.ca, self.expected) = (address, None, None);
        self.renew();
        self
    }

    /// A proxy that refuses clients without TLS.
    pub fn at_tls_proxy(&mut self) -> &Self {
        let (proxy, authority) = tls_proxy();
        self.at(proxy.address());
        self.ca = Some(authority.path());
        self
    }

    /// The proxy, to predict.
    pub fn at_photos(&mut self) -> &Self {
        self.at(Proxy::with_zoo().address());
        self.create_photos(&mut Store::shared().root());
        self.create_view(&mut Proxy::with_zoo().root());
        self.expected = Some(labels());
        self
    }

    /// A store whose schema `ml` has real functions,
    /// which know what the task predicts for the photos.
    pub fn at_functions(&mut self) -> &Self {
        let store = store_of_functions();
        let mut root = store.root();
        self.create_account(&mut root);
        root.run(&format!("DROP DATABASE IF EXISTS {}", self.database));
        root.run(&self.create_database());
        self.create_photos(&mut root);
        self.create_view(&mut root);
        (self.address, self.ca, self.expected) = (store.address(), None, Some(labels()));
        self
    }

    /// Makes the database anew.
    fn renew(&self) {
        self.drop_databases();
        Store::shared().root().run(&self.create_database());
    }

    fn create_database(&self) -> String {
        let name = &self.database;
        format!("CREATE DATABASE {name} CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci")
    }

    /// Drops what runs have left.
    pub fn drop_databases(&self) {
        let name = &self.database;
        let mut root = Store::shared().root();
        let left = root.rows(&format!(
            "SELECT schema_name FROM information_schema.schemata \
             WHERE schema_name = '{name}' OR LEFT(schema_name, {}) = '{name}_'",
            name.len() + 1
        ));
        for left in left.iter().flatten().flatten() {
            root.run(&format!("DROP DATABASE `{left}`"));
        }
    }

    /// Table `photos (id, photo)`, whose photos the image root holds.
    fn create_photos(&self, root: &mut Wire) {
        let table = format!("{}.photos", self.database);
        root.run(&format!(
            "CREATE TABLE {table} (id INT PRIMARY KEY, photo VARCHAR(200) NOT NULL)"
        ));
        let values: Vec<String> = (1..=PHOTOS)
            .map(|id| format!("({id}, '{}')", Photos::path(id)))
            .collect();
        root.run(&format!("INSERT INTO {table} VALUES {}", values.join(", ")));
    }

    /// View `seen (id, photo, kind)` of the labels, and an account that may read nothing else.
    fn create_view(&self, root: &mut Wire) {
        let Self { database, user, .. } = self;
        root.run(&format!(
            "CREATE VIEW {database}.seen AS SELECT id, photo, ml.{TASK}(photo) AS kind FROM {database}.photos"
        ));
        let viewer = format!("{user}_view@'127.0.0.1'");
        root.run(&format!(
            "CREATE OR REPLACE USER {viewer} IDENTIFIED BY '{}'",
            PASSWORD.replace('\'', "''")
        ));
        root.run(&format!("GRANT SELECT ON {database}.seen TO {viewer}"));
        root.run(&format!("GRANT EXECUTE ON FUNCTION ml.{TASK} TO {viewer}"));
    }
}

/// What the task predicts for the photos, as the raw client sees it.
fn labels() -> &'static [String] {
    static LABELS: OnceLock<Vec<String>> = OnceLock::new();
    LABELS.get_or_init(|| {
        let mut wire: Wire = Proxy::with_zoo().root();
        let mut label = |id| {
            let path = Photos::path(id);
            let sql = format!("SELECT ml.predict('{TASK}', '{path}')");
            wire.value(&sql).unwrap()
        };
        (1..=PHOTOS).map(&mut label).collect()
    })
}

/// Its functions have one collation. Drivers that begin with another would be refused to compare
/// its results with literals, which predictions are not: they are given that one.
fn store_of_functions() -> &'static Store {
    static MADE: OnceLock<Store> = OnceLock::new();
    MADE.get_or_init(|| {
        let names = "--init-connect=SET NAMES utf8mb4 COLLATE utf8mb4_general_ci";
        let store = Store::start(&[names]);
        let mut root = store.root();
        root.run("CREATE DATABASE ml");
        root.run("CREATE TABLE ml.answers (photo VARBINARY(200) PRIMARY KEY, label VARCHAR(255) CHARSET utf8mb4)");
        let rows: Vec<String> = (labels().iter().zip(1..))
            .map(|(label, id)| format!("('{}', '{label}')", Photos::path(id)))
            .collect();
        root.run(&format!("INSERT INTO ml.answers VALUES {}", rows.join(", ")));
        let body = "RETURNS VARCHAR(255) CHARSET utf8mb4 NOT DETERMINISTIC READS SQL DATA RETURN \
                    (SELECT a.label FROM ml.answers a WHERE a.photo = input)";
        for name in [format!("{TASK}("), "predict(task VARCHAR(255), ".to_owned()] {
            root.run(&format!("CREATE FUNCTION ml.{name}input LONGBLOB) {body}"));
        }
        store
    })
}

fn tls_proxy() -> &'static (Proxy, Authority) {
    static MADE: OnceLock<(Proxy, Authority)> = OnceLock::new();
    MADE.get_or_init(|| {
        let authority = Authority::new();
        let pair = authority.new_pair(&["127.0.0.1", "localhost"]);
        let settings = Settings {
            top: format!(
                "[tls]\ncertificate = {:?}\nkey = {:?}\nrequired = true\n[store_tls]\nmode = \"disabled\"\n",
                pair.certificate, pair.key
            ),
            ..Settings::default()
        };
        (Proxy::start(Store::shared(), &settings), authority)
    })
}
