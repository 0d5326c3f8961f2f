//! Kinds of a stream plan's inputs, and how they are fetched.

use super::draft::Draft;
use super::session::PlanSession;
use crate::exchange::Column;
use crate::plan::{InputKind, bytes_asked, columns_key};
use crate::refusal::Refusal;
use crate::stream::{InputText, StreamSelect};

/// The store's description of a stream plan's inputs.
#[derive(Debug, Default)]
pub(super) struct Inputs {
    /// Kind of each input.
    pub kinds: Vec<InputKind>,
    /// Description of each image input that is an expression and not a parameter; `None` for
    /// others.
    images: Vec<Option<Column>>,
}

impl Inputs {
    /// Reads the descriptions of all input expressions, in order. A parameter's type is known only
    /// when it is bound.
    pub fn read(
        select: &StreamSelect<'_, '_>,
        session: &PlanSession,
        mut described: &[Column],
    ) -> Result<Self, Refusal> {
        let mut inputs = Self::default();
        for input in 0..select.input_count() {
            let arguments = select.input_arguments(input).min(described.len());
            let (own, others) = described.split_at(arguments);
            described = others;
            let columns = select.input_columns(input);
            let is_bound = select.input_parameter(input).is_some();
            let is_image = columns.is_empty() && !is_bound;
            inputs
                .images
                .push(own.first().filter(|_| is_image).cloned());
            inputs.kinds.push(match own {
                _ if !columns.is_empty() => {
                    InputKind::Columns(columns_key(columns, own, session.is_strict))
                }
                [image] if !is_bound => {
                    InputKind::of_image(image, select.input_text(input), session.literals_binary)?
                }
                _ => InputKind::Bound,
            });
        }
        Ok(inputs)
    }

    /// Determines whether bound inputs are text or bytes before the query is sent, where text has
    /// to be converted to UTF-8.
    pub fn bind(&mut self, select: &StreamSelect<'_, '_>, session: &PlanSession) {
        if !session.is_binary() || session.results_utf8 {
            return;
        }
        for (input, kind) in self.kinds.iter_mut().enumerate() {
            if let (InputKind::Bound, Some(number)) = (&kind, select.input_parameter(input)) {
                *kind = match session.holds_nul(number) {
                    true => InputKind::Bytes,
                    false => InputKind::Location,
                };
            }
        }
    }

    /// How to fetch each input that some prediction needs; `None` for the others. An image that
    /// may be too long is fetched only if it is within the limit; an expression that must not be
    /// evaluated twice is always fetched, and its length is checked afterwards.
    pub fn wanted(
        &self,
        select: &StreamSelect<'_, '_>,
        session: &PlanSession,
        drafts: &[Draft],
    ) -> Vec<Option<InputText>> {
        let is_needed = |input: usize| {
            let mut asked = select.predictions().iter().zip(drafts);
            asked.any(|(p, draft)| p.input == input && draft.needed)
        };
        let bytes_max = |input: usize| {
            let image = self.images.get(input)?.as_ref()?;
            bytes_asked(image, session.growth(), session.image_bytes_max)
                .filter(|_| select.is_repeatable(input) && !select.is_literal(input))
        };
        let how = |input: usize| match self.kinds.get(input) {
            Some(InputKind::Columns(key)) => InputText::Columns(key.clone()),
            kind => {
                let utf8 = kind == Some(&InputKind::Location) && !session.results_utf8;
                match bytes_max(input) {
                    Some(bytes_max) => InputText::Within { utf8, bytes_max },
                    None if utf8 => InputText::Utf8,
                    None => InputText::AsIs,
                }
            }
        };
        let inputs = 0..select.input_count();
        inputs
            .map(|input| is_needed(input).then(|| how(input)))
            .collect()
    }
}
