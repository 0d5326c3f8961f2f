//! Analyses the predictions in a view's definition.

use std::collections::BTreeMap;
use std::ops::Range;

use sqlparser::tokenizer::Token;

use super::expand::Reading;
use super::known::Views;
use super::pieces::Pieces;
use super::source::{ViewSession, ViewSource};
use super::view::{Column, Prediction, Shape, View};
use crate::refusal::Refusal;
use crate::sql::blocks::Blocks;
use crate::sql::fragment::quote_name;
use crate::sql::text::{LexMode, Lexed};
use crate::sql::{expression, select_list};

/// Maximum total size in bytes of the stored definitions of all views with predictions, each with
/// the predicting views that it reads expanded.
pub(super) const DEFINITIONS_BYTES_MAX: usize = 64 << 20;

/// Keywords of views whose rows are not rows of their tables, or that predict outside their
/// columns.
const UNMERGED: [&str; 9] = [
    "DISTINCT",
    "GROUP",
    "HAVING",
    "LIMIT",
    "UNION",
    "INTERSECT",
    "EXCEPT",
    "PROCEDURE",
    "WINDOW",
];

/// Analyses a view; all views it reads are in `views`. `None`: it contains no predictions, or is
/// not understood; in that case its stub functions raise errors. The size of the stored text is
/// subtracted from `bytes_left`.
pub(super) fn analyse(
    source: &ViewSource,
    schema: &str,
    views: &Views,
    bytes_left: &mut usize,
) -> Option<View> {
    let view = |shape| View {
        schema: source.schema.clone(),
        name: source.name.clone(),
        collation: source.collation.clone(),
        shape,
    };
    let session = ViewSession {
        mode: LexMode::default(),
        database: "",
        collation: &source.collation,
        utf8: true,
    };
    let expanded = match views.expand(&source.definition, &session, Reading::Definition) {
        Ok(expanded) => expanded,
        Err(refusal) => return Some(view(Shape::Refused(refusal))),
    };
    // A view that names no prediction may read a view that always evaluates its predictions.
    let eager = expanded.as_ref().is_some_and(|expansion| expansion.eager);
    let text = match expanded {
        Some(expansion) => expansion.candidates.into_iter().next()?.sql,
        None => source.definition.clone(),
    };
    let lexed = Lexed::new(&text, LexMode::default())?;
    let reader = Reader {
        calls: calls(&lexed, schema),
        lexed: &lexed,
        schema,
    };
    if reader.calls.is_empty() && !eager {
        return None;
    }
    // A predicted column is stored twice: over the view and over the tables that it reads.
    match bytes_left.checked_sub(text.len().saturating_mul(2)) {
        Some(left) => *bytes_left = left,
        None => {
            let refusal = Refusal::unsupported(format_args!(
                "views over predictions of more than {DEFINITIONS_BYTES_MAX} bytes together, each with the \
                 predicting views that it reads"
            ));
            return Some(view(Shape::Refused(refusal)));
        }
    }
    let shape = reader
        .merged(source.kept_apart || eager)
        .unwrap_or_else(|| {
            let all = 0..lexed.lexemes.len();
            Shape::Whole(Pieces::of(&lexed, all, schema, &BTreeMap::new()))
        });
    Some(view(shape))
}

/// Calls of functions of `schema`, which are all predict calls.
fn calls(lexed: &Lexed<'_>, schema: &str) -> Vec<Range<usize>> {
    let named = |at: usize| match lexed.token(at) {
        Some(Token::Word(_)) => lexed.name(at),
        _ => None,
    };
    let is_call = |at: &usize| {
        named(*at).is_some_and(|name| name.eq_ignore_ascii_case(schema))
            && matches!(lexed.token(at + 1), Some(Token::Period))
            && matches!(lexed.token(at + 3), Some(Token::LParen))
    };
    let starts = (0..lexed.lexemes.len()).filter(is_call);
    starts
        .filter_map(|at| Some(at..lexed.after_closing(at + 3)?))
        .collect()
}

struct Reader<'l, 'a> {
    lexed: &'l Lexed<'a>,
    schema: &'l str,
    calls: Vec<Range<usize>>,
}

/// A column of the select list.
struct Item {
    expression: Range<usize>,
    name: String,
    predicts: bool,
}

impl Reader<'_, '_> {
    fn merged(&self, kept_apart: bool) -> Option<Shape> {
        let lexed = self.lexed;
        let all = 0..lexed.lexemes.len();
        let blocks = Blocks::cut(lexed, all.clone());
        let block = blocks.blocks.first().filter(|b| b.range == all)?;
        let unmerged = |at: usize| UNMERGED.iter().any(|w| lexed.is_keyword(at, w));
        if lexed.outside_parentheses(all.clone()).any(unmerged)
            || expression::aggregate_or_window(lexed, block.items.clone()).is_some()
            || !self.calls.iter().all(|c| block.items.contains(&c.start))
        {
            return None;
        }
        let elements = select_list::elements(lexed, block.items.clone());
        let first = elements.first()?.start;
        let items: Vec<Item> = elements
            .into_iter()
            .map(|e| self.item(e))
            .collect::<Option<_>>()?;
        let mut hidden = Vec::new();
        let mut columns = Vec::new();
        for item in &items {
            let prediction = match item.predicts {
                true => Some(self.prediction(item, &items, &mut hidden)?),
                false => None,
            };
            columns.push(Column {
                name: item.name.clone(),
                prediction,
            });
        }
        let modifiers = self.pieces(block.range.start..first);
        let rest = match block.from.is_empty() {
            true => block.range.end..block.range.end,
            false => block.from.start - 1..block.range.end,
        };
        let sub_query = block.items.clone().any(|at| lexed.is_keyword(at, "SELECT"));
        Some(Shape::Merged {
            columns,
            body: self.body(modifiers, &items, &hidden, rest),
            lazy: !kept_apart && !sub_query && !block.from.is_empty(),
        })
    }

    fn item(&self, element: Range<usize>) -> Option<Item> {
        let last = element.end.checked_sub(1)?;
        let alias = last.checked_sub(1).filter(|at| *at > element.start)?;
        if !self.lexed.is_keyword(alias, "AS") {
            return None;
        }
        Some(Item {
            expression: element.start..alias,
            name: self.lexed.name(last)?,
            predicts: self.calls.iter().any(|c| element.contains(&c.start)),
        })
    }

    fn pieces(&self, range: Range<usize>) -> Pieces {
        Pieces::of(self.lexed, range, self.schema, &BTreeMap::new())
    }

    /// The expression of a column over visible columns of the view, or over those and `hidden`
    /// ones. `None`: it is not supported in this form.
    fn prediction(
        &self,
        item: &Item,
        items: &[Item],
        hidden: &mut Vec<String>,
    ) -> Option<Prediction> {
        let range = item.expression.clone();
        if range.clone().any(|at| self.lexed.is_keyword(at, "SELECT")) {
            return None;
        }
        let mut columns = BTreeMap::new();
        let mut shown = true;
        let is_call = self.calls.contains(&item.expression);
        let mut is_null_of_null = false;
        for reference in self.column_references(range.clone())? {
            let text = self.lexed.text_of(&reference);
            let same = |i: &&Item| !i.predicts && self.lexed.text_of(&i.expression) == text;
            let name = match items.iter().find(same) {
                Some(item) => item.name.clone(),
                None => {
                    shown = false;
                    let known = hidden.iter().position(|h| h == text);
                    let place = known.unwrap_or_else(|| {
                        hidden.push(text.to_owned());
                        hidden.len() - 1
                    });
                    hidden_name(place)
                }
            };
            is_null_of_null |= is_call && self.is_last_argument(&reference, &range);
            columns.insert(reference.start, (reference.end, name));
        }
        let over_body = Pieces::of(self.lexed, range, self.schema, &columns);
        Some(Prediction {
            over_view: shown.then(|| over_body.clone()),
            over_body,
            is_call,
            is_null_of_null,
        })
    }

    /// Whether a single column is the last argument of a call: its input.
    fn is_last_argument(&self, column: &Range<usize>, call: &Range<usize>) -> bool {
        let before = column.start.checked_sub(1);
        let opens = matches!(
            before.and_then(|at| self.lexed.token(at)),
            Some(Token::LParen | Token::Comma)
        );
        opens && column.end + 1 == call.end
    }

    /// The columns that an expression reads; the store prints all of them with their tables.
    /// `None`: it contains a quoted name of another kind.
    fn column_references(&self, range: Range<usize>) -> Option<Vec<Range<usize>>> {
        let is_quoted = |at: usize| matches!(self.lexed.token(at), Some(Token::Word(w)) if w.quote_style.is_some());
        let is_period = |at: usize| matches!(self.lexed.token(at), Some(Token::Period));
        let mut found = Vec::new();
        let mut at = range.start;
        while at < range.end {
            if !is_quoted(at) {
                at += 1;
                continue;
            }
            let start = at;
            at += 1;
            while is_period(at) && is_quoted(at + 1) {
                at += 2;
            }
            match self.lexed.token(at) {
                Some(Token::LParen) => {}
                _ if at - start >= 3 => found.push(start..at),
                _ => return None,
            }
        }
        Some(found)
    }

    fn body(
        &self,
        modifiers: Pieces,
        items: &[Item],
        hidden: &[String],
        rest: Range<usize>,
    ) -> Pieces {
        let mut body = modifiers;
        let mut separator = " ";
        for item in items.iter().filter(|i| !i.predicts) {
            body.text(separator);
            body.push(&self.pieces(item.expression.clone()));
            body.text(&format!(" AS {}", quote_name(&item.name)));
            separator = ", ";
        }
        for (place, text) in hidden.iter().enumerate() {
            let name = quote_name(&hidden_name(place));
            body.text(&format!("{separator}{text} AS {name}"));
            separator = ", ";
        }
        if separator == " " {
            body.text(&format!(" 1 AS {}", quote_name(&hidden_name(0))));
        }
        body.text(" ");
        body.push(&self.pieces(rest));
        body
    }
}

fn hidden_name(place: usize) -> String {
    format!("ml input {place}")
}
