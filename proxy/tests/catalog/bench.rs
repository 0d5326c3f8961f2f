//! A catalog of a test's own, and who works on it.

use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row};
use predictsql_catalog::store::SchemaName;
use predictsql_catalog::{ModelOptions, OnnxHead};
use predictsql_executor::{ImageRootError, ModelError, ModelFile};
use predictsql_optimizer::ddl::{self, CatalogStatement, Change, Show};
use predictsql_proxy::account::{AccountConfig, ServiceAccount, StoreAddress};
use predictsql_proxy::ddl::{DdlAnswer, DdlContext, Inspect, as_select, run};
use predictsql_proxy::error::SqlError;
use predictsql_proxy::init::{ServiceUser, init};

use crate::fixture::{Store, connect};

/// An executor that finds every file good, or none.
#[derive(Default)]
pub struct Inspector {
    pub error: Option<ModelError>,
    pub calls: AtomicUsize,
}

impl Inspect for Inspector {
    async fn inspect(&self, _: &str, _: &ModelOptions) -> Result<ModelFile, ModelError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        match &self.error {
            Some(error) => Err(error.clone()),
            None => Ok(ModelFile {
                sha256: "ab".repeat(32),
                bytes: 10,
                seconds_per_image: Some(0.5),
                warnings: Vec::new(),
            }),
        }
    }

    async fn onnx_head(&self, _: &str) -> Result<OnnxHead, ModelError> {
        Ok(OnnxHead::default())
    }

    async fn read_beside(&self, uri: &str) -> Result<Bytes, ModelError> {
        Err(ModelError::NotFound { uri: uri.into() })
    }

    async fn check_image_roots(&self, _: &[String]) -> Result<(), ImageRootError> {
        Ok(())
    }
}

/// Reads a statement that changes the catalog.
pub fn change(sql: &str) -> Change {
    match ddl::parse(sql).unwrap() {
        CatalogStatement::Change(change) => change,
        other => panic!("{other:?}"),
    }
}

/// Reads a SHOW.
pub fn show(sql: &str) -> Show {
    match ddl::parse(sql).unwrap() {
        CatalogStatement::Show(show) => show,
        other => panic!("{other:?}"),
    }
}

/// A catalog of its own, set up as `init` does, and its service account.
pub struct Bench {
    pub root: Conn,
    pub schema: SchemaName,
    pub account: ServiceAccount,
    pub inspector: Inspector,
}

impl Bench {
    pub async fn new(schema: &str) -> Self {
        let mut root = Store::shared().root().await;
        let schema = SchemaName::parse(schema).unwrap();
        let user = ServiceUser {
            name: format!("svc_{schema}"),
            hosts: vec!["localhost".to_owned()],
            password: r"it's a \ secret".to_owned(),
        };
        let report = init(&mut root, &schema, &user).await.unwrap();
        assert!(report.statements.iter().any(|s| s.starts_with("GRANT ")));
        assert!(report.statements.iter().all(|s| !s.contains("secret")));
        let store = StoreAddress::Unix(Store::shared().socket());
        let mut config = AccountConfig::new(store, user.name, Some(user.password));
        config.schema = schema.clone();
        config.catalog_refresh_ms = u64::MAX;
        let account = ServiceAccount::start(config).unwrap();
        Self {
            root,
            schema,
            account,
            inspector: Inspector::default(),
        }
    }

    pub async fn run(&self, sql: &str) -> Result<DdlAnswer, SqlError> {
        let context = DdlContext {
            account: &self.account,
            inspector: &self.inspector,
            user: "me@here",
            until: None,
        };
        run(&change(sql), &context).await
    }

    #[track_caller]
    pub fn refused(result: Result<DdlAnswer, SqlError>, code: u16, sqlstate: &str, part: &str) {
        let error = result.unwrap_err();
        assert_eq!(
            (error.code(), error.sqlstate()),
            (code, sqlstate),
            "{error}"
        );
        assert!(error.message.contains(part), "{error} lacks {part}");
    }

    /// A connection as a user with those grants, `{schema}` standing for the schema.
    pub async fn user(&mut self, name: &str, grants: &[&str]) -> Conn {
        let account = format!("'{name}_{}'@'localhost'", self.schema);
        self.root
            .query_drop(format!("CREATE USER {account}"))
            .await
            .unwrap();
        for grant in grants {
            let grant = grant.replace("{schema}", self.schema.as_str());
            self.root
                .query_drop(format!("GRANT {grant} TO {account}"))
                .await
                .unwrap();
        }
        let user = format!("{name}_{}", self.schema);
        connect(&Store::shared().socket(), &user, None)
            .await
            .unwrap()
    }

    pub async fn show(&self, conn: &mut Conn, sql: &str) -> mysql_async::Result<Vec<Row>> {
        let select = as_select(&show(sql), &self.schema, &Vec::new());
        conn.query(select).await
    }
}

pub const TASK: &str = "CREATE TASK Animals CLASSES ('cat', 'd''og', 'o\\\\wl') \
                    OPTIONS (accuracy_slack_points = 2)";
pub const MODEL: &str = "CREATE MODEL M FOR TASK animals FROM 'it''s.onnx' COVERS ('d''og', 'cat') \
                     OPTIONS (size = '28x32', other = 'rest', mean = 0.1, accuracy = 0.9)";
