//! The statements of both passes, spliced from the client's text.

use std::cmp::Reverse;
use std::ops::Range;

use super::analysis::{Harvest, Materialise, Target};
use crate::sql::blocks::{Block, factors};
use crate::sql::calls::{Asked, outermost_splices, stub_name};
use crate::sql::fragment::{Fragment, Splice, quote_name, splice};
use crate::stream::CELL_MARK;

/// Stands against `sql_select_limit`, which counts the rows of answers only.
const ALL_ROWS: &str = " LIMIT 18446744073709551615";

/// The score of an input that has none.
const NO_SCORE: &str = "-1e0";

/// How the key of an input is made. Keys are compared byte by byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum KeyForm {
    /// Short text: its bytes in UTF-8.
    Text,
    /// Text of any length: its SHA-256.
    LongText,
    /// Bytes: their SHA-256.
    Bytes,
}

/// Where the calls of a harvest find their answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lookup {
    /// How the key is made.
    pub form: KeyForm,
    /// The relation as a table reference, without alias.
    pub relation: String,
    /// By which conditions its keys were harvested.
    pub shape: Shape,
}

/// Which tables a harvest reads, and by which of the block's conditions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shape {
    /// Number of the choice of tables.
    pub source: usize,
    /// Numbers of the conditions.
    pub conditions: Vec<usize>,
    /// Of the tables that are joined only the one of this number: the store may evaluate a condition
    /// before it joins, for rows that no join keeps.
    pub factor: Option<usize>,
    /// Without the conditions of derived tables, which the store may merge into the block and then
    /// evaluate in any order.
    pub stripped: bool,
}

/// What a harvest is run for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HarvestPass {
    /// Only keys that the relation lacks.
    pub new_only: bool,
    /// Rows as they are now, as a change of the tables would read them.
    pub locking: bool,
}

impl Target {
    /// The columns of its relation: key, code, and a score for each class asked for.
    pub fn columns(&self) -> Vec<String> {
        let scores = self.scored.iter().map(|class| score_column(*class));
        let first = ["`ml k`".to_owned(), "`ml c`".to_owned()];
        first.into_iter().chain(scores).collect()
    }

    /// The statement that creates its relation as a temporary table. `key_bytes` is the length of
    /// the longest key.
    pub fn create(&self, table: &str, key_bytes: usize) -> String {
        let mut sql = format!(
            "CREATE TEMPORARY TABLE {table} (`ml k` VARBINARY({key_bytes}) NOT NULL PRIMARY KEY, \
             `ml c` SMALLINT UNSIGNED NOT NULL"
        );
        for class in &self.scored {
            sql.push_str(&format!(", {} DOUBLE NOT NULL", score_column(*class)));
        }
        sql.push_str(") ENGINE=InnoDB");
        sql
    }

    /// A row of the relation, in parentheses. A score of `None` is NULL.
    pub fn row(key: &[u8], code: usize, scores: &[Option<f64>]) -> String {
        let hex: String = key.iter().map(|b| format!("{b:02X}")).collect();
        let mut row = format!("(X'{hex}',{code}");
        for score in scores {
            match score {
                Some(score) => row.push_str(&format!(",{score:e}")),
                None => row.push_str(&format!(",{NO_SCORE}")),
            }
        }
        row.push(')');
        row
    }

    /// The relation as a derived table of these [`Target::row`]s. The row of NULL inputs is added.
    pub fn inline(&self, rows: &[String]) -> String {
        let mut sql = String::from("(SELECT X'' AS `ml k`, 0 AS `ml c`");
        for class in &self.scored {
            sql.push_str(&format!(", {NO_SCORE} AS {}", score_column(*class)));
        }
        if !rows.is_empty() {
            sql.push_str(" UNION ALL VALUES ");
            sql.push_str(&rows.join(","));
        }
        sql.push(')');
        sql
    }

    /// The row of NULL inputs. An empty key is that of NULL too: neither has a prediction.
    pub fn null_row(&self) -> String {
        Self::row(b"", 0, &vec![None; self.scored.len()])
    }
}

fn score_column(class: usize) -> String {
    format!("`ml s{class}`")
}

impl Materialise<'_, '_> {
    /// The statement over typed stubs, for the store to check and describe.
    pub fn describe(&self) -> Fragment {
        let statement = self.statement;
        self.whole(statement.described_splices(&statement.body))
    }

    /// Pass 2: the statement with each call replaced by a lookup (one a harvest).
    pub fn run(&self, lookups: &[Lookup]) -> Fragment {
        self.whole(self.lookup_splices(&self.statement.body, lookups))
    }

    /// The names of columns whose definitions are marked with [`CELL_MARK`] and their number here:
    /// those too long to be aliases.
    pub fn long_names(&self) -> Vec<&str> {
        let names = self.names.iter().map(|(_, name)| name.as_str());
        names.filter(|name| Self::is_long_name(name)).collect()
    }

    fn whole(&self, mut splices: Vec<Splice>) -> Fragment {
        let mut long = 0;
        for (end, name) in &self.names {
            let alias = match Self::is_long_name(name) {
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

    /// Copies a range with the splices put in; where they overlap the outer one stands.
    fn spliced(&self, range: &Range<usize>, mut splices: Vec<Splice>) -> Fragment {
        splices.sort_by_key(|(r, _)| (r.start, Reverse(r.end)));
        let mut until = range.start;
        splices.retain(|(r, _)| {
            let apart = r.start >= until;
            until = until.max(r.end);
            apart
        });
        splice(&self.statement.lexed, range.clone(), &splices)
    }

    /// Number of conditions of a choice of tables that may narrow a harvest.
    pub fn condition_count(&self, harvest: usize, source: usize) -> usize {
        let harvest = self.harvests.get(harvest);
        harvest.map_or(0, |h| self.conditions(h, source).len())
    }

    /// A statement that the store is asked to prepare: it describes the input, or says by its error
    /// that the shape is not possible.
    pub fn probe(&self, harvest: usize, shape: &Shape) -> Fragment {
        let statement = self.statement;
        let stubs = |range: &Range<usize>| statement.described_splices(range);
        let Some(harvest) = self.harvests.get(harvest) else {
            return Fragment::default();
        };
        let mut select = Fragment::plain("SELECT ");
        select
            .push_fragment(&self.spliced(&harvest.input, stubs(&harvest.input)))
            .push(" AS `ml input`");
        self.query(harvest, shape, &select, &stubs)
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
        let over_lookups = |range: &Range<usize>| self.lookup_splices(range, lookups);
        let input = self.spliced(&harvest.input, over_lookups(&harvest.input));
        let mut select = Fragment::plain(match lookup.form {
            KeyForm::Text => "SELECT DISTINCT ",
            KeyForm::LongText | KeyForm::Bytes => "SELECT ",
        });
        select
            .push_fragment(&key(lookup.form, &input))
            .push(" AS `ml k`");
        if let Some(value) = value(lookup.form, &input) {
            select.push(", ").push_fragment(&value).push(" AS `ml v`");
        }
        let mut query = self.query(harvest, shape, &select, &over_lookups);
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
        harvest: &Harvest,
        shape: &Shape,
        select: &Fragment,
        replace: &dyn Fn(&Range<usize>) -> Vec<Splice>,
    ) -> Fragment {
        let blocks: Vec<&Block> = self.source_blocks(harvest, shape.source);
        let factor = shape
            .factor
            .and_then(|f| self.factors(harvest, shape.source).get(f).cloned());
        let stripped = |range: &Range<usize>| {
            let mut splices = replace(range);
            if shape.stripped {
                splices.extend(self.conditions_within(range));
            }
            splices
        };
        let tables: Vec<Fragment> = match factor {
            Some(factor) => {
                let mut splices = stripped(&factor);
                splices.extend(self.names_within(&factor));
                vec![self.spliced(&factor, splices)]
            }
            None => blocks
                .iter()
                .rev()
                .filter(|b| !b.from.is_empty())
                .map(|b| self.tables(b, harvest.aggregates, &stripped))
                .collect(),
        };
        let mut query = self.with(&blocks, &stripped);
        query.push_fragment(select);
        match &tables[..] {
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
        let conditions = self.conditions(harvest, shape.source);
        let chosen = shape.conditions.iter().filter_map(|&c| conditions.get(c));
        for (i, condition) in chosen.enumerate() {
            query
                .push(if i == 0 { " WHERE (" } else { " AND (" })
                .push_fragment(&self.spliced(condition, Vec::new()))
                .push(")");
        }
        query
    }

    /// Number of tables that a choice of tables joins.
    pub fn factor_count(&self, harvest: usize, source: usize) -> usize {
        let harvest = self.harvests.get(harvest);
        harvest.map_or(0, |h| self.factors(h, source).len())
    }

    /// The tables of a choice, each alone. The rows below an aggregate are all needed.
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

    fn conditions(&self, harvest: &Harvest, source: usize) -> Vec<Range<usize>> {
        if harvest.aggregates {
            return Vec::new();
        }
        let blocks = self.source_blocks(harvest, source);
        let conditions = blocks.iter().map(|b| self.native_conditions(&b.condition));
        conditions.flatten().collect()
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

    /// The table references of a block. Conditions of joins that hold predictions are left out,
    /// which only finds more rows; not so below an aggregate.
    fn tables(
        &self,
        block: &Block,
        exact: bool,
        replace: &dyn Fn(&Range<usize>) -> Vec<Splice>,
    ) -> Fragment {
        let mut splices = replace(&block.from);
        splices.extend(self.names_within(&block.from));
        if !exact {
            for on in self.blocks.on_conditions(&self.statement.lexed, block) {
                if self.calls_in(&on).is_empty() {
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
        self.spliced(&block.from, splices)
    }

    /// Conditions of the queries within a range, each replaced by one that all rows pass.
    fn conditions_within(&self, range: &Range<usize>) -> Vec<Splice> {
        let within = self.blocks.blocks.iter().filter(|b| {
            range.contains(&b.range.start) && b.range.end <= range.end && !b.condition.is_empty()
        });
        within
            .map(|b| (b.condition.clone(), Fragment::plain("1")))
            .collect()
    }

    /// Aliases of elements of select lists within a range, which are names to what stands around.
    fn names_within(&self, range: &Range<usize>) -> Vec<Splice> {
        let within = self.names.iter().filter(|(end, name)| {
            (range.start + 1..range.end).contains(end) && !Self::is_long_name(name)
        });
        within
            .map(|(end, name)| {
                let alias = Fragment::plain(format!(" AS {}", quote_name(name)));
                (*end..*end, alias)
            })
            .collect()
    }

    fn lookup_splices(&self, range: &Range<usize>, lookups: &[Lookup]) -> Vec<Splice> {
        outermost_splices(&self.statement.calls, range, |call| {
            self.lookup(call, lookups)
        })
    }

    /// What stands in place of a call. A code of 0 gives NULL; a key that is not there calls the
    /// stub, which raises its error.
    ///
    /// RAND() keeps the store from remembering answers by the input's columns, whose collation may
    /// take different inputs for the same.
    fn lookup(&self, index: usize, lookups: &[Lookup]) -> Fragment {
        let found = self.statement.calls.get(index);
        let lookup = self.of_call.get(index).and_then(|&h| lookups.get(h));
        let (Some(call), Some(lookup)) = (found, lookup) else {
            return Fragment::default();
        };
        let input = self.spliced(&call.input, self.lookup_splices(&call.input, lookups));
        let stub = format!("{}(NULL)", stub_name(self.statement.schema, call));
        let (column, missing, none) = match call.asked {
            Asked::Label => ("`ml c`".to_owned(), format!("CAST({stub} AS SIGNED)"), "0"),
            Asked::Probability(class) => (score_column(class), format!("0e0 + {stub}"), NO_SCORE),
        };
        let mut found = Fragment::plain(format!(
            "IFNULL((SELECT `ml r`.{column} FROM {} AS `ml r` WHERE `ml r`.`ml k` = COALESCE(",
            lookup.relation
        ));
        found
            .push_fragment(&key(lookup.form, &input))
            .push(", X'') AND RAND() IS NOT NULL), ");
        match self.guard(index, lookup) {
            Some(guard) => found
                .push("IF(")
                .push_fragment(&guard)
                .push(&format!(", {missing}, {none}))")),
            None => found.push(&missing).push(")"),
        };
        let aggregates = self.of_call.get(index).and_then(|&h| self.harvests.get(h));
        if aggregates.is_some_and(|h| h.aggregates) {
            // Else the store calls the stub before it has the aggregate.
            found = wrapped("(SELECT ", &found, ")");
        }
        match call.asked {
            Asked::Label => {
                let labels = self.statement.labels.wide_list(&call.task);
                wrapped("ELT(", &found, &format!(", {labels})"))
            }
            Asked::Probability(_) => wrapped("NULLIF(", &found, &format!(", {NO_SCORE})")),
        }
    }

    /// The conditions by which a call's inputs were harvested, where it may be asked about rows that
    /// fail them: in a condition beside them. There its value does not matter.
    fn guard(&self, index: usize, lookup: &Lookup) -> Option<Fragment> {
        let call = self.statement.calls.get(index)?.range.start;
        let harvest = self.harvests.get(*self.of_call.get(index)?)?;
        let [own] = harvest.sources.get(lookup.shape.source)?[..] else {
            return None;
        };
        let own = self.blocks.blocks.get(own)?;
        let conditions: Vec<Range<usize>> = if own.condition.contains(&call) {
            let all = self.conditions(harvest, lookup.shape.source);
            let chosen = lookup.shape.conditions.iter();
            chosen.filter_map(|&c| all.get(c).cloned()).collect()
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

    /// A statement of this plan for people: lists of class names and of keys, which repeat, cut.
    pub fn abbreviated(&self, sql: &str) -> String {
        let calls = self.statement.calls.iter();
        calls.fold(sql.to_owned(), |text, call| {
            text.replace(&self.statement.labels.wide_list(&call.task), "...")
        })
    }
}

fn wrapped(before: &str, inner: &Fragment, after: &str) -> Fragment {
    let mut out = Fragment::plain(before);
    out.push_fragment(inner).push(after);
    out
}

fn key(form: KeyForm, input: &Fragment) -> Fragment {
    let (before, after) = match form {
        KeyForm::Text => ("CAST(CONVERT((", ") USING utf8mb4) AS BINARY)"),
        KeyForm::LongText => ("UNHEX(SHA2(CONVERT((", ") USING utf8mb4), 256))"),
        KeyForm::Bytes => ("UNHEX(SHA2((", "), 256))"),
    };
    wrapped(before, input, after)
}

/// What is predicted, where the key does not say it.
fn value(form: KeyForm, input: &Fragment) -> Option<Fragment> {
    match form {
        KeyForm::Text => None,
        KeyForm::LongText => Some(key(KeyForm::Text, input)),
        KeyForm::Bytes => Some(input.clone()),
    }
}
