//! `EVALUATE MODEL m[@version] ON (SELECT input, label FROM ...)` and `EVALUATE TASK t ON (...)`,
//! both with `[OPTIONS (foreign = 'warn' | 'keep')]`.

use std::ops::Range;

use predictsql_catalog::OptionValue;
use sqlparser::tokenizer::Token;

use super::cursor::Cursor;
use crate::Refusal;
use crate::ddl::statement::{Evaluate, Evaluated, Work};

/// Parses `EVALUATE`; `None` for other statements.
pub fn work(cursor: &mut Cursor<'_>) -> Result<Option<Work>, Refusal> {
    if !cursor.accept("EVALUATE") {
        return Ok(None);
    }
    let target = if cursor.accept("TASK") {
        Evaluated::Task(cursor.name("a task's name")?)
    } else if cursor.accept("MODEL") {
        evaluated_model(cursor)?
    } else {
        return Err(cursor.syntax("TASK or MODEL"));
    };
    cursor.expect("ON")?;
    let query = labelled_rows(cursor)?;
    let keep_foreign = keeps_foreign(cursor)?;
    Ok(Some(Work::Evaluate(Evaluate {
        target,
        query,
        keep_foreign,
    })))
}

/// Whether `OPTIONS (foreign = 'keep')` follows; `'warn'` is what holds without it.
fn keeps_foreign(cursor: &mut Cursor<'_>) -> Result<bool, Refusal> {
    const EXPECTED: &str = "OPTIONS (foreign = 'warn' | 'keep')";
    if !cursor.accept("OPTIONS") {
        return Ok(false);
    }
    let mut keeps = false;
    let unknown = cursor.syntax(EXPECTED);
    for (key, value) in cursor.options()? {
        let (OptionValue::Text(value) | OptionValue::Word(value)) = value else {
            return Err(unknown);
        };
        keeps = match value.to_ascii_lowercase().as_str() {
            "keep" if key.eq_ignore_ascii_case("foreign") => true,
            "warn" if key.eq_ignore_ascii_case("foreign") => false,
            _ => return Err(unknown),
        };
    }
    Ok(keeps)
}

/// `m`, `m VERSION 'v'`, or `m@v`, where the version may contain more characters than a word.
fn evaluated_model(cursor: &mut Cursor<'_>) -> Result<Evaluated, Refusal> {
    let whole = unbroken(cursor);
    let text = cursor.lexed.text_of(&whole);
    if let Some((name, version)) = text.split_once('@')
        && !text.starts_with(['`', '"'])
    {
        if name.is_empty() || version.is_empty() {
            return Err(cursor.syntax("model@version"));
        }
        cursor.at = whole.end;
        return Ok(Evaluated::Model {
            name: name.to_owned(),
            version: Some(version.to_owned()),
        });
    }
    let name = cursor.name("a model's name")?;
    let version = cursor.version()?;
    Ok(Evaluated::Model { name, version })
}

/// The tokens from here on without gaps between them.
fn unbroken(cursor: &Cursor<'_>) -> Range<usize> {
    let from = cursor.at;
    let rest = cursor.lexed.lexemes.get(from..).unwrap_or_default();
    let next = rest.iter().skip(1);
    let touching = rest.iter().zip(next);
    let more = touching
        .take_while(|(one, two)| one.range.end == two.range.start)
        .count();
    from..from + rest.len().min(1 + more)
}

/// The text of `( SELECT ... )` without its parentheses.
fn labelled_rows(cursor: &mut Cursor<'_>) -> Result<String, Refusal> {
    const EXPECTED: &str = "(SELECT input, label FROM ...)";
    let open = cursor.at;
    if cursor.lexed.token(open) != Some(&Token::LParen) {
        return Err(cursor.syntax(EXPECTED));
    }
    let end = cursor.lexed.after_closing(open);
    let end = end.ok_or_else(|| cursor.syntax("a closing ')'"))?;
    let inside = open + 1..end - 1;
    let is_query = ["SELECT", "WITH"]
        .iter()
        .any(|word| cursor.lexed.is_keyword(inside.start, word));
    let mut tokens = inside.clone().map(|at| cursor.lexed.token(at));
    if !is_query || tokens.any(|token| token == Some(&Token::SemiColon)) {
        cursor.at = inside.start;
        return Err(cursor.syntax(EXPECTED));
    }
    cursor.at = end;
    Ok(cursor.lexed.text_of(&inside).to_owned())
}
