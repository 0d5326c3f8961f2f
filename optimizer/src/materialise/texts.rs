//! The statements of both passes, built from the client's text.

use std::cmp::Reverse;
use std::ops::Range;

use predictsql_catalog::AnswerShape;

use super::analysis::{Harvest, Materialise};
use super::interruption::unless_interrupted;
use super::relation::{Lookup, answer_cell, none_of, score_cell};
use super::shape::Shape;
use crate::sql::blocks::{Block, factors};
use crate::sql::calls::{Asked, outermost_splices, stub_name};
use crate::sql::fragment::{Fragment, Splice, quote_name, splice};
use crate::sql::key::wrapped;
use crate::stream::CELL_MARK;

/// Overrides `sql_select_limit`, which is meant for the rows of results only.
const ALL_ROWS: &str = " LIMIT 18446744073709551615";

/// Options of a harvest query.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HarvestPass {
    /// Only keys that the relation lacks.
    pub new_only: bool,
    /// Read current rows, as a statement that changes the tables does.
    pub locking: bool,
    /// For an image of more bytes, fetch only its length: [`TOO_LONG_MARK`](crate::TOO_LONG_MARK).
    pub input_bytes_max: Option<u64>,
}

impl Materialise<'_, '_> {
    /// The statement over typed stubs, for the store to check and describe.
    pub fn describe(&self) -> Fragment {
        let statement = self.statement;
        self.whole(statement.described_splices(&statement.body))
    }

    /// Column names that cannot be aliases; these columns are marked with [`CELL_MARK`] and their
    /// index in this list.
    pub fn marked_names(&self) -> Vec<&str> {
        let names = self.names.iter().map(|(_, name)| name.as_str());
        names.filter(|name| self.is_no_alias(name)).collect()
    }

    pub(super) fn whole(&self, mut splices: Vec<Splice>) -> Fragment {
        let mut long = 0;
        for (end, name) in &self.names {
            let alias = match self.is_no_alias(name) {
                true => {
                    long += 1;
                    format!("{CELL_MARK}{}", long - 1)
                }
                false => name.clone(),
            };
            let alias = Fragment::plain(format!(" AS {}", quote_name(&alias)));
            splices.push((*end..*end, alias));
        }
        self.spliced(&self.statement.body, splices)
    }

    /// Copies a range with these splices; where they overlap, the outer one applies.
    pub(super) fn spliced(&self, range: &Range<usize>, mut splices: Vec<Splice>) -> Fragment {
        splices.sort_by_key(|(r, _)| (r.start, Reverse(r.end)));
        let mut until = range.start;
        splices.retain(|(r, _)| {
            let apart = r.start >= until;
            until = until.max(r.end);
            apart
        });
        splice(&self.statement.lexed, range.clone(), &splices)
    }

    /// Number of conditions that may narrow a harvest over a candidate table set.
    pub fn condition_count(&self, harvest: usize, source: usize) -> usize {
        self.conditions(harvest, source).len()
    }

    /// A statement for the store to prepare: the store describes the input, or returns an error if
    /// the shape is not possible.
    pub fn probe(&self, harvest: usize, shape: &Shape) -> Fragment {
        let statement = self.statement;
        let stubs = |range: &Range<usize>| statement.described_splices(range);
        let number = harvest;
        let Some(harvest) = self.harvests.get(number) else {
            return Fragment::default();
        };
        let mut select = Fragment::plain("SELECT ");
        let arguments = statement.lexed.split_commas(harvest.input.clone());
        for (i, argument) in arguments.iter().enumerate() {
            select
                .push(if i == 0 { "" } else { ", " })
                .push_fragment(&self.spliced(argument, stubs(argument)))
                .push(&format!(" AS `ml input {i}`"));
        }
        self.query(number, shape, &select, &stubs)
    }

    /// An input as a single expression, with the calls within it replaced by `replace`: an image
    /// expression itself, or the encoded text of a task's columns.
    pub(super) fn input(
        &self,
        range: &Range<usize>,
        harvest: usize,
        lookup: &Lookup,
        replace: &dyn Fn(&Range<usize>) -> Vec<Splice>,
    ) -> Fragment {
        let over_lookups = |range| self.spliced(range, replace(range));
        let asked = self.harvests.get(harvest).map(|h| h.target);
        let target = asked.and_then(|target| self.targets.get(target));
        match target {
            Some(target) if !target.task.columns().is_empty() => {
                let arguments = self.statement.lexed.split_commas(range.clone());
                let arguments: Vec<_> = arguments.iter().map(over_lookups).collect();
                let schema = self.statement.schema;
                lookup.columns.text(&target.task, &arguments, schema)
            }
            _ => over_lookups(range),
        }
    }

    /// A query of pass 1: its columns are the key and, where that is a hash, the value.
    pub fn harvest(
        &self,
        number: usize,
        shape: &Shape,
        lookups: &[Lookup],
        pass: HarvestPass,
    ) -> Fragment {
        let (Some(harvest), Some(lookup)) = (self.harvests.get(number), lookups.get(number)) else {
            return Fragment::default();
        };
        // Over one table of a join there are rows that the join has not. Their keys may be
        // missing, and what tells them apart is in the other tables.
        let of_more_rows: Vec<Lookup>;
        let lookups = match shape.factor {
            Some(_) => {
                let lookups = lookups.iter().cloned();
                of_more_rows = lookups
                    .map(|lookup| Lookup {
                        missing_is_none: true,
                        ..lookup
                    })
                    .collect();
                &of_more_rows
            }
            None => lookups,
        };
        let over_lookups = |range: &Range<usize>| self.lookup_splices(range, lookups);
        let input = self.input(&harvest.input, number, lookup, &over_lookups);
        let mut select = Fragment::plain(match lookup.form.is_distinct() {
            true => "SELECT DISTINCT ",
            false => "SELECT ",
        });
        select
            .push_fragment(&lookup.form.key(&input))
            .push(" AS `ml k`");
        if let Some(value) = lookup.form.value(&input, pass.input_bytes_max) {
            select.push(", ").push_fragment(&value).push(" AS `ml v`");
        }
        let mut query = self.query(number, shape, &select, &over_lookups);
        if !pass.new_only {
            query.push(ALL_ROWS);
        }
        if pass.locking {
            query.push(" LOCK IN SHARE MODE");
        }
        if !pass.new_only {
            return query;
        }
        let mut new = Fragment::plain("SELECT `ml h`.* FROM (");
        new.push_fragment(&query)
            .push(") AS `ml h` LEFT JOIN ")
            .push(&lookup.relation)
            .push(" AS `ml r` ON `ml r`.`ml k` = `ml h`.`ml k` WHERE `ml r`.`ml k` IS NULL")
            .push(ALL_ROWS);
        new
    }

    /// `select` over a shape's tables and conditions.
    fn query(
        &self,
        number: usize,
        shape: &Shape,
        select: &Fragment,
        replace: &dyn Fn(&Range<usize>) -> Vec<Splice>,
    ) -> Fragment {
        let Some(harvest) = self.harvests.get(number) else {
            return Fragment::default();
        };
        let stripped = self.stripped(shape, replace);
        let mut query = self.with(&self.source_blocks(harvest, shape.source), &stripped);
        query.push_fragment(&self.query_in_scope(number, shape, select, replace));
        query
    }

    /// Splices that also blank what pass 2 alone evaluates, and strip conditions as the shape
    /// says.
    fn stripped<'r>(
        &'r self,
        shape: &'r Shape,
        replace: &'r dyn Fn(&Range<usize>) -> Vec<Splice>,
    ) -> impl Fn(&Range<usize>) -> Vec<Splice> + 'r {
        move |range: &Range<usize>| {
            let mut splices = replace(range);
            splices.extend(self.blanks_within(range));
            if shape.stripped {
                splices.extend(self.conditions_within(range));
            }
            splices
        }
    }

    /// The same query without WITH clause, for use where its names are visible.
    pub(super) fn query_in_scope(
        &self,
        number: usize,
        shape: &Shape,
        select: &Fragment,
        replace: &dyn Fn(&Range<usize>) -> Vec<Splice>,
    ) -> Fragment {
        let Some(harvest) = self.harvests.get(number) else {
            return Fragment::default();
        };
        let blocks: Vec<&Block> = self.source_blocks(harvest, shape.source);
        let factor = shape
            .factor
            .and_then(|f| self.factors(harvest, shape.source).get(f).cloned());
        let stripped = self.stripped(shape, replace);
        let tables: Vec<Fragment> = match factor {
            Some(factor) => {
                let own = blocks.iter().find(|b| b.from.contains(&factor.start));
                let tables = own.map(|b| self.tables(b, &factor, false, &stripped));
                tables.into_iter().collect()
            }
            None => blocks
                .iter()
                .rev()
                .filter(|b| !b.from.is_empty())
                .map(|b| self.tables(b, &b.from, harvest.aggregates, &stripped))
                .collect(),
        };
        let mut query = select.clone();
        push_tables(&mut query, &tables);
        if harvest.aggregates {
            for block in blocks {
                if !block.condition.is_empty() {
                    query
                        .push(" WHERE ")
                        .push_fragment(&self.spliced(&block.condition, replace(&block.condition)));
                }
                if !block.group.is_empty() {
                    query
                        .push(" ")
                        .push_fragment(&self.spliced(&block.group, replace(&block.group)));
                }
            }
            return query;
        }
        let (native, predicted) = self.chosen_conditions(number, shape);
        let native = native.iter().map(|c| self.spliced(c, Vec::new()));
        let conditions = native.chain(self.chain(&predicted, replace));
        for (i, condition) in conditions.enumerate() {
            query
                .push(if i == 0 { " WHERE (" } else { " AND (" })
                .push_fragment(&condition)
                .push(")");
        }
        query
    }

    /// Number of tables in the join of a candidate table set.
    pub fn factor_count(&self, harvest: usize, source: usize) -> usize {
        let harvest = self.harvests.get(harvest);
        harvest.map_or(0, |h| self.factors(h, source).len())
    }

    /// Each single table of a candidate set; none for an aggregate, which needs all rows.
    fn factors(&self, harvest: &Harvest, source: usize) -> Vec<Range<usize>> {
        if harvest.aggregates {
            return Vec::new();
        }
        let blocks = self.source_blocks(harvest, source);
        let lexed = &self.statement.lexed;
        let factors = blocks.iter().map(|b| factors(lexed, &b.from));
        factors.flatten().collect()
    }

    fn source_blocks(&self, harvest: &Harvest, source: usize) -> Vec<&Block> {
        let source = harvest.sources.get(source).map_or(&[][..], |s| &s[..]);
        let blocks = source.iter().filter_map(|&b| self.blocks.blocks.get(b));
        blocks.collect()
    }

    /// The conditions that may narrow a harvest over a candidate table set.
    pub(super) fn conditions(&self, number: usize, source: usize) -> Vec<Range<usize>> {
        let harvest = self.harvests.get(number).filter(|h| !h.aggregates);
        let Some(harvest) = harvest else {
            return Vec::new();
        };
        let blocks = self.source_blocks(harvest, source);
        let conditions = blocks.iter().map(|b| self.native_conditions(&b.condition));
        let mut conditions: Vec<_> = conditions.flatten().collect();
        if Self::reads_own_rows(harvest, source) {
            conditions.extend(self.narrowing(number));
        }
        conditions
    }

    /// The conditions of a shape: (without predictions, with predictions).
    fn chosen_conditions(
        &self,
        number: usize,
        shape: &Shape,
    ) -> (Vec<Range<usize>>, Vec<Range<usize>>) {
        let all = self.conditions(number, shape.source);
        let chosen = shape.conditions.iter();
        let chosen = chosen.filter_map(|&c| all.get(c).cloned());
        chosen.partition(|condition| self.calls_in(condition).is_empty())
    }

    /// The WITH clause of a query over the tables of `blocks`.
    fn with(&self, blocks: &[&Block], replace: &dyn Fn(&Range<usize>) -> Vec<Splice>) -> Fragment {
        let mut visible: Vec<_> = blocks.iter().flat_map(|b| self.visible_ctes(b)).collect();
        visible.sort_by_key(|c| c.range.start);
        visible.dedup_by_key(|c| c.range.start);
        let recursive = visible.iter().any(|c| c.recursive);
        let mut with = Fragment::default();
        for (i, cte) in visible.iter().enumerate() {
            with.push(match i {
                0 if recursive => "WITH RECURSIVE ",
                0 => "WITH ",
                _ => ", ",
            });
            let mut splices = replace(&cte.range);
            splices.extend(self.names_within(&cte.range));
            with.push_fragment(&self.spliced(&cte.range, splices));
        }
        with.push(if visible.is_empty() { "" } else { " " });
        with
    }

    /// Table references of a block, or one table of its join. Unless `exact`, as below an
    /// aggregate, join conditions with predictions are removed, which only reads more rows.
    fn tables(
        &self,
        block: &Block,
        range: &Range<usize>,
        exact: bool,
        replace: &dyn Fn(&Range<usize>) -> Vec<Splice>,
    ) -> Fragment {
        let mut splices = replace(range);
        splices.extend(self.names_within(range));
        if !exact {
            for on in self.blocks.on_conditions(&self.statement.lexed, block) {
                if !range.contains(&on.start) || self.calls_in(&on).is_empty() {
                    continue;
                }
                let mut condition = Fragment::plain("1");
                for native in self.native_conditions(&on) {
                    condition
                        .push(" AND (")
                        .push_fragment(&self.spliced(&native, Vec::new()))
                        .push(")");
                }
                splices.push((on, condition));
            }
        }
        self.spliced(range, splices)
    }

    /// Replaces the conditions of the queries within a range by a constant truth.
    fn conditions_within(&self, range: &Range<usize>) -> Vec<Splice> {
        let is_within = |b: &&Block| range.contains(&b.range.start) && b.range.end <= range.end;
        let within = self.blocks.blocks.iter().filter(is_within);
        let conditions = within.filter(|b| !b.condition.is_empty());
        let all = |b: &Block| (b.condition.clone(), Fragment::plain("1"));
        conditions.map(all).collect()
    }

    /// Aliases for select list elements within a range, since the surrounding text may refer to
    /// their names.
    pub(super) fn names_within(&self, range: &Range<usize>) -> Vec<Splice> {
        let within = self.names.iter().filter(|(end, name)| {
            (range.start + 1..range.end).contains(end) && !self.is_no_alias(name)
        });
        within
            .map(|(end, name)| {
                let alias = Fragment::plain(format!(" AS {}", quote_name(name)));
                (*end..*end, alias)
            })
            .collect()
    }

    pub(super) fn lookup_splices(&self, range: &Range<usize>, lookups: &[Lookup]) -> Vec<Splice> {
        outermost_splices(&self.statement.calls, range, |call| {
            self.lookup(call, lookups)
        })
    }

    /// The replacement of a call. A code of 0 gives NULL; a missing key calls the stub, which
    /// raises its error, unless the statement was interrupted. Keys of calls within the input are
    /// looked up first.
    pub(super) fn lookup(&self, index: usize, lookups: &[Lookup]) -> Fragment {
        let Some(mut found) = self.found(index, lookups) else {
            return Fragment::default();
        };
        let mut first = Fragment::plain("IF(");
        let inner = self.quiet_calls(index);
        for (i, inner) in inner.iter().enumerate() {
            first
                .push(if i == 0 { "" } else { " OR " })
                .push_fragment(&self.found(*inner, lookups).unwrap_or_default())
                .push(" IS NULL");
        }
        if !inner.is_empty() {
            first.push(", NULL, ").push_fragment(&found).push(")");
            found = first;
        }
        if self.is_of_aggregate(index) {
            // Otherwise the store calls the stub before it has the aggregate.
            found = wrapped("(SELECT ", &found, ")");
        }
        self.answer(index, &found)
    }

    /// The cell of a call's key in its relation; NULL if the key is missing.
    ///
    /// Calls within the input do not call stubs here: with a non-deterministic function in it, the
    /// store compares the key with each row of the relation instead of using its index.
    ///
    /// RAND() keeps the store from caching answers by the input's columns, whose collation may
    /// treat different inputs as equal.
    fn cell(&self, index: usize, lookups: &[Lookup]) -> Option<Fragment> {
        let call = self.statement.calls.get(index)?;
        let harvest = *self.of_call.get(index)?;
        let lookup = lookups.get(harvest)?;
        let quiet = self.quiet_calls(index);
        let replace = |range: &Range<usize>| {
            outermost_splices(&self.statement.calls, range, |inner| {
                match quiet.contains(&inner) {
                    true => self.answer(inner, &self.cell(inner, lookups).unwrap_or_default()),
                    false => self.lookup(inner, lookups),
                }
            })
        };
        let input = self.input(&call.input, harvest, lookup, &replace);
        let column = match call.asked {
            Asked::Answer(shape) => answer_cell(shape),
            Asked::Probability(class) => score_cell(class),
        };
        let mut cell = Fragment::plain(format!(
            "(SELECT {column} AS `ml {}` FROM {} AS `ml r` WHERE `ml r`.`ml k` = COALESCE(",
            self.alike.get(index)?,
            lookup.relation
        ));
        cell.push_fragment(&lookup.form.key(&input))
            .push(", X'') AND RAND() IS NOT NULL)");
        Some(cell)
    }

    /// The same, with a stub call for a missing key.
    fn found(&self, index: usize, lookups: &[Lookup]) -> Option<Fragment> {
        let call = self.statement.calls.get(index)?;
        let harvest = *self.of_call.get(index)?;
        let lookup = lookups.get(harvest)?;
        let nothing = vec!["NULL"; call.task.input_arguments()].join(", ");
        let stub = format!(
            "{}({nothing})",
            stub_name(self.statement.schema, &call.task)
        );
        let none = none_of(call.asked);
        let missing = match call.asked {
            Asked::Answer(AnswerShape::Label) => format!("CAST({stub} AS SIGNED)"),
            Asked::Answer(AnswerShape::Value) => stub,
            Asked::Probability(_) => format!("0e0 + {stub}"),
        };
        let missing = unless_interrupted(&missing);
        let mut found = wrapped("IFNULL(", &self.cell(index, lookups)?, ", ");
        if lookup.missing_is_none {
            found.push(none).push(")");
            return Some(found);
        }
        let guard = self.guard(index, lookup);
        let member = self.is_member(harvest, lookup);
        if guard.is_none() && member.is_none() {
            found.push(&missing).push(")");
            return Some(found);
        }
        found.push("IF(");
        for (i, condition) in guard.iter().chain(&member).enumerate() {
            found
                .push(if i == 0 { "" } else { " AND " })
                .push_fragment(condition);
        }
        found.push(&format!(", {missing}, {none}))"));
        Some(found)
    }

    /// The answer that a cell encodes.
    pub(super) fn answer(&self, index: usize, cell: &Fragment) -> Fragment {
        let Some(call) = self.statement.calls.get(index) else {
            return Fragment::default();
        };
        match call.asked {
            Asked::Answer(AnswerShape::Label) => {
                let labels = self.statement.labels.wide_list(&call.task);
                wrapped("ELT(", cell, &format!(", {labels})"))
            }
            Asked::Answer(AnswerShape::Value) | Asked::Probability(_) => {
                wrapped("NULLIF(", cell, &format!(", {})", none_of(call.asked)))
            }
        }
    }

    fn is_of_aggregate(&self, index: usize) -> bool {
        let of = self.of_call.get(index).and_then(|&h| self.harvests.get(h));
        of.is_some_and(|h| h.aggregates)
    }

    /// The calls within a call's input that are looked up together with it: not below an
    /// aggregate, nor in a sub-query.
    fn quiet_calls(&self, index: usize) -> Vec<usize> {
        let Some(call) = self.statement.calls.get(index) else {
            return Vec::new();
        };
        if self.is_of_aggregate(index) {
            return Vec::new();
        }
        let block = self.blocks.around(call.range.start);
        let mut inner = self.calls_in(&call.input);
        inner.retain(|&inner| {
            let inner = self.statement.calls.get(inner);
            inner.is_some_and(|inner| self.blocks.around(inner.range.start) == block)
        });
        inner
    }

    /// The conditions that a call's inputs were harvested with, where the store may evaluate the
    /// call for rows that fail them: in a condition beside them. For such rows its value does not
    /// matter.
    fn guard(&self, index: usize, lookup: &Lookup) -> Option<Fragment> {
        let call = self.statement.calls.get(index)?.range.start;
        let number = *self.of_call.get(index)?;
        let harvest = self.harvests.get(number)?;
        let [own] = harvest.sources.get(lookup.shape.source)?[..] else {
            return None;
        };
        let own = self.blocks.blocks.get(own)?;
        let conditions: Vec<Range<usize>> = if own.condition.contains(&call) {
            self.chosen_conditions(number, &lookup.shape).0
        } else {
            let on = self.blocks.on_conditions(&self.statement.lexed, own);
            let around = on.into_iter().find(|c| c.contains(&call))?;
            self.native_conditions(&around)
        };
        let mut guard = Fragment::default();
        for (i, condition) in conditions.iter().enumerate() {
            guard
                .push(if i == 0 { "(" } else { " AND (" })
                .push_fragment(&self.spliced(condition, Vec::new()))
                .push(")");
        }
        (!conditions.is_empty() && self.blocks.around(call) == harvest.block).then_some(guard)
    }

    /// A statement of this plan shortened for display: class name lists, which repeat, are cut.
    pub fn abbreviated(&self, sql: &str) -> String {
        let calls = self.statement.calls.iter();
        calls.fold(sql.to_owned(), |text, call| {
            text.replace(&self.statement.labels.wide_list(&call.task), "...")
        })
    }
}

/// Adds a FROM clause of these tables.
fn push_tables(query: &mut Fragment, tables: &[Fragment]) {
    match tables {
        [] => {
            query.push(" FROM DUAL");
        }
        [one] => {
            query.push(" FROM ").push_fragment(one);
        }
        several => {
            for (i, tables) in several.iter().enumerate() {
                query
                    .push(if i == 0 { " FROM (" } else { " JOIN (" })
                    .push_fragment(tables)
                    .push(")");
            }
        }
    }
}
