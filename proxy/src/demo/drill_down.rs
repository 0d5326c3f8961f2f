//! The demo's drill-down: a count by group, then each group's count by a statement of its own.
//! They agree, since a prediction is a value.

use std::io::{self, Write};
use std::net::SocketAddr;

use super::queries::client;

const GROUPED: &str = "\
SELECT ml.apparel(photo) AS kind, COUNT(*) AS products
FROM products GROUP BY kind ORDER BY kind";

/// The statement that counts the products of one kind.
fn alone(kind: &str) -> String {
    let kind = kind.replace('\\', "\\\\").replace('\'', "''");
    format!("SELECT COUNT(*) FROM products WHERE ml.apparel(photo) = '{kind}'")
}

/// Runs the statements and prints both counts of each kind; returns whether they agree.
pub(super) fn run(proxy: SocketAddr, out: &mut impl Write) -> io::Result<bool> {
    writeln!(out, "\nA drill-down adds up: eleven statements\n")?;
    for line in GROUPED.lines() {
        writeln!(out, "    {line}")?;
    }
    writeln!(out, "    {}; ...\n", alone("Bag"))?;
    let form = ["--batch", "--skip-column-names"];
    let grouped = match client(proxy, &form, GROUPED)? {
        Ok(text) => text,
        Err(error) => return failed(out, &error),
    };
    let groups: Vec<(&str, &str)> = grouped.lines().filter_map(|l| l.split_once('\t')).collect();
    let statements: Vec<String> = groups.iter().map(|(kind, _)| alone(kind)).collect();
    let counted = match client(proxy, &form, &statements.join(";\n"))? {
        Ok(text) => text,
        Err(error) => return failed(out, &error),
    };
    let counts: Vec<&str> = counted.lines().collect();
    let agree = print(&groups, &counts, out)?;
    Ok(agree)
}

fn failed(out: &mut impl Write, error: &str) -> io::Result<bool> {
    writeln!(out, "{error}")?;
    Ok(false)
}

/// Prints the groups with their counts and the counts alone; returns whether they agree.
fn print(groups: &[(&str, &str)], alone: &[&str], out: &mut impl Write) -> io::Result<bool> {
    writeln!(out, "{:<12} {:>8} {:>8}", "kind", "grouped", "alone")?;
    let counts = alone.iter().copied().chain(std::iter::repeat("none"));
    for ((kind, grouped), alone) in groups.iter().zip(counts) {
        writeln!(out, "{kind:<12} {grouped:>8} {alone:>8}")?;
    }
    let grouped: Vec<&str> = groups.iter().map(|(_, count)| *count).collect();
    let agree = grouped == alone;
    let verdict = if agree { "agree" } else { "DIFFER" };
    writeln!(out, "the {} counts {verdict}", groups.len())?;
    Ok(agree)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn counts_that_differ_are_told() {
        let groups = [("Bag", "10"), ("Coat", "9")];
        let mut out = Vec::new();
        assert!(print(&groups, &["10", "9"], &mut out).unwrap());
        assert!(!print(&groups, &["10", "8"], &mut out).unwrap());
        assert!(!print(&groups, &["10"], &mut out).unwrap());
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("Coat                9        8"), "{text}");
        assert!(text.contains("the 2 counts agree"), "{text}");
        assert!(text.ends_with("the 2 counts DIFFER\n"), "{text}");
    }
}
