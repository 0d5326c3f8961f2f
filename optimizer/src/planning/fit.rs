//! Search for harvest tables and conditions that the store accepts.

use std::collections::VecDeque;

use crate::exchange::{Column, Failure, Question, Reply};
use crate::materialise::{Materialise, Shape};

/// Finds the first of several candidate shapes whose tables the store accepts, with all conditions
/// that it accepts for them.
#[derive(Debug)]
pub(super) struct Fitting {
    harvest: usize,
    candidates: VecDeque<Shape>,
    current: Option<Fit>,
    /// The store's first error.
    pub refused: Option<String>,
}

/// A candidate shape under trial with sets of conditions.
#[derive(Debug)]
struct Fit {
    shape: Shape,
    all: Vec<usize>,
    tried: Tried,
}

/// The conditions of the last probe.
#[derive(Debug)]
enum Tried {
    All,
    None,
    /// The single condition at `place`; `possible` holds the accepted ones before it.
    One {
        place: usize,
        possible: Vec<usize>,
    },
    Possible,
}

/// Outcome of a probe.
pub(super) enum Fitted {
    /// Another probe is needed.
    Ask(Question),
    /// The accepted shape and the store's description of its input; `None` if no shape is
    /// accepted.
    Done(Option<(Shape, Vec<Column>)>),
}

impl Fitting {
    /// Tries a harvest with each of its choices of tables; in the step of a recursive WITH, with
    /// each single table besides the steps before.
    pub fn of_sources(passes: &Materialise<'_, '_>, harvest: usize) -> Self {
        if let Some(factors) = passes.step_factors(harvest) {
            let shape = |factor| Shape {
                factor: Some(factor),
                ..Shape::default()
            };
            return Self::new(harvest, factors.into_iter().map(shape));
        }
        let sources = 0..passes.source_count(harvest);
        let shape = |source| Shape {
            source,
            ..Shape::default()
        };
        Self::new(harvest, sources.map(shape))
    }

    /// Tries a harvest with each single table of its join.
    pub fn of_factors(passes: &Materialise<'_, '_>, harvest: usize, own: &Shape) -> Self {
        let factors = 0..passes.factor_count(harvest, own.source);
        let shape = |factor| Shape {
            factor: Some(factor),
            ..own.clone()
        };
        Self::new(harvest, factors.map(shape))
    }

    fn new(harvest: usize, candidates: impl Iterator<Item = Shape>) -> Self {
        Self {
            harvest,
            candidates: candidates.collect(),
            current: None,
            refused: None,
        }
    }

    /// The first probe of the next candidate.
    pub fn begin(&mut self, passes: &Materialise<'_, '_>) -> Fitted {
        let Some(mut shape) = self.candidates.pop_front() else {
            return Fitted::Done(None);
        };
        let all: Vec<usize> = (0..passes.condition_count(self.harvest, shape.source)).collect();
        shape.conditions.clone_from(&all);
        let question = self.probe(passes, &shape);
        self.current = Some(Fit {
            shape,
            all,
            tried: Tried::All,
        });
        Fitted::Ask(question)
    }

    /// Processes the reply to the last probe.
    pub fn next(&mut self, passes: &Materialise<'_, '_>, reply: Reply) -> Result<Fitted, Failure> {
        let described = match reply {
            // An interruption is not caused by the shape.
            Reply::Refused(refusal) if !refusal.is_interruption() => {
                self.refused.get_or_insert_with(|| refusal.text());
                None
            }
            reply => Some(reply.described()?),
        };
        let Some(fit) = self.current.take() else {
            return Ok(Fitted::Done(None));
        };
        Ok(match fit.next(described) {
            Ok(fitted) => Fitted::Done(Some(fitted)),
            Err(Some(fit)) => {
                let question = self.probe(passes, &fit.shape);
                self.current = Some(fit);
                Fitted::Ask(question)
            }
            Err(None) => self.begin(passes),
        })
    }

    fn probe(&self, passes: &Materialise<'_, '_>, shape: &Shape) -> Question {
        Question::describe(passes.probe(self.harvest, shape))
    }
}

impl Fit {
    /// Processes the description from the last probe, `None` where the store refused it. Gives the
    /// accepted shape, or `Err` with the next trial, which is `None` when no trial is left.
    fn next(
        mut self,
        described: Option<Vec<Column>>,
    ) -> Result<(Shape, Vec<Column>), Option<Self>> {
        match (self.tried, described) {
            (Tried::All | Tried::Possible, Some(columns)) => return Ok((self.shape, columns)),
            (Tried::All, None) if !self.all.is_empty() => {
                self.shape.conditions.clear();
                self.tried = Tried::None;
            }
            (Tried::All | Tried::None | Tried::Possible, None) => return Err(None),
            // The shape without conditions works: conditions on columns of other tables are left
            // out.
            (Tried::None, Some(_)) => {
                let possible = Vec::new();
                self.tried = Tried::One { place: 0, possible };
                self.shape.conditions = self.all.iter().take(1).copied().collect();
            }
            (
                Tried::One {
                    place,
                    mut possible,
                },
                described,
            ) => {
                if described.is_some() {
                    possible.extend(self.all.get(place));
                }
                match self.all.get(place + 1) {
                    Some(condition) => {
                        self.shape.conditions = vec![*condition];
                        let place = place + 1;
                        self.tried = Tried::One { place, possible };
                    }
                    None => {
                        self.shape.conditions = possible;
                        self.tried = Tried::Possible;
                    }
                }
            }
        }
        Err(Some(self))
    }
}
