//! The demo's own search, as its user would time it.

use super::client::Client;
use super::questions::Question;
use crate::selection::error::SelectionError;
use crate::statistics::Summary;

/// Least F1 of the search.
const LEAST: f64 = 0.9;
/// Fewer would say little of wall time.
const ROUNDS_MIN: usize = 3;

/// A search for shoes with `@ml_min_accuracy = 0.9` beside the most accurate plan, in turn,
/// cache off.
#[derive(Debug, Clone)]
pub struct ShopSearch {
    /// Wall time of the most accurate plan over that of the planner's choice, from round to round.
    pub time_ratio: Option<Summary>,
    /// F1 on the products' true classes.
    pub f1: f64,
    /// F1 of the most accurate plan.
    pub most_accurate_f1: f64,
    /// Median wall seconds of both.
    pub seconds: [f64; 2],
    /// What was asked for.
    pub least: f64,
    /// The statement.
    pub sql: String,
}

impl Client {
    /// Runs it.
    pub async fn search_shop(&mut self, rounds: usize) -> Result<ShopSearch, SelectionError> {
        let question = Question {
            classes: vec!["Sneaker", "Ankle boot"],
            returns_labels: false,
        };
        let sql = question.sql();
        let strategies = [("optimal", Some(LEAST)), ("most_accurate", None)];
        let (mut scores, mut seconds) = ([0.0; 2], [Vec::new(), Vec::new()]);
        for _ in 0..rounds.max(ROUNDS_MIN) {
            let both = strategies.iter().zip(&mut scores).zip(&mut seconds);
            for (((strategy, least), score), seconds) in both {
                self.ask_for(strategy, *least).await?;
                self.answer(&format!("{sql} LIMIT 1"), false).await?;
                let (answer, cost) = self.answer(&sql, false).await?;
                *score = question.score(&answer, &self.truth);
                seconds.push(cost.wall);
            }
        }
        let [ours, best] = &seconds;
        let ratios: Vec<f64> = best.iter().zip(ours).map(|(b, o)| b / o).collect();
        let median = |seconds: &[f64]| Summary::of(seconds).map_or(0.0, |s| s.median);
        Ok(ShopSearch {
            time_ratio: Summary::of(&ratios),
            f1: scores[0],
            most_accurate_f1: scores[1],
            seconds: [median(ours), median(best)],
            least: LEAST,
            sql,
        })
    }
}
