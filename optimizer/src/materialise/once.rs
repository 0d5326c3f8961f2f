//! Evaluates once what must be: assignments, sequences, locks, and functions that vary.
//!
//! Harvests read the tables of the statement's blocks, and so the queries of derived tables and of
//! WITH clauses that stand there. Elements of their select lists that must be evaluated once are
//! NULL in harvests, so that pass 2 alone evaluates them. They may not decide which rows or inputs
//! there are: elsewhere in these queries the construct is refused by name.

use std::collections::BTreeSet;
use std::ops::Range;

use super::analysis::{Harvest, Materialise};
use super::evaluated_once::EvaluatedOnce;
use crate::refusal::Refusal;
use crate::sql::blocks::Block;
use crate::sql::fragment::{Fragment, Splice, quote_name};
use crate::sql::once::{Once, once};
use crate::sql::select_list;

impl Materialise<'_, '_> {
    /// Finds what must be evaluated once.
    pub(super) fn find_once(&self) -> Result<EvaluatedOnce, Refusal> {
        let mut body = self.statement.body.clone();
        let mut found = EvaluatedOnce {
            changes: body.clone().find_map(|at| {
                let once = self.once(at)?;
                once.changes.then_some(once.name)
            }),
            ..EvaluatedOnce::default()
        };
        if !body.any(|at| self.once(at).is_some()) {
            return Ok(found);
        }
        let lexed = &self.statement.lexed;
        for block in self.blocks.blocks.iter().filter(|b| self.gives_rows(b)) {
            for element in select_list::elements(lexed, block.items.clone()) {
                if element.clone().any(|at| self.once(at).is_some()) {
                    found.blanks.push(self.without_alias(&element)?);
                }
            }
        }
        found.names = self.names_of(&found);
        Ok(found)
    }

    /// What lexeme `at` begins, if that must be evaluated once. Predict calls may not, though
    /// their names are those of stored functions.
    fn once(&self, at: usize) -> Option<Once> {
        let lexed = &self.statement.lexed;
        if self.assigns && self.reads_variable(&(at..at + 1)) {
            return Some(Once {
                name: "a user variable that the statement assigns to".to_owned(),
                changes: false,
            });
        }
        let found = once(lexed, at)?;
        let calls = &self.statement.calls;
        let after = calls.partition_point(|call| call.range.start <= at);
        let mut before = calls.iter().take(after).rev();
        let is_name = before.any(|call| (call.range.start..call.input.start).contains(&at));
        (!is_name).then_some(found)
    }

    /// Whether a block is the query of a derived table or of an element of WITH.
    fn gives_rows(&self, block: &Block) -> bool {
        let start = block.range.start;
        let parent = block.parent.and_then(|p| self.blocks.blocks.get(p));
        let in_with = self.blocks.ctes.iter().any(|cte| {
            cte.range.contains(&start) && parent.is_none_or(|p| !cte.range.contains(&p.range.start))
        });
        let in_tables = |parent: &Block| {
            let on = self.blocks.on_conditions(&self.statement.lexed, parent);
            parent.from.contains(&start) && !on.iter().any(|on| on.contains(&start))
        };
        in_with || parent.is_some_and(in_tables)
    }

    /// An element's expression, and its name where it has no alias.
    fn without_alias(
        &self,
        element: &Range<usize>,
    ) -> Result<(Range<usize>, Option<String>), Refusal> {
        let lexed = &self.statement.lexed;
        if select_list::is_unnamed(lexed, element)? {
            let text = lexed.text_of(element).to_owned();
            // Elements with predictions get their names in any case.
            let name = self.calls_in(element).is_empty().then_some(text);
            return Ok((element.clone(), name));
        }
        let end = element.end.saturating_sub(1);
        let is_as = end > element.start && lexed.is_keyword(end - 1, "AS");
        Ok((element.start..end - usize::from(is_as), None))
    }

    /// Names of the columns that blanks become, and of those that are computed of them.
    fn names_of(&self, found: &EvaluatedOnce) -> BTreeSet<String> {
        let lexed = &self.statement.lexed;
        let blocks = self.blocks.blocks.iter().filter(|b| self.gives_rows(b));
        let elements: Vec<Range<usize>> = blocks
            .flat_map(|b| select_list::elements(lexed, b.items.clone()))
            .collect();
        let mut names = BTreeSet::new();
        loop {
            let is_name = |at: usize| {
                let name = lexed.name(at).map(|name| name.to_lowercase());
                name.is_some_and(|name| names.contains(&name))
            };
            let depends = |element: &&Range<usize>| {
                let mut lexemes = (*element).clone();
                found.is_blank(element.start) || lexemes.any(is_name)
            };
            let mut more = self.renamed(!found.blanks.is_empty());
            let dependent = elements.iter().filter(depends);
            more.extend(dependent.flat_map(|element| self.column_names(element)));
            let before = names.len();
            names.extend(more);
            if names.len() == before {
                return names;
            }
        }
    }

    /// Refuses harvests that would evaluate something twice. Other tables than a block's own are
    /// left out where they would.
    pub(super) fn check_once(&mut self) -> Result<(), Refusal> {
        let mut harvests = std::mem::take(&mut self.harvests);
        for harvest in &mut harvests {
            let input = harvest.input.clone();
            if let Some(name) = input.filter_map(|at| self.once_name(at)).next() {
                return Err(Refusal::unsupported(format_args!(
                    "a prediction of {name}, which must be evaluated once"
                )));
            }
            let mut refused = None;
            let sources = std::mem::take(&mut harvest.sources);
            for source in sources {
                match self.read_twice(harvest, &source) {
                    Some(name) => drop(refused.get_or_insert(name)),
                    None => harvest.sources.push(source),
                }
            }
            if let Some(name) = refused.filter(|_| harvest.sources.is_empty()) {
                return Err(Refusal::unsupported(format_args!(
                    "{name} where it decides the rows that are predicted: it would be evaluated \
                     twice; write the rows to a table first"
                )));
            }
        }
        self.harvests = harvests;
        Ok(())
    }

    /// What a harvest over the tables of `source` would evaluate besides pass 2.
    fn read_twice(&self, harvest: &Harvest, source: &[usize]) -> Option<String> {
        let blocks = source.iter().filter_map(|&b| self.blocks.blocks.get(b));
        let mut ranges: Vec<Range<usize>> = Vec::new();
        for block in blocks {
            ranges.push(block.from.clone());
            ranges.extend(self.visible_ctes(block).map(|cte| cte.range.clone()));
            if harvest.aggregates {
                ranges.extend([block.condition.clone(), block.group.clone()]);
            }
        }
        ranges
            .into_iter()
            .find_map(|range| self.once_within(&range))
    }

    /// The first construct in a range of queries that must be evaluated once, and is no element of
    /// a select list.
    fn once_within(&self, range: &Range<usize>) -> Option<String> {
        let blocks = self.blocks.blocks.iter();
        let lists = blocks.filter(|b| range.contains(&b.range.start) && self.gives_rows(b));
        let lists: Vec<Range<usize>> = lists.map(|b| b.items.clone()).collect();
        let is_listed = |at: usize| lists.iter().any(|list| list.contains(&at));
        range.clone().find_map(|at| match is_listed(at) {
            true => self
                .once(at)
                .filter(|_| !self.once.is_blank(at))
                .map(|o| o.name),
            false => self.once_name(at),
        })
    }

    /// What lexeme `at` begins or names, if that must be evaluated once.
    fn once_name(&self, at: usize) -> Option<String> {
        let name = || {
            let name = self.statement.lexed.name(at)?;
            let is_known = self.once.names.contains(&name.to_lowercase());
            is_known.then(|| format!("column '{name}'"))
        };
        self.once(at).map(|once| once.name).or_else(name)
    }

    /// Whether a range holds nothing that must be evaluated once, and no column with such values.
    pub(super) fn is_repeatable(&self, range: &Range<usize>) -> bool {
        !range.clone().any(|at| self.once_name(at).is_some())
    }

    /// Splices of a harvest that blank what only pass 2 evaluates.
    pub(super) fn blanks_within(&self, range: &Range<usize>) -> Vec<Splice> {
        let blanks = self.once.blanks.iter();
        let within = blanks.filter(|(r, _)| range.contains(&r.start) && r.end <= range.end);
        let blank = |(range, name): &(Range<usize>, Option<String>)| {
            let alias = name
                .as_ref()
                .map(|name| format!(" AS {}", quote_name(name)));
            let null = format!("NULL{}", alias.unwrap_or_default());
            (range.clone(), Fragment::plain(null))
        };
        within.map(blank).collect()
    }

    /// What the statement changes besides tables and rows, so that it may not run again after it
    /// has begun: an assignment, a sequence, a lock, or whatever a stored function does.
    pub fn changes_once(&self) -> Option<&str> {
        self.once.changes.as_deref()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::alike::unnumbered;
    use crate::ColumnsKey;
    use crate::fixture::catalog;
    use crate::materialise::{HarvestPass, KeyForm, Lookup, Shape};
    use crate::sql::text::LexMode;
    use crate::statement::PredictStatement;

    /// The first harvest, and what the statement changes; or the refusal.
    fn harvest(text: &str) -> Result<(String, Option<String>), String> {
        let catalog = catalog();
        let statement = PredictStatement::read(text, LexMode::default(), "ml", &catalog);
        let statement = statement.unwrap().unwrap();
        let plan = statement.materialise().map_err(|r| r.message)?;
        let lookup = |number: usize| Lookup {
            missing_is_none: false,
            form: KeyForm::LongText,
            relation: format!("r{number}"),
            columns: ColumnsKey::default(),
            shape: Shape::default(),
            members: None,
        };
        let lookups: Vec<Lookup> = (0..plan.harvests().len()).map(lookup).collect();
        let shape = Shape {
            conditions: (0..plan.condition_count(0, 0)).collect(),
            ..Shape::default()
        };
        let harvest = plan.harvest(0, &shape, &lookups, HarvestPass::default());
        Ok((
            unnumbered(&harvest.sql),
            plan.changes_once().map(str::to_owned),
        ))
    }

    #[test]
    fn harvests_read_null_for_what_is_evaluated_once() {
        const REST: &str = " LIMIT 18446744073709551615";
        for (text, expected, changes) in [
            (
                "SELECT d.n, ml.t(d.i) FROM (SELECT NEXTVAL(s) AS n, i FROM p WHERE a < 4) d",
                " FROM (SELECT NULL AS n, i FROM p WHERE a < 4) d",
                true,
            ),
            (
                "SELECT COUNT(*) FROM (SELECT @n := @n + 1, i FROM p) d WHERE ml.t(i) = 'cat'",
                " FROM (SELECT NULL AS `@n := @n + 1`, i FROM p) d",
                true,
            ),
            (
                "SELECT ml.t(i), r FROM (SELECT RAND() r, i FROM p) d WHERE r < 0.5 AND i <> ''",
                " FROM (SELECT NULL r, i FROM p) d WHERE (i <> '')",
                false,
            ),
            (
                "WITH c AS (SELECT f(i) AS n, i FROM p) SELECT ml.t(i), n FROM c GROUP BY 1, 2",
                "WITH c AS (SELECT NULL AS n, i FROM p) SELECT UNHEX(SHA2(CONVERT((i) USING utf8mb4), 256)) AS `ml k`, \
                 CAST(CONVERT((i) USING utf8mb4) AS BINARY) AS `ml v` FROM c",
                true,
            ),
            (
                "SELECT NEXTVAL(s), ml.t(i) FROM p ORDER BY ml.t(i)",
                " FROM p",
                true,
            ),
            (
                "SELECT ml.t(i), COUNT(*) FROM p WHERE id = LAST_INSERT_ID() GROUP BY 1",
                " FROM p",
                false,
            ),
        ] {
            let (sql, found) = harvest(text).unwrap();
            assert!(sql.ends_with(&format!("{expected}{REST}")), "{text}: {sql}");
            assert_eq!(found.is_some(), changes, "{text}");
        }
    }

    #[test]
    fn what_decides_the_rows_is_refused_by_name() {
        for (text, name) in [
            (
                "SELECT COUNT(*) FROM (SELECT i FROM p ORDER BY RAND() LIMIT 3) d WHERE ml.t(i) = 'cat'",
                "RAND()",
            ),
            (
                "SELECT ml.t(i), COUNT(*) FROM (SELECT i FROM p WHERE NEXTVAL(s) < 9) d GROUP BY 1",
                "NEXTVAL()",
            ),
            (
                "WITH c AS (SELECT i FROM p WHERE GET_LOCK(i, 0)) SELECT ml.t(i) FROM c GROUP BY 1",
                "GET_LOCK()",
            ),
            (
                "SELECT ml.t(n), COUNT(*) FROM (SELECT UUID() AS n FROM p) d GROUP BY 1",
                "column 'n'",
            ),
            (
                "SELECT COUNT(*) FROM (SELECT i FROM (SELECT @n := @n + 1 AS n, i FROM p) x WHERE n < 3) d WHERE ml.t(i) = 'cat'",
                "column 'n'",
            ),
            (
                "SELECT COUNT(*) FROM p JOIN q ON p.id = q.k AND SLEEP(1) WHERE ml.t(i) = 'cat'",
                "SLEEP()",
            ),
            (
                "SELECT ml.t(MAX(i)) FROM p WHERE NEXTVAL(s) > 0 GROUP BY a",
                "NEXTVAL()",
            ),
        ] {
            let refused = harvest(text).unwrap_err();
            assert!(refused.contains(name), "{text}: {refused}");
        }
    }
}
