//! What belongs to a model besides its file: labels in files, and options that its exporter wrote
//! beside it or into it.

use predictsql_catalog::{
    Described, Labels, OptionError, OptionValue, Task, TaskInput, imported, labels_of_model,
    labels_of_text,
};
use predictsql_executor::{ModelError, is_external};
use predictsql_optimizer::ddl::{ClassesFrom, CreateModel};

use super::context::Inspect;
use crate::error::{ErrorKind, SqlError};

/// Where exporters put the model in a folder.
const FILES: [&str; 2] = ["model.onnx", "onnx/model.onnx"];

/// A model's file and options, as if both had been written in the statement.
pub(super) struct Found {
    pub(super) uri: String,
    pub(super) options: Vec<(String, OptionValue)>,
    /// For the statement's author.
    pub(super) warnings: Vec<SqlError>,
}

/// Finds file and options of a model. `FROM 'folder/'` stands for the model in it.
pub(super) async fn model<I: Inspect>(
    create: &CreateModel,
    task: &Task,
    inspector: &I,
) -> Result<Found, SqlError> {
    let mut found = Found {
        uri: create.uri.clone(),
        options: Vec::new(),
        warnings: Vec::new(),
    };
    for (key, value) in &create.options {
        let value = match value {
            OptionValue::File(uri) if key.eq_ignore_ascii_case("labels") => {
                let labels = labels_of_file(uri, inspector).await?;
                found.warn(labels.warning);
                OptionValue::List(labels.names.into_iter().map(OptionValue::Text).collect())
            }
            OptionValue::File(_) => return Err(no_file(key)),
            value => value.clone(),
        };
        found.options.push((key.clone(), value));
    }
    let is_folder = create.uri.ends_with('/') && !is_external(&create.uri);
    let is_image = task.input == TaskInput::Image;
    if !is_folder && !is_image {
        return Ok(found);
    }
    let (uri, described) = described(&create.uri, inspector).await?;
    found.uri = uri;
    let mut described = described;
    if !is_image {
        // How images become numbers is of no interest.
        described.preprocessor = None;
    }
    let wrong = |error: predictsql_catalog::ImportError| SqlError::wrong_value(error.to_string());
    let has_classes = task.answer_shape().has_classes();
    if is_image {
        let imported = imported(&described, &found.options).map_err(wrong)?;
        let of_classes = |key: &str| matches!(key, "labels" | "output");
        let options = imported.options.into_iter();
        found
            .options
            .extend(options.filter(|(key, _)| has_classes || !of_classes(key)));
        if has_classes {
            for warning in imported.warnings {
                found.warn(Some(warning));
            }
        }
    } else if has_classes
        && !found
            .options
            .iter()
            .any(|(k, _)| k.eq_ignore_ascii_case("labels"))
        && let Some(labels) = labels_of_model(&described).map_err(wrong)?
    {
        found.warn(labels.warning);
        let names = labels.names.into_iter().map(OptionValue::Text).collect();
        found
            .options
            .push(("labels".to_owned(), OptionValue::List(names)));
    }
    Ok(found)
}

impl Found {
    fn warn(&mut self, warning: Option<String>) {
        self.warnings.extend(warning.map(SqlError::wrong_value));
    }
}

/// The classes that a task gets from a file or a model.
pub(super) async fn classes<I: Inspect>(
    from: &ClassesFrom,
    inspector: &I,
) -> Result<Labels, SqlError> {
    match from {
        ClassesFrom::File(uri) => labels_of_file(uri, inspector).await,
        ClassesFrom::Model(uri) => {
            let (_, described) = described(uri, inspector).await?;
            let labels = labels_of_model(&described);
            let labels = labels.map_err(|error| SqlError::wrong_value(error.to_string()))?;
            labels.ok_or_else(|| {
                SqlError::wrong_value(format!(
                    "Incorrect CLASSES: model '{uri}' names no labels, neither in a config.json of its \
                     folder nor in its metadata"
                ))
            })
        }
    }
}

async fn labels_of_file<I: Inspect>(uri: &str, inspector: &I) -> Result<Labels, SqlError> {
    let read = inspector.read_beside(uri).await;
    let bytes = read.map_err(|error| SqlError::from(&error))?;
    labels_of_text(&bytes).map_err(|reason| {
        SqlError::wrong_value(format!(
            "File '{uri}' has no labels that can be used: {reason}"
        ))
    })
}

/// The file of a model, and what describes it.
async fn described<I: Inspect>(uri: &str, inspector: &I) -> Result<(String, Described), SqlError> {
    if !uri.ends_with('/') || is_external(uri) {
        // What cannot be read or asked is told by the trial, after errors of options.
        let head = inspector.onnx_head(uri).await.unwrap_or_default();
        let described = Described {
            head,
            ..Described::default()
        };
        return Ok((uri.to_owned(), described));
    }
    for file in FILES {
        let file = format!("{uri}{file}");
        let head = match inspector.onnx_head(&file).await {
            Ok(head) => head,
            Err(ModelError::NotFound { .. }) => continue,
            Err(error) => return Err(SqlError::from(&error)),
        };
        let described = Described {
            config: text(uri, "config.json", inspector).await?,
            preprocessor: text(uri, "preprocessor_config.json", inspector).await?,
            head,
        };
        return Ok((file, described));
    }
    Err(SqlError::new(
        ErrorKind::FileNotFound,
        format!("folder '{uri}' has no {} and no {}", FILES[0], FILES[1]),
    ))
}

/// A text file in the folder, if it is there.
async fn text<I: Inspect>(
    folder: &str,
    name: &str,
    inspector: &I,
) -> Result<Option<String>, SqlError> {
    match inspector.read_beside(&format!("{folder}{name}")).await {
        Ok(bytes) => match String::from_utf8(bytes.to_vec()) {
            Ok(text) => Ok(Some(text)),
            Err(_) => Err(SqlError::wrong_value(format!(
                "File '{folder}{name}' is no UTF-8 text"
            ))),
        },
        Err(ModelError::NotFound { .. }) => Ok(None),
        Err(error) => Err(SqlError::from(&error)),
    }
}

/// Only labels come from files.
fn no_file(key: &str) -> SqlError {
    SqlError::from(OptionError::Value {
        key: "FILE",
        reason: format!("option '{key}' is not read from a file; only 'labels' is"),
    })
}
