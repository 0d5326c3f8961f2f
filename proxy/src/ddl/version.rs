//! Notation of a model with a version.

/// `name` or `name@version`.
pub fn with_version(name: &str, version: Option<&str>) -> String {
    version.map_or_else(|| name.to_owned(), |version| format!("{name}@{version}"))
}
