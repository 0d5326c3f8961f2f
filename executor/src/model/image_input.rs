//! Converts preprocessed images to the type of a model's input.

use half::f16;
use ort::session::SessionInputValue;
use ort::value::{Tensor, TensorRef};

use super::contract::Element;

/// A run's input in the model's type.
pub(super) fn image_input(
    element: Element,
    shape: [usize; 4],
    numbers: &[f32],
) -> ort::Result<SessionInputValue<'_>> {
    Ok(match element {
        Element::Single => TensorRef::from_array_view((shape, numbers))?.into(),
        Element::Half => {
            let halves: Vec<f16> = numbers
                .iter()
                .map(|number| f16::from_f32(*number))
                .collect();
            Tensor::from_array((shape, halves))?.into()
        }
        Element::Byte => {
            // Out of range saturates.
            let bytes: Vec<u8> = numbers.iter().map(|number| number.round() as u8).collect();
            Tensor::from_array((shape, bytes))?.into()
        }
    })
}
