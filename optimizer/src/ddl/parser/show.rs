//! Parses `SHOW`, for the catalog and for other lists with the same grammar.

use sqlparser::tokenizer::Token;

use super::cursor::Cursor;
use crate::Refusal;
use crate::ddl::statement::{Show, ShowFilter};

/// Parses a `SHOW` of the catalog; `None` for other statements.
pub fn show(cursor: &mut Cursor<'_>) -> Result<Option<Show>, Refusal> {
    if !cursor.accept("SHOW") {
        return Ok(None);
    }
    if cursor.accept("CREATE TASK") {
        let name = cursor.name("a task's name")?;
        return Ok(Some(Show::CreateTask { name }));
    }
    if cursor.accept("CREATE MODEL") {
        let name = cursor.name("a model's name")?;
        let version = cursor.version()?;
        return Ok(Some(Show::CreateModel { name, version }));
    }
    if cursor.accept("TASKS") {
        let filter = filter(cursor)?;
        return Ok(Some(Show::Tasks { filter }));
    }
    if !cursor.accept("MODELS") {
        return Err(cursor.syntax("TASKS, MODELS, CREATE TASK or CREATE MODEL"));
    }
    let task = match cursor.accept("FOR TASK") {
        true => Some(cursor.name("a task's name")?),
        false => None,
    };
    let filter = filter(cursor)?;
    Ok(Some(Show::Models { task, filter }))
}

fn filter(cursor: &mut Cursor<'_>) -> Result<Option<ShowFilter>, Refusal> {
    if cursor.accept("LIKE") {
        return Ok(Some(ShowFilter::Like(
            cursor.string("a pattern in quotes")?,
        )));
    }
    if !cursor.accept("WHERE") {
        return Ok(None);
    }
    let count = cursor.lexed.lexemes.len();
    let end = (cursor.at..count)
        .find(|at| cursor.lexed.token(*at) == Some(&Token::SemiColon))
        .unwrap_or(count);
    if end == cursor.at || closes_more_than_it_opens(cursor, end) {
        return Err(cursor.syntax("an expression"));
    }
    let text = cursor.lexed.text_of(&(cursor.at..end)).to_owned();
    cursor.at = end;
    Ok(Some(ShowFilter::Where(text)))
}

/// Whether the parentheses from here to `end` are unbalanced.
fn closes_more_than_it_opens(cursor: &Cursor<'_>, end: usize) -> bool {
    let mut depth = 0_usize;
    for at in cursor.at..end {
        match cursor.lexed.token(at) {
            Some(Token::LParen) => depth += 1,
            Some(Token::RParen) if depth == 0 => return true,
            Some(Token::RParen) => depth -= 1,
            _ => {}
        }
    }
    depth != 0
}
