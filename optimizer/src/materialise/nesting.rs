//! Limit on the depth of predictions of predictions. Pass 2 evaluates the lookup of an outer
//! prediction by comparing its key, which contains the inner lookup, with the keys of a relation:
//! each level multiplies the cost in the store.

use std::collections::BTreeSet;
use std::ops::Range;

use sqlparser::tokenizer::Token;

use super::analysis::Materialise;
use crate::refusal::Refusal;
use crate::sql::select_list;

/// Maximum number of nested predictions, the outermost included. Inputs from derived tables and
/// common table expressions count too, since the store may merge these.
pub const NESTED_PREDICTIONS_MAX: usize = 3;

impl Materialise<'_, '_> {
    /// Refuses deeper nesting. At this point harvests need only those calls that their inputs may
    /// read.
    pub(super) fn check_nesting(&self) -> Result<(), Refusal> {
        let predicted = self.predicted_names();
        let calls = 0..self.of_call.len();
        let inner: Vec<_> = calls.map(|c| self.inner_calls(c, &predicted)).collect();
        let mut depths: Vec<Option<usize>> = vec![None; inner.len()];
        // Each round resolves one more level. Calls that are never resolved depend on themselves.
        for _ in 0..=NESTED_PREDICTIONS_MAX {
            let of = |call: &usize| depths.get(*call).copied().flatten();
            let depth = |inner: &BTreeSet<usize>| {
                let mut inner = inner.iter();
                let deepest = inner.try_fold(0, |deepest, call| Some(of(call)?.max(deepest)));
                deepest.map(|deepest| deepest + 1)
            };
            depths = inner.iter().map(depth).collect();
        }
        match depths.iter().flatten().any(|d| *d > NESTED_PREDICTIONS_MAX) {
            true => Err(Refusal::unsupported(format_args!(
                "predictions of predictions nested deeper than {NESTED_PREDICTIONS_MAX} levels"
            ))),
            false => Ok(()),
        }
    }

    /// The calls whose answers may be in a call's input: those within it, and those its harvest
    /// needs if it reads a column that may be predicted.
    fn inner_calls(&self, index: usize, predicted: &BTreeSet<String>) -> BTreeSet<usize> {
        let Some(call) = self.statement.calls.get(index) else {
            return BTreeSet::new();
        };
        let within = self.calls_in(&call.range).into_iter();
        let mut inner: BTreeSet<usize> = within.filter(|c| *c != index).collect();
        let harvest = self.of_call.get(index).and_then(|&h| self.harvests.get(h));
        let name = |at: usize| Some(self.statement.lexed.name(at)?.to_lowercase());
        let mut names = call.input.clone().filter_map(name);
        if names.any(|name| predicted.contains(&name)) {
            inner.extend(harvest.into_iter().flat_map(|h| h.needs.iter().copied()));
        }
        inner.remove(&index);
        inner
    }

    /// Column names of queries within the statement that may be predictions, or derived from
    /// predictions.
    fn predicted_names(&self) -> BTreeSet<String> {
        let lexed = &self.statement.lexed;
        let blocks = self.blocks.blocks.iter();
        let blocks: Vec<(Option<usize>, Vec<Range<usize>>)> = blocks
            .map(|b| (b.parent, select_list::elements(lexed, b.items.clone())))
            .collect();
        let mut names: BTreeSet<String> = BTreeSet::new();
        loop {
            let is_name = |at: usize| {
                let name = lexed.name(at).map(|name| name.to_lowercase());
                name.is_some_and(|name| names.contains(&name))
            };
            let is_predicted = |element: &Range<usize>| {
                !self.calls_in(element).is_empty() || element.clone().any(is_name)
            };
            let mut found = self.renamed(!names.is_empty());
            for (parent, elements) in &blocks {
                for (place, _) in elements.iter().enumerate().filter(|(_, e)| is_predicted(e)) {
                    // The first query of a union names its columns.
                    let united = blocks.iter().filter(|(of, _)| of == parent);
                    let elements = united.filter_map(|(_, elements)| elements.get(place));
                    found.extend(elements.flat_map(|element| self.column_names(element)));
                }
            }
            let before = names.len();
            names.extend(found);
            if names.len() == before {
                return names;
            }
        }
    }

    /// Possible names of a select list element: its text, or its alias.
    pub(super) fn column_names(&self, element: &Range<usize>) -> Vec<String> {
        let lexed = &self.statement.lexed;
        let alias = element.end.checked_sub(1).and_then(|at| lexed.name(at));
        let text = lexed.text_of(element).to_owned();
        let names = [text].into_iter().chain(alias);
        names.map(|name| name.to_lowercase()).collect()
    }

    /// Names from the column lists of common table expressions; any of these columns may be a
    /// prediction.
    pub(super) fn renamed(&self, predicts: bool) -> Vec<String> {
        let lexed = &self.statement.lexed;
        let is_open = |at: usize| matches!(lexed.token(at), Some(Token::LParen));
        let ctes = self.blocks.ctes.iter().map(|cte| cte.range.start);
        let lists = ctes.filter(|start| predicts && is_open(start + 1));
        lists
            .filter_map(|start| Some(start + 2..lexed.after_closing(start + 1)?))
            .flat_map(|list| list.filter_map(|at| lexed.name(at)))
            .map(|name| name.to_lowercase())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ColumnsKey;
    use crate::fixture::{catalog, columns_task};
    use crate::materialise::{HarvestPass, KeyForm, Lookup, Shape};
    use crate::sql::text::LexMode;
    use crate::statement::PredictStatement;

    /// Length in bytes of the longest text built for a statement, or the refusal.
    fn longest(text: &str) -> Result<usize, String> {
        let catalog = catalog();
        let statement = PredictStatement::read(text, LexMode::default(), "ml", &catalog);
        let statement = statement.map_err(|r| r.message)?.unwrap();
        let plan = statement.materialise().map_err(|r| r.message)?;
        let lookup = |number: usize| Lookup {
            missing_is_none: false,
            form: match plan.input_columns(number) {
                [] => KeyForm::Text,
                _ => KeyForm::Columns,
            },
            relation: format!("r{number}"),
            columns: ColumnsKey {
                checked: (0..plan.input_columns(number).len()).collect(),
            },
            shape: Shape::default(),
            members: None,
        };
        let lookups: Vec<Lookup> = (0..plan.harvests().len()).map(lookup).collect();
        let harvest = |n| plan.harvest(n, &Shape::default(), &lookups, HarvestPass::default());
        let harvests = (0..lookups.len()).map(|n| harvest(n).sql.len());
        Ok(harvests
            .chain([plan.run(&lookups).sql.len()])
            .max()
            .unwrap())
    }

    fn nested(function: &str, depth: usize) -> String {
        let calls = (0..depth).fold("i".to_owned(), |inner, _| function.replace('@', &inner));
        format!("SELECT {calls} FROM p")
    }

    #[test]
    fn predictions_of_predictions_are_refused_beyond_a_depth() {
        let depth = NESTED_PREDICTIONS_MAX;
        let of_columns = format!("ml.{}(@, @)", columns_task().name);
        for function in [
            "ml.t(@)",
            "ml.predict('t', CONCAT(@, 'x'))",
            "ml.t((SELECT MAX(@)))",
        ] {
            let text = nested(function, depth);
            assert!(longest(&text).unwrap() < 100 * text.len(), "{function}");
            for deeper in [depth + 1, 12, 200] {
                let refused = longest(&nested(function, deeper)).unwrap_err();
                assert!(refused.contains("nested deeper than 3 levels"), "{refused}");
            }
        }
        let refused = longest(&nested(&of_columns, depth + 1)).unwrap_err();
        assert!(refused.contains("nested deeper"), "{refused}");
    }

    #[test]
    fn what_derived_tables_and_with_clauses_hand_on_counts() {
        let chain = |length: usize| {
            let first = "WITH c0 AS (SELECT ml.t(i) AS k, i FROM p)".to_owned();
            let with = (1..length).fold(first, |with, n| {
                format!(
                    "{with}, c{n} AS (SELECT UPPER(ml.t(k)) AS k, i FROM c{})",
                    n - 1
                )
            });
            format!("{with} SELECT k, COUNT(*) FROM c{} GROUP BY k", length - 1)
        };
        assert!(longest(&chain(NESTED_PREDICTIONS_MAX)).is_ok());
        assert!(longest(&chain(NESTED_PREDICTIONS_MAX + 1)).is_err());
        // Predictions of columns that are not predicted are not nested.
        assert!(longest(&chain(9).replace("UPPER(ml.t(k))", "UPPER(ml.t(i))")).is_ok());
        let derived = |length: usize| {
            let from = (0..length).fold("p".to_owned(), |from, n| {
                let input = if n == 0 { "i" } else { "d.k" };
                format!("(SELECT ml.t({input}) AS k FROM {from} AS d)")
            });
            format!("SELECT k, COUNT(*) FROM {from} AS d GROUP BY k")
        };
        assert!(longest(&derived(NESTED_PREDICTIONS_MAX)).is_ok());
        assert!(longest(&derived(NESTED_PREDICTIONS_MAX + 1)).is_err());
    }

    /// With a stack smaller than that of any thread of the proxy.
    #[test]
    fn nothing_that_is_nested_deep_takes_the_stack() {
        let many = |open: &str, close: &str| {
            let (open, close) = (open.repeat(100_000), close.repeat(100_000));
            [
                format!("SELECT COUNT(*) FROM p WHERE {open}ml.t(i) = 'cat'{close}"),
                format!("SELECT {open}ml.t(i){close}, COUNT(*) FROM p GROUP BY 1"),
                format!("SELECT ml.t({open}i{close}) FROM p"),
                format!("{open}SELECT ml.t(i) FROM p{close}"),
            ]
        };
        let mut texts = Vec::new();
        for (open, close) in [
            ("(", ")"),
            ("NOT ", ""),
            ("NOT (", ")"),
            ("- ", ""),
            ("-(", ")"),
            ("~", ""),
            ("/* /* ", " */"),
            ("(SELECT ", ")"),
            ("(SELECT 1 FROM (", ") AS d)"),
            ("1 + ", ""),
            ("1 AND ", ""),
            ("CASE WHEN ", " THEN 1 END"),
            ("f(", ")"),
        ] {
            texts.extend(many(open, close));
        }
        texts.push(nested("ml.t(@)", 256));
        let small = std::thread::Builder::new().stack_size(1 << 20);
        let read = move || {
            for text in texts {
                let catalog = catalog();
                let statement = PredictStatement::read(&text, LexMode::default(), "ml", &catalog);
                if let Ok(Some(statement)) = statement {
                    let _ = (statement.stream().is_ok(), statement.materialise().is_ok());
                    assert!(statement.as_described().sql.len() < 4 * text.len() + 100_000);
                    assert!(crate::views::stored_view(&statement).is_ok());
                }
            }
        };
        small.spawn(read).unwrap().join().unwrap();
    }
}
