//! Selects, with and without predictions; each answer is compared with what it must be.

use std::collections::BTreeMap;

use mysql_async::{FromRowError, Row, Value, from_row_opt};
use predictsql_proxy::demo::dataset::CLASSES;

use super::client::{Session, Trouble};
use super::ledger::{Fault, Label};
use super::shop::{PRODUCTS, Product, WAREHOUSES};

type Labelled = (u32, Option<String>);
type Counted = (Option<String>, u64);

impl Session<'_> {
    /// One of the selects.
    ///
    /// # Errors
    /// Written down.
    pub async fn read(&mut self) -> Result<(), Trouble> {
        match self.below(10) {
            0 | 1 => self.point().await,
            2 => self.labels_of_a_warehouse().await,
            3 => self.ids_of_a_class().await,
            4 => self.counts_of_a_warehouse().await,
            5 => self.count_in_the_view().await,
            6 => self.a_few().await,
            7 => self.within_a_deadline().await,
            8 => self.label_in_a_variable().await,
            _ => self.one_that_cannot_be_read().await,
        }
    }

    async fn point(&mut self) -> Result<(), Trouble> {
        let id = 1 + self.below(PRODUCTS);
        let sql = "SELECT photo, warehouse FROM products WHERE id = ?";
        let rows = self.rows(sql, &[id.into()]).await?;
        let rows: Vec<(String, u32)> = self.decoded(rows, sql);
        let common = self.client.common.clone();
        let product = common.shop.product(id);
        let expected = product.map(|p| (p.photo.clone(), p.warehouse));
        self.compare(sql, &rows, &Vec::from_iter(expected));
        Ok(())
    }

    /// Streams.
    async fn labels_of_a_warehouse(&mut self) -> Result<(), Trouble> {
        let (call, label) = self.call();
        let warehouse = self.below(WAREHOUSES);
        let sql = format!("SELECT id, {call} FROM products WHERE warehouse = ?");
        let rows = self.rows(&sql, &[warehouse.into()]).await?;
        let found: BTreeMap<u32, Option<String>> =
            self.decoded::<Labelled>(rows, &sql).into_iter().collect();
        let expected = self.expected(warehouse, |p| {
            Some((p.id, p.label(label).map(str::to_owned)))
        });
        self.compare(&sql, &found, &expected.into_iter().collect());
        Ok(())
    }

    async fn ids_of_a_class(&mut self) -> Result<(), Trouble> {
        let (call, label) = self.call();
        let (warehouse, class) = (self.below(WAREHOUSES), self.class());
        let sql = format!("SELECT id FROM products WHERE {call} = ? AND warehouse = ?");
        let parameters: [Value; 2] = [class.into(), warehouse.into()];
        let rows = self.rows(&sql, &parameters).await?;
        let mut found: Vec<u32> = self.decoded(rows, &sql);
        found.sort_unstable();
        let expected = self.expected(warehouse, |p| {
            (p.label(label) == Some(class)).then_some(p.id)
        });
        self.compare(&sql, &found, &expected);
        Ok(())
    }

    /// Materialises.
    async fn counts_of_a_warehouse(&mut self) -> Result<(), Trouble> {
        let (call, label) = self.call();
        let warehouse = self.below(WAREHOUSES);
        let sql =
            format!("SELECT {call} AS k, COUNT(*) FROM products WHERE warehouse = ? GROUP BY k");
        let rows = self.rows(&sql, &[warehouse.into()]).await?;
        let found: BTreeMap<Option<String>, u64> =
            self.decoded::<Counted>(rows, &sql).into_iter().collect();
        let mut expected = BTreeMap::new();
        for label in self.expected(warehouse, |p| Some(p.label(label).map(str::to_owned))) {
            *expected.entry(label).or_default() += 1;
        }
        self.compare(&sql, &found, &expected);
        Ok(())
    }

    async fn count_in_the_view(&mut self) -> Result<(), Trouble> {
        let (warehouse, class) = (self.below(WAREHOUSES), self.class());
        let sql = "SELECT COUNT(*) FROM kinds WHERE kind = ? AND warehouse = ?";
        let parameters: [Value; 2] = [class.into(), warehouse.into()];
        let rows = self.rows(sql, &parameters).await?;
        let found: Vec<usize> = self.decoded(rows, sql);
        let expected = self.expected(warehouse, |p| (p.kind == class).then_some(()));
        self.compare(sql, &found, &vec![expected.len()]);
        Ok(())
    }

    /// A scan that ends early.
    async fn a_few(&mut self) -> Result<(), Trouble> {
        let (call, label) = self.call();
        let (class, limit) = (self.class(), 1 + self.below(9));
        let sql = format!("SELECT id FROM products WHERE {call} = ? LIMIT ?");
        let parameters: [Value; 2] = [class.into(), limit.into()];
        let rows = self.rows(&sql, &parameters).await?;
        let found: Vec<u32> = self.decoded(rows, &sql);
        let common = self.client.common.clone();
        let is_right = |id: &u32| {
            let product = common.shop.product(*id);
            product.is_some_and(|p| p.label(label) == Some(class))
        };
        let wrong = found.iter().filter(|id| !is_right(id)).count() as u64;
        let all = common.shop.products().iter();
        let all = all.filter(|p| p.label(label) == Some(class)).count();
        if wrong > 0 || found.len() != all.min(limit as usize) {
            let ledger = &common.ledger;
            ledger.fault(Fault::WrongRow, wrong.max(1), || {
                format!("{sql}: {found:?}")
            });
        }
        Ok(())
    }

    /// All rows or an error, never some of them.
    async fn within_a_deadline(&mut self) -> Result<(), Trouble> {
        let limit = ["0.001", "0.02", "0.1"][self.below(3) as usize];
        self.text_rows(&format!("SET @ml_max_seconds = {limit}, @ml_cache = 'off'"))
            .await?;
        let (call, label) = self.call();
        let sql = format!("SELECT id, {call} FROM products");
        let told = self.rows(&sql, &[]).await;
        // Planned to take longer than that, or taking longer: 1644 or 3024.
        if told != Err(Trouble::Lost) {
            self.insist("SET @ml_max_seconds = NULL, @ml_cache = NULL")
                .await?;
        }
        let found: BTreeMap<u32, Option<String>> =
            self.decoded::<Labelled>(told?, &sql).into_iter().collect();
        let common = self.client.common.clone();
        let all = common.shop.products().iter();
        let expected = all.map(|p| (p.id, p.label(label).map(str::to_owned)));
        self.compare(&sql, &found, &expected.collect());
        Ok(())
    }

    async fn label_in_a_variable(&mut self) -> Result<(), Trouble> {
        let id = 1 + self.below(PRODUCTS);
        let sql = format!("SET @k = (SELECT ml.kind(photo) FROM products WHERE id = {id})");
        self.text_rows(&sql).await?;
        let rows = self.text_rows("SELECT @k").await?;
        let found: Vec<Option<String>> = self.decoded(rows, &sql);
        let common = self.client.common.clone();
        let expected = common.shop.product(id).map(|p| p.kind.clone());
        if found == [None] {
            let nulls = &common.ledger.interrupted_assignments;
            nulls.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        } else {
            self.compare(&sql, &found, &vec![expected]);
        }
        Ok(())
    }

    /// NULL, and a warning that says why.
    async fn one_that_cannot_be_read(&mut self) -> Result<(), Trouble> {
        let id = 1 + self.below(PRODUCTS);
        let sql = "SELECT ml.kind(CONCAT(photo, '.none')) FROM products WHERE id = ?";
        let rows = self.rows(sql, &[id.into()]).await?;
        let warnings = self.conn.get_warnings();
        let found: Vec<Option<String>> = self.decoded(rows, sql);
        self.compare(sql, &(found, warnings), &(vec![None], 1));
        Ok(())
    }

    /// A call of a task of one model, or of a model.
    fn call(&mut self) -> (&'static str, Label) {
        match self.below(3) {
            0 => ("ml.kind(photo)", Label::Kind),
            1 => ("ml.predict('kind_nano@1', photo)", Label::Kind),
            _ => ("ml.predict('apparel_small@1', photo)", Label::Small),
        }
    }

    fn class(&mut self) -> &'static str {
        let place = self.client.dice.below(CLASSES.len());
        CLASSES.get(place).copied().unwrap_or_default()
    }

    fn expected<T>(&self, warehouse: u32, of: impl FnMut(&Product) -> Option<T>) -> Vec<T> {
        let shop = &self.client.common.shop;
        shop.of_warehouse(warehouse).filter_map(of).collect()
    }

    /// Rows as values; a row of another shape is a fault.
    pub fn decoded<T: mysql_async::prelude::FromRow>(&self, rows: Vec<Row>, sql: &str) -> Vec<T> {
        let ledger = self.ledger();
        let count = rows.len() as u64;
        (ledger.rows_compared).fetch_add(count, std::sync::atomic::Ordering::Relaxed);
        let read: Result<Vec<T>, FromRowError> = rows.into_iter().map(from_row_opt).collect();
        read.unwrap_or_else(|error| {
            ledger.fault(Fault::BadAnswer, 1, || format!("{sql}: {error}"));
            Vec::new()
        })
    }

    /// A fault where they differ.
    pub fn compare<T: PartialEq + std::fmt::Debug>(&self, sql: &str, found: &T, expected: &T) {
        if found != expected {
            let text = || format!("{sql}: {found:?}, and must be {expected:?}");
            self.ledger().fault(Fault::WrongRow, 1, text);
        }
    }
}
