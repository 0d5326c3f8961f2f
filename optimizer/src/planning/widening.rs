//! Wider harvests: the shapes to use after the store asked for the key of a row that no harvest
//! read.

use super::fit::{Fitted, Fitting};
use crate::exchange::{Conversation, Failure, Reply, Step};
use crate::materialise::{Materialise, MemberRows, Members, Shape};
use crate::plan::Relate;
use crate::refusal::Refusal;

/// How many rows a harvest reads, and whether keys may be missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Breadth {
    /// The rows that reach the call; no key may be missing.
    Block,
    /// If the members are known, the same rows: keys of other rows may be missing. Otherwise the
    /// rows of the input's own table that pass the conditions on that table.
    Members,
    /// If the members are known, all members, regardless of other predictions; otherwise all rows
    /// of the input's own table.
    Everything,
}

impl Breadth {
    /// The next wider breadth; `None` after the last.
    pub fn next(self) -> Option<Self> {
        match self {
            Self::Block => Some(Self::Members),
            Self::Members => Some(Self::Everything),
            Self::Everything => None,
        }
    }
}

/// The purpose of a fitting.
#[derive(Debug, Clone, Copy)]
enum Purpose {
    /// To find the members of a harvest, with or without the conditions on their table.
    Members { conditions: bool },
    /// To find the rows of the input's own table.
    Unjoined,
}

/// Finds the shapes of all harvests at a breadth, and their members where these are known.
pub struct Widening<'p, 's, 'a> {
    passes: &'p Materialise<'s, 'a>,
    /// The original shape of each harvest.
    own: Vec<Shape>,
    breadth: Breadth,
    /// Whether to look for members.
    with_members: bool,
    fitting: Option<(Fitting, Purpose)>,
    shapes: Vec<Shape>,
    members: Vec<Option<Members>>,
}

/// The shape of each harvest, and its members if they are known.
pub type Widened = (Vec<Shape>, Vec<Option<Members>>);

impl<'p, 's, 'a> Widening<'p, 's, 'a> {
    /// Starts widening these harvests.
    pub fn new(
        passes: &'p Materialise<'s, 'a>,
        relates: &[&Relate],
        breadth: Breadth,
        with_members: bool,
    ) -> Self {
        Self {
            passes,
            own: relates.iter().map(|r| r.shape.clone()).collect(),
            breadth,
            with_members,
            fitting: None,
            shapes: Vec::new(),
            members: Vec::new(),
        }
    }

    /// Continues with the first harvest that has no wider shape yet.
    fn ask(&mut self) -> Result<Step<Widened>, Failure> {
        while let Some(own) = self.own.get(self.shapes.len()).cloned() {
            let number = self.shapes.len();
            let rows = match self.with_members {
                true => self.passes.member_rows(number, own.source),
                false => MemberRows::Unknown,
            };
            let purpose = match rows {
                MemberRows::OfBlock => {
                    let members = self.passes.native_shape(number, &own);
                    self.add_with_members(own, members);
                    continue;
                }
                MemberRows::OfTable { conditions } => Purpose::Members { conditions },
                MemberRows::Unknown => Purpose::Unjoined,
            };
            if let Some(step) = self.fit(purpose, &own)? {
                return Ok(step);
            }
        }
        Ok(Step::Ready((
            std::mem::take(&mut self.shapes),
            std::mem::take(&mut self.members),
        )))
    }

    /// Starts a fitting for the next harvest; `None`: it is finished without a question.
    fn fit(&mut self, purpose: Purpose, own: &Shape) -> Result<Option<Step<Widened>>, Failure> {
        let mut fitting = Fitting::of_factors(self.passes, self.shapes.len(), own);
        let fitted = fitting.begin(self.passes);
        self.fitted(fitting, purpose, fitted)
    }

    fn fitted(
        &mut self,
        fitting: Fitting,
        purpose: Purpose,
        fitted: Fitted,
    ) -> Result<Option<Step<Widened>>, Failure> {
        let number = self.shapes.len();
        let own = self.own.get(number).cloned().unwrap_or_default();
        match (fitted, purpose) {
            (Fitted::Ask(question), purpose) => {
                self.fitting = Some((fitting, purpose));
                return Ok(Some(Step::Ask(question)));
            }
            (Fitted::Done(Some((mut shape, _))), Purpose::Members { conditions }) => {
                if !conditions {
                    shape.conditions.clear();
                }
                let members = self.passes.native_shape(number, &shape);
                self.add_with_members(own, members);
            }
            (Fitted::Done(None), Purpose::Members { .. }) => {
                return self.fit(Purpose::Unjoined, &own);
            }
            (Fitted::Done(fitted), Purpose::Unjoined) => {
                let mut wide = fitted.map_or(own, |(shape, _)| shape);
                if self.breadth == Breadth::Everything {
                    wide.conditions.clear();
                    wide.stripped = true;
                }
                self.shapes.push(wide);
                self.members.push(None);
            }
        }
        Ok(None)
    }

    fn add_with_members(&mut self, own: Shape, members: Shape) {
        self.shapes.push(match self.breadth {
            Breadth::Members => own,
            Breadth::Block | Breadth::Everything => members.clone(),
        });
        let locking = self.passes.reads_current_rows();
        self.members.push(Some(Members {
            shape: members,
            locking,
        }));
    }
}

impl Conversation for Widening<'_, '_, '_> {
    type Outcome = Widened;

    fn begin(&mut self) -> Result<Step<Widened>, Failure> {
        self.ask()
    }

    fn next(&mut self, reply: Reply) -> Result<Step<Widened>, Failure> {
        let Some((mut fitting, purpose)) = self.fitting.take() else {
            return Err(Refusal::internal("a reply without a question").into());
        };
        let fitted = fitting.next(self.passes, reply)?;
        match self.fitted(fitting, purpose, fitted)? {
            Some(step) => Ok(step),
            None => self.ask(),
        }
    }
}
