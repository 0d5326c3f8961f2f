//! Formatting of messages of libraries as one line.

/// The first `chars_max` characters, without control characters.
pub(crate) fn one_line(message: &str, chars_max: usize) -> String {
    let printable = |c: char| if c.is_control() { ' ' } else { c };
    message.chars().take(chars_max).map(printable).collect()
}
