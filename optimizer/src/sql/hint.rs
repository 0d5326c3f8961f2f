//! The hint `/*+ ML(min_accuracy = 0.95) */`: constraints that a statement carries in a comment.

use super::text::Lexed;

/// Longest hint that is read, in bytes.
const HINT_BYTES_MAX: usize = 1024;

/// The settings of all `ML(...)` hints of a statement as (name, value), in order; quotes around values are
/// taken off. Other hints are left to the store, as is anything that has another form.
pub(crate) fn settings(lexed: &Lexed<'_>) -> Vec<(String, String)> {
    let ends = lexed.lexemes.iter().map(|l| l.range.end);
    let starts = lexed.lexemes.iter().skip(1).map(|l| l.range.start);
    let gaps = ends.zip(starts.chain([lexed.text.len()]));
    gaps.filter_map(|(from, to)| lexed.text.get(from..to))
        .flat_map(of_gap)
        .collect()
}

/// Of the white space and comments between two lexemes.
fn of_gap(mut gap: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    while let Some((_, rest)) = gap.split_once("/*+") {
        let Some((hint, rest)) = rest.split_once("*/") else {
            break;
        };
        if hint.len() <= HINT_BYTES_MAX {
            found.extend(of_hint(hint));
        }
        gap = rest;
    }
    found
}

fn of_hint(hint: &str) -> Vec<(String, String)> {
    let lower = hint.to_ascii_lowercase();
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(start) = lower.get(at..).and_then(|rest| rest.find("ml")) {
        let start = at + start;
        at = start + 2;
        let stands_alone = lower
            .get(..start)
            .and_then(|before| before.chars().next_back())
            .is_none_or(|c| !c.is_alphanumeric() && c != '_');
        let arguments = hint.get(at..).map(str::trim_start).unwrap_or_default();
        let inner = arguments.strip_prefix('(').and_then(|a| a.split_once(')'));
        if let (true, Some((inner, _))) = (stands_alone, inner) {
            found.extend(inner.split(',').filter_map(setting));
        }
    }
    found
}

fn setting(text: &str) -> Option<(String, String)> {
    let (name, value) = text.split_once('=')?;
    let value = value.trim();
    let quoted = |q: char| value.strip_prefix(q).and_then(|v| v.strip_suffix(q));
    let value = quoted('\'').or_else(|| quoted('"')).unwrap_or(value);
    Some((name.trim().to_ascii_lowercase(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::text::LexMode;

    fn read(text: &str) -> Vec<(String, String)> {
        Lexed::new(text, LexMode::default()).map_or(Vec::new(), |lexed| settings(&lexed))
    }

    #[test]
    fn hints_are_read_between_tokens_and_nowhere_else() {
        let one = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            read("SELECT /*+ ML(min_accuracy = 0.95, STRATEGY='greedy') */ 1"),
            [one("min_accuracy", "0.95"), one("strategy", "greedy")]
        );
        assert_eq!(
            read("SELECT /*+ BKA(t) ml (max_seconds=2) */ a /* ML(x=1) */ FROM t -- ML(y=2)"),
            [one("max_seconds", "2")]
        );
        for none in [
            "SELECT '/*+ ML(min_accuracy=1) */'",
            "SELECT 1 /*+ XML(a=1) */",
            "SELECT 1 /*+ ML */",
            "SELECT 1 /*+ ML(a) */",
        ] {
            assert_eq!(read(none), [], "{none}");
        }
    }
}
