//! Parses the hint `/*+ ML(min_accuracy = 0.95) */`: constraints in a comment of a statement.

use super::text::Lexed;

/// The settings of all `ML(...)` hints of a statement as (name, value), in order. A value may be
/// quoted with either kind of quote, which is removed; a quote inside is doubled. Other hints and
/// malformed ones are left to the store.
pub(crate) fn settings(lexed: &Lexed<'_>) -> Vec<(String, String)> {
    let ends = lexed.lexemes.iter().map(|l| l.range.end);
    let starts = lexed.lexemes.iter().skip(1).map(|l| l.range.start);
    let gaps = ends.zip(starts.chain([lexed.text.len()]));
    gaps.filter_map(|(from, to)| lexed.text.get(from..to))
        .flat_map(of_gap)
        .collect()
}

/// The settings in the white space and comments between two lexemes.
fn of_gap(mut gap: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    while let Some((_, rest)) = gap.split_once("/*+") {
        let Some((hint, rest)) = rest.split_once("*/") else {
            break;
        };
        found.extend(of_hint(hint));
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
        let Some(inner) = arguments.strip_prefix('(').filter(|_| stands_alone) else {
            continue;
        };
        let Some((settings, rest)) = arguments_of(inner) else {
            // Without a closing parenthesis the rest is taken as one setting with an invalid
            // value, so that it causes an error instead of being ignored.
            found.extend(setting(inner));
            break;
        };
        found.extend(settings.into_iter().filter_map(setting));
        at = hint.len() - rest.len();
    }
    found
}

/// The arguments between commas up to the closing parenthesis, ignoring both inside quotes, and
/// the text after it.
fn arguments_of(text: &str) -> Option<(Vec<&str>, &str)> {
    let (mut arguments, mut from, mut quote) = (Vec::new(), 0, None);
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(open), c) if open == c => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(c),
            (None, ',' | ')') => {
                arguments.push(text.get(from..at)?);
                from = at + 1;
                if c == ')' {
                    return Some((arguments, text.get(from..)?));
                }
            }
            (None, _) => {}
        }
    }
    None
}

fn setting(text: &str) -> Option<(String, String)> {
    let (name, value) = text.split_once('=')?;
    let value = value.trim();
    let quoted = |q: char| {
        let inner = value.strip_prefix(q)?.strip_suffix(q)?;
        Some(inner.replace(&String::from_iter([q, q]), &String::from(q)))
    };
    let value = quoted('\'')
        .or_else(|| quoted('"'))
        .unwrap_or_else(|| value.to_owned());
    Some((name.trim().to_ascii_lowercase(), value))
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
        assert_eq!(
            read(
                r#"SELECT /*+ ML(prior = '{"it''s (a), \"ml(x=1)\"": 0.1, "b": 0}', max_cost=1) ML(a="b""") */ 1"#
            ),
            [
                one("prior", r#"{"it's (a), \"ml(x=1)\"": 0.1, "b": 0}"#),
                one("max_cost", "1"),
                one("a", "b\""),
            ]
        );
        for none in [
            "SELECT '/*+ ML(min_accuracy=1) */'",
            "SELECT 1 /*+ XML(a=1) */",
            "SELECT 1 /*+ ML */",
            "SELECT 1 /*+ ML(a) */",
            "SELECT 1 /*+ ML(' */",
        ] {
            assert_eq!(read(none), [], "{none}");
        }
        // Not a valid number: an error, rather than a statement without its constraints.
        assert_eq!(
            read("SELECT 1 /*+ ML(min_accuracy = 0.9', strategy = greedy) */"),
            [one("min_accuracy", "0.9', strategy = greedy)")]
        );
    }
}
