//! Class names in options.

use crate::option_value::OptionError;
use crate::task::Task;

/// Names quoted and joined for a message; long lists are truncated.
fn quoted(names: &[String]) -> String {
    const NAMES_SHOWN_MAX: usize = 30;
    let mut text = names
        .iter()
        .take(NAMES_SHOWN_MAX)
        .map(|n| format!("'{n}'"))
        .collect::<Vec<_>>()
        .join(", ");
    if let Some(rest) = names.len().checked_sub(NAMES_SHOWN_MAX).filter(|r| *r > 0) {
        text.push_str(&format!(" and {rest} more"));
    }
    text
}

/// A class that the task does not have.
pub(super) fn unknown_class(task: &Task, class: &str, place: &'static str) -> OptionError {
    OptionError::UnknownClass {
        class: class.to_owned(),
        place,
        task: task.name.clone(),
        classes: quoted(&task.classes),
    }
}
