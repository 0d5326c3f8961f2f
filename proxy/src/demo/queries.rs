//! The demo's queries, sent through the standard `mariadb` client as by any user, and their
//! results.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::Instant;

/// Number of rows of an answer that are printed; the others are only counted.
const ROWS_SHOWN_MAX: usize = 15;

/// The search that the demo runs and explains.
const SEARCH: &str = "\
SELECT id, sku, price, stock, ml.predict('apparel', photo) AS kind
FROM products
WHERE warehouse = 'Porto' AND stock > 0 AND price < 60
  AND ml.predict('apparel', photo) = 'Bag'
ORDER BY price LIMIT 10";

/// The query that runs twice with different accuracy requirements.
const SHOES: &str = "\
SELECT COUNT(*) AS shoes FROM products
WHERE ml.predict('apparel', photo) IN ('Sneaker', 'Ankle boot')";

struct Query {
    title: &'static str,
    sql: String,
    /// Whether to compare the columns `label` and `predicted` (first and second).
    scored: bool,
}

fn queries() -> Vec<Query> {
    let query = |title, sql: &str| Query {
        title,
        sql: sql.to_owned(),
        scored: false,
    };
    vec![
        query(
            "Plain SQL goes to the store as it is",
            "SELECT warehouse, COUNT(*) AS products, SUM(stock) AS pieces,\n\
             \x20      MIN(price) AS cheapest\n\
             FROM products GROUP BY warehouse ORDER BY warehouse",
        ),
        query(
            "Search by what a photo shows, price and stock in one warehouse",
            SEARCH,
        ),
        query(
            "Its plan: the store filters and sorts, the model sees only what is left",
            &format!("EXPLAIN {SEARCH}"),
        ),
        query(
            "Two models and a probability side by side",
            "SELECT id, ml.predict('apparel_nano', photo) AS cheap_model,\n\
             \x20      ml.apparel(photo) AS best_model,\n\
             \x20      ml.predict_proba('apparel', 'Shirt', photo) AS is_a_shirt\n\
             FROM products WHERE id BETWEEN 41 AND 50 ORDER BY id",
        ),
        query(
            "Images in the table itself: shoes that are sold out",
            "SELECT b.id, ml.apparel(b.photo) AS kind, p.warehouse, p.price\n\
             FROM product_blobs b JOIN products p ON p.id = b.id\n\
             WHERE p.stock = 0\n\
             \x20 AND ml.apparel(b.photo) IN ('Sneaker', 'Sandal', 'Ankle boot')\n\
             ORDER BY p.price DESC LIMIT 10",
        ),
        query(
            "Shoes by the cheapest plan of which F1 0.9 can be promised",
            &format!("SET @ml_cache = 'off', @ml_min_accuracy = 0.9;\n{SHOES}"),
        ),
        query(
            "The same shoes by the most accurate plan, whatever it costs",
            &format!("SET @ml_cache = 'off', @ml_strategy = 'most_accurate';\n{SHOES}"),
        ),
        Query {
            title: "How often it is right: 1,000 photos against the truth",
            sql: "SELECT t.label, ml.predict('apparel', p.photo) AS predicted\n\
                  FROM products p JOIN truth t ON t.id = p.id\n\
                  WHERE p.id <= 1000"
                .to_owned(),
            scored: true,
        },
    ]
}

/// Runs every query and prints it with its answer; returns how many failed. `images_inferred`
/// returns the number of images processed by models since the start.
pub(super) fn run_all(proxy: SocketAddr, images_inferred: impl Fn() -> u64) -> io::Result<usize> {
    let mut failed = 0;
    let queries = queries();
    for (index, query) in queries.iter().enumerate() {
        let mut out = io::stdout().lock();
        let (number, all) = (index + 1, queries.len());
        writeln!(out, "\n[{number}/{all}] {}\n", query.title)?;
        for line in query.sql.lines() {
            writeln!(out, "    {line}")?;
        }
        writeln!(out)?;
        let images_before = images_inferred();
        let answer = ask(proxy, query)?;
        let images = images_inferred().saturating_sub(images_before);
        match answer {
            Ok(answer) => answer.print(&mut out, images, query.scored)?,
            Err(error) => {
                failed += 1;
                writeln!(out, "{error}")?;
            }
        }
    }
    Ok(failed)
}

/// The client command for users to type.
pub(super) fn client_command(proxy: SocketAddr) -> String {
    format!("mariadb -h{} -P{} -uroot shop", proxy.ip(), proxy.port())
}

/// Runs a query through the client; the inner error is the client's error. A plan is as wide as a
/// terminal, so it is printed without table borders.
fn ask(proxy: SocketAddr, query: &Query) -> io::Result<Result<Answer, String>> {
    let is_plan = query.sql.starts_with("EXPLAIN");
    let form: &[&str] = match is_plan {
        true => &["--raw", "--skip-column-names"],
        false => &["--table"],
    };
    let began = Instant::now();
    let answered = client(proxy, form, &query.sql)?;
    let seconds = began.elapsed().as_secs_f64();
    Ok(answered.map(|text| Answer {
        text,
        seconds,
        is_plan,
    }))
}

/// What the client prints for `sql`; the inner error is the client's error.
pub(super) fn client(
    proxy: SocketAddr,
    form: &[&str],
    sql: &str,
) -> io::Result<Result<String, String>> {
    let output = Command::new("mariadb")
        .args(["--no-defaults", "--protocol=tcp", "--show-warnings"])
        .args(form)
        .arg(format!("--host={}", proxy.ip()))
        .arg(format!("--port={}", proxy.port()))
        .args(["--user=root", "--database=shop", "--execute", sql])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| io::Error::new(error.kind(), format!("cannot run `mariadb`: {error}")))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(match output.status.success() {
        true => Ok(text(&output.stdout)),
        false => Err(text(&output.stderr)),
    })
}

/// Output of the client, and its duration from start to end.
struct Answer {
    text: String,
    seconds: f64,
    /// Whether its lines are a plan instead of table rows.
    is_plan: bool,
}

impl Answer {
    fn print(&self, out: &mut impl Write, images: u64, scored: bool) -> io::Result<()> {
        let rows = self.rows().count();
        let mut shown = 0;
        for line in self.text.lines() {
            shown += usize::from(is_row(line));
            // The header is a row, too.
            if !is_row(line) || shown <= ROWS_SHOWN_MAX + 1 {
                writeln!(out, "{line}")?;
            }
        }
        if rows > ROWS_SHOWN_MAX {
            writeln!(out, "({} more rows)", rows - ROWS_SHOWN_MAX)?;
        }
        if scored {
            let right = self.rows().filter(|row| is_right(row)).count();
            let percent = 100.0 * right as f64 / rows.max(1) as f64;
            writeln!(out, "accuracy: {right} of {rows} right = {percent:.1} %")?;
        }
        if self.is_plan {
            return writeln!(out, "planned in {:.3} s", self.seconds);
        }
        let rate = |count: f64| count / self.seconds.max(1e-9);
        write!(
            out,
            "{rows} rows in {:.3} s = {:.0} rows/s",
            self.seconds,
            rate(rows as f64)
        )?;
        match images {
            0 => writeln!(out, ", no image looked at"),
            _ => writeln!(
                out,
                "; {images} images = {:.0} images/s",
                rate(images as f64)
            ),
        }
    }

    /// The rows below the header.
    fn rows(&self) -> impl Iterator<Item = &str> {
        self.text.lines().filter(|line| is_row(line)).skip(1)
    }
}

fn is_row(line: &str) -> bool {
    line.starts_with('|')
}

/// Whether the first two cells of a row are equal.
fn is_right(row: &str) -> bool {
    let mut cells = row.split('|').skip(1).map(str::trim);
    let first = cells.next();
    first.is_some() && first == cells.next()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn printed(rows: usize, images: u64, scored: bool) -> String {
        let mut text = "+---+---+\n| label | predicted |\n+---+---+\n".to_owned();
        for row in 0..rows {
            text += if row % 4 == 0 {
                "| Coat | Bag |\n"
            } else {
                "| Bag | Bag |\n"
            };
        }
        text += "+---+---+\n";
        let mut out = Vec::new();
        let answer = Answer {
            text,
            seconds: 2.0,
            is_plan: false,
        };
        answer.print(&mut out, images, scored).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_short_answer_is_printed_whole_with_its_rates() {
        let text = printed(4, 100, false);
        assert_eq!(text.matches("| Bag | Bag |").count(), 3);
        assert!(
            text.ends_with("4 rows in 2.000 s = 2 rows/s; 100 images = 50 images/s\n"),
            "{text}"
        );
    }

    #[test]
    fn a_long_answer_is_cut_but_counted_and_scored_whole() {
        let text = printed(1000, 0, true);
        assert!(text.contains("(985 more rows)"), "{text}");
        assert!(
            text.contains("accuracy: 750 of 1000 right = 75.0 %"),
            "{text}"
        );
        assert!(text.ends_with("500 rows/s, no image looked at\n"), "{text}");
    }

    #[test]
    fn queries_are_no_wider_than_a_terminal() {
        for query in queries() {
            let wide = query.sql.lines().find(|line| line.len() > 76);
            assert_eq!(wide, None, "{}", query.title);
        }
    }

    #[test]
    fn predict_calls_of_the_queries_are_recognised() {
        let predicting = queries()
            .iter()
            .filter(|query| query.sql.contains("ml."))
            .count();
        assert_eq!((queries().len(), predicting), (8, 7));
    }
}
