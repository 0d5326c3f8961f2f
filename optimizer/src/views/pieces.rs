//! Text of a view's definition, prepared for use in statements of other sessions.
//!
//! The store prints definitions in a single form, independent of the `sql_mode` at their creation.
//! Two things depend on the session: how a string is quoted, and its collation.

use std::collections::BTreeMap;
use std::ops::Range;

use sqlparser::tokenizer::Token;

use super::source::ViewSession;
use crate::refusal::Refusal;
use crate::sql::fragment::quote_name;
use crate::sql::text::Lexed;

/// Character sets by default collation.
const DEFAULT_COLLATIONS: [(&str, &str); 4] = [
    ("utf8mb4_general_ci", "utf8mb4"),
    ("utf8mb3_general_ci", "utf8mb3"),
    ("latin1_swedish_ci", "latin1"),
    ("ascii_general_ci", "ascii"),
];

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    /// A string with the collation of the view's creation.
    Literal(String),
    /// A string that must remain a plain literal.
    Bare(String),
    /// A column of the table that the text is rendered over.
    Column(String),
}

/// Pieces of a definition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Pieces(Vec<Piece>);

impl Pieces {
    /// The lexemes `range` of a definition. `columns` maps the start of a range to its end and the
    /// name of the column that replaces it.
    pub(super) fn of(
        lexed: &Lexed<'_>,
        range: Range<usize>,
        schema: &str,
        columns: &BTreeMap<usize, (usize, String)>,
    ) -> Self {
        let mut pieces = Self::default();
        let mut at = range.start;
        let mut end_of_text = None;
        while at < range.end {
            let Some(lexeme) = lexed.lexemes.get(at) else {
                break;
            };
            if let Some(end) = end_of_text
                && end < lexeme.range.start
            {
                pieces.text(" ");
            }
            if let Some((end, name)) = columns.get(&at) {
                pieces.0.push(Piece::Column(name.clone()));
                at = *end;
            } else {
                match lexed.string_literal(&(at..at + 1)) {
                    Some(value) if is_bare(lexed, at, schema) => {
                        pieces.0.push(Piece::Bare(value));
                    }
                    Some(value) => pieces.0.push(Piece::Literal(value)),
                    None => pieces.text(lexed.text_of(&(at..at + 1))),
                }
                at += 1;
            }
            end_of_text = at
                .checked_sub(1)
                .and_then(|last| lexed.lexemes.get(last))
                .map(|last| last.range.end);
        }
        pieces
    }

    pub(super) fn text(&mut self, text: &str) {
        match self.0.last_mut() {
            Some(Piece::Text(before)) => before.push_str(text),
            _ => self.0.push(Piece::Text(text.to_owned())),
        }
    }

    pub(super) fn push(&mut self, other: &Self) {
        self.0.extend(other.0.iter().cloned());
    }

    /// Renders the text for a session, over columns of `table`. `collation` is that of the view's
    /// creation.
    pub(super) fn render(
        &self,
        table: &str,
        collation: &str,
        session: &ViewSession<'_>,
    ) -> Result<String, Refusal> {
        let mut out = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Bare(value) => out.push_str(&quoted(value, session)),
                Piece::Literal(value) => out.push_str(&literal(value, collation, session)?),
                Piece::Column(name) => {
                    out.push_str(&quote_name(table));
                    out.push('.');
                    out.push_str(&quote_name(name));
                }
            }
        }
        if !session.utf8 && !out.is_ascii() {
            return Err(Refusal::unsupported(
                "a view over predictions with characters beyond ASCII in a session whose \
                 character_set_client is not utf8mb4; use SET NAMES utf8mb4",
            ));
        }
        Ok(out)
    }
}

/// Whether the string at `at` must remain a plain literal: a task, model or class name in a
/// predict call, a typed literal (`DATE'...'`), or a literal with a character set introducer.
fn is_bare(lexed: &Lexed<'_>, at: usize, schema: &str) -> bool {
    let Some(before) = at.checked_sub(1) else {
        return false;
    };
    let typed = ["DATE", "TIME", "TIMESTAMP", "SEPARATOR"];
    match lexed.token(before) {
        Some(Token::Word(word)) if word.quote_style.is_none() => {
            word.value.starts_with('_') || typed.iter().any(|t| word.value.eq_ignore_ascii_case(t))
        }
        // `ml`.`predict`('task', ... and `ml`.`predict_proba`('task','class', ...
        Some(Token::LParen) => is_generic(lexed, before, schema),
        Some(Token::Comma) => before
            .checked_sub(2)
            .is_some_and(|open| is_generic(lexed, open, schema)),
        _ => false,
    }
}

fn is_generic(lexed: &Lexed<'_>, open: usize, schema: &str) -> bool {
    let Some(start) = open.checked_sub(3) else {
        return false;
    };
    let is = |at: usize, names: &[&str]| {
        let name = lexed.name(at).unwrap_or_default();
        names.iter().any(|n| n.eq_ignore_ascii_case(&name))
    };
    matches!(lexed.token(open), Some(Token::LParen))
        && is(start, &[schema])
        && matches!(lexed.token(start + 1), Some(Token::Period))
        && is(start + 2, &["predict", "predict_proba"])
}

/// A plain literal.
fn quoted(value: &str, session: &ViewSession<'_>) -> String {
    let value = value.replace('\'', "''");
    match session.mode.no_backslash_escapes {
        true => format!("'{value}'"),
        false => format!("'{}'", value.replace('\\', "\\\\")),
    }
}

/// A literal with the view's collation and the coercibility of a literal.
fn literal(value: &str, collation: &str, session: &ViewSession<'_>) -> Result<String, Refusal> {
    if collation.eq_ignore_ascii_case(session.collation) {
        return Ok(quoted(value, session));
    }
    let charset = DEFAULT_COLLATIONS
        .iter()
        .find(|(default, _)| default.eq_ignore_ascii_case(collation))
        .map(|(_, charset)| *charset);
    match charset {
        Some(charset) if value.is_ascii() => Ok(format!("_{charset}{}", quoted(value, session))),
        Some(charset) if charset.starts_with("utf8") => {
            Ok(format!("_{charset} X'{}'", hex::encode_upper(value)))
        }
        _ => Err(Refusal::unsupported(format_args!(
            "a view over predictions with strings that was made under collation_connection = \
             {collation} in a session with another; use SET NAMES ... COLLATE {collation}"
        ))),
    }
}
