//! EXPLAIN output of a whole plan.

use serde_json::{Value, json};

use super::elapsed::Elapsed;
use super::lines::wrap;
use super::prediction::{self, Kept};
use crate::materialise::HarvestPass;
use crate::plan::{Filter, Node, Plan, Predict, Prediction, Relate, Rerun, Scan};
use crate::planner::CostModel;

/// A plan, and further data shown with it.
#[derive(Debug, Clone, Copy)]
pub struct Shown<'p, 's, 'a> {
    /// The plan, with the inputs of its predictions estimated.
    pub plan: &'p Plan<'s, 'a>,
    /// Cache usage, one per prediction.
    pub kept: &'p [Kept],
    /// Schema name of the catalog.
    pub schema: &'p str,
    /// The cost model for its prices.
    pub costs: &'p CostModel,
    /// Its expected duration, if inputs and costs of its models are known.
    pub elapsed: Option<Elapsed>,
}

/// Sections of the text in output order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Head,
    Predictions,
    Conditions,
    Queries,
}

impl Shown<'_, '_, '_> {
    /// The text, one row per line.
    pub fn lines(&self) -> Vec<String> {
        let mut parts: Vec<(Part, Vec<String>)> = Vec::new();
        for node in &self.plan.nodes {
            match node {
                Node::Scan(scan) => parts.push((Part::Queries, self.scan(scan))),
                Node::Spool | Node::Relate(_) => {} // shown with what takes its rows
                Node::Predict(predict) => parts.push((Part::Predictions, self.predict(predict))),
                Node::Filter(filter) => parts.push((Part::Conditions, filter_lines(filter))),
                Node::Project(_) => {
                    let head = "Stream plan: the store filters, models answer, rows pass through";
                    parts.push((Part::Head, vec![head.to_owned()]));
                }
                Node::Rerun(rerun) => {
                    parts.push((Part::Head, self.rerun_head(rerun)));
                    parts.push((Part::Predictions, self.targets()));
                    parts.push((Part::Queries, self.rerun(rerun)));
                }
            }
        }
        parts.push((Part::Queries, self.seconds()));
        parts.sort_by_key(|(part, _)| *part);
        parts.into_iter().flat_map(|(_, lines)| lines).collect()
    }

    fn seconds(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let text = match &self.elapsed {
            Some(elapsed) => elapsed.text(self.costs.threads),
            None => "not known before it runs".to_owned(),
        };
        wrap(&mut lines, "Seconds  ", &text);
        lines
    }

    fn kept(&self, prediction: usize) -> Kept {
        self.kept.get(prediction).copied().unwrap_or_default()
    }

    /// Lines about the chosen models, the reason, and the cost.
    fn decision(&self, lines: &mut Vec<String>, (number, of): (usize, &Prediction)) {
        for (label, text) in prediction::lines(of, self.kept(number), self.costs) {
            wrap(lines, &label, &text);
        }
    }

    fn predict(&self, predict: &Predict) -> Vec<String> {
        let mut lines = Vec::new();
        let number = predict.prediction;
        let Some(prediction) = self.plan.predictions.get(number) else {
            return lines;
        };
        wrap(
            &mut lines,
            &format!("Predict {} ", number + 1),
            &format!("task {} of {}", prediction.task.name, predict.text),
        );
        self.decision(&mut lines, (number, prediction));
        let blocks = predict.distinctions.blocks();
        let needs = match (predict.needed, prediction.task.outcomes()) {
            (false, _) => "no inference: the answer does not depend on it".to_owned(),
            (true, Some(outcomes)) if blocks > 1 => {
                format!("{blocks} of {outcomes} outcomes told apart")
            }
            (true, Some(_) | None) => "every row".to_owned(),
        };
        wrap(&mut lines, "  Needs   ", &needs);
        lines
    }

    fn targets(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for (number, prediction) in self.plan.predictions.iter().enumerate() {
            let label = format!("Predict {} ", number + 1);
            wrap(
                &mut lines,
                &label,
                &format!("task {}", prediction.task.name),
            );
            self.decision(&mut lines, (number, prediction));
        }
        lines
    }

    fn pushdown(&self, scan: &Scan) -> String {
        let tasks = self.plan.predictions.iter().map(|p| &*p.task);
        let sql = &scan.pushdown.text.sql;
        self.plan.statement.abbreviated(sql, tasks)
    }

    fn scan(&self, scan: &Scan) -> Vec<String> {
        let mut lines = Vec::new();
        wrap(&mut lines, "Pushdown ", &self.pushdown(scan));
        let counted = match (scan.limit, scan.pushdown.limit_pushed) {
            (None, _) => "",
            (Some(_), true) => "; LIMIT in the store",
            (Some(_), false) => "; LIMIT ends inference early",
        };
        let Some(rows) = scan.rows else {
            lines.push(format!("Rows     not estimated by the store{counted}"));
            return lines;
        };
        let predictions = self.plan.predictions.iter().enumerate();
        let is_needed = |number| self.plan.predict(number).is_some_and(|p| p.needed);
        let needed = predictions.filter(|(number, _)| is_needed(*number));
        let images = needed.filter_map(|(_, prediction)| prediction.inputs.value());
        let images: u64 = images.sum();
        let text = format!("about {rows:.0} before predictions (the store's estimate){counted}");
        wrap(&mut lines, "Rows     ", &text);
        lines.push(format!("Images   about {images}"));
        lines
    }

    fn rerun_head(&self, rerun: &Rerun<'_, '_>) -> Vec<String> {
        let calls = match rerun.passes.call_count() {
            1 => "1 predict call".to_owned(),
            calls => format!("{calls} predict calls"),
        };
        vec![
            "Materialise plan: distinct inputs are predicted, then looked up".to_owned(),
            format!(
                "Calls    {calls}, {} harvests",
                rerun.passes.harvests().len()
            ),
        ]
    }

    fn rerun(&self, rerun: &Rerun<'_, '_>) -> Vec<String> {
        let mut lines = Vec::new();
        let (passes, relates) = (&rerun.passes, self.plan.relates());
        let name = |r: &&Relate| format!("`{}_session`.`r{}`", self.schema, r.relation);
        let lookups: Vec<_> = relates.iter().map(|r| r.lookup(name(r))).collect();
        for (number, relate) in relates.iter().enumerate() {
            let pass = HarvestPass {
                input_bytes_max: relate.input_bytes_max,
                ..HarvestPass::default()
            };
            let query = passes.harvest(number, &relate.shape, &lookups, pass);
            wrap(&mut lines, "Harvest  ", &passes.abbreviated(&query.sql));
        }
        let run = passes.run(&lookups);
        wrap(&mut lines, "Then     ", &passes.abbreviated(&run.sql));
        lines
    }

    /// The plan as JSON.
    pub fn json(&self) -> Value {
        let mut plan = json!({"predictions": self.predictions_json()});
        plan["seconds"] = json!(self.elapsed.map(|elapsed| elapsed.json()));
        for node in &self.plan.nodes {
            match node {
                Node::Scan(scan) => {
                    plan["pushdown"] = json!(self.pushdown(scan));
                    plan["rows"] = json!(scan.rows);
                    plan["limit_in_store"] = json!(scan.pushdown.limit_pushed);
                }
                Node::Spool | Node::Predict(_) | Node::Relate(_) => {}
                Node::Filter(filter) => {
                    let tests: Vec<&str> = filter.ordered().map(|test| &*test.text).collect();
                    plan["filters"] = json!(tests);
                }
                Node::Project(_) => plan["plan"] = json!("stream"),
                Node::Rerun(rerun) => {
                    plan["plan"] = json!("materialise");
                    plan["calls"] = json!(rerun.passes.call_count());
                    plan["harvests"] = json!(rerun.passes.harvests().len());
                }
            }
        }
        plan
    }

    fn predictions_json(&self) -> Vec<Value> {
        let predictions = self.plan.predictions.iter().enumerate();
        let one = |(number, of): (usize, &Prediction)| {
            let mut plan = prediction::json(of, self.kept(number), self.costs);
            if let Some(predict) = self.plan.predict(number) {
                plan["input"] = json!(predict.text);
                plan["needed"] = json!(predict.needed);
                plan["outcomes_told_apart"] = json!(predict.distinctions.blocks());
            }
            plan
        };
        predictions.map(one).collect()
    }
}

/// The tests of a condition in execution order.
fn filter_lines(filter: &Filter) -> Vec<String> {
    let mut lines = Vec::new();
    for test in filter.ordered() {
        let wanted = if test.test.negated { "not " } else { "" };
        let by = match test.test.prediction() {
            Some(prediction) => format!("prediction {}", prediction + 1),
            None => "in the store".to_owned(),
        };
        let share = test.expected.share.value();
        let share = share.map_or(String::new(), |share| {
            format!("; about {:.1} % of rows", share * 100.0)
        });
        let text = format!("{wanted}{}  ({by}{share})", test.text);
        wrap(&mut lines, "Filter   ", &text);
    }
    lines
}

/// A short description of a plan: its kind, its tasks, and the models of each stage.
pub fn short(plan: &Plan<'_, '_>) -> String {
    let predictions = plan.predictions.iter().enumerate();
    let one = |(number, of): (usize, &Prediction)| match plan.predict(number) {
        Some(predict) if !predict.needed => format!("{}: not needed", of.task.name),
        Some(_) | None => prediction::short(&of.task, &of.decided),
    };
    let predictions: Vec<String> = predictions.map(one).collect();
    let kind = match plan.nodes.last() {
        Some(Node::Rerun(_)) => "materialise",
        _ => "stream",
    };
    format!("{kind} {}", predictions.join("; "))
}
