//! Rewrites a statement over views with predictions, so that the calls stand in its own text.
//!
//! Two forms are built, in this order: *merged*, where each name of a predicted column is replaced
//! by the call itself, so that the block's other conditions narrow the prediction and rows may be
//! streamed; and *derived*, where each view becomes a derived table, which is correct even where
//! tokens do not determine what a name refers to. The store decides which form is accepted.

use std::cell::Cell;
use std::ops::Range;

use sqlparser::tokenizer::Token;

use super::known::Views;
use super::names::{Written, means, written};
use super::references::{Reference, references};
use super::source::ViewSession;
use super::stored::changes_views;
use super::view::{Column, Shape, View};
use crate::refusal::Refusal;
use crate::sql::blocks::{Block, Blocks};
use crate::sql::fragment::{Fragment, Splice, quote_name, splice};
use crate::sql::text::{LexMode, Lexed};

/// Maximum growth of a statement in bytes: views over views could grow without bound.
const EXPANDED_BYTES_MAX: usize = 1 << 20;

/// Number of forms built for a statement.
const FORMS: usize = 2;

/// Alias of a view within its derived table.
const INNER: &str = "ml view";

/// The kind of text to rewrite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// A client's statement.
    Statement,
    /// A view's definition; the store is not asked which form it accepts.
    Definition,
}

/// A rewritten statement over views.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expansion {
    /// The forms, best first.
    pub candidates: Vec<Fragment>,
    /// Views whose bodies are in the text: this needs rights on the tables they read.
    pub bodies: Vec<String>,
    /// Each view as named in the statement, and one of its predicted columns: if a temporary table
    /// hides the view, that column is an ordinary one.
    pub named: Vec<(String, String)>,
    /// Whether the store evaluates a prediction of one of the views whenever the view is read,
    /// whatever columns are used.
    pub(super) eager: bool,
}

/// A view referenced by a block.
pub(super) struct Found<'v> {
    pub(super) reference: Reference,
    pub(super) view: &'v View,
    /// Positions of the predicted columns that are, or may be, used.
    pub(super) needed: Vec<usize>,
}

pub(super) struct Expander<'e> {
    pub(super) lexed: Lexed<'e>,
    pub(super) blocks: Blocks,
    pub(super) session: &'e ViewSession<'e>,
    /// Remaining budget in bytes for inserted view text.
    bytes_left: Cell<usize>,
}

impl Views {
    /// Whether a statement that [may name](Self::may_name) one of them seems to read it, in any
    /// schema, or changes views.
    pub fn concerns(&self, text: &str) -> bool {
        // The session's sql_mode is unknown here.
        [false, true].into_iter().any(|ansi_quotes| {
            let mode = LexMode {
                ansi_quotes,
                no_backslash_escapes: ansi_quotes,
                ..LexMode::default()
            };
            changes_views(text, mode) || names_a_view(self, text, mode)
        })
    }

    /// Rewrites a statement. `None`: it reads no view with predictions, or uses none of their
    /// predictions.
    pub fn expand(
        &self,
        text: &str,
        session: &ViewSession<'_>,
        reading: Reading,
    ) -> Result<Option<Expansion>, Refusal> {
        let Some(lexed) = Lexed::new(text, session.mode).filter(|_| self.may_name(text.as_bytes()))
        else {
            return Ok(None);
        };
        let Some(start) = statement_start(&lexed).filter(|_| !lexed.has_executable_comment())
        else {
            return Ok(None);
        };
        let all = start..lexed.lexemes.len();
        let expander = Expander {
            blocks: Blocks::cut(&lexed, all),
            lexed,
            session,
            bytes_left: Cell::new(EXPANDED_BYTES_MAX * FORMS),
        };
        expander.expand(self, reading)
    }
}

/// Whether a statement of a supported kind references a table with the name of a view with
/// predictions.
fn names_a_view(views: &Views, text: &str, mode: LexMode) -> bool {
    let Some(lexed) = Lexed::new(text, mode) else {
        return false;
    };
    let Some(start) = statement_start(&lexed) else {
        return false;
    };
    let blocks = Blocks::cut(&lexed, start..lexed.lexemes.len());
    blocks.blocks.iter().any(|block| {
        let (references, _) = references(&lexed, &blocks, block);
        references.iter().any(|r| views.has_name(&r.table))
    })
}

/// Start of a statement that may read views; `None` for unsupported kinds.
fn statement_start(lexed: &Lexed<'_>) -> Option<usize> {
    const KINDS: [&str; 9] = [
        "SELECT", "WITH", "INSERT", "REPLACE", "UPDATE", "DELETE", "SET", "DO", "VALUES",
    ];
    let is = |at: usize, words: &[&str]| words.iter().any(|w| lexed.is_keyword(at, w));
    let mut start = 0;
    if is(0, &["EXPLAIN", "DESCRIBE", "DESC", "ANALYZE"]) {
        start = 1;
        while is(start, &["EXTENDED", "ANALYZE"]) {
            start += 1;
        }
        if is(start, &["FORMAT"]) {
            start += 3;
        }
    }
    if is(start, &["CREATE"]) {
        let mut at = start + 1;
        while is(at, &["OR", "REPLACE", "TEMPORARY"]) {
            at += 1;
        }
        return is(at, &["TABLE"]).then_some(start);
    }
    let parenthesised = matches!(lexed.token(start), Some(Token::LParen));
    (parenthesised || is(start, &KINDS)).then_some(start)
}

impl Expander<'_> {
    fn expand(&self, views: &Views, reading: Reading) -> Result<Option<Expansion>, Refusal> {
        let (mut merged, mut derived) = (Vec::new(), Vec::new());
        let (mut bodies, mut named) = (Vec::new(), Vec::new());
        let mut eager = false;
        for block in &self.blocks.blocks {
            let found = self.found(views, block);
            if found.is_empty() {
                continue;
            }
            for found in &found {
                eager |= !found.is_lazy();
                if !found.over_view() {
                    bodies.push(format!("`{}`.`{}`", found.view.schema, found.view.name));
                }
                if let Some(column) = found.predicting() {
                    named.push((self.table_text(&found.reference), column.name.clone()));
                }
            }
            let in_tables = self.derived(block, &found)?;
            let certain = reading == Reading::Statement || block.group.is_empty();
            let in_place = match certain {
                true => self.merged(block, &found)?,
                false => None,
            };
            merged.extend(in_place.unwrap_or_else(|| in_tables.clone()));
            derived.extend(in_tables);
        }
        if derived.is_empty() {
            return Ok(None);
        }
        let mut candidates = Vec::new();
        for splices in [merged, derived] {
            let text = self.spliced(splices)?;
            if !candidates.contains(&text) {
                candidates.push(text);
            }
        }
        Ok(Some(Expansion {
            candidates,
            bodies,
            named,
            eager,
        }))
    }

    fn spliced(&self, mut splices: Vec<Splice>) -> Result<Fragment, Refusal> {
        splices.sort_by_key(|(range, _)| (range.start, range.end));
        let all = 0..self.lexed.lexemes.len();
        let text = splice(&self.lexed, all, &splices);
        match text.sql.len() > self.lexed.text.len() + EXPANDED_BYTES_MAX {
            true => Err(too_long()),
            false => Ok(text),
        }
    }

    /// Subtracts inserted view text from the budget before more is built: a column may be used
    /// often.
    pub(super) fn counted(&self, text: String) -> Result<String, Refusal> {
        let left = self.bytes_left.get().checked_sub(text.len());
        self.bytes_left.set(left.ok_or_else(too_long)?);
        Ok(text)
    }

    /// The views in a block's table references that have to be rewritten.
    fn found<'v>(&self, views: &'v Views, block: &Block) -> Vec<Found<'v>> {
        let (references, _) = references(&self.lexed, &self.blocks, block);
        let view_of = |reference: &Reference| {
            let shadowed = reference.schema.is_none()
                && block.ctes.iter().any(|&cte| {
                    let cte = self.blocks.ctes.get(cte);
                    cte.and_then(|c| self.lexed.name(c.range.start))
                        .is_some_and(|name| name.eq_ignore_ascii_case(&reference.table))
                });
            let schema = reference.schema.as_deref().unwrap_or(self.session.database);
            views.get(schema, &reference.table).filter(|_| !shadowed)
        };
        references
            .into_iter()
            .filter_map(|reference| {
                let view = view_of(&reference)?;
                let found = Found {
                    needed: self.needed(block, &reference, view),
                    reference,
                    view,
                };
                found.is_rewritten().then_some(found)
            })
            .collect()
    }

    /// The predicted columns that the block, or a query within it, may use.
    fn needed(&self, block: &Block, reference: &Reference, view: &View) -> Vec<usize> {
        let Shape::Merged { columns, .. } = &view.shape else {
            return Vec::new();
        };
        let lexed = &self.lexed;
        let natural = block.from.clone().any(|at| lexed.is_keyword(at, "NATURAL"));
        let all = natural || self.wildcards(block, reference);
        let is_named = |column: &Column| {
            let mut places = self.places(block);
            places.any(|at| !reference.range.contains(&at) && lexed.may_be(at, &column.name))
        };
        let predicts = columns
            .iter()
            .enumerate()
            .filter(|(_, c)| c.prediction.is_some());
        predicts
            .filter(|(_, column)| all || is_named(column))
            .map(|(place, _)| place)
            .collect()
    }

    /// Whether the select list contains a wildcard for a reference.
    fn wildcards(&self, block: &Block, reference: &Reference) -> bool {
        let lexed = &self.lexed;
        let star = |at: &usize| matches!(lexed.token(*at), Some(Token::Mul));
        let mut stars = lexed.outside_parentheses(block.items.clone()).filter(star);
        stars.any(
            |at| match at.checked_sub(1).map(|before| lexed.token(before)) {
                Some(Some(Token::Period)) => at
                    .checked_sub(2)
                    .and_then(|at| lexed.name(at))
                    .is_some_and(|name| name == reference.qualifier()),
                // `a * b` is not a wildcard, but a false positive is harmless.
                _ => true,
            },
        )
    }

    /// The lexemes that may name columns of a block's tables: its own, those of nested queries,
    /// and those after ON DUPLICATE KEY UPDATE or RETURNING.
    fn places(&self, block: &Block) -> impl Iterator<Item = usize> + '_ {
        let end = match block.parent {
            None => self.lexed.lexemes.len(),
            Some(_) => block.range.end,
        };
        block.range.start..end
    }

    /// Replaces each view by a derived table.
    fn derived(&self, block: &Block, found: &[Found<'_>]) -> Result<Vec<Splice>, Refusal> {
        let mut splices = Vec::new();
        for found in found {
            let text = found.derived(&self.table_text(&found.reference), self.session)?;
            let text = self.counted(text)?;
            splices.push((found.reference.range.clone(), Fragment::plain(text)));
            splices.extend(self.unqualified(block, found, &[]));
        }
        Ok(splices)
    }

    /// A reference's name as in the statement, quoted.
    pub(super) fn table_text(&self, reference: &Reference) -> String {
        match &reference.schema {
            Some(schema) => format!("{}.{}", quote_name(schema), quote_name(&reference.table)),
            None => quote_name(&reference.table),
        }
    }

    /// Removes the schema from qualified column names, since a derived table has none; names that
    /// start in `but` are skipped.
    pub(super) fn unqualified(
        &self,
        block: &Block,
        found: &Found<'_>,
        but: &[Range<usize>],
    ) -> Vec<Splice> {
        let lexed = &self.lexed;
        let qualified = |at: usize| match (written(lexed, at), lexed.token(at)) {
            (
                Written::Qualified {
                    start,
                    schema: Some(schema),
                    table,
                },
                _,
            ) => Some((start, schema, table)),
            // `db.v.*`: the star is not a name, but has the same qualifier.
            (_, Some(Token::Mul)) => star_qualifier(lexed, at),
            _ => None,
        };
        let is_name = |at: &usize| {
            matches!(lexed.token(*at), Some(Token::Word(_) | Token::Mul))
                && !block.from.contains(at)
                || self.in_condition(block, *at)
        };
        self.places(block)
            .filter(is_name)
            .filter_map(|at| {
                let (start, schema, table) = qualified(at)?;
                let ours = means(&found.reference, &found.view.schema, Some(&schema), &table);
                let apart = !but.iter().any(|range| range.contains(&start));
                (ours && apart).then(|| (start..start + 2, Fragment::default()))
            })
            .collect()
    }

    pub(super) fn in_condition(&self, block: &Block, at: usize) -> bool {
        let conditions = self.blocks.on_conditions(&self.lexed, block);
        conditions.iter().any(|c| c.contains(&at))
    }
}

fn too_long() -> Refusal {
    Refusal::unsupported(format_args!(
        "a statement over views of predictions that grows by more than {EXPANDED_BYTES_MAX} bytes with them"
    ))
}

/// (start, schema, table) of the qualifier before a star.
fn star_qualifier(lexed: &Lexed<'_>, star: usize) -> Option<(usize, String, String)> {
    let start = star.checked_sub(4)?;
    let is_period = |at: usize| matches!(lexed.token(at), Some(Token::Period));
    let spelled = is_period(star - 1) && is_period(star - 3);
    spelled
        .then(|| Some((start, lexed.name(start)?, lexed.name(start + 2)?)))
        .flatten()
}

impl Found<'_> {
    /// Columns of a view in merged shape; empty for others.
    pub(super) fn columns(&self) -> &[Column] {
        match &self.view.shape {
            Shape::Merged { columns, .. } => columns,
            Shape::Whole(_) | Shape::Refused(_) => &[],
        }
    }

    fn predicting(&self) -> Option<&Column> {
        self.columns().iter().find(|c| c.prediction.is_some())
    }

    /// Whether the store evaluates a prediction only if a predicted column is used.
    fn is_lazy(&self) -> bool {
        matches!(self.view.shape, Shape::Merged { lazy: true, .. })
    }

    /// Whether the view has to be rewritten: otherwise the store would evaluate a prediction.
    fn is_rewritten(&self) -> bool {
        !self.is_lazy() || !self.needed.is_empty()
    }

    /// Whether the statement can keep reading the view itself for all columns that are not
    /// predicted.
    pub(super) fn over_view(&self) -> bool {
        let Shape::Merged { columns, lazy, .. } = &self.view.shape else {
            return false;
        };
        let shown = |place: &usize| {
            let prediction = columns.get(*place).and_then(|c| c.prediction.as_ref());
            prediction.is_some_and(|p| p.over_view.is_some())
        };
        *lazy && self.needed.iter().all(shown)
    }

    /// The expression of a predicted column, over columns of `table`.
    pub(super) fn expression(
        &self,
        place: usize,
        table: &str,
        session: &ViewSession<'_>,
    ) -> Result<String, Refusal> {
        let prediction = self
            .columns()
            .get(place)
            .and_then(|c| c.prediction.as_ref());
        let over = match prediction {
            Some(p) if self.over_view() => p.over_view.as_ref(),
            Some(p) => Some(&p.over_body),
            None => None,
        };
        over.map_or(Ok(String::new()), |pieces| {
            pieces.render(table, &self.view.collation, session)
        })
    }

    /// The view's body as a parenthesised query.
    pub(super) fn body(&self, session: &ViewSession<'_>) -> Result<String, Refusal> {
        let pieces = match &self.view.shape {
            Shape::Merged { body, .. } => body,
            Shape::Whole(whole) => whole,
            Shape::Refused(refusal) => {
                let View { schema, name, .. } = self.view;
                let message = format!("{} (view `{schema}`.`{name}`)", refusal.message);
                return Err(Refusal {
                    message,
                    ..refusal.clone()
                });
            }
        };
        let text = pieces.render("", &self.view.collation, session)?;
        Ok(format!("({text})"))
    }

    fn derived(&self, table: &str, session: &ViewSession<'_>) -> Result<String, Refusal> {
        let alias = quote_name(self.reference.qualifier());
        if matches!(self.view.shape, Shape::Whole(_) | Shape::Refused(_)) {
            return Ok(format!("{} AS {alias}", self.body(session)?));
        }
        let mut columns = Vec::new();
        for (place, column) in self.columns().iter().enumerate() {
            let name = quote_name(&column.name);
            if column.prediction.is_none() {
                columns.push(format!("{}.{name}", quote_name(INNER)));
            } else if self.needed.contains(&place) {
                let expression = self.expression(place, INNER, session)?;
                columns.push(format!("{expression} AS {name}"));
            }
        }
        let source = match self.over_view() {
            true => table.to_owned(),
            false => self.body(session)?,
        };
        Ok(format!(
            "(SELECT {} FROM {source} AS {}) AS {alias}",
            columns.join(", "),
            quote_name(INNER)
        ))
    }
}
