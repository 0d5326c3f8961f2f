//! Settings over defaults.

/// Puts a value into its place where one is given.
pub(super) fn set<T>(place: &mut T, given: Option<T>) {
    if let Some(given) = given {
        *place = given;
    }
}
