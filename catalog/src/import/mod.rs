//! Options of a model from what its exporter wrote beside it or into it: Hugging Face's
//! `config.json` and `preprocessor_config.json`, timm's `pretrained_cfg`, and the metadata of
//! ultralytics. What cannot be expressed as options is an error, never an approximation.

mod found;
mod hugging_face;
mod labels;
mod timm;
mod ultralytics;

use serde_json::Value;
use thiserror::Error;

use crate::option_value::{OptionValue, find};
use found::{Asked, Options};

pub use found::OnnxHead;
use labels::labels_of_config;
pub use labels::{Labels, labels_of_text};

/// Texts that belong to a model's file.
#[derive(Debug, Clone, Default)]
pub struct Described {
    /// `config.json`
    pub config: Option<String>,
    /// `preprocessor_config.json`
    pub preprocessor: Option<String>,
    /// The file itself.
    pub head: OnnxHead,
}

/// Options that were found, and what the model's creator should know about them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Imported {
    /// Options as they could have been written.
    pub options: Vec<(String, OptionValue)>,
    /// Sentences for warnings.
    pub warnings: Vec<String>,
}

/// Why what belongs to a model cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{file} cannot be used: {reason}; give OPTIONS that say it")]
pub struct ImportError {
    /// Name of the file.
    pub file: &'static str,
    /// What is wrong with it.
    pub reason: String,
}

/// Options of an image model, without those `given`. Fields that the given options make
/// superfluous are not looked at.
///
/// # Errors
/// A file is no JSON, or describes what no option can express.
pub fn imported(described: &Described, given: &Options) -> Result<Imported, ImportError> {
    let config = parsed("config.json", described.config.as_deref())?;
    let preprocessor = parsed(
        "preprocessor_config.json",
        described.preprocessor.as_deref(),
    )?;
    let mut imported = Imported::default();
    let has_way = ["resize", "crop_fraction"]
        .iter()
        .any(|k| find(given, k).is_some());
    let asked = Asked {
        geometry: find(given, "size").is_none() || !has_way,
        interpolation: find(given, "interpolation").is_none(),
        numbers: ["mean", "std", "scale"]
            .iter()
            .any(|k| find(given, k).is_none()),
    };
    let found = if let Some(preprocessor) = &preprocessor {
        hugging_face::options(preprocessor, asked).map_err(of("preprocessor_config.json"))?
    } else if let Some(cfg) = config.as_ref().and_then(timm::pretrained_cfg) {
        timm::options(cfg, asked).map_err(of("config.json"))?
    } else {
        ultralytics::options(&described.head).map_err(of("the metadata of the ONNX file"))?
    };
    imported.options = found;
    if find(given, "labels").is_none() {
        if let Some(labels) = labels_of_model(described)? {
            let texts = labels.names.into_iter().map(OptionValue::Text).collect();
            imported
                .options
                .push(("labels".to_owned(), OptionValue::List(texts)));
            imported.warnings.extend(labels.warning);
        } else if config.is_some() {
            imported.warnings.push(
                "config.json has no labels: they are taken in the order of COVERS or of the task's \
                 classes"
                    .to_owned(),
            );
        }
    }
    from_input(&described.head, given, &mut imported.options);
    imported
        .options
        .retain(|(key, _)| find(given, key).is_none());
    Ok(imported)
}

/// The labels that a model's folder or file names; `None` if they name none.
///
/// # Errors
/// They cannot be used.
pub fn labels_of_model(described: &Described) -> Result<Option<Labels>, ImportError> {
    let config = parsed("config.json", described.config.as_deref())?;
    if let Some(config) = config
        && let Some(labels) = labels_of_config(&config).map_err(of("config.json"))?
    {
        return Ok(Some(labels));
    }
    ultralytics::labels(&described.head).map_err(of("the metadata of the ONNX file"))
}

fn of(file: &'static str) -> impl Fn(String) -> ImportError {
    move |reason| ImportError { file, reason }
}

fn parsed(file: &'static str, text: Option<&str>) -> Result<Option<Value>, ImportError> {
    let Some(text) = text else {
        return Ok(None);
    };
    let text = text.trim_start_matches('\u{feff}');
    let value: Value = serde_json::from_str(text)
        .map_err(|error| of(file)(format!("it is no valid JSON ({error})")))?;
    match value.is_object() {
        true => Ok(Some(value)),
        false => Err(of(file)("it is no JSON object".to_owned())),
    }
}

/// Size, layout and channels by the shape of the input, unless a size was given or found.
fn from_input(head: &OnnxHead, given: &Options, options: &mut Options) {
    let Some([_, axes @ ..]) = head.input.as_deref() else {
        return;
    };
    let is_colours = |axis: Option<u64>| matches!(axis, Some(1 | 3));
    let (layout, channels, height, width) = match axes {
        [channels, height, width] if is_colours(*channels) => ("NCHW", channels, height, width),
        [height, width, channels] if is_colours(*channels) => ("NHWC", channels, height, width),
        _ => return,
    };
    if find(given, "size").is_some() {
        return;
    }
    let mut add = |key: &str, value: OptionValue| {
        if find(given, key).is_none() && find(options, key).is_none() {
            options.push((key.to_owned(), value));
        }
    };
    if let (Some(height), Some(width)) = (height, width) {
        add("size", OptionValue::Text(format!("{height}x{width}")));
    }
    add("layout", OptionValue::Word(layout.to_owned()));
    if let Some(channels) = channels {
        add("channels", OptionValue::Number(*channels as f64));
    }
}

#[cfg(test)]
mod tests;
