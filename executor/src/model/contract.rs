//! Holds a model's declared inputs and outputs against the options it was created with.

use ort::session::Session;
use ort::value::{Outlet, Shape, TensorElementType, ValueType};
use predictsql_catalog::{ImageOptions, Layout, ModelOptions, Output};

use crate::ModelError;
use crate::picture::InputSpec;

/// What a model promised, as far as it declares it: warm-up checks that it keeps it.
#[derive(Debug, Clone)]
pub(crate) struct Contract {
    /// Name of the output that is read.
    pub(crate) output: String,
    /// Whether other outputs have to be switched off.
    pub(crate) several_outputs: bool,
    /// Columns of the output.
    pub(crate) labels: usize,
    /// What the numbers are.
    pub(crate) meaning: Output,
    /// The only batch size that the model takes, if it fixes one.
    pub(crate) batch_fixed: Option<usize>,
}

/// Checks the declarations. Dynamic axes fit anything.
pub(crate) fn check(
    session: &Session,
    options: &ModelOptions,
    image: &ImageOptions,
    spec: &InputSpec,
) -> Result<Contract, ModelError> {
    let batch_fixed = check_input(session.inputs(), image, spec)?;
    let output = choose_output(session.outputs(), options.labels.len())?;
    Ok(Contract {
        output: output.name().to_string(),
        several_outputs: session.outputs().len() > 1,
        labels: options.labels.len(),
        meaning: options.output,
        batch_fixed,
    })
}

/// The fixed batch size, if the input has one.
fn check_input(
    inputs: &[Outlet],
    options: &ImageOptions,
    spec: &InputSpec,
) -> Result<Option<usize>, ModelError> {
    let [input] = inputs else {
        let names: Vec<_> = inputs.iter().map(Outlet::name).collect();
        return Err(ModelError::InputCount {
            count: inputs.len(),
            names: names.join(", "),
        });
    };
    let ValueType::Tensor {
        ty: TensorElementType::Float32,
        shape,
        ..
    } = input.dtype()
    else {
        return Err(ModelError::InputType {
            name: input.name().to_string(),
            found: describe(input.dtype()),
        });
    };
    let [_, expected @ ..] = spec.shape(1);
    let fits = |(found, expected): (&i64, &usize)| {
        *found < 0 || usize::try_from(*found).is_ok_and(|found| found == *expected)
    };
    match &shape[..] {
        [batch, axes @ ..]
            if axes.len() == 3 && axes.iter().zip(&expected).all(fits) && *batch != 0 =>
        {
            Ok(usize::try_from(*batch).ok())
        }
        _ => Err(ModelError::InputShape {
            name: input.name().to_string(),
            found: axes(shape),
            expected: format!("[batch, {}, {}, {}]", expected[0], expected[1], expected[2]),
            options: in_words(options),
        }),
    }
}

/// The first float output with as many columns as there are labels.
fn choose_output(outputs: &[Outlet], labels: usize) -> Result<&Outlet, ModelError> {
    let mut other_columns = None;
    for output in outputs {
        let ValueType::Tensor {
            ty: TensorElementType::Float32,
            shape,
            ..
        } = output.dtype()
        else {
            continue;
        };
        match &shape[..] {
            // No axes at all is how an unknown rank is told; the first run shows it.
            [] => return Ok(output),
            [_, columns] if *columns < 0 => return Ok(output),
            [_, columns] if usize::try_from(*columns) == Ok(labels) => return Ok(output),
            [_, columns] => other_columns = other_columns.or(Some((output, *columns))),
            _ => {}
        }
    }
    Err(match other_columns {
        Some((output, columns)) => ModelError::OutputColumns {
            name: output.name().to_string(),
            columns: columns.to_string(),
            labels,
        },
        None => {
            let named =
                |output: &Outlet| format!("'{}': {}", output.name(), describe(output.dtype()));
            let outputs: Vec<_> = outputs.iter().map(named).collect();
            ModelError::OutputType {
                outputs: outputs.join(", "),
            }
        }
    })
}

fn in_words(options: &ImageOptions) -> String {
    let layout = match options.layout {
        Layout::Nchw => "NCHW",
        Layout::Nhwc => "NHWC",
    };
    format!(
        "layout={layout}, height={}, width={}, channels={}",
        options.height, options.width, options.channels
    )
}

fn describe(kind: &ValueType) -> String {
    match kind {
        ValueType::Tensor { ty, shape, .. } => format!("a tensor of {ty} {}", axes(shape)),
        other => format!("no tensor but {other}"),
    }
}

/// A shape as text; dynamic axes are `?`.
pub(crate) fn axes(shape: &Shape) -> String {
    let axis = |size: &i64| {
        if *size < 0 {
            "?".to_string()
        } else {
            size.to_string()
        }
    };
    let axes: Vec<_> = shape.iter().map(axis).collect();
    format!("[{}]", axes.join(", "))
}
