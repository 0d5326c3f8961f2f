//! Identity of a model's outputs: the key of its kept outputs, together with the input's identity.

use sha2::{Digest, Sha256};

use crate::{Model, ModelOptions};

/// Incremented when this program feeds the same file with the same options differently (for
/// example with another resize filter), so that older kept outputs are not reused.
const PREPROCESSING_VERSION: u32 = 3;

impl Model {
    /// Output id: SHA-256, truncated to 16 bytes, of the hash of the model's file and of all its
    /// options except the declared accuracy. Models with the same file and options share it,
    /// regardless of their names.
    pub fn output_id(&self) -> [u8; 16] {
        let options = ModelOptions {
            accuracy: None,
            ..self.options.clone()
        };
        let mut hash = Sha256::new();
        hash.update(PREPROCESSING_VERSION.to_le_bytes());
        hash.update(self.sha256.to_ascii_lowercase());
        match serde_json::to_vec(&options) {
            Ok(options) => hash.update(options),
            // Options that cannot be serialized must not be shared with another model.
            Err(_) => hash.update(self.id.to_le_bytes()),
        }
        let mut id = [0; 16];
        for (target, source) in id.iter_mut().zip(hash.finalize()) {
            *target = source;
        }
        id
    }
}

#[cfg(test)]
mod tests {
    use crate::{Model, OptionValue, Task, TaskInput, TaskKind, model_options};

    impl From<f64> for OptionValue {
        fn from(number: f64) -> Self {
            Self::Number(number)
        }
    }

    impl From<&str> for OptionValue {
        fn from(text: &str) -> Self {
            Self::Text(text.to_owned())
        }
    }

    fn model<V: Into<OptionValue> + Clone>(id: u64, sha256: &str, options: &[(&str, V)]) -> Model {
        let task = Task {
            name: "t".to_owned(),
            kind: TaskKind::Classification,
            input: TaskInput::Image,
            classes: vec!["a".to_owned(), "b".to_owned()],
            accuracy_slack_points: 1.0,
            constraints: Default::default(),
            image_roots: Vec::new(),
            version: 1,
        };
        let options: Vec<_> = options
            .iter()
            .map(|(key, value)| ((*key).to_owned(), value.clone().into()))
            .collect();
        let (covers, options) = model_options(&task, None, &options).expect("fitting options");
        Model {
            id,
            name: format!("m{id}"),
            version: "1".to_owned(),
            task: task.name,
            uri: "m.onnx".to_owned(),
            sha256: sha256.to_owned(),
            bytes: 1,
            covers,
            options,
            seconds_per_image: None,
        }
    }

    #[test]
    fn only_what_changes_an_output_counts() {
        let first = model(1, "aa", &[("size", 28.0)]);
        let same = model(2, "AA", &[("size", 28.0), ("accuracy", 0.5)]);
        assert_eq!(first.output_id(), same.output_id());
        for other in [
            model(1, "ab", &[("size", 28.0)]),
            model(1, "aa", &[("size", 29.0)]),
            model(1, "aa", &[("size", 28.0), ("channels", 1.0)]),
            model(1, "aa", &[("size", 28.0), ("std", 0.5)]),
        ] {
            assert_ne!(first.output_id(), other.output_id());
        }
    }

    #[test]
    fn each_option_of_preprocessing_counts() {
        let of = |options: &[(&str, &str)]| model(1, "aa", options).output_id();
        let size = ("size", "28");
        let mut ids = vec![of(&[size])];
        let defaults = [
            ("resize", "stretch"),
            ("crop_fraction", "1"),
            ("interpolation", "bilinear"),
            ("channel_order", "RGB"),
            ("scale", "1/255"),
            ("orientation", "exif"),
            ("background", "white"),
        ];
        for default in defaults {
            assert_eq!(ids[0], of(&[size, default]), "{default:?}");
        }
        for other in [
            ("resize", "crop"),
            ("resize", "pad"),
            ("resize", "letterbox"),
            ("crop_fraction", "0.875"),
            ("interpolation", "bicubic"),
            ("interpolation", "nearest"),
            ("interpolation", "lanczos"),
            ("channel_order", "BGR"),
            ("scale", "1"),
            ("orientation", "ignore"),
            ("background", "black"),
            ("background", "none"),
        ] {
            ids.push(of(&[size, other]));
        }
        ids.push(of(&[size, ("resize", "pad"), ("pad", "white")]));
        let count = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), count);
    }
}
