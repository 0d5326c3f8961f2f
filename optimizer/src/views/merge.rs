//! The merged form: in a block over views, each name of a predicted column is replaced by the
//! call.

use std::ops::Range;

use sqlparser::tokenizer::Token;

use super::expand::{Expander, Found};
use super::names::{Written, means, written};
use super::references::{Reference, references};
use crate::refusal::Refusal;
use crate::sql::blocks::Block;
use crate::sql::fragment::{Fragment, Splice, quote_name};
use crate::sql::select_list;

/// Maximum length of a column name, in characters: the store's limit on aliases.
const ALIAS_CHARS_MAX: usize = 256;

/// A use of a predicted column in a block.
struct Occurrence {
    /// Including its qualifier.
    range: Range<usize>,
    /// Indexes of the view among those found, and of its column.
    of: (usize, usize),
}

impl Expander<'_> {
    /// The splices of the merged form. `None`: tokens do not determine what a name refers to.
    pub(super) fn merged(
        &self,
        block: &Block,
        found: &[Found<'_>],
    ) -> Result<Option<Vec<Splice>>, Refusal> {
        let whole = found.iter().any(|f| f.columns().is_empty());
        if whole || self.may_hide_null(block, found) || !self.names_stay_here(block, found) {
            return Ok(None);
        }
        let Some(occurrences) = self.occurrences(block, found) else {
            return Ok(None);
        };
        let mut splices = Vec::new();
        let Some(shown) = self.merged_items(block, found, &occurrences, &mut splices)? else {
            return Ok(None);
        };
        let tail = self.tail(block);
        for occurrence in occurrences
            .iter()
            .filter(|o| !block.items.contains(&o.range.start))
        {
            let text = match occurrence.range.start >= tail && shown.contains(&occurrence.of) {
                true => quote_name(column_name(found, occurrence.of)),
                false => self.expression(found, occurrence.of)?,
            };
            splices.push((occurrence.range.clone(), Fragment::plain(text)));
        }
        let replaced: Vec<Range<usize>> = splices.iter().map(|(range, _)| range.clone()).collect();
        for found in found.iter().filter(|f| !f.over_view()) {
            let alias = quote_name(found.reference.qualifier());
            let body = self.counted(found.body(self.session)?)?;
            let body = format!("{body} AS {alias}");
            splices.push((found.reference.range.clone(), Fragment::plain(body)));
            splices.extend(self.unqualified(block, found, &replaced));
        }
        Ok(Some(splices))
    }

    /// Whether a view's expression may be non-NULL for a row that an outer join adds, where every
    /// column of the view is NULL.
    fn may_hide_null(&self, block: &Block, found: &[Found<'_>]) -> bool {
        const OUTER: [&str; 2] = ["LEFT", "RIGHT"];
        let opens = |at: usize| OUTER.iter().any(|word| self.lexed.is_keyword(at, word));
        let hides = |f: &Found<'_>| {
            let needed = f.needed.iter().filter_map(|place| f.columns().get(*place));
            needed.clone().any(|column| !column.is_null_of_null())
        };
        block.from.clone().any(opens) && found.iter().any(hides)
    }

    /// Whether sub-queries of the block, and the text after it, use none of the columns.
    fn names_stay_here(&self, block: &Block, found: &[Found<'_>]) -> bool {
        let natural = ["NATURAL", "USING"];
        let joins = |at: usize| natural.iter().any(|w| self.lexed.is_keyword(at, w));
        if self
            .own(block)
            .any(|at| block.from.contains(&at) && joins(at))
        {
            return false;
        }
        let end = match block.parent {
            None => self.lexed.lexemes.len(),
            Some(_) => block.range.end,
        };
        let mut foreign = (block.range.start..end).filter(|at| !self.is_own(block, *at));
        !foreign.any(|at| {
            let mut columns = found.iter().flat_map(needed_names);
            columns.any(|name| self.lexed.may_be(at, name))
        })
    }

    /// The block's lexemes outside nested blocks.
    fn own<'b>(&'b self, block: &'b Block) -> impl Iterator<Item = usize> + 'b {
        block.range.clone().filter(|at| self.is_own(block, *at))
    }

    fn is_own(&self, block: &Block, at: usize) -> bool {
        let around = self
            .blocks
            .around(at)
            .and_then(|b| self.blocks.blocks.get(b));
        around.is_some_and(|around| around.range == block.range)
    }

    fn occurrences(&self, block: &Block, found: &[Found<'_>]) -> Option<Vec<Occurrence>> {
        let mut occurrences = Vec::new();
        let tables = |at: usize| block.from.contains(&at) && !self.in_condition(block, at);
        for at in self.own(block) {
            let in_reference = |f: &Found<'_>| f.reference.range.contains(&at);
            if found.iter().any(in_reference) {
                continue;
            }
            let candidates: Vec<(usize, usize)> = found
                .iter()
                .enumerate()
                .flat_map(|(view, f)| f.needed.iter().map(move |column| (view, *column)))
                .filter(|of| self.lexed.may_be(at, column_name(found, *of)))
                .collect();
            if candidates.is_empty() || self.is_alias(block, at)? {
                continue;
            }
            let exact = |of: &&(usize, usize)| {
                let name = self.lexed.name(at).unwrap_or_default();
                name.eq_ignore_ascii_case(column_name(found, **of))
            };
            let mut ours = candidates.iter().filter(exact);
            let (start, of) = match written(&self.lexed, at) {
                Written::Other => match self.lexed.token(at + 1) {
                    Some(Token::LParen) => continue,
                    _ => return None,
                },
                Written::Qualified {
                    start,
                    schema,
                    table,
                } => {
                    let meant = ours.find(|(view, _)| {
                        found.get(*view).is_some_and(|f| {
                            means(&f.reference, &f.view.schema, schema.as_deref(), &table)
                        })
                    });
                    match meant {
                        Some(of) => (start, *of),
                        None => continue,
                    }
                }
                Written::Alone => match (ours.next(), candidates.len()) {
                    (Some(of), 1) => (at, *of),
                    _ => return None,
                },
            };
            if self.is_assigned(block, start, at) {
                continue; // the store reports its own error
            }
            if tables(at) {
                return None;
            }
            occurrences.push(Occurrence {
                range: start..at + 1,
                of,
            });
        }
        Some(occurrences)
    }

    /// Whether a lexeme is the alias of a select list element. `None`: this is not certain, or an
    /// alias equals the name of a predicted column.
    fn is_alias(&self, block: &Block, at: usize) -> Option<bool> {
        if !block.items.contains(&at) {
            return Some(false);
        }
        let elements = select_list::elements(&self.lexed, block.items.clone());
        let Some(element) = elements.into_iter().find(|e| e.end == at + 1) else {
            return Some(false);
        };
        match select_list::is_unnamed(&self.lexed, &element).ok()? {
            true => Some(false),
            // `animal AS animal` is the column itself; another alias of this name would hide it in
            // GROUP BY.
            false => {
                let alias = self.lexed.name(at)?;
                let has_as = at > element.start && self.lexed.is_keyword(at - 1, "AS");
                let last = at.checked_sub(1 + usize::from(has_as))?;
                let same =
                    self.lexed.may_be(last, &alias) && matches!(last - element.start, 0 | 2 | 4);
                same.then_some(true)
            }
        }
    }

    /// Whether a name is an assignment target of UPDATE.
    fn is_assigned(&self, block: &Block, start: usize, at: usize) -> bool {
        let lexed = &self.lexed;
        let between = block.from.end..block.condition.start.max(block.from.end);
        let opens = start.checked_sub(1).is_some_and(|b| {
            lexed.is_keyword(b, "SET") || matches!(lexed.token(b), Some(Token::Comma))
        });
        lexed.is_keyword(block.range.start, "UPDATE")
            && between.contains(&start)
            && opens
            && matches!(lexed.token(at + 1), Some(Token::Eq))
    }

    /// Rewrites the select list. Returns the columns shown under their own names; `None`: the
    /// columns of a wildcard are unknown.
    fn merged_items(
        &self,
        block: &Block,
        found: &[Found<'_>],
        occurrences: &[Occurrence],
        splices: &mut Vec<Splice>,
    ) -> Result<Option<Vec<(usize, usize)>>, Refusal> {
        let lexed = &self.lexed;
        let mut shown = Vec::new();
        for element in select_list::elements(lexed, block.items.clone()) {
            if let Some(Token::Mul) = lexed.token(element.end.saturating_sub(1)) {
                let Some(text) = self.wildcard(block, found, &element, &mut shown)? else {
                    return Ok(None);
                };
                splices.push((element, Fragment::plain(text)));
                continue;
            }
            let within = occurrences
                .iter()
                .filter(|o| element.contains(&o.range.start));
            let mut within = within.peekable();
            let Some(first) = within.peek() else {
                continue;
            };
            let alone = first.range == element;
            let Ok(unnamed) = select_list::is_unnamed(lexed, &element) else {
                return Ok(None);
            };
            let text = match alone {
                true => column_name(found, first.of).to_owned(),
                false => lexed.text_of(&element).to_owned(),
            };
            let own_name = alone
                || first.range.end < element.end && {
                    let last = element.end - 1;
                    !unnamed && lexed.may_be(last, column_name(found, first.of))
                };
            if own_name {
                shown.push(first.of);
            }
            for occurrence in within {
                let expression = self.expression(found, occurrence.of)?;
                splices.push((occurrence.range.clone(), Fragment::plain(expression)));
            }
            if unnamed && text.chars().count() <= ALIAS_CHARS_MAX {
                let alias = Fragment::plain(format!(" AS {}", quote_name(&text)));
                splices.push((element.end..element.end, alias));
            }
        }
        Ok(Some(shown))
    }

    /// The expanded columns of a wildcard.
    fn wildcard(
        &self,
        block: &Block,
        found: &[Found<'_>],
        element: &Range<usize>,
        shown: &mut Vec<(usize, usize)>,
    ) -> Result<Option<String>, Refusal> {
        let lexed = &self.lexed;
        let place = |reference: &Reference| found.iter().position(|f| f.reference == *reference);
        if element.len() > 1 {
            let table = element.end.checked_sub(3).and_then(|at| lexed.name(at));
            let is_period = matches!(lexed.token(element.end - 2), Some(Token::Period));
            let Some(table) = table.filter(|_| is_period && matches!(element.len(), 3 | 5)) else {
                return Ok(None);
            };
            let of = found.iter().position(|f| f.reference.qualifier() == table);
            return match of {
                Some(of) => self.all_columns(found, of, shown).map(Some),
                None => Ok(Some(lexed.text_of(element).to_owned())),
            };
        }
        let (tables, only) = references(lexed, &self.blocks, block);
        if !only {
            return Ok(None);
        }
        let mut parts = Vec::new();
        for table in &tables {
            parts.push(match place(table) {
                Some(of) => self.all_columns(found, of, shown)?,
                None if table.alias.is_none() => format!("{}.*", self.table_text(table)),
                None => format!("{}.*", quote_name(table.qualifier())),
            });
        }
        Ok((!parts.is_empty()).then(|| parts.join(", ")))
    }

    fn all_columns(
        &self,
        found: &[Found<'_>],
        of: usize,
        shown: &mut Vec<(usize, usize)>,
    ) -> Result<String, Refusal> {
        let Some(view) = found.get(of) else {
            return Ok(String::new());
        };
        let table = quote_name(view.reference.qualifier());
        let mut parts = Vec::new();
        for (place, column) in view.columns().iter().enumerate() {
            let name = quote_name(&column.name);
            parts.push(match column.prediction {
                None => format!("{table}.{name}"),
                Some(_) => {
                    shown.push((of, place));
                    format!("{} AS {name}", self.expression(found, (of, place))?)
                }
            });
        }
        Ok(parts.join(", "))
    }

    fn expression(&self, found: &[Found<'_>], of: (usize, usize)) -> Result<String, Refusal> {
        let Some(view) = found.get(of.0) else {
            return Ok(String::new());
        };
        let text = view.expression(of.1, view.reference.qualifier(), self.session)?;
        let text = self.counted(text)?;
        // A single call needs no parentheses.
        let alone = matches!(view.columns().get(of.1), Some(c) if c.is_call());
        Ok(if alone { text } else { format!("({text})") })
    }

    /// Start of the clauses in which select list names take precedence over table columns.
    fn tail(&self, block: &Block) -> usize {
        let lexed = &self.lexed;
        let opens = |at: &usize| {
            let order = lexed.is_keyword(*at, "ORDER")
                && lexed.is_keyword(*at + 1, "BY")
                && !(*at > 0 && lexed.is_keyword(*at - 1, "FOR"));
            *at >= block.items.end && (order || lexed.is_keyword(*at, "HAVING"))
        };
        let mut places = lexed.outside_parentheses(block.range.clone());
        places.find(opens).unwrap_or(block.range.end)
    }
}

fn column_name<'f>(found: &'f [Found<'_>], of: (usize, usize)) -> &'f str {
    let view = found.get(of.0);
    let column = view.and_then(|f| f.columns().get(of.1));
    column.map_or("", |c| c.name.as_str())
}

fn needed_names<'f>(found: &'f Found<'_>) -> impl Iterator<Item = &'f str> {
    let columns = found.columns();
    found
        .needed
        .iter()
        .filter_map(|place| Some(columns.get(*place)?.name.as_str()))
}
