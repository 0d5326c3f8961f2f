//! Analysis for a materialise plan: which inputs are predicted, where each is harvested, and in
//! which order.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use predictsql_catalog::{Column, Model, Task};
use sqlparser::tokenizer::Token;

use super::alike::first_alike;
use super::evaluated_once::EvaluatedOnce;
use crate::refusal::Refusal;
use crate::sql::blocks::{Block, Blocks, Cte};
use crate::sql::calls::{Asked, Call};
use crate::sql::fragment::Fragment;
use crate::sql::{expression, functions, select_list};
use crate::statement::PredictStatement;

/// Maximum number of enclosing blocks whose tables a call's input may use.
const DEPTH_MAX: usize = 3;

/// A task, or one of its models, that some call predicts.
#[derive(Debug, Clone)]
pub struct Target {
    /// The task.
    pub task: Arc<Task>,
    /// The model, where the statement names one.
    pub model: Option<Arc<Model>>,
    /// Classes whose scores are requested (positions in the task's classes), ascending.
    pub scored: Vec<usize>,
}

/// An input expression of one block, predicted for one target: one query of pass 1.
#[derive(Debug, Clone)]
pub struct Harvest {
    /// Position in [`Materialise::targets`].
    pub target: usize,
    pub(super) input: Range<usize>,
    /// The block whose rows are predicted.
    pub(super) block: Option<usize>,
    /// Candidate sets of blocks whose tables are read, the most likely first. An empty set reads
    /// no table.
    pub(super) sources: Vec<Vec<usize>>,
    /// The input contains an aggregate or window function: the block's rows and groups must be
    /// read exactly.
    pub(super) aggregates: bool,
    /// Calls whose answers its queries need.
    pub(super) needs: BTreeSet<usize>,
}

/// A statement with a materialise plan.
#[derive(Debug)]
pub struct Materialise<'s, 'a> {
    pub(super) statement: &'s PredictStatement<'a>,
    pub(super) blocks: Blocks,
    pub(super) targets: Vec<Target>,
    pub(super) harvests: Vec<Harvest>,
    /// The harvest of each call.
    pub(super) of_call: Vec<usize>,
    /// For each call, the first call with the same text.
    pub(super) alike: Vec<usize>,
    /// For each element of a select list without an alias: its end and its text.
    pub(super) names: Vec<(usize, String)>,
    /// Whether the statement assigns to user variables.
    pub(super) assigns: bool,
    pub(super) once: EvaluatedOnce,
}

impl<'a> PredictStatement<'a> {
    /// Analyses the statement for a materialise plan. Unsupported constructs are refused with
    /// error 1235, which names the construct.
    pub fn materialise<'s>(&'s self) -> Result<Materialise<'s, 'a>, Refusal> {
        let lexed = &self.lexed;
        if self.is_several() {
            return Err(Refusal::unsupported(
                "predictions among several statements in one text",
            ));
        }
        self.check_kind()?;
        expression::check_length(lexed, self.body.clone())?;
        let assignment = |at: usize| matches!(lexed.token(at), Some(Token::Assignment));
        let mut plan = Materialise {
            statement: self,
            blocks: Blocks::cut(lexed, self.body.clone()),
            targets: Vec::new(),
            harvests: Vec::new(),
            of_call: Vec::new(),
            alike: Vec::new(),
            names: Vec::new(),
            assigns: self.body.clone().any(assignment),
            once: EvaluatedOnce::default(),
        };
        plan.once = plan.find_once()?;
        for (index, call) in self.calls.iter().enumerate() {
            plan.add_call(index, call)?;
        }
        let of_call = plan.of_call.iter();
        let targets: Vec<_> = of_call
            .filter_map(|&h| Some(plan.harvests.get(h)?.target))
            .collect();
        plan.alike = first_alike(lexed, &self.body, &self.calls, &targets);
        plan.check_once()?;
        plan.check_nesting()?;
        plan.add_narrowing();
        plan.order_harvests()?;
        plan.find_names()?;
        Ok(plan)
    }

    fn check_kind(&self) -> Result<(), Refusal> {
        const KINDS: [&str; 10] = [
            "SELECT", "WITH", "INSERT", "REPLACE", "UPDATE", "DELETE", "CREATE", "SET", "DO",
            "VALUES",
        ];
        let lexed = &self.lexed;
        let start = self.body.start;
        let word = lexed.keyword(start).unwrap_or_default().to_uppercase();
        let parenthesised = matches!(lexed.token(start), Some(Token::LParen));
        if !parenthesised && !KINDS.contains(&&*word) {
            return Err(Refusal::unsupported(format_args!(
                "predictions in {}",
                if word.is_empty() {
                    "this statement"
                } else {
                    &word
                }
            )));
        }
        let second = |at: usize, words: &[&str]| words.iter().any(|w| lexed.is_keyword(at, w));
        if word == "CREATE" {
            let mut at = start + 1;
            while second(at, &["OR", "REPLACE", "TEMPORARY"]) {
                at += 1;
            }
            if !lexed.is_keyword(at, "TABLE") {
                return Err(Refusal::unsupported(format_args!(
                    "predictions in CREATE {}",
                    lexed.keyword(at).unwrap_or_default().to_uppercase()
                )));
            }
        }
        Ok(())
    }
}

impl Materialise<'_, '_> {
    /// The targets of the calls.
    pub fn targets(&self) -> &[Target] {
        &self.targets
    }

    /// The queries of pass 1, in dependency order.
    pub fn harvests(&self) -> &[Harvest] {
        &self.harvests
    }

    /// Whether the statement changes or locks rows: it then reads current rows, not the
    /// transaction's snapshot.
    pub fn reads_current_rows(&self) -> bool {
        let lexed = &self.statement.lexed;
        let first = ["INSERT", "REPLACE", "UPDATE", "DELETE", "CREATE"];
        let locking = |at: usize| {
            (lexed.is_keyword(at, "FOR") && lexed.is_keyword(at + 1, "UPDATE"))
                || (lexed.is_keyword(at, "LOCK") && lexed.is_keyword(at + 1, "IN"))
        };
        first
            .iter()
            .any(|w| lexed.is_keyword(self.statement.body.start, w))
            || self.statement.body.clone().any(locking)
    }

    /// Whether the result is written to a file on the store's host (INTO OUTFILE); a retry would
    /// fail, since the file exists.
    pub fn writes_file(&self) -> bool {
        let lexed = &self.statement.lexed;
        let file = ["OUTFILE", "DUMPFILE"];
        self.statement.body.clone().any(|at| {
            lexed.is_keyword(at, "INTO") && file.iter().any(|w| lexed.is_keyword(at + 1, w))
        })
    }

    /// Number of predict calls in the statement.
    pub fn call_count(&self) -> usize {
        self.of_call.len()
    }

    /// Whether the result is empty without reading a row: a single block with LIMIT 0.
    pub fn is_empty_answer(&self) -> bool {
        let lexed = &self.statement.lexed;
        let zero = |b: &Block| {
            b.limit.len() == 1
                && matches!(lexed.token(b.limit.start), Some(Token::Number(n, _)) if n == "0")
        };
        matches!(&self.blocks.blocks[..], [block] if zero(block))
    }

    /// The text of a harvest's input.
    pub fn input_text(&self, harvest: usize) -> &str {
        let input = self.harvests.get(harvest).map(|h| &h.input);
        input.map_or("", |range| self.statement.lexed.text_of(range))
    }

    /// The task's input columns for a harvest; empty if the input is an image.
    pub fn input_columns(&self, harvest: usize) -> &[Column] {
        let target = self.harvests.get(harvest).map(|h| h.target);
        let target = target.and_then(|t| self.targets.get(t));
        target.map_or(&[], |t| t.task.columns())
    }

    /// The index of the client's parameter, where a harvest's image input is nothing but a
    /// parameter.
    pub fn input_parameter(&self, harvest: usize) -> Option<usize> {
        if !self.input_columns(harvest).is_empty() {
            return None;
        }
        let range = &self.harvests.get(harvest)?.input;
        let fragment: Fragment =
            crate::sql::fragment::splice(&self.statement.lexed, range.clone(), &[]);
        match (range.len(), &fragment.parameters[..]) {
            (1, [number]) => Some(*number),
            _ => None,
        }
    }

    /// Whether a harvest's input contains a parameter or is a literal: the store is not asked how
    /// long it is, since the value would have to be sent twice more.
    pub fn input_is_sent(&self, harvest: usize) -> bool {
        let lexed = &self.statement.lexed;
        let input = self.harvests.get(harvest).map(|h| &h.input);
        input.is_some_and(|input| lexed.holds_parameter(input) || lexed.is_literal(input))
    }

    /// Number of candidate table sets of a harvest.
    pub fn source_count(&self, harvest: usize) -> usize {
        self.harvests.get(harvest).map_or(0, |h| h.sources.len())
    }

    fn add_call(&mut self, index: usize, call: &Call) -> Result<(), Refusal> {
        self.check_input(call)?;
        let target = self.target(call);
        let block = self.block_of(call);
        let aggregates =
            expression::aggregate_or_window(&self.statement.lexed, call.input.clone()).is_some();
        let sources = match aggregates {
            true => vec![block.into_iter().collect()],
            false => self.sources(block),
        };
        let lexed = &self.statement.lexed;
        let is_parameter = |at: usize| matches!(lexed.token(at), Some(Token::Placeholder(_)));
        let bound = call.input.clone().any(is_parameter);
        let same = |h: &Harvest| {
            !bound
                && h.target == target
                && h.block == block
                && h.aggregates == aggregates
                && lexed.is_same(&h.input, &call.input)
        };
        let known = self.harvests.iter().position(same);
        let harvest = known.unwrap_or(self.harvests.len());
        if known.is_none() {
            let mut needs = BTreeSet::new();
            for source in &sources {
                needs.extend(self.needed_by(source, aggregates));
            }
            self.harvests.push(Harvest {
                target,
                input: call.input.clone(),
                block,
                sources,
                aggregates,
                needs,
            });
        }
        // Equal texts have equal arguments, but the calls within them are distinct.
        let inner = self.calls_in(&call.input);
        if let Some(harvest) = self.harvests.get_mut(harvest) {
            harvest.needs.extend(inner);
            harvest.needs.remove(&index);
        }
        self.of_call.push(harvest);
        Ok(())
    }

    /// Checks that an input can be evaluated in both passes with the same value.
    fn check_input(&self, call: &Call) -> Result<(), Refusal> {
        let lexed = &self.statement.lexed;
        let within = self.calls_in(&call.input).into_iter();
        let calls: Vec<_> = within
            .filter_map(|i| self.statement.calls.get(i))
            .map(|c| c.range.clone())
            .collect();
        let varies = functions::varying(lexed, call.input.clone())
            .or_else(|| functions::not_harmless(lexed, call.input.clone(), &calls));
        if let Some(name) = varies {
            return Err(Refusal::unsupported(format_args!(
                "{name} in the input of a prediction"
            )));
        }
        if self.assigns && self.reads_variable(&call.input) {
            return Err(Refusal::unsupported(
                "a prediction of a user variable in a statement that assigns to one",
            ));
        }
        let window = call.input.clone().any(|at| lexed.is_keyword(at, "OVER"));
        if window {
            return Err(Refusal::unsupported("a prediction of a window function"));
        }
        Ok(())
    }

    /// Whether a range reads no user variable that the statement may assign to, and nothing that
    /// must be evaluated once.
    pub(super) fn is_steady(&self, range: &Range<usize>) -> bool {
        !(self.assigns && self.reads_variable(range)) && self.is_repeatable(range)
    }

    pub(super) fn reads_variable(&self, range: &Range<usize>) -> bool {
        let lexed = &self.statement.lexed;
        let mut range = range.clone();
        range.any(|at| match lexed.token(at) {
            Some(Token::Word(word)) => word.value.starts_with('@'),
            Some(token) => matches!(token, Token::AtSign),
            None => false,
        })
    }

    fn target(&mut self, call: &Call) -> usize {
        let model = call.model.as_ref().map(|m| m.id);
        let same =
            |t: &Target| t.task.name == call.task.name && t.model.as_ref().map(|m| m.id) == model;
        let place = self.targets.iter().position(same).unwrap_or_else(|| {
            self.targets.push(Target {
                task: Arc::clone(&call.task),
                model: call.model.clone(),
                scored: Vec::new(),
            });
            self.targets.len() - 1
        });
        if let (Asked::Probability(class), Some(target)) = (call.asked, self.targets.get_mut(place))
            && let Err(at) = target.scored.binary_search(&class)
        {
            target.scored.insert(at, class);
        }
        place
    }

    /// The block whose rows a call predicts. The ON DUPLICATE KEY UPDATE clause sees the rows of
    /// the preceding block.
    fn block_of(&self, call: &Call) -> Option<usize> {
        let around = self.blocks.around(call.range.start);
        around.or_else(|| {
            let lexed = &self.statement.lexed;
            let mut before = self.statement.body.start..call.range.start;
            let after_select = before
                .any(|at| lexed.is_keyword(at, "ON") && lexed.is_keyword(at + 1, "DUPLICATE"));
            after_select
                .then_some(0)
                .filter(|_| !self.blocks.blocks.is_empty())
        })
    }

    /// Candidate table sets for a call in `block`: the block's own tables; where these do not
    /// suffice (a column of an outer block), those of the enclosing block, or both.
    fn sources(&self, block: Option<usize>) -> Vec<Vec<usize>> {
        let Some(own) = block else {
            return vec![Vec::new()];
        };
        let mut sources = vec![vec![own]];
        let mut chain = vec![own];
        let mut at = own;
        while let Some(parent) = self.correlated_parent(at)
            && chain.len() < DEPTH_MAX
        {
            sources.push(vec![parent]);
            chain.push(parent);
            sources.push(chain.clone());
            at = parent;
        }
        sources
    }

    /// The enclosing block whose columns a sub-query may read; `None` for a derived table.
    fn correlated_parent(&self, block: usize) -> Option<usize> {
        let at = self.blocks.blocks.get(block)?.range.start;
        let parent = self.blocks.blocks.get(block)?.parent?;
        let around = self.blocks.blocks.get(parent)?;
        let in_condition = || {
            let on = self.blocks.on_conditions(&self.statement.lexed, around);
            on.iter().any(|c| c.contains(&at))
        };
        let in_with = self
            .blocks
            .ctes
            .iter()
            .any(|c| c.range.contains(&at) && !c.range.contains(&around.range.start));
        (!in_with && (!around.from.contains(&at) || in_condition())).then_some(parent)
    }

    /// The calls whose answers a query over the tables of `source` needs.
    fn needed_by(&self, source: &[usize], aggregates: bool) -> BTreeSet<usize> {
        let mut needs = BTreeSet::new();
        for block in source.iter().filter_map(|&b| self.blocks.blocks.get(b)) {
            for cte in self.visible_ctes(block) {
                needs.extend(self.calls_in(&cte.range));
            }
            let dropped = match aggregates {
                true => Vec::new(),
                false => self.blocks.on_conditions(&self.statement.lexed, block),
            };
            let kept = |call: &usize| {
                let call = self.statement.calls.get(*call);
                call.is_some_and(|c| !dropped.iter().any(|d| d.contains(&c.range.start)))
            };
            needs.extend(self.calls_in(&block.from).into_iter().filter(kept));
            if aggregates {
                needs.extend(self.calls_in(&block.condition));
                needs.extend(self.calls_in(&block.group));
            }
        }
        needs
    }

    /// Elements of WITH clauses visible to a query over a block's tables, except the one that
    /// contains the block.
    pub(super) fn visible_ctes<'b>(&'b self, block: &'b Block) -> impl Iterator<Item = &'b Cte> {
        let ctes = block.ctes.iter().filter_map(|&c| self.blocks.ctes.get(c));
        ctes.filter(|c| !c.range.contains(&block.range.start))
    }

    /// The calls within a range.
    pub(super) fn calls_in(&self, range: &Range<usize>) -> Vec<usize> {
        let calls = self.statement.calls.iter().enumerate();
        calls
            .filter(|(_, c)| range.contains(&c.range.start))
            .map(|(i, _)| i)
            .collect()
    }

    /// Adds the calls of narrowing conditions to what each harvest needs.
    fn add_narrowing(&mut self) {
        for number in 0..self.harvests.len() {
            let narrowing = self.narrowing(number);
            let calls: Vec<usize> = narrowing.iter().flat_map(|c| self.calls_in(c)).collect();
            let harvest = self.harvests.get_mut(number);
            let harvest = harvest.filter(|h| Self::reads_own_rows(h, 0));
            if let Some(harvest) = harvest {
                harvest.needs.extend(calls);
            }
        }
    }

    /// Sorts the harvests so that each follows those it needs.
    fn order_harvests(&mut self) -> Result<(), Refusal> {
        let mut order: Vec<usize> = Vec::new();
        while order.len() < self.harvests.len() {
            let ready = self.harvests.iter().enumerate().find(|(i, harvest)| {
                let mut needs = harvest.needs.iter().filter_map(|&c| self.of_call.get(c));
                !order.contains(i) && needs.all(|h| order.contains(h))
            });
            let Some((next, _)) = ready else {
                return Err(Refusal::unsupported(
                    "predictions of rows that depend on themselves (as in a recursive WITH)",
                ));
            };
            order.push(next);
        }
        let place = |of: &usize| order.iter().position(|o| o == of).unwrap_or_default();
        self.of_call = self.of_call.iter().map(place).collect();
        let harvests = order.iter().filter_map(|&i| self.harvests.get(i).cloned());
        self.harvests = harvests.collect();
        Ok(())
    }

    fn find_names(&mut self) -> Result<(), Refusal> {
        let lexed = &self.statement.lexed;
        for block in &self.blocks.blocks {
            for element in select_list::elements(lexed, block.items.clone()) {
                if !self.calls_in(&element).is_empty() && select_list::is_unnamed(lexed, &element)?
                {
                    let text = lexed.text_of(&element);
                    self.names.push((element.end, text.to_owned()));
                }
            }
        }
        Ok(())
    }

    /// Conditions of a block that a harvest may use: without predictions, and with the same value
    /// for a row however often they are evaluated.
    pub(super) fn native_conditions(&self, range: &Range<usize>) -> Vec<Range<usize>> {
        let lexed = &self.statement.lexed;
        let is_native = |c: &Range<usize>| {
            self.calls_in(c).is_empty()
                && functions::varying(lexed, c.clone()).is_none()
                && functions::not_harmless(lexed, c.clone(), &[]).is_none()
                && self.is_steady(c)
        };
        let conjuncts = expression::conjuncts(lexed, range);
        conjuncts.into_iter().filter(is_native).collect()
    }

    /// Whether a column's text cannot be an alias.
    pub(super) fn is_no_alias(&self, name: &str) -> bool {
        select_list::is_no_alias(name, self.statement.as_bytes)
    }
}
