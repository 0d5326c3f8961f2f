//! The demo's database `shop`: its tables, and their content, which is inserted once.

use std::path::Path;

use mysql_async::Conn;
use mysql_async::prelude::Queryable;

use super::dataset::Split;
use super::error::DemoError;
use super::pictures;
use super::progress::Progress;

/// Number of images in `product_blobs`.
const BLOBS: usize = 1_000;
/// Number of rows in one INSERT.
const ROWS_PER_INSERT: usize = 500;
/// Changes whenever the tables do, so that the directory of an older demo is filled again.
const CONTENT_VERSION: &str = "1";
const WAREHOUSES: [&str; 5] = ["Gdansk", "Leipzig", "Lyon", "Porto", "Turin"];

/// A table: its columns, and its rows as SQL values.
struct Table<'a> {
    name: &'static str,
    columns: &'static str,
    rows: Box<dyn Iterator<Item = Result<String, DemoError>> + 'a>,
    count: usize,
}

/// Creates the database and its tables. Tables completed by an earlier start are kept; a table
/// left incomplete by an interruption is recreated.
///
/// # Errors
/// A statement failed.
pub async fn create(conn: &mut Conn, test: &Split, labelled: &Split) -> Result<(), DemoError> {
    let step = || DemoError::sql("creating database shop");
    conn.query_drop("CREATE DATABASE IF NOT EXISTS shop")
        .await
        .map_err(step())?;
    conn.query_drop("USE shop").await.map_err(step())?;
    conn.query_drop(
        "CREATE TABLE IF NOT EXISTS demo_steps (step VARCHAR(64) PRIMARY KEY, version VARCHAR(16) NOT NULL) \
         COMMENT 'tables that the demo has filled'",
    )
    .await
    .map_err(step())?;
    let done: Vec<String> = conn
        .exec(
            "SELECT step FROM demo_steps WHERE version = ?",
            (CONTENT_VERSION,),
        )
        .await
        .map_err(step())?;
    for table in tables(test, labelled) {
        if !done.iter().any(|name| name == table.name) {
            let name = table.name;
            fill(conn, table).await?;
            conn.exec_drop(
                "REPLACE INTO demo_steps VALUES (?, ?)",
                (name, CONTENT_VERSION),
            )
            .await
            .map_err(DemoError::sql(format!("finishing table {name}")))?;
        }
    }
    Ok(())
}

fn tables<'a>(test: &'a Split, labelled: &'a Split) -> [Table<'a>; 4] {
    [
        Table {
            name: "products",
            columns: "id INT PRIMARY KEY, sku VARCHAR(32) NOT NULL UNIQUE, warehouse VARCHAR(32) NOT NULL, \
                      price DECIMAL(8,2) NOT NULL, stock INT NOT NULL, \
                      photo VARCHAR(255) NOT NULL COMMENT 'path below the image root', \
                      KEY warehouse_price (warehouse, price)",
            rows: Box::new((1..=test.count()).map(|id| Ok(product(id)))),
            count: test.count(),
        },
        Table {
            name: "product_blobs",
            columns: "id INT PRIMARY KEY, photo LONGBLOB NOT NULL COMMENT 'the PNG file itself'",
            rows: Box::new(
                test.iter()
                    .take(BLOBS)
                    .enumerate()
                    .map(|(index, (pixels, _))| {
                        let file = pictures::encode(pixels, Path::new("product_blobs"))?;
                        Ok(format!("({}, X'{}')", index + 1, hex::encode(file)))
                    }),
            ),
            count: BLOBS.min(test.count()),
        },
        Table {
            name: "truth",
            columns: "id INT PRIMARY KEY, label VARCHAR(64) NOT NULL COMMENT 'what products.photo shows'",
            rows: Box::new(
                test.iter()
                    .enumerate()
                    .map(|(index, (_, class))| Ok(format!("({}, '{class}')", index + 1))),
            ),
            count: test.count(),
        },
        Table {
            name: "labelled",
            columns: "id INT PRIMARY KEY, photo VARCHAR(255) NOT NULL COMMENT 'path below the image root', \
                      label VARCHAR(64) NOT NULL",
            rows: Box::new(labelled.iter().enumerate().map(|(index, (_, class))| {
                let (id, photo) = (index + 1, pictures::relative_path("labelled", index + 1));
                Ok(format!("({id}, '{photo}', '{class}')"))
            })),
            count: labelled.count(),
        },
    ]
}

async fn fill(conn: &mut Conn, mut table: Table<'_>) -> Result<(), DemoError> {
    let name = table.name;
    let step = || DemoError::sql(format!("filling table {name}"));
    conn.query_drop(format!("DROP TABLE IF EXISTS {name}"))
        .await
        .map_err(step())?;
    conn.query_drop(format!(
        "CREATE TABLE {name} ({}) CHARSET utf8mb4",
        table.columns
    ))
    .await
    .map_err(step())?;
    let mut progress = Progress::begin(format!("shop.{name}: rows"), table.count);
    loop {
        let rows: Vec<String> = table
            .rows
            .by_ref()
            .take(ROWS_PER_INSERT)
            .collect::<Result<_, _>>()?;
        if rows.is_empty() {
            break;
        }
        conn.query_drop(format!("INSERT INTO {name} VALUES {}", rows.join(",")))
            .await
            .map_err(step())?;
        progress.add(rows.len());
    }
    conn.query_drop(format!("ANALYZE TABLE {name}"))
        .await
        .map_err(step())?;
    progress.finish();
    Ok(())
}

/// The row of product `id`: the same on every machine, and unrelated to the content of its
/// picture.
fn product(id: usize) -> String {
    let mut random = SplitMix64(id as u64);
    let warehouse = WAREHOUSES[random.below(WAREHOUSES.len() as u64) as usize];
    let cents = 499 + 50 * random.below(400);
    // One in eight is sold out.
    let stock = if random.below(8) == 0 {
        0
    } else {
        1 + random.below(60)
    };
    let photo = pictures::relative_path("test", id);
    format!(
        "({id}, 'FM-{id:05}', '{warehouse}', {}.{:02}, {stock}, '{photo}')",
        cents / 100,
        cents % 100
    )
}

/// The generator SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number
/// generators", 2014).
struct SplitMix64(u64);

impl SplitMix64 {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `limit`; uniform enough for shop data.
    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_generator_is_the_published_one() {
        // First outputs for seed 1234567, as listed by the reference implementation.
        let mut random = SplitMix64(1_234_567);
        assert_eq!(random.next(), 6_457_827_717_110_365_317);
        assert_eq!(random.next(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn products_are_the_same_every_time_and_spread_over_the_warehouses() {
        assert_eq!(product(7), product(7));
        let rows: Vec<String> = (1..=1_000).map(product).collect();
        for warehouse in WAREHOUSES {
            let count = rows.iter().filter(|row| row.contains(warehouse)).count();
            assert!((150..250).contains(&count), "{warehouse}: {count}");
        }
        let sold_out = rows
            .iter()
            .filter(|row| row.contains(", 0, 'test/"))
            .count();
        assert!((80..170).contains(&sold_out), "{sold_out}");
    }
}
