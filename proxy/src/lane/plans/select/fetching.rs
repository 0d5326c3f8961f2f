//! How a stream plan's inputs are fetched.

use predictsql_optimizer::stream::{InputText, StreamSelect};

use crate::lane::plans::inputs::{InputKind, bytes_asked};
use crate::lane::plans::select::{Described, ReadyPrediction};
use crate::lane::session::settings::SessionSettings;
use crate::wire::ColumnDefinition;

/// The description of each input that is one expression and no parameter.
pub fn image_columns(
    select: &StreamSelect<'_, '_>,
    described: &[ColumnDefinition],
) -> Vec<Option<ColumnDefinition>> {
    let mut place = 0;
    let column = |input| {
        let own = described.get(place);
        place += select.input_arguments(input);
        let is_image = select.input_columns(input).is_empty();
        own.filter(|_| is_image && select.input_parameter(input).is_none())
            .cloned()
    };
    (0..select.input_count()).map(column).collect()
}

/// The inputs that some prediction needs, and how each is fetched. An image that may be too long is only fetched where
/// it is not; an expression that cannot be evaluated twice is fetched in any case, and looked at when it is here.
pub fn wanted_inputs(
    (select, image_bytes_max): (&StreamSelect<'_, '_>, u64),
    settings: &SessionSettings,
    described: &Described,
    predictions: &[ReadyPrediction],
    impossible: bool,
) -> Vec<Option<InputText>> {
    let is_needed = |input: usize| {
        let mut asked = select.predictions().iter().zip(predictions);
        !impossible && asked.any(|(p, ready)| p.input == input && ready.needed)
    };
    let growth = if settings.results_utf8 { 1 } else { 4 };
    let bytes_max = |input: usize| {
        let image = described.images.get(input)?.as_ref()?;
        bytes_asked(image, growth, image_bytes_max).filter(|_| select.is_repeatable(input))
    };
    let how = |input: usize| match described.inputs.get(input) {
        Some(InputKind::Columns(key)) => InputText::Columns(key.clone()),
        kind => {
            let utf8 = kind == Some(&InputKind::Location) && !settings.results_utf8;
            match bytes_max(input) {
                Some(bytes_max) => InputText::Within { utf8, bytes_max },
                None if utf8 => InputText::Utf8,
                None => InputText::AsIs,
            }
        }
    };
    (0..select.input_count())
        .map(|input| is_needed(input).then(|| how(input)))
        .collect()
}
