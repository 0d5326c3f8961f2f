//! The stored form of `CREATE VIEW` over predictions: generic calls are replaced by the task's own
//! function, whose types the store knows.

use sqlparser::tokenizer::Token;

use crate::refusal::Refusal;
use crate::sql::blocks::Blocks;
use crate::sql::calls::{outermost_splices, stub_splices};
use crate::sql::fragment::{Fragment, quote_name, splice};
use crate::sql::select_list;
use crate::sql::text::{LexMode, Lexed};
use crate::statement::PredictStatement;

/// Maximum length of a view's column name, in characters. The store replaces longer ones by
/// numbers.
const COLUMN_CHARS_MAX: usize = 64;

/// Whether a statement creates, alters, renames or drops views.
pub fn changes_views(text: &str, mode: LexMode) -> bool {
    Lexed::new(text, mode).is_some_and(|lexed| {
        let renames = lexed.is_keyword(0, "RENAME");
        renames || defines_view(&lexed) || (lexed.is_keyword(0, "DROP") && names_view(&lexed))
    })
}

fn defines_view(lexed: &Lexed<'_>) -> bool {
    let first = ["CREATE", "ALTER"];
    first.iter().any(|w| lexed.is_keyword(0, w)) && names_view(lexed)
}

/// Whether VIEW occurs in the head of a statement: before its query, and before another kind of
/// object.
fn names_view(lexed: &Lexed<'_>) -> bool {
    const OTHERS: [&str; 11] = [
        "TABLE",
        "SELECT",
        "AS",
        "PROCEDURE",
        "FUNCTION",
        "TRIGGER",
        "EVENT",
        "USER",
        "DATABASE",
        "INDEX",
        "TASK",
    ];
    let words = (1..lexed.lexemes.len()).filter_map(|at| Some((at, lexed.keyword(at)?)));
    let mut heads = words.take_while(|(_, w)| !OTHERS.iter().any(|o| o.eq_ignore_ascii_case(w)));
    heads.any(|(_, word)| word.eq_ignore_ascii_case("VIEW"))
}

/// The statement in stored form, if it is `CREATE VIEW` or `ALTER VIEW`.
pub fn stored_view(statement: &PredictStatement<'_>) -> Result<Option<Fragment>, Refusal> {
    let lexed = &statement.lexed;
    if !defines_view(lexed) {
        return Ok(None);
    }
    let body = statement.body.clone();
    let calls = &statement.calls;
    let mut splices = outermost_splices(calls, &body, |index| match calls.get(index) {
        // Only the generic functions can name a model or a class.
        Some(call) if call.model.is_some() || !call.asked.is_label() => {
            let inner = 0..calls.len();
            let within: Vec<_> = inner
                .filter(|&i| i != index)
                .filter_map(|i| calls.get(i))
                .filter(|c| call.range.contains(&c.range.start))
                .cloned()
                .collect();
            let within = stub_splices(lexed, statement.schema, &within, &call.range);
            splice(lexed, call.range.clone(), &within)
        }
        Some(call) => {
            let stubs = stub_splices(lexed, statement.schema, calls, &call.range);
            splice(lexed, call.range.clone(), &stubs)
        }
        None => Fragment::default(),
    });
    let predicts =
        |range: &std::ops::Range<usize>| calls.iter().any(|c| range.contains(&c.range.start));
    for block in &Blocks::cut(lexed, body.clone()).blocks {
        for element in select_list::elements(lexed, block.items.clone()) {
            let text = lexed.text_of(&element);
            if predicts(&element)
                && text.chars().count() <= COLUMN_CHARS_MAX
                && select_list::is_unnamed(lexed, &element)?
            {
                let alias = Fragment::plain(format!(" AS {}", quote_name(text)));
                splices.push((element.end..element.end, alias));
            }
        }
    }
    splices.sort_by_key(|(range, _)| (range.start, range.end));
    let stored = splice(lexed, body.clone(), &splices);
    let is_parameter = |at: usize| matches!(lexed.token(at), Some(Token::Placeholder(_)));
    match body.clone().any(is_parameter) {
        true => Err(Refusal::unsupported(
            "parameters in a view over predictions",
        )),
        false => Ok(Some(stored)),
    }
}
