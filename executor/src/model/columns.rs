//! Converts rows of columns to the input tensors of a model: one tensor of all columns, or one per
//! column.

use std::collections::HashSet;

use ort::session::SessionInputValue;
use ort::value::{Shape, Tensor, TensorElementType, ValueType};
use predictsql_catalog::{Column, ColumnKind};

use super::outlets::{Outlet, axes, describe};
use crate::{ColumnValue, ModelError};

/// Largest magnitude up to which every whole number is exact in a DOUBLE: 2 to the 53rd.
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;

/// Layout of rows in a model's inputs: derived once from the task's columns and the model's
/// declared inputs.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ColumnsSpec {
    columns: Vec<Column>,
    form: Form,
}

#[derive(Debug, Clone, PartialEq)]
enum Form {
    /// One input [batch, columns], in the order of the columns.
    Together(Element),
    /// One input per column, in the order of the model's inputs.
    Apart(Vec<Feed>),
}

/// Source of one of the model's inputs.
#[derive(Debug, Clone, PartialEq)]
struct Feed {
    /// Index of the column.
    column: usize,
    element: Element,
    /// Whether its shape is [batch] instead of [batch, 1].
    flat: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Element {
    Single,
    Double,
    Whole,
    Text,
}

impl Element {
    fn of(kind: TensorElementType) -> Option<Self> {
        match kind {
            TensorElementType::Float32 => Some(Self::Single),
            TensorElementType::Float64 => Some(Self::Double),
            TensorElementType::Int64 => Some(Self::Whole),
            TensorElementType::String => Some(Self::Text),
            _ => None,
        }
    }

    fn fits(self, kind: ColumnKind) -> bool {
        (self == Self::Text) == (kind == ColumnKind::Varchar)
    }
}

impl ColumnsSpec {
    /// Checks a model's declared inputs against the columns of its task. Also returns the fixed
    /// batch size, if there is one.
    pub(crate) fn new(
        columns: &[Column],
        inputs: &[Outlet],
    ) -> Result<(Self, Option<usize>), ModelError> {
        let mut batch = None;
        let form = match inputs {
            [input] if columns.len() > 1 => {
                let mut element = None;
                for column in columns {
                    element = Some(element_for(input, column)?);
                }
                let shape = [1, columns.len()];
                check_shape(input, &shape, &mut batch)?;
                element.map(Form::Together)
            }
            _ if inputs.len() == columns.len() => {
                let order = columns_of(columns, inputs)?;
                let mut feeds = Vec::with_capacity(inputs.len());
                for (input, column) in inputs.iter().zip(order) {
                    let Some(of_column) = columns.get(column) else {
                        continue;
                    };
                    feeds.push(Feed {
                        column,
                        element: element_for(input, of_column)?,
                        flat: check_shape(input, &[1, 1], &mut batch)?,
                    });
                }
                Some(Form::Apart(feeds))
            }
            _ => None,
        };
        let form = form.ok_or_else(|| ModelError::ColumnInputs {
            count: inputs.len(),
            names: names(inputs),
            columns: columns.len(),
        })?;
        let columns = columns.to_vec();
        Ok((Self { columns, form }, batch))
    }

    /// Whether any column is text.
    pub(crate) fn has_text(&self) -> bool {
        let is_text = |column: &Column| column.kind == ColumnKind::Varchar;
        self.columns.iter().any(is_text)
    }

    /// A row for trying the model: `number()` for every numeric column, empty text for the others.
    pub(crate) fn row(&self, mut number: impl FnMut() -> f64) -> Vec<ColumnValue> {
        let values = self.columns.iter().map(|column| match column.kind {
            ColumnKind::Double => ColumnValue::Number(number()),
            ColumnKind::Varchar => ColumnValue::Text(bytes::Bytes::new()),
        });
        let mut row: Vec<_> = values.collect();
        for (column, element) in self.elements() {
            if let (Element::Whole, Some(ColumnValue::Number(number))) =
                (element, row.get_mut(column))
            {
                *number = number.round();
            }
        }
        row
    }

    /// Checks that a row without NULL is acceptable to the model. The error is a clause for a
    /// warning.
    pub(crate) fn check(&self, row: &[ColumnValue]) -> Result<(), String> {
        if row.len() != self.columns.len() {
            let columns = self.columns.len();
            return Err(format!("has {} values for {columns} columns", row.len()));
        }
        for (column, element) in self.elements() {
            let (Some(value), Some(column)) = (row.get(column), self.columns.get(column)) else {
                continue;
            };
            check_value(value, element).map_err(|what| {
                let name = &column.name;
                format!("cannot be given to the model: column '{name}' {what}")
            })?;
        }
        Ok(())
    }

    fn elements(&self) -> impl Iterator<Item = (usize, Element)> + '_ {
        (0..self.columns.len()).filter_map(|index| match &self.form {
            Form::Together(element) => Some((index, *element)),
            Form::Apart(feeds) => feeds.get(index).map(|feed| (feed.column, feed.element)),
        })
    }

    /// The model's inputs for rows that passed [`ColumnsSpec::check`], in the order of the model's
    /// declaration.
    pub(crate) fn inputs(&self, rows: &[&[ColumnValue]]) -> Vec<ColumnInput> {
        match &self.form {
            Form::Together(element) => {
                let values = rows.iter().flat_map(|row| row.iter());
                let shape = vec![rows.len(), self.columns.len()];
                vec![ColumnInput::new(*element, shape, values)]
            }
            Form::Apart(feeds) => feeds
                .iter()
                .map(|feed| {
                    let values = rows.iter().filter_map(|row| row.get(feed.column));
                    let shape = match feed.flat {
                        true => vec![rows.len()],
                        false => vec![rows.len(), 1],
                    };
                    ColumnInput::new(feed.element, shape, values)
                })
                .collect(),
        }
    }
}

fn check_value(value: &ColumnValue, element: Element) -> Result<(), String> {
    match (value, element) {
        (ColumnValue::Number(number), Element::Single) if !(*number as f32).is_finite() => {
            Err(format!("is {number:e}, out of the model's range"))
        }
        (ColumnValue::Number(number), Element::Double) if !number.is_finite() => {
            Err("is not finite".to_string())
        }
        (ColumnValue::Number(number), Element::Whole)
            if number.fract() != 0.0 || number.abs() > WHOLE_MAX =>
        {
            Err(format!("is {number}, where the model takes whole numbers"))
        }
        (ColumnValue::Text(text), Element::Text) => match std::str::from_utf8(text) {
            Ok(text) if text.contains('\0') => Err("has a NUL byte".to_string()),
            Ok(_) => Ok(()),
            Err(_) => Err("is not UTF-8".to_string()),
        },
        (ColumnValue::Number(_), Element::Text) => Err("is a number, not text".to_string()),
        (ColumnValue::Text(_), _) => Err("is text, not a number".to_string()),
        (ColumnValue::Null, _) => Err("is NULL".to_string()),
        (ColumnValue::Number(_), _) => Ok(()),
    }
}

/// One of a model's inputs for some rows.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ColumnInput {
    /// `[rows]` or `[rows, columns]`.
    pub(crate) shape: Vec<usize>,
    pub(crate) values: ColumnValues,
}

/// Values of columns in the type of a model's input.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum ColumnValues {
    Single(Vec<f32>),
    Double(Vec<f64>),
    Whole(Vec<i64>),
    Text(Vec<String>),
}

impl ColumnInput {
    fn new<'v>(
        element: Element,
        shape: Vec<usize>,
        values: impl Iterator<Item = &'v ColumnValue>,
    ) -> Self {
        let number = |value: &ColumnValue| match value {
            ColumnValue::Number(number) => *number,
            ColumnValue::Null | ColumnValue::Text(_) => 0.0,
        };
        let text = |value: &ColumnValue| match value {
            ColumnValue::Text(text) => String::from_utf8_lossy(text).into_owned(),
            ColumnValue::Null | ColumnValue::Number(_) => String::new(),
        };
        let values = match element {
            Element::Single => ColumnValues::Single(values.map(|v| number(v) as f32).collect()),
            Element::Double => ColumnValues::Double(values.map(number).collect()),
            Element::Whole => ColumnValues::Whole(values.map(|v| number(v) as i64).collect()),
            Element::Text => ColumnValues::Text(values.map(text).collect()),
        };
        Self { shape, values }
    }

    /// As an input of a session.
    pub(super) fn into_tensor(self) -> ort::Result<SessionInputValue<'static>> {
        let shape = self.shape;
        Ok(match self.values {
            ColumnValues::Single(values) => Tensor::from_array((shape, values))?.into(),
            ColumnValues::Double(values) => Tensor::from_array((shape, values))?.into(),
            ColumnValues::Whole(values) => Tensor::from_array((shape, values))?.into(),
            ColumnValues::Text(values) => Tensor::from_string_array((shape, &values[..]))?.into(),
        })
    }
}

/// For each of the model's inputs, the index of its column: by name if all names match, by
/// position if none does and the names say nothing.
fn columns_of(columns: &[Column], inputs: &[Outlet]) -> Result<Vec<usize>, ModelError> {
    let same = |input: &Outlet| {
        let mut named = columns.iter().enumerate();
        named.find(|(_, column)| column.name.eq_ignore_ascii_case(input.name()))
    };
    let named: Vec<usize> = inputs
        .iter()
        .filter_map(same)
        .map(|(index, _)| index)
        .collect();
    let distinct = named.iter().collect::<HashSet<_>>().len();
    if named.is_empty() && !are_telling(inputs) {
        return Ok((0..columns.len()).collect());
    }
    if distinct == columns.len() {
        return Ok(named);
    }
    let columns: Vec<_> = columns.iter().map(|column| column.name.as_str()).collect();
    Err(ModelError::ColumnNames {
        names: names(inputs),
        columns: columns.join(", "),
    })
}

/// Whether the inputs' names say which column each of them is: words of their own, and not the
/// same word with numbers.
fn are_telling(inputs: &[Outlet]) -> bool {
    let word = |input: &Outlet| {
        let letters = input.name().chars().filter(|c| c.is_alphabetic());
        letters.collect::<String>().to_lowercase()
    };
    let words: HashSet<String> = inputs.iter().map(word).collect();
    words.len() == inputs.len() && words.len() > 1 && words.iter().all(|word| word.len() > 2)
}

fn element_for(input: &Outlet, column: &Column) -> Result<Element, ModelError> {
    let element = match input.dtype() {
        ValueType::Tensor { ty, .. } => Element::of(*ty),
        _ => None,
    };
    element
        .filter(|element| element.fits(column.kind))
        .ok_or_else(|| ModelError::ColumnType {
            name: input.name().to_string(),
            found: describe(input.dtype()),
            column: column.name.clone(),
            kind: column.kind.as_str().to_string(),
        })
}

/// Checks an input's shape against `expected`, [batch, columns], ignoring the batch size; dynamic
/// axes match anything. True if the shape is [batch], which is valid for a single column.
fn check_shape(
    input: &Outlet,
    expected: &[usize; 2],
    batch: &mut Option<usize>,
) -> Result<bool, ModelError> {
    let unknown = Shape::default();
    let shape = match input.dtype() {
        ValueType::Tensor { shape, .. } => shape,
        _ => &unknown,
    };
    let fits = |axis: i64| axis < 0 || usize::try_from(axis) == Ok(expected[1]);
    let (first, flat) = match &shape[..] {
        // ONNX Runtime reports an unknown rank as no axes.
        [] => (-1, false),
        [first] if expected[1] == 1 => (*first, true),
        [first, second] if fits(*second) => (*first, false),
        _ => (0, false),
    };
    let fixed = usize::try_from(first).ok();
    if fixed == Some(0) || (fixed.is_some() && batch.is_some() && *batch != fixed) {
        return Err(ModelError::ColumnShape {
            name: input.name().to_string(),
            found: axes(shape),
            expected: format!("[batch, {}]", expected[1]),
        });
    }
    *batch = batch.or(fixed);
    Ok(flat)
}

fn names(inputs: &[Outlet]) -> String {
    let names: Vec<_> = inputs.iter().map(Outlet::name).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(form: Form, kinds: &[ColumnKind]) -> ColumnsSpec {
        let column = |(index, kind): (usize, &ColumnKind)| Column {
            name: format!("c{index}"),
            kind: *kind,
        };
        let columns = kinds.iter().enumerate().map(column).collect();
        ColumnsSpec { columns, form }
    }

    fn feeds(elements: &[Element]) -> Form {
        let feed = |(column, element): (usize, &Element)| Feed {
            column,
            element: *element,
            flat: false,
        };
        Form::Apart(elements.iter().enumerate().map(feed).collect())
    }

    #[test]
    fn rows_that_a_model_cannot_take_are_named() {
        use ColumnKind::{Double, Varchar};
        let spec = spec(
            feeds(&[
                Element::Single,
                Element::Whole,
                Element::Text,
                Element::Double,
            ]),
            &[Double, Double, Varchar, Double],
        );
        let number = ColumnValue::Number;
        let text = |text: &'static [u8]| ColumnValue::Text(bytes::Bytes::from_static(text));
        let good = [
            number(1.5),
            number(-3.0),
            text("ä".as_bytes()),
            number(1e300),
        ];
        assert_eq!(spec.check(&good), Ok(()));
        let wrong = |index: usize, value: ColumnValue| {
            let mut row = good.clone();
            row[index] = value;
            spec.check(&row).err().unwrap_or_default()
        };
        assert_eq!(
            wrong(0, number(1e39)),
            "cannot be given to the model: column 'c0' is 1e39, out of the model's range"
        );
        assert!(wrong(1, number(2.5)).contains("'c1' is 2.5, where the model takes whole"));
        assert!(wrong(1, number(1e17)).contains("whole"));
        assert!(wrong(2, text(b"a\0b")).contains("NUL"));
        assert!(wrong(2, text(b"\xff")).contains("UTF-8"));
        assert!(wrong(2, number(1.0)).contains("not text"));
        assert!(wrong(3, text(b"1")).contains("not a number"));
        assert!(wrong(3, number(f64::NAN)).contains("finite"));
        assert_eq!(
            spec.check(&good[..2]),
            Err("has 2 values for 4 columns".into())
        );
    }
}
