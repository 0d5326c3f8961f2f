//! URIs of models at external servers: `external-oip://HOST:PORT/MODEL[/VERSION]`.

use crate::address::Address;
use crate::error::ModelError;

/// The scheme, in lower case.
const SCHEME: &str = "external-oip";
/// Maximum length of the name and the version of a model, in bytes.
const NAME_BYTES_MAX: usize = 255;

/// A model at an external server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ModelUri {
    pub(super) address: Address,
    pub(super) model: String,
    /// Empty: the server chooses.
    pub(super) version: String,
    /// The URI as given.
    pub(super) given: String,
}

/// Whether a model's URI names an external server.
pub fn is_external(uri: &str) -> bool {
    rest(uri).is_some()
}

/// What follows the scheme.
fn rest(uri: &str) -> Option<&str> {
    let (scheme, rest) = uri.split_once("://")?;
    scheme.eq_ignore_ascii_case(SCHEME).then_some(rest)
}

/// Parses a URI. Name and version are taken as they are written: there are no escapes.
pub(super) fn parse(uri: &str) -> Result<ModelUri, ModelError> {
    let wrong = |reason: &str| ModelError::Uri {
        uri: uri.to_string(),
        reason: format!("{reason}; the form is {SCHEME}://HOST:PORT/MODEL[/VERSION]"),
    };
    let rest = rest(uri).ok_or_else(|| wrong("it has another scheme"))?;
    let (address, path) = rest
        .split_once('/')
        .ok_or_else(|| wrong("it names no model"))?;
    let address = address
        .parse()
        .map_err(|_| wrong("it names no server as HOST:PORT"))?;
    let (model, version) = match path.split_once('/') {
        Some((_, "")) => return Err(wrong("its version is empty")),
        Some((model, version)) => (model, version),
        None => (path, ""),
    };
    let is_odd = |name: &str| {
        name.len() > NAME_BYTES_MAX || name.chars().any(|c| c.is_control() || c == '/')
    };
    if model.is_empty() || is_odd(model) || is_odd(version) {
        return Err(wrong("it names no model"));
    }
    Ok(ModelUri {
        address,
        model: model.to_string(),
        version: version.to_string(),
        given: uri.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(uri: &str) -> Option<(String, String, String)> {
        let uri = parse(uri).ok()?;
        Some((uri.address.to_string(), uri.model, uri.version))
    }

    #[test]
    fn a_uri_names_server_model_and_version() {
        let is = |a: &str, m: &str, v: &str| Some((a.to_string(), m.to_string(), v.to_string()));
        assert_eq!(
            parts("external-oip://triton.ml:8001/resnet"),
            is("triton.ml:8001", "resnet", "")
        );
        assert_eq!(
            parts("External-OIP://[::1]:8001/resnet 50/3"),
            is("[::1]:8001", "resnet 50", "3")
        );
        for wrong in [
            "external-oip://triton:8001",
            "external-oip://triton:8001/",
            "external-oip://triton:8001/m/",
            "external-oip://triton:8001/m/1/2",
            "external-oip://triton:8001//1",
            "external-oip://triton/m",
            "external-oip://:8001/m",
            "external-oip://user@triton:8001/m",
            "external-oip://triton:8001/m\n",
            "external-oip:/triton:8001/m",
            "s3://bucket/m",
        ] {
            assert_eq!(parts(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn other_uris_are_not_external() {
        assert!(is_external("EXTERNAL-oip://x"));
        for other in ["m.onnx", "external-oip", "s3://external-oip://x", ""] {
            assert!(!is_external(other), "{other}");
        }
    }
}
