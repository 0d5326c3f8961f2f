//! Overriding defaults.

/// Overwrites a setting if a value is given.
pub(super) fn set<T>(place: &mut T, given: Option<T>) {
    if let Some(given) = given {
        *place = given;
    }
}
