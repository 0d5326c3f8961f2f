//! Changes, with and without predictions, alone and in transactions.
//! Each is written down before it is sent.

use mysql_async::Value;
use predictsql_proxy::demo::dataset::CLASSES;

use super::client::{Session, Trouble};
use super::ledger::{Binned, Fate, Fault, Label};
use super::shop::{BATCH_ROWS, BATCHES};

impl Session<'_> {
    /// One of the changes.
    ///
    /// # Errors
    /// Written down.
    pub async fn write(&mut self) -> Result<(), Trouble> {
        match self.below(10) {
            0 | 1 => self.insert_plain().await,
            2 | 3 => self.insert_select().await,
            4..=6 => self.update_batch().await,
            7 | 8 => self.transaction().await,
            _ => self.bin().await,
        }
    }

    /// One of this client's own batches.
    fn own_batch(&mut self) -> u32 {
        let (shares, own) = self.client.shares;
        let count = BATCHES / shares.max(1);
        self.below(count) * shares + own
    }

    async fn insert_plain(&mut self) -> Result<(), Trouble> {
        let token = self.ledger().token();
        self.ledger().enter(token, 1, Label::Null);
        let sql = "INSERT INTO journal VALUES (?, 1, 'none', NULL)";
        let done = self.run(sql, &[token.into()]).await;
        self.ledger().entered(token, fate(done));
        done
    }

    async fn insert_select(&mut self) -> Result<(), Trouble> {
        let token = self.ledger().token();
        let batch = self.below(BATCHES);
        let (call, label) = self.stored_label();
        self.ledger().enter(token, u64::from(BATCH_ROWS), label);
        let sql = format!(
            "INSERT INTO journal SELECT ?, id, photo, {call} FROM products WHERE batch = ?"
        );
        let done = self.run(&sql, &[token.into(), batch.into()]).await;
        self.ledger().entered(token, fate(done));
        done
    }

    async fn update_batch(&mut self) -> Result<(), Trouble> {
        let (token, batch) = (self.ledger().token(), self.own_batch());
        let (call, label) = self.stored_label();
        self.ledger().change(batch, token, label, false);
        let sql = update(call, self.below(2) == 0);
        let done = self.run(&sql, &[token.into(), batch.into()]).await;
        self.ledger().changed(batch, fate(done));
        done?;
        self.read_back(batch).await
    }

    /// An entry of the journal, a batch, and perhaps more rows, together.
    async fn transaction(&mut self) -> Result<(), Trouble> {
        let (token, batch) = (self.ledger().token(), self.own_batch());
        let (call, label) = self.stored_label();
        self.ledger().enter(token, u64::from(BATCH_ROWS), label);
        self.ledger().change(batch, token, label, true);
        let fate = self.within_transaction(token, batch, call).await;
        self.ledger().entered(token, fate.0);
        self.ledger().changed(batch, fate.0);
        fate.1?;
        self.read_back(batch).await
    }

    async fn within_transaction(
        &mut self,
        token: u64,
        batch: u32,
        call: &'static str,
    ) -> (Fate, Result<(), Trouble>) {
        let insert = format!(
            "INSERT INTO journal SELECT ?, id, photo, {call} FROM products WHERE batch = ?"
        );
        let sql = update(call, self.below(2) == 0);
        let parameters: [Value; 2] = [token.into(), batch.into()];
        let begin = ["BEGIN", "START TRANSACTION"][self.below(2) as usize];
        let body = async {
            self.text_rows(begin).await?;
            self.run(&insert, &parameters).await?;
            self.rows(
                "SELECT COUNT(*) FROM kinds WHERE batch = ? AND kind = 'Bag'",
                &[batch.into()],
            )
            .await?;
            self.run(&sql, &parameters).await
        };
        match body.await {
            // Nothing was committed, and nothing will be.
            Err(Trouble::Lost) => return (Fate::Gone, Err(Trouble::Lost)),
            Err(refused) => return (Fate::Gone, self.insist("ROLLBACK").await.and(Err(refused))),
            Ok(()) => {}
        }
        if self.below(5) == 0 {
            return (Fate::Gone, self.insist("ROLLBACK").await);
        }
        match self.text_rows("COMMIT").await {
            Ok(_) => (Fate::Kept, Ok(())),
            Err(trouble) => (Fate::Unknown, Err(trouble)),
        }
    }

    /// Rows that go into `bin`, and of these one class out again.
    async fn bin(&mut self) -> Result<(), Trouble> {
        let token = self.ledger().token();
        let batch = self.below(BATCHES);
        let mut binned = Binned {
            batch,
            inserted: Fate::Unknown,
            deleted: None,
        };
        self.ledger().bin(token, binned.clone());
        let sql = "INSERT INTO bin SELECT ?, id, photo FROM products WHERE batch = ?";
        let done = self.run(sql, &[token.into(), batch.into()]).await;
        binned.inserted = fate(done);
        self.ledger().bin(token, binned.clone());
        done?;
        let place = self.client.dice.below(CLASSES.len());
        let class = CLASSES.get(place).copied().unwrap_or_default();
        binned.deleted = Some((class.to_owned(), Fate::Unknown));
        self.ledger().bin(token, binned.clone());
        let sql = "DELETE FROM bin WHERE token = ? AND ml.kind(photo) = ?";
        let done = self.run(sql, &[token.into(), class.into()]).await;
        binned.deleted = Some((class.to_owned(), fate(done)));
        self.ledger().bin(token, binned);
        done
    }

    /// What was acknowledged is there at once.
    async fn read_back(&mut self, batch: u32) -> Result<(), Trouble> {
        let sql = "SELECT id, token, label FROM items WHERE batch = ? ORDER BY id";
        let rows = self.rows(sql, &[batch.into()]).await?;
        let rows: Vec<(u32, u64, Option<String>)> = self.decoded(rows, sql);
        super::verify::batch(&self.client.common, batch, &rows);
        if rows.len() != BATCH_ROWS as usize {
            let text = || format!("{sql}: {} rows", rows.len());
            self.ledger().fault(Fault::LostRow, 1, text);
        }
        Ok(())
    }

    fn stored_label(&mut self) -> (&'static str, Label) {
        match self.below(4) {
            0 => ("NULL", Label::Null),
            1 => ("ml.predict('apparel_small@1', photo)", Label::Small),
            _ => ("ml.kind(photo)", Label::Kind),
        }
    }
}

fn fate(done: Result<(), Trouble>) -> Fate {
    match done {
        Ok(()) => Fate::Kept,
        Err(trouble) => trouble.fate(),
    }
}

/// All rows of a batch; the prediction in the condition is true of all.
fn update(call: &str, with_condition: bool) -> String {
    let condition = if with_condition {
        " AND ml.kind(photo) IS NOT NULL"
    } else {
        ""
    };
    // Parameters come in the order in which other statements have them, too.
    format!("UPDATE items SET token = ?, label = {call} WHERE batch = ?{condition}")
}
