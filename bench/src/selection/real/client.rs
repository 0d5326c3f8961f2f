//! Statements of E2 through SQL, and what they cost in the executor.

use std::time::Instant;

use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use predictsql_executor::Executor;
use predictsql_proxy::demo::dataset::Split;
use serde_json::Value;

use super::questions::{Answer, Question, Truth};
use crate::cpu;
use crate::selection::error::SelectionError;
use crate::statistics::Summary;

/// A constraint that cannot be kept (ER_SIGNAL_EXCEPTION).
const CONSTRAINT_REFUSED: u16 = 1644;

/// A plan as EXPLAIN tells it.
#[derive(Debug, Clone)]
pub struct Explained {
    /// What was asked for: strategy, and least F1 or accuracy.
    pub asked: (&'static str, Option<f64>),
    /// All that makes it another decision.
    key: String,
    /// Its models, stage by stage.
    pub models: String,
    /// What can be promised of it.
    pub at_least: f64,
    /// Seconds of inference an image.
    pub predicted: f64,
}

/// What running a statement took.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cost {
    /// CPU seconds of inference.
    pub inference: f64,
    /// CPU seconds of decoding and preprocessing.
    pub preparing: f64,
    /// CPU seconds of everything else: proxy, store, and this client.
    pub sql: f64,
    /// From sending the statement to the last row.
    pub wall: f64,
}

/// A decision that was run.
#[derive(Debug, Clone)]
pub struct Run {
    /// The plan.
    pub plan: Explained,
    /// F1 or accuracy on the test images.
    pub score: f64,
    costs: Vec<Cost>,
}

impl Run {
    /// The median of the rounds, figure by figure.
    pub fn cost(&self) -> Cost {
        let median = |of: fn(&Cost) -> f64| {
            let rounds: Vec<f64> = self.costs.iter().map(of).collect();
            Summary::of(&rounds).map_or(0.0, |s| s.median)
        };
        Cost {
            inference: median(|c| c.inference),
            preparing: median(|c| c.preparing),
            sql: median(|c| c.sql),
            wall: median(|c| c.wall),
        }
    }
}

/// Decisions of one question, each once.
#[derive(Debug, Default)]
pub struct Decisions(pub Vec<Run>);

impl Decisions {
    /// The number of a decision.
    pub fn number(&mut self, plan: Explained) -> usize {
        let known = self.0.iter().position(|run| run.plan.key == plan.key);
        known.unwrap_or_else(|| {
            let costs = Vec::new();
            let score = 0.0;
            self.0.push(Run { plan, score, costs });
            self.0.len() - 1
        })
    }
}

/// A session of the demo's shop.
pub struct Client {
    conn: Conn,
    executor: Executor,
    pub truth: Truth,
    /// Process of the store.
    store: u32,
}

impl Client {
    /// Of a session that keeps no outputs: they would hide what models cost.
    pub async fn new(
        mut conn: Conn,
        executor: Executor,
        test: &Split,
    ) -> Result<Self, SelectionError> {
        conn.query_drop("SET @ml_cache = 'off'").await?;
        let pid_file: Option<String> = conn.query_first("SELECT @@pid_file").await?;
        let pid = std::fs::read_to_string(pid_file.unwrap_or_default())?;
        let store = pid.trim().parse().map_err(std::io::Error::other)?;
        let truth = (1..).zip(test.iter().map(|(_, class)| class)).collect();
        Ok(Self {
            conn,
            executor,
            truth,
            store,
        })
    }

    /// The labels that a model gives all products by itself, and CPU seconds of inference.
    pub async fn label_all(&mut self, model: &str) -> Result<(Answer, f64), SelectionError> {
        let sql = format!("SELECT id, ml.predict('{model}', photo) FROM products");
        self.conn.query_drop(format!("{sql} LIMIT 1")).await?;
        let (answer, cost) = self.answer(&sql, true).await?;
        Ok((answer, cost.inference))
    }

    /// Ends the session.
    pub async fn end(self) -> Result<(), SelectionError> {
        Ok(self.conn.disconnect().await?)
    }

    /// What would answer a question; `None` where the constraint cannot be kept.
    pub async fn explain(
        &mut self,
        question: &Question,
        strategy: &'static str,
        least: Option<f64>,
    ) -> Result<Option<Explained>, SelectionError> {
        self.ask_for(strategy, least).await?;
        let sql = format!("EXPLAIN FORMAT=JSON {}", question.sql());
        let text: Result<Option<String>, _> = self.conn.query_first(sql).await;
        let text = match text {
            Err(mysql_async::Error::Server(error)) if error.code == CONSTRAINT_REFUSED => {
                return Ok(None);
            }
            text => text?.unwrap_or_default(),
        };
        let json: Value = serde_json::from_str(&text).unwrap_or_default();
        let plan = json.pointer("/predictions/0").cloned();
        let plan = plan.ok_or(SelectionError::NotExplained(text))?;
        Ok(Some(explained(&plan, (strategy, least))))
    }

    /// Sets how models are chosen.
    pub async fn ask_for(
        &mut self,
        strategy: &str,
        least: Option<f64>,
    ) -> Result<(), SelectionError> {
        let least = least.map_or("NULL".to_owned(), |least| least.to_string());
        let set = format!("SET @ml_strategy = '{strategy}', @ml_min_accuracy = {least}");
        Ok(self.conn.query_drop(set).await?)
    }

    /// Runs all decisions in turn, `rounds` times.
    pub async fn run_all(
        &mut self,
        question: &Question,
        decisions: &mut Decisions,
        rounds: usize,
    ) -> Result<(), SelectionError> {
        for _ in 0..rounds {
            for run in &mut decisions.0 {
                let (strategy, least) = run.plan.asked;
                self.ask_for(strategy, least).await?;
                // Loads the models.
                let first = format!("{} LIMIT 1", question.sql());
                self.conn.query_drop(first).await?;
                let (answer, cost) = self
                    .answer(&question.sql(), question.returns_labels)
                    .await?;
                run.score = question.score(&answer, &self.truth);
                run.costs.push(cost);
            }
        }
        Ok(())
    }

    /// An answer, and what it cost.
    pub async fn answer(
        &mut self,
        sql: &str,
        returns_labels: bool,
    ) -> Result<(Answer, Cost), SelectionError> {
        let before = (self.executor.cpu_seconds(), self.cpu_seconds()?);
        let begin = Instant::now();
        let answer: Answer = match returns_labels {
            true => self.conn.query(sql).await?,
            false => {
                let ids: Vec<u64> = self.conn.query(sql).await?;
                ids.into_iter().map(|id| (id, None)).collect()
            }
        };
        let wall = begin.elapsed().as_secs_f64();
        let after = (self.executor.cpu_seconds(), self.cpu_seconds()?);
        let inference = after.0.inferring - before.0.inferring;
        let preparing = after.0.preparing - before.0.preparing;
        let cost = Cost {
            inference,
            preparing,
            sql: (after.1 - before.1 - inference - preparing).max(0.0),
            wall,
        };
        Ok((answer, cost))
    }

    /// Of this process, where the proxy runs, and of the store.
    fn cpu_seconds(&self) -> Result<f64, SelectionError> {
        let own = cpu::process_seconds(std::process::id())?;
        Ok(own + cpu::process_seconds(self.store)?)
    }
}

fn explained(plan: &Value, asked: (&'static str, Option<f64>)) -> Explained {
    let number = |value: &Value, name: &str| value.get(name).and_then(Value::as_f64);
    let stages = plan.get("stages").and_then(Value::as_array);
    let stages = || stages.into_iter().flatten();
    let models = |stage: &Value| {
        let models = stage.get("models").and_then(Value::as_array);
        let name = |m: &Value| m.get("name")?.as_str().map(str::to_owned);
        let names: Vec<String> = models.into_iter().flatten().filter_map(name).collect();
        names.join(" + ")
    };
    let stage_seconds = |stage: &Value| {
        let each = number(stage, "inference_seconds_per_image").unwrap_or(0.0);
        each * number(stage, "share_of_rows").unwrap_or(0.0)
    };
    let of_stages: Vec<String> = stages().map(models).collect();
    let thresholds: Vec<String> = stages()
        .map(|stage| {
            format!(
                "{:?} {:?}",
                number(stage, "pass_below"),
                stage.get("replaces")
            )
        })
        .collect();
    let at_least = plan.get("at_least").and_then(|a| number(a, "value"));
    Explained {
        asked,
        models: of_stages.join(" -> "),
        key: format!("{of_stages:?} {thresholds:?} {:?}", number(plan, "floor")),
        at_least: at_least.unwrap_or(0.0),
        predicted: stages().map(stage_seconds).sum(),
    }
}
