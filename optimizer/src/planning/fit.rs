//! Finds the tables and conditions of a harvest that the store accepts.

use std::collections::VecDeque;

use crate::exchange::{Column, Failure, Question, Reply};
use crate::materialise::{Materialise, Shape};

/// The first of several shapes whose tables the store accepts,
/// with all conditions that it accepts with them.
#[derive(Debug)]
pub(super) struct Fitting {
    harvest: usize,
    candidates: VecDeque<Shape>,
    current: Option<Fit>,
    /// Why the store refused the first that it refused.
    pub refused: Option<String>,
}

/// One shape, which is tried with conditions.
#[derive(Debug)]
struct Fit {
    shape: Shape,
    all: Vec<usize>,
    tried: Tried,
}

/// Which conditions were tried last.
#[derive(Debug)]
enum Tried {
    All,
    None,
    /// The one at this place; those before it are known to be possible or not.
    One {
        place: usize,
        possible: Vec<usize>,
    },
    Possible,
}

/// What comes of a try.
pub(super) enum Fitted {
    /// The shape is tried on.
    Ask(Question),
    /// The store accepts this shape, and describes the input so; or none of them.
    Done(Option<(Shape, Vec<Column>)>),
}

impl Fitting {
    /// Of a harvest over each choice of tables for it.
    pub fn of_sources(passes: &Materialise<'_, '_>, harvest: usize) -> Self {
        let sources = 0..passes.source_count(harvest);
        let shape = |source| Shape {
            source,
            ..Shape::default()
        };
        Self::new(harvest, sources.map(shape))
    }

    /// Of a harvest over each single table of those that it joins.
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

    /// The first step.
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

    /// Takes the reply to the last probe.
    pub fn next(&mut self, passes: &Materialise<'_, '_>, reply: Reply) -> Result<Fitted, Failure> {
        let described = match reply {
            // A statement that is ended says nothing of the shape.
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
    /// Takes the description of what was tried, `None` where the store refused it. Gives the shape
    /// that fits; else what is tried next, `None` where nothing is left.
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
            // Conditions on columns of other tables are left out.
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
