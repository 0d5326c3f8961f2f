//! Views over predictions: what their definitions predict, and statements over them rewritten so that
//! the calls stand in the statement itself.
//!
//! A column that predicts of columns which the view shows is asked for *through* the view: the store
//! checks the right to the view alone, and never evaluates its own column. Otherwise the view's body
//! stands in its place, which needs rights on what the body reads.

mod definition;
mod expand;
mod merge;
mod names;
mod pieces;
mod references;
mod stored;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use aho_corasick::AhoCorasick;

use crate::refusal::Refusal;
use crate::sql::LexMode;
use crate::sql::fragment::quote_name;
pub use expand::{Expansion, Reading};
use pieces::Pieces;
pub use stored::{changes_views, stored_view};

/// Most bytes of the definitions of all views that predict, each with those of the views that it reads in their place:
/// what is kept of them.
const DEFINITIONS_BYTES_MAX: usize = 64 << 20;

/// A view as the store has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewSource {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// Its query, as the store prints it: names in backquotes, strings with backslashes.
    pub definition: String,
    /// The store keeps its rows apart (`ALGORITHM = TEMPTABLE`): all its columns are evaluated.
    pub kept_apart: bool,
    /// `collation_connection` when it was made.
    pub collation: String,
}

/// What the meaning of a view's text depends on where it is put.
#[derive(Debug, Clone, Copy)]
pub struct ViewSession<'a> {
    /// How text is cut into tokens.
    pub mode: LexMode,
    /// The current database; empty for none.
    pub database: &'a str,
    /// `@@collation_connection`.
    pub collation: &'a str,
    /// The statement is sent in UTF-8.
    pub utf8: bool,
}

/// A view that predicts.
#[derive(Debug, Clone)]
struct View {
    schema: String,
    name: String,
    collation: String,
    shape: Shape,
}

#[derive(Debug, Clone)]
enum Shape {
    /// A row of its tables is a row of it, and only its columns predict.
    Merged {
        columns: Vec<Column>,
        /// Its query without what predicts, and with what that needs.
        body: Pieces,
        /// The store evaluates no column that a statement does not name.
        lazy: bool,
    },
    /// Anything else: its whole query.
    Whole(Pieces),
    /// Its query cannot be put into statements.
    Refused(Refusal),
}

#[derive(Debug, Clone)]
struct Column {
    name: String,
    prediction: Option<Prediction>,
}

/// The expression of a column that predicts.
#[derive(Debug, Clone)]
struct Prediction {
    /// Over columns of the view; `None` where it does not show them all.
    over_view: Option<Pieces>,
    /// Over columns of [`Shape::Merged`]'s body.
    over_body: Pieces,
    /// It is a call and nothing else.
    is_call: bool,
    /// It is a call whose input is a column: NULL where an outer join finds no row of the view. Of other
    /// expressions (`IFNULL(...)`) that cannot be told.
    is_null_of_null: bool,
}

impl Column {
    fn is_call(&self) -> bool {
        self.prediction.as_ref().is_some_and(|p| p.is_call)
    }

    fn is_null_of_null(&self) -> bool {
        let prediction = self.prediction.as_ref();
        prediction.is_some_and(|p| p.is_null_of_null)
    }
}

/// The views of a store that predict.
#[derive(Debug, Default)]
pub struct Views {
    /// By schema and name.
    by_name: BTreeMap<(String, String), View>,
    /// Names of tables compare without case.
    fold_case: bool,
    finder: Option<AhoCorasick>,
}

impl Views {
    /// Finds those of `sources` that call functions of `schema`, also by way of other views.
    /// `fold_case`: the store's names of tables compare without case.
    pub fn analyse(sources: &[ViewSource], schema: &str, fold_case: bool) -> Self {
        let mut views = Self {
            fold_case,
            ..Self::default()
        };
        let mut left = candidates(sources, schema);
        let mut bytes_left = DEFINITIONS_BYTES_MAX;
        // A view is analysed once all that it reads are.
        while let Some(place) = left
            .iter()
            .position(|s| !left.iter().any(|other| s.is_over(other)))
        {
            let source = left.swap_remove(place);
            if let Some(view) = definition::analyse(source, schema, &views, &mut bytes_left) {
                let key = views.key(&source.schema, &source.name);
                views.by_name.insert(key, view);
                views.find_names();
            }
        }
        views
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// Number of views that predict.
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Whether a statement's text could name one of them: what every plain statement pays.
    pub fn may_name(&self, sql: &[u8]) -> bool {
        let Some(finder) = &self.finder else {
            return false;
        };
        let is_word = |byte: Option<&u8>| {
            byte.is_some_and(|b| {
                b.is_ascii_alphanumeric() || matches!(b, b'_' | b'$') || *b >= 0x80
            })
        };
        finder.find_overlapping_iter(sql).any(|found| {
            let before = found.start().checked_sub(1).and_then(|at| sql.get(at));
            !is_word(before) && !is_word(sql.get(found.end()))
        })
    }

    /// Whether a statement whose text [may name](Self::may_name) one of them seems to be over it, in
    /// whatever schema, or changes it.
    pub fn concerns(&self, text: &str) -> bool {
        // The session's sql_mode is not known here.
        [false, true].into_iter().any(|ansi_quotes| {
            let mode = LexMode {
                ansi_quotes,
                no_backslash_escapes: ansi_quotes,
                ..LexMode::default()
            };
            changes_views(text, mode) || expand::names_a_view(self, text, mode)
        })
    }

    fn has_name(&self, name: &str) -> bool {
        let (_, name) = self.key("", name);
        self.by_name.keys().any(|(_, known)| *known == name)
    }

    fn key(&self, schema: &str, name: &str) -> (String, String) {
        match self.fold_case {
            true => (schema.to_lowercase(), name.to_lowercase()),
            false => (schema.to_owned(), name.to_owned()),
        }
    }

    fn get(&self, schema: &str, name: &str) -> Option<&View> {
        self.by_name.get(&self.key(schema, name))
    }

    fn find_names(&mut self) {
        let names = self.by_name.keys().map(|(_, name)| name);
        let quoted = names.map(|name| name.replace('`', "``"));
        // Names are few and short: building cannot fail for size.
        self.finder = AhoCorasick::builder()
            .ascii_case_insensitive(self.fold_case)
            .build(quoted)
            .ok();
    }
}

impl ViewSource {
    /// Whether its definition names another view.
    fn is_over(&self, other: &Self) -> bool {
        let named = format!("{}.{}", quote_name(&other.schema), quote_name(&other.name));
        !std::ptr::eq(self, other) && self.definition.contains(&named)
    }
}

/// The views that name functions of `schema`, and those that name such views.
fn candidates<'s>(sources: &'s [ViewSource], schema: &str) -> Vec<&'s ViewSource> {
    let mark = format!("{}.`", quote_name(schema));
    let (mut found, mut others): (Vec<_>, Vec<_>) = sources
        .iter()
        .partition(|source| source.definition.contains(&mark));
    let mut looked_at = 0;
    while let Some(known) = found.get(looked_at).copied() {
        let (over, rest): (Vec<_>, Vec<_>) =
            others.into_iter().partition(|source| source.is_over(known));
        found.extend(over);
        others = rest;
        looked_at += 1;
    }
    found
}
