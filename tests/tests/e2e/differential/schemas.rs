//! The schemas that stand for `ml` at the proxy and in the naive evaluation.

/// Schema of the catalog.
pub const LANE: &str = "dm";
/// Schema of the naive functions.
pub const NAIVE: &str = "nv";

/// The text with every word `ml` turned into another schema's name. It stays in capitals for the
/// lane alone: to the store they are another name.
pub fn in_schema(sql: &str, schema: &str) -> String {
    replace_word(sql, "ml", schema)
}

/// A text with the lane's and the naive functions' schemas both called `ml`.
pub fn plain_name(name: &str) -> String {
    replace_word(&replace_word(name, NAIVE, "ml"), LANE, "ml")
}

/// The text with every word `from` turned into `to`, see [`in_schema`].
pub fn replace_word(sql: &str, from: &str, to: &str) -> String {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut out = String::with_capacity(sql.len());
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let end = match is_word(first) {
            true => rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
            false => rest.find(is_word).unwrap_or(rest.len()),
        };
        let (word, after) = rest.split_at(end);
        match word {
            _ if word.eq_ignore_ascii_case(from) && word != from && to == LANE => {
                out.push_str(&to.to_uppercase());
            }
            _ if word.eq_ignore_ascii_case(from) => out.push_str(to),
            _ => out.push_str(word),
        }
        rest = after;
    }
    out
}
