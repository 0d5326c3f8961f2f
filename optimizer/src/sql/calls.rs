//! Finds the predict calls of a statement and resolves them in the catalog.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use predictsql_catalog::{AnswerShape, Model, Snapshot, Task, TaskInput};
use sqlparser::tokenizer::Token;

use super::bare::BareNames;
use super::fragment::{Fragment, Splice, quote_name, splice};
use super::labels::LabelCollation;
use super::text::{LexMode, Lexed};
use crate::refusal::Refusal;

/// Maximum number of different predict calls in a statement.
const CALLS_MAX: usize = 1_000;

/// Maximum number of predict calls in a statement, equal ones included: the analysis compares them
/// pairwise.
const CALLS_WRITTEN_MAX: usize = 4_000;

/// The value that a call returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// The task's answer, with this shape.
    Answer(AnswerShape),
    /// The score of the class at this position in the task's classes.
    Probability(usize),
}

impl Asked {
    /// Whether it is a label: one of finitely many outcomes, for each of which the store can
    /// evaluate expressions before any prediction.
    pub(crate) fn is_label(self) -> bool {
        match self {
            Self::Answer(AnswerShape::Label) => true,
            Self::Answer(AnswerShape::Value) | Self::Probability(_) => false,
        }
    }
}

/// A resolved predict call.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    /// Lexemes from the schema name, or the function name of an unqualified call, to the closing
    /// parenthesis.
    pub(crate) range: Range<usize>,
    pub(crate) asked: Asked,
    pub(crate) task: Arc<Task>,
    /// The model, where the call names one.
    pub(crate) model: Option<Arc<Model>>,
    /// Lexemes of the input: one expression, or one per column of the task.
    pub(crate) input: Range<usize>,
}

impl Call {
    /// Lexemes of each input expression.
    pub(crate) fn arguments(&self, lexed: &Lexed<'_>) -> Vec<Range<usize>> {
        lexed.split_commas(self.input.clone())
    }
}

/// The predict calls of a statement in order; a call within the arguments of another follows it.
/// Calls of other functions of the schema, neither generic nor a task's, are left to the store.
/// Unqualified functions named in `bare` belong to the schema too.
pub(crate) fn find(
    lexed: &Lexed<'_>,
    schema: &str,
    bare: &BareNames,
    catalog: &Snapshot,
) -> Result<Vec<Call>, Refusal> {
    let mut calls: Vec<Call> = Vec::new();
    let mut different = HashSet::new();
    for at in 0..lexed.lexemes.len() {
        if let Some((name, open)) = schema_call(lexed, schema, at).or_else(|| bare.call(lexed, at))
            && let Some(call) = resolve(lexed, schema, catalog, at, &name, open)?
        {
            if calls.len() == CALLS_WRITTEN_MAX {
                return Err(Refusal::unsupported(format_args!(
                    "more than {CALLS_WRITTEN_MAX} predict calls in a statement"
                )));
            }
            different.insert(written(lexed, &call));
            if different.len() > CALLS_MAX {
                return Err(Refusal::unsupported(format_args!(
                    "more than {CALLS_MAX} different predict calls in a statement"
                )));
            }
            calls.push(call);
        }
    }
    Ok(calls)
}

/// A call as it is written, but for space and comments. Each parameter is a call of its own.
fn written<'l>(lexed: &'l Lexed<'_>, call: &Call) -> (Vec<&'l Token>, Option<usize>) {
    let lexemes = lexed.lexemes.get(call.range.clone()).unwrap_or_default();
    let tokens: Vec<&Token> = lexemes.iter().map(|lexeme| &lexeme.token).collect();
    let has_parameter = tokens
        .iter()
        .any(|token| matches!(token, Token::Placeholder(_) | Token::Question));
    (tokens, has_parameter.then_some(call.range.start))
}

/// Whether a text calls a function of the schema that is neither generic nor a task's in this
/// catalog: it may belong to a newer task.
pub fn may_call_newer_task(text: &str, mode: LexMode, schema: &str, catalog: &Snapshot) -> bool {
    let is_known = |name: &str| {
        let generic = ["predict", "predict_proba"];
        generic.iter().any(|known| name.eq_ignore_ascii_case(known)) || catalog.task(name).is_some()
    };
    Lexed::new(text, mode).is_some_and(|lexed| {
        let mut calls = (0..lexed.lexemes.len()).filter_map(|at| schema_call(&lexed, schema, at));
        calls.any(|(name, _)| !is_known(&name))
    })
}

/// Splices for the outermost calls within `range`: `replace` maps a call's index to its
/// replacement.
pub(crate) fn outermost_splices(
    calls: &[Call],
    range: &Range<usize>,
    mut replace: impl FnMut(usize) -> Fragment,
) -> Vec<Splice> {
    let mut splices: Vec<Splice> = Vec::new();
    let mut until = range.start;
    for (index, call) in calls.iter().enumerate() {
        if call.range.start >= until && call.range.end <= range.end {
            until = call.range.end;
            splices.push((call.range.clone(), replace(index)));
        }
    }
    splices
}

/// Splices that replace every call in `range` by its typed stub, for the store to check.
pub(crate) fn stub_splices(
    lexed: &Lexed<'_>,
    schema: &str,
    calls: &[Call],
    range: &Range<usize>,
) -> Vec<Splice> {
    described_splices(lexed, schema, calls, range, LabelCollation::Default)
}

/// Splices that replace every call in `range` by an expression with the type and collation of its
/// answer, for the store to describe: its stub, wrapped in labels where these have another
/// collation.
pub(crate) fn described_splices(
    lexed: &Lexed<'_>,
    schema: &str,
    calls: &[Call],
    range: &Range<usize>,
    labels: LabelCollation,
) -> Vec<Splice> {
    outermost_splices(calls, range, |index| {
        described(lexed, schema, calls, index, labels)
    })
}

fn described(
    lexed: &Lexed<'_>,
    schema: &str,
    calls: &[Call],
    index: usize,
    labels: LabelCollation,
) -> Fragment {
    let mut out = Fragment::default();
    let Some(call) = calls.get(index) else {
        return out;
    };
    let (before, after) = match call.asked {
        Asked::Probability(_) => ("(", "+0e0)".to_owned()),
        Asked::Answer(AnswerShape::Value) => ("", String::new()),
        Asked::Answer(AnswerShape::Label) => match labels {
            LabelCollation::Default => ("", String::new()),
            LabelCollation::Connection => (
                "ELT(CAST(",
                format!(" AS SIGNED), {})", labels.wide_list(&call.task)),
            ),
        },
    };
    out.push(before)
        .push(&stub_name(schema, &call.task))
        .push("(");
    let within = described_splices(lexed, schema, calls, &call.input, labels);
    out.push_fragment(&splice(lexed, call.input.clone(), &within))
        .push(")")
        .push(&after);
    out
}

/// The quoted name of a task's stub.
pub(crate) fn stub_name(schema: &str, task: &Task) -> String {
    format!("{}.{}", quote_name(schema), quote_name(&task.name))
}

/// Recognises `schema . name (` at `at`; returns the name and the index of the parenthesis.
fn schema_call(lexed: &Lexed<'_>, schema: &str, at: usize) -> Option<(String, usize)> {
    if at > 0 && matches!(lexed.token(at - 1), Some(Token::Period)) {
        return None;
    }
    let word = |i: usize| match lexed.token(i) {
        Some(Token::Word(w)) => Some(w.value.clone()),
        _ => None,
    };
    let matches = word(at)?.eq_ignore_ascii_case(schema)
        && matches!(lexed.token(at + 1), Some(Token::Period))
        && matches!(lexed.token(at + 3), Some(Token::LParen));
    matches
        .then(|| word(at + 2).map(|name| (name, at + 3)))
        .flatten()
}

fn resolve(
    lexed: &Lexed<'_>,
    schema: &str,
    catalog: &Snapshot,
    at: usize,
    name: &str,
    open: usize,
) -> Result<Option<Call>, Refusal> {
    let Some(end) = lexed.after_closing(open) else {
        return Ok(None);
    };
    let arguments = lexed.split_commas(open + 1..end - 1);
    let function = format!("{schema}.{}", name.to_ascii_lowercase());
    let argument = |i: usize| arguments.get(i).cloned().unwrap_or_default();
    // The input follows the arguments that name task, model or class.
    let input = |before: usize, task: &Task| match arguments.len() - before.min(arguments.len()) {
        got if got == task.input_arguments() => Ok(argument(before).start..end - 1),
        _ => Err(wrong_count(&function, before, task, arguments.len())),
    };
    let named = |count: usize| match arguments.len() {
        got if got < count => Err(Refusal::argument_count(&function, count + 1, got)),
        _ => Ok(()),
    };
    let range = at..end;
    let call = match name.to_ascii_lowercase().as_str() {
        "predict" => {
            named(1)?;
            let (task, model) = target(lexed, schema, catalog, &function, &argument(0))?;
            Call {
                range,
                asked: Asked::Answer(task.answer_shape()),
                input: input(1, &task)?,
                task,
                model,
            }
        }
        "predict_proba" => {
            named(2)?;
            let (task, model) = target(lexed, schema, catalog, &function, &argument(0))?;
            Call {
                range,
                asked: probability(lexed, &function, &task, &argument(1))?,
                input: input(2, &task)?,
                task,
                model,
            }
        }
        "has" | "count" | "detect" => {
            return Err(Refusal::unsupported(format_args!("{function}()")));
        }
        _ => match catalog.task(name) {
            Some(task) => Call {
                range,
                asked: Asked::Answer(task.answer_shape()),
                input: input(0, task)?,
                task: Arc::clone(task),
                model: None,
            },
            None => return Ok(None),
        },
    };
    Ok(Some(call))
}

/// The probability of the class named by an argument.
fn probability(
    lexed: &Lexed<'_>,
    function: &str,
    task: &Task,
    argument: &Range<usize>,
) -> Result<Asked, Refusal> {
    match task.answer_shape() {
        AnswerShape::Label => {
            let class = literal(lexed, function, "class", argument)?;
            let index = task.class_index(&class);
            let unknown = || Refusal::unknown_class(&task.name, &class, &task.classes);
            index.map(Asked::Probability).ok_or_else(unknown)
        }
        AnswerShape::Value => {
            let what = task.without_classes();
            Err(Refusal::argument(function, format_args!("{what}")))
        }
    }
}

/// The refusal for a call whose input arguments, after `before` other arguments, do not match the
/// task's.
fn wrong_count(function: &str, before: usize, task: &Task, got: usize) -> Refusal {
    let mut refusal = Refusal::argument_count(function, before + task.input_arguments(), got);
    if let TaskInput::Columns(_) = &task.input {
        let of_task = format!(" (task '{}' is over {})", task.name, task.input);
        refusal.message.push_str(&of_task);
    }
    refusal
}

/// The task or model named by the first argument: `task`, `model` or `model@version`.
fn target(
    lexed: &Lexed<'_>,
    schema: &str,
    catalog: &Snapshot,
    function: &str,
    argument: &Range<usize>,
) -> Result<(Arc<Task>, Option<Arc<Model>>), Refusal> {
    let name = literal(lexed, function, "task or model", argument)?;
    if let Some(task) = catalog.task(&name) {
        return Ok((Arc::clone(task), None));
    }
    let (model, version) = match name.split_once('@') {
        Some((model, version)) => (model, Some(version)),
        None => (name.as_str(), None),
    };
    let model = catalog
        .model(model, version)
        .ok_or_else(|| Refusal::unknown_target(schema, &name))?;
    let task = catalog
        .task(&model.task)
        .ok_or_else(|| Refusal::unknown_target(schema, &model.task))?;
    Ok((Arc::clone(task), Some(Arc::clone(model))))
}

fn literal(
    lexed: &Lexed<'_>,
    function: &str,
    what: &str,
    argument: &Range<usize>,
) -> Result<String, Refusal> {
    if argument.len() == 1 && matches!(lexed.token(argument.start), Some(Token::Placeholder(_))) {
        return Err(Refusal::unsupported(format_args!(
            "a parameter as the {what} of {function}()"
        )));
    }
    lexed.string_literal(argument).ok_or_else(|| {
        Refusal::argument(
            function,
            format_args!("the {what} must be a string literal"),
        )
    })
}
