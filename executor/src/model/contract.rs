//! Checks a model's declared inputs and outputs against its options.

use std::sync::Arc;

use ort::value::{TensorElementType, ValueType};
use predictsql_catalog::{ImageOptions, ModelInput, ModelOptions};

use super::columns::ColumnsSpec;
use super::outlets::{Outlet, axes, describe};
use super::reader::Reader;
use crate::error::ModelError;
use crate::picture::InputSpec;

/// Kind and layout of a model's input.
#[derive(Debug, Clone)]
pub(crate) enum Feed {
    Image(Arc<InputSpec>),
    Columns(Arc<ColumnsSpec>),
}

/// Type of the numbers of an image input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Element {
    /// float32
    Single,
    /// float16
    Half,
    /// uint8: the sample values 0..255 as they are.
    Byte,
}

/// Declared properties of a model; warm-up verifies that they hold.
#[derive(Debug, Clone)]
pub(crate) struct Contract {
    pub(crate) feed: Feed,
    /// Type of an image input.
    pub(crate) element: Element,
    pub(crate) reader: Reader,
    /// The model's fixed batch size, if it has one.
    pub(crate) batch_fixed: Option<usize>,
}

/// Checks the declared inputs and outputs. Dynamic axes match anything.
pub(crate) fn check(
    inputs: &[Outlet],
    outputs: &[Outlet],
    options: &ModelOptions,
) -> Result<Contract, ModelError> {
    if options.labels.is_empty() && options.output.answer_shape().has_classes() {
        return Err(ModelError::Options {
            reason: "labels is empty".to_string(),
        });
    }
    let (feed, element, batch_fixed) = match &options.input {
        ModelInput::Image(image) => {
            let invalid = |reason| ModelError::Options { reason };
            let spec = InputSpec::new(image).map_err(invalid)?;
            let (element, batch_fixed) = check_image_input(inputs, image, &spec)?;
            let spec = match element {
                Element::Single | Element::Half => spec,
                Element::Byte => spec.of_samples().map_err(invalid)?,
            };
            (Feed::Image(Arc::new(spec)), element, batch_fixed)
        }
        ModelInput::Columns { columns } => {
            let (spec, batch_fixed) = ColumnsSpec::new(columns, inputs)?;
            (Feed::Columns(Arc::new(spec)), Element::Single, batch_fixed)
        }
    };
    Ok(Contract {
        feed,
        element,
        reader: Reader::new(outputs, options, batch_fixed)?,
        batch_fixed,
    })
}

/// The input's type, and its fixed batch size, if it has one.
fn check_image_input(
    inputs: &[Outlet],
    options: &ImageOptions,
    spec: &InputSpec,
) -> Result<(Element, Option<usize>), ModelError> {
    let [input] = inputs else {
        let names: Vec<_> = inputs.iter().map(Outlet::name).collect();
        return Err(ModelError::InputCount {
            count: inputs.len(),
            names: names.join(", "),
        });
    };
    let wrong_type = || ModelError::InputType {
        name: input.name().to_string(),
        found: describe(input.dtype()),
    };
    let ValueType::Tensor { ty, shape, .. } = input.dtype() else {
        return Err(wrong_type());
    };
    let element = match ty {
        TensorElementType::Float32 => Element::Single,
        TensorElementType::Float16 => Element::Half,
        // One axis of bytes is an encoded image.
        TensorElementType::Uint8 if shape.len() != 1 => Element::Byte,
        _ => return Err(wrong_type()),
    };
    let [_, expected @ ..] = spec.shape(1);
    let fits = |(found, expected): (&i64, &usize)| {
        *found < 0 || usize::try_from(*found).is_ok_and(|found| found == *expected)
    };
    match &shape[..] {
        [batch, axes @ ..]
            if axes.len() == 3 && axes.iter().zip(&expected).all(fits) && *batch != 0 =>
        {
            Ok((element, usize::try_from(*batch).ok()))
        }
        _ => Err(ModelError::InputShape {
            name: input.name().to_string(),
            found: axes(shape),
            expected: format!("[batch, {}, {}, {}]", expected[0], expected[1], expected[2]),
            options: in_words(options),
        }),
    }
}

fn in_words(options: &ImageOptions) -> String {
    let layout = options.layout.name();
    format!(
        "layout={layout}, height={}, width={}, channels={}",
        options.height, options.width, options.channels
    )
}
