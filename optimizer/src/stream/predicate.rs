//! Conditions on a score, such as `predict_proba(...) > 0.8`, evaluated numerically.

use std::ops::Range;

use sqlparser::tokenizer::Token;

use crate::sql::boolean::without_parentheses;
use crate::sql::expression::{Dependence, dependence};
use crate::sql::text::Lexed;

/// Comparison operator between a score and a constant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `=`
    Equal,
    /// `<>`, `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

impl Comparison {
    /// Value of `score <comparison> constant`; NULL where either side is NULL.
    pub fn holds(self, score: Option<f64>, constant: Option<f64>) -> Option<bool> {
        let (score, constant) = score.zip(constant)?;
        Some(match self {
            Self::Equal => score == constant,
            Self::NotEqual => score != constant,
            Self::Less => score < constant,
            Self::LessOrEqual => score <= constant,
            Self::Greater => score > constant,
            Self::GreaterOrEqual => score >= constant,
        })
    }

    fn of(token: &Token) -> Option<Self> {
        Some(match token {
            Token::Eq => Self::Equal,
            Token::Neq => Self::NotEqual,
            Token::Lt => Self::Less,
            Token::LtEq => Self::LessOrEqual,
            Token::Gt => Self::Greater,
            Token::GtEq => Self::GreaterOrEqual,
            _ => return None,
        })
    }

    fn mirrored(self) -> Self {
        match self {
            Self::Less => Self::Greater,
            Self::LessOrEqual => Self::GreaterOrEqual,
            Self::Greater => Self::Less,
            Self::GreaterOrEqual => Self::LessOrEqual,
            same => same,
        }
    }
}

/// A test of one score.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScoreTest {
    /// `IS NULL` (true) or `IS NOT NULL` (false).
    IsNull(bool),
    /// All comparisons hold; each refers to its constant by index in the statement's constants.
    Compare(Vec<(Comparison, usize)>),
}

impl ScoreTest {
    /// Value of the test for a score; `None` for NULL.
    pub fn holds(&self, score: Option<f64>, constants: &[Option<f64>]) -> Option<bool> {
        match self {
            Self::IsNull(null) => Some(score.is_none() == *null),
            Self::Compare(tests) => {
                let constant = |place: &usize| constants.get(*place).copied().flatten();
                let tests = tests.iter();
                let all: Vec<_> = tests
                    .map(|(c, place)| c.holds(score, constant(place)))
                    .collect();
                match all.contains(&Some(false)) {
                    true => Some(false),
                    false => (!all.contains(&None)).then_some(true),
                }
            }
        }
    }
}

/// Parses `range`, whose only call is at `call`, as a test of a score. Constants (lexeme ranges)
/// are appended to `constants`. `None`: it has another form.
pub(crate) fn score_test(
    lexed: &Lexed<'_>,
    range: Range<usize>,
    call: &Range<usize>,
    constants: &mut Vec<Range<usize>>,
) -> Option<ScoreTest> {
    let range = without_parentheses(lexed, range);
    let is_constant = |r: &Range<usize>| {
        !r.is_empty()
            && matches!(
                dependence(lexed, r.clone(), &[]),
                Ok(Dependence::Prediction)
            )
            && !r
                .clone()
                .any(|at| Comparison::of_token(lexed, at).is_some() || is_logic(lexed, at))
    };
    if range.start == call.start {
        let rest = call.end..range.end;
        if lexed.is_keyword(rest.start, "IS") && lexed.is_keyword(rest.end - 1, "NULL") {
            return match rest.len() {
                2 => Some(ScoreTest::IsNull(true)),
                3 if lexed.is_keyword(rest.start + 1, "NOT") => Some(ScoreTest::IsNull(false)),
                _ => None,
            };
        }
        if lexed.is_keyword(rest.start, "BETWEEN") {
            let and = (rest.start..rest.end).find(|&at| lexed.is_keyword(at, "AND"))?;
            let (low, high) = (rest.start + 1..and, and + 1..rest.end);
            if !is_constant(&low) || !is_constant(&high) {
                return None;
            }
            constants.extend([low, high]);
            let last = constants.len() - 1;
            return Some(ScoreTest::Compare(vec![
                (Comparison::GreaterOrEqual, last - 1),
                (Comparison::LessOrEqual, last),
            ]));
        }
        let comparison = Comparison::of_token(lexed, rest.start)?;
        let constant = rest.start + 1..rest.end;
        is_constant(&constant).then(|| constants.push(constant))?;
        return Some(ScoreTest::Compare(vec![(comparison, constants.len() - 1)]));
    }
    if range.end == call.end && call.start > range.start + 1 {
        let comparison = Comparison::of_token(lexed, call.start - 1)?.mirrored();
        let constant = range.start..call.start - 1;
        is_constant(&constant).then(|| constants.push(constant))?;
        return Some(ScoreTest::Compare(vec![(comparison, constants.len() - 1)]));
    }
    None
}

impl Comparison {
    fn of_token(lexed: &Lexed<'_>, at: usize) -> Option<Self> {
        lexed.token(at).and_then(Self::of)
    }
}

/// Operator words that would make the comparison part of a larger expression.
fn is_logic(lexed: &Lexed<'_>, at: usize) -> bool {
    [
        "AND", "OR", "XOR", "NOT", "IS", "IN", "LIKE", "BETWEEN", "REGEXP", "RLIKE", "CASE",
    ]
    .iter()
    .any(|w| lexed.is_keyword(at, w))
        || matches!(
            lexed.token(at),
            Some(Token::Overlap | Token::StringConcat | Token::Spaceship)
        )
}
