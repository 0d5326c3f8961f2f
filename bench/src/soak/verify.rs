//! Compares what the store holds with the ledger.

use std::collections::BTreeMap;

use mysql_async::Conn;
use mysql_async::prelude::Queryable;

use super::client::Common;
use super::error::SoakError;
use super::ledger::{Entry, Fate, Fault, Label, Ledger};
use super::shop::{BATCHES, Shop};

/// Rows of `items`: id, token, label.
type Item = (u32, u64, Option<String>);

/// A batch must show one of its changes, whole, or none where none was acknowledged.
pub fn batch(common: &Common, batch: u32, rows: &[Item]) {
    let (ledger, shop) = (&common.ledger, &common.shop);
    let Some((_, token, _)) = rows.first() else {
        return;
    };
    let text = |what: &str| format!("batch {batch} {what}: {rows:?}");
    if rows.iter().any(|(_, other, _)| other != token) {
        ledger.fault(Fault::HalfUpdate, 1, || text("has several tokens"));
        return;
    }
    let candidates = ledger.candidates(batch);
    let label = match candidates.iter().find(|change| change.token == *token) {
        Some(change) => change.label,
        None if *token == 0 && candidates.iter().all(|c| c.fate == Fate::Unknown) => Label::Null,
        None => {
            let expected = || text(&format!("may show {candidates:?}"));
            ledger.fault(Fault::LostRow, rows.len() as u64, expected);
            return;
        }
    };
    let is_right = |(id, _, found): &Item| {
        let product = shop.product(*id);
        product.is_some_and(|product| product.label(label) == found.as_deref())
    };
    let wrong = rows.iter().filter(|row| !is_right(row)).count() as u64;
    if wrong > 0 {
        ledger.fault(Fault::WrongRow, wrong, || {
            text(&format!("has other labels than {label:?}"))
        });
    }
}

/// All tables against all that was written down. Nobody writes any more.
///
/// # Errors
/// A table cannot be read.
pub async fn all(conn: &mut Conn, common: &Common) -> Result<(), SoakError> {
    journal(conn, &common.ledger).await?;
    items(conn, common).await?;
    bin(conn, common).await
}

/// What the store tells of a token of `journal`.
#[derive(Debug, Clone, Copy)]
struct Found {
    rows: u64,
    places: u64,
    /// Rows whose label is none, that of task `kind`, that of `apparel_small`.
    none: u64,
    kind: u64,
    small: u64,
}

async fn journal(conn: &mut Conn, ledger: &Ledger) -> Result<(), SoakError> {
    let sql = "SELECT token, COUNT(*), COUNT(DISTINCT place), CAST(SUM(j.label IS NULL) AS INT), \
               CAST(SUM(j.label <=> l.kind) AS INT), CAST(SUM(j.label <=> l.small) AS INT) \
               FROM shop.journal j LEFT JOIN shop.labels l ON l.photo = j.photo GROUP BY token";
    let rows: Vec<(u64, u64, u64, u64, u64, u64)> =
        (conn.query(sql).await).map_err(SoakError::sql("reading the journal"))?;
    let found = |(token, rows, places, none, kind, small)| {
        let found = Found {
            rows,
            places,
            none,
            kind,
            small,
        };
        (token, found)
    };
    let mut found: BTreeMap<u64, Found> = rows.into_iter().map(found).collect();
    for (token, entry) in ledger.entries() {
        if let Some((fault, count)) = judged(&entry, found.remove(&token)) {
            ledger.fault(fault, count, || {
                format!("journal, token {token}: {entry:?}")
            });
        }
    }
    for (token, found) in found {
        let text = || format!("journal, token {token}: nobody wrote it");
        ledger.fault(Fault::DoubledRow, found.rows, text);
    }
    Ok(())
}

/// The fault of an entry, if it has one, and how many rows have it.
fn judged(entry: &Entry, found: Option<Found>) -> Option<(Fault, u64)> {
    let Some(found) = found else {
        return (entry.fate == Fate::Kept).then_some((Fault::LostRow, entry.rows));
    };
    if entry.fate == Fate::Gone {
        return Some((Fault::KeptAfterError, found.rows));
    }
    if found.rows > entry.rows || found.places < found.rows {
        return Some((
            Fault::DoubledRow,
            found.rows.saturating_sub(entry.rows).max(1),
        ));
    }
    if found.rows < entry.rows {
        return Some((Fault::HalfUpdate, 1));
    }
    let right = match entry.label {
        Label::Null => found.none,
        Label::Kind => found.kind,
        Label::Small => found.small,
    };
    (right < found.rows).then_some((Fault::WrongRow, found.rows - right))
}

async fn items(conn: &mut Conn, common: &Common) -> Result<(), SoakError> {
    let step = || SoakError::sql("reading the items");
    let entries = common.ledger.entries();
    for number in 0..BATCHES {
        let sql =
            format!("SELECT id, token, label FROM shop.items WHERE batch = {number} ORDER BY id");
        let rows: Vec<Item> = conn.query(sql).await.map_err(step())?;
        batch(common, number, &rows);
        let Some((_, token, _)) = rows.first() else {
            let text = || format!("batch {number} has gone");
            common.ledger.fault(Fault::LostRow, 1, text);
            continue;
        };
        let candidates = common.ledger.candidates(number);
        let change = candidates.iter().find(|change| change.token == *token);
        if change.is_some_and(|change| change.journaled) && entries.contains_key(token) {
            let sql = format!("SELECT COUNT(*) FROM shop.journal WHERE token = {token}");
            let count: Option<u64> = conn.query_first(sql).await.map_err(step())?;
            if count == Some(0) {
                let text = || format!("batch {number} has token {token}, the journal has not");
                common.ledger.fault(Fault::HalfUpdate, 1, text);
            }
        }
    }
    Ok(())
}

async fn bin(conn: &mut Conn, common: &Common) -> Result<(), SoakError> {
    let sql = "SELECT token, GROUP_CONCAT(place ORDER BY place) FROM shop.bin GROUP BY token";
    let rows: Vec<(u64, String)> =
        (conn.query(sql).await).map_err(SoakError::sql("reading the bin"))?;
    let mut found: BTreeMap<u64, String> = rows.into_iter().collect();
    for (token, binned) in common.ledger.binned() {
        let found = found.remove(&token).unwrap_or_default();
        let all = places(&common.shop, binned.batch, None);
        let mut allowed = Vec::new();
        if binned.inserted != Fate::Kept {
            allowed.push(String::new());
        }
        match (&binned.inserted, &binned.deleted) {
            (Fate::Gone, _) => {}
            (_, None | Some((_, Fate::Gone))) => allowed.push(all),
            (_, Some((class, fate))) => {
                allowed.push(places(&common.shop, binned.batch, Some(class)));
                if *fate == Fate::Unknown {
                    allowed.push(all);
                }
            }
        }
        if !allowed.contains(&found) {
            let text =
                || format!("bin, token {token}: '{found}' of {binned:?}, may be {allowed:?}");
            common.ledger.fault(Fault::HalfUpdate, 1, text);
        }
    }
    for token in found.keys() {
        let text = || format!("bin, token {token}: nobody wrote it");
        common.ledger.fault(Fault::DoubledRow, 1, text);
    }
    Ok(())
}

/// The rows of a batch as the bin shows them, without those of a class.
fn places(shop: &Shop, batch: u32, without: Option<&str>) -> String {
    let rows = shop.of_batch(batch);
    let rows = rows.filter(|product| Some(&*product.kind) != without);
    let ids: Vec<String> = rows.map(|product| product.id.to_string()).collect();
    ids.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_whole_once_and_right_or_not_there() {
        let entry = |fate| Entry {
            rows: 12,
            label: Label::Kind,
            fate,
        };
        let found = |rows, places, kind| {
            Some(Found {
                rows,
                places,
                none: 0,
                kind,
                small: 12,
            })
        };
        for (fate, found, fault) in [
            (Fate::Kept, found(12, 12, 12), None),
            (Fate::Kept, None, Some((Fault::LostRow, 12))),
            (Fate::Unknown, None, None),
            (
                Fate::Unknown,
                found(11, 11, 11),
                Some((Fault::HalfUpdate, 1)),
            ),
            (Fate::Gone, None, None),
            (
                Fate::Gone,
                found(12, 12, 12),
                Some((Fault::KeptAfterError, 12)),
            ),
            (Fate::Kept, found(24, 12, 24), Some((Fault::DoubledRow, 12))),
            (Fate::Kept, found(12, 12, 10), Some((Fault::WrongRow, 2))),
        ] {
            assert_eq!(judged(&entry(fate), found), fault, "{fate:?} {found:?}");
        }
    }
}
