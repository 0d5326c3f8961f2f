//! What a server says of a model: its inputs and outputs, and what its outputs are kept by.

use ort::value::{Shape, SymbolicDimensions, TensorElementType, ValueType};
use predictsql_catalog::OnnxHead;
use sha2::{Digest, Sha256};

use super::model_uri::ModelUri;
use crate::error::ModelError;
use crate::model::Outlet;
use crate::oip::inference::ModelMetadataResponse;
use crate::oip::inference::model_metadata_response::TensorMetadata;

/// Maximum number of inputs and outputs, each.
const TENSORS_MAX: usize = 256;
/// Maximum length of their names, in bytes.
const NAME_BYTES_MAX: usize = 255;
/// Maximum number of their axes.
const AXES_MAX: usize = 16;

/// A model as its server describes it.
#[derive(Debug)]
pub(super) struct Described {
    pub(super) inputs: Vec<Outlet>,
    pub(super) outputs: Vec<Outlet>,
    /// The versions that the server has.
    pub(super) versions: Vec<String>,
    /// SHA-256 of the server's address, the model's name and version and all of this, lower-case
    /// hex. It stands for a file's one: outputs are kept by it.
    pub(super) identity: String,
}

/// Reads what a server says of a model.
///
/// # Errors
/// [`ModelError::ServerAnswer`] if these are no inputs and outputs.
pub(super) fn described(
    uri: &ModelUri,
    metadata: ModelMetadataResponse,
) -> Result<Described, ModelError> {
    let wrong = |reason: String| ModelError::ServerAnswer {
        address: uri.address.to_string(),
        reason: format!("metadata of model '{}' {reason}", uri.model),
    };
    if metadata.name != uri.model {
        return Err(wrong("is that of another model".to_string()));
    }
    let identity = identity(uri, &metadata);
    Ok(Described {
        inputs: outlets(metadata.inputs).map_err(wrong)?,
        outputs: outlets(metadata.outputs).map_err(wrong)?,
        versions: metadata.versions,
        identity,
    })
}

impl Described {
    /// The axes of the input that can be an image, for options that are not given.
    pub(super) fn head(&self) -> OnnxHead {
        let axes = |outlet: &Outlet| {
            let shape = outlet.dtype().tensor_shape()?;
            let axes = shape.iter().map(|axis| u64::try_from(*axis).ok());
            Some(axes.collect())
        };
        let input = match &self.inputs[..] {
            [only] => Some(only),
            several => only_image(several),
        };
        OnnxHead {
            metadata: Vec::new(),
            input: input.and_then(axes),
        }
    }
}

/// The input that can be images, if it is the only one: a tensor of four axes. Some servers offer
/// several inputs, of which a request has one.
pub(super) fn only_image(inputs: &[Outlet]) -> Option<&Outlet> {
    let is_image = |outlet: &&Outlet| match outlet.dtype() {
        ValueType::Tensor { ty, shape, .. } => {
            let is_number = matches!(
                ty,
                TensorElementType::Float32 | TensorElementType::Float16 | TensorElementType::Uint8
            );
            is_number && shape.len() == 4
        }
        _ => false,
    };
    let mut images = inputs.iter().filter(is_image);
    images.next().filter(|_| images.next().is_none())
}

fn outlets(tensors: Vec<TensorMetadata>) -> Result<Vec<Outlet>, String> {
    if tensors.len() > TENSORS_MAX {
        return Err(format!("has more than {TENSORS_MAX} inputs or outputs"));
    }
    tensors.into_iter().map(outlet).collect()
}

fn outlet(tensor: TensorMetadata) -> Result<Outlet, String> {
    let name = &tensor.name;
    if name.is_empty() || name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
        return Err("has an input or output whose name cannot be used".to_string());
    }
    if tensor.shape.len() > AXES_MAX {
        return Err(format!("has a tensor of more than {AXES_MAX} axes"));
    }
    let dtype = ValueType::Tensor {
        ty: element(&tensor.datatype),
        dimension_symbols: SymbolicDimensions::empty(tensor.shape.len()),
        shape: Shape::new(tensor.shape),
    };
    Ok(Outlet::new(tensor.name, dtype))
}

/// The protocol's types in the words of models' files.
fn element(datatype: &str) -> TensorElementType {
    match datatype {
        "FP32" => TensorElementType::Float32,
        "FP64" => TensorElementType::Float64,
        "FP16" => TensorElementType::Float16,
        "BF16" => TensorElementType::Bfloat16,
        "BYTES" => TensorElementType::String,
        "BOOL" => TensorElementType::Bool,
        "INT8" => TensorElementType::Int8,
        "INT16" => TensorElementType::Int16,
        "INT32" => TensorElementType::Int32,
        "INT64" => TensorElementType::Int64,
        "UINT8" => TensorElementType::Uint8,
        "UINT16" => TensorElementType::Uint16,
        "UINT32" => TensorElementType::Uint32,
        "UINT64" => TensorElementType::Uint64,
        _ => TensorElementType::Undefined,
    }
}

/// The versions that there are count only if the server chooses among them.
fn identity(uri: &ModelUri, metadata: &ModelMetadataResponse) -> String {
    let mut versions = match uri.version.as_str() {
        "" => metadata.versions.clone(),
        _ => Vec::new(),
    };
    versions.sort_unstable();
    let mut hash = Sha256::new();
    // Each text with its length, so that no two lists of texts look the same.
    let mut text = |text: &str| {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text);
    };
    text("external-oip");
    text(&uri.address.to_string());
    text(&uri.model);
    text(&uri.version);
    text(&metadata.platform);
    text(&versions.len().to_string());
    versions.iter().for_each(|version| text(version));
    for tensors in [&metadata.inputs, &metadata.outputs] {
        text(&tensors.len().to_string());
        for tensor in tensors {
            text(&tensor.name);
            text(&tensor.datatype);
            text(&format!("{:?}", tensor.shape));
        }
    }
    hex::encode(hash.finalize())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::model_uri::parse;
    use super::*;

    fn tensor(name: &str, datatype: &str, shape: &[i64]) -> TensorMetadata {
        TensorMetadata {
            name: name.to_string(),
            datatype: datatype.to_string(),
            shape: shape.to_vec(),
        }
    }

    fn metadata() -> ModelMetadataResponse {
        ModelMetadataResponse {
            name: "m".to_string(),
            versions: vec!["1".to_string(), "2".to_string()],
            platform: "python".to_string(),
            inputs: vec![tensor("x", "FP32", &[-1, 3, 8, 8])],
            outputs: vec![tensor("y", "FP32", &[-1, 3])],
        }
    }

    #[test]
    fn the_identity_is_of_all_that_a_server_says() {
        let of = |uri: &str, metadata| described(&parse(uri).unwrap(), metadata).unwrap().identity;
        let newest = "external-oip://h:1/m";
        let first = "external-oip://h:1/m/1";
        let mut changed: Vec<ModelMetadataResponse> = vec![metadata(); 5];
        changed[0].platform = "onnx".to_string();
        changed[1].inputs[0].shape[1] = 1;
        changed[2].outputs[0].datatype = "FP64".to_string();
        changed[3].inputs[0].name = "z".to_string();
        changed[4].outputs.push(tensor("more", "BYTES", &[-1]));
        for changed in changed {
            assert_ne!(of(newest, metadata()), of(newest, changed.clone()));
            assert_ne!(of(first, metadata()), of(first, changed));
        }
        assert_ne!(
            of(newest, metadata()),
            of("external-oip://g:1/m", metadata())
        );
        assert_ne!(of(newest, metadata()), of(first, metadata()));
        let mut newer = metadata();
        newer.versions.push("3".to_string());
        assert_ne!(of(newest, metadata()), of(newest, newer.clone()));
        assert_eq!(of(first, metadata()), of(first, newer));
    }

    #[test]
    fn names_and_shapes_beyond_bounds_are_wrong_answers() {
        let uri = parse("external-oip://h:1/m").unwrap();
        let wrong = |change: &dyn Fn(&mut ModelMetadataResponse)| {
            let mut metadata = metadata();
            change(&mut metadata);
            described(&uri, metadata).unwrap_err().to_string()
        };
        assert!(wrong(&|m| m.name = "other".to_string()).contains("another model"));
        assert!(wrong(&|m| m.inputs[0].name = "a\nb".to_string()).contains("name"));
        assert!(wrong(&|m| m.outputs[0].name = "x".repeat(300)).contains("name"));
        assert!(wrong(&|m| m.outputs[0].shape = vec![1; 40]).contains("axes"));
        assert!(wrong(&|m| m.inputs = vec![m.inputs[0].clone(); 300]).contains("256"));
    }
}
