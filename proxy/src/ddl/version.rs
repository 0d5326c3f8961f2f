//! A model and a version of it in one word.

/// `name` or `name@version`.
pub fn with_version(name: &str, version: Option<&str>) -> String {
    version.map_or_else(|| name.to_owned(), |version| format!("{name}@{version}"))
}
