//! Values of expressions, as a server compares them.

use std::cmp::Ordering;

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// NULL
    Null,
    /// An integer of 64 bits, signed or not.
    Int(i128),
    /// A number with a fraction.
    Real(f64),
    /// Text.
    Text(String),
}

impl Value {
    /// A text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// 1 or 0.
    pub fn truth(holds: bool) -> Self {
        Self::Int(i128::from(holds))
    }

    /// The value as text; `None` for NULL.
    pub fn shown(&self) -> Option<String> {
        match self {
            Self::Null => None,
            Self::Int(int) => Some(int.to_string()),
            Self::Real(real) => Some(real.to_string()),
            Self::Text(text) => Some(text.clone()),
        }
    }

    /// The value as a number; text counts as the number that it begins with.
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Null => None,
            Self::Int(int) => Some(*int as f64),
            Self::Real(real) => Some(*real),
            Self::Text(text) => Some(leading_number(text)),
        }
    }

    /// Whether the value is true; `None` for NULL.
    pub fn is_true(&self) -> Option<bool> {
        self.number().map(|number| number != 0.0)
    }

    /// Compares as a server does: two texts without regard to case, else as numbers.
    pub fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Null, _) | (_, Self::Null) => None,
            (Self::Text(a), Self::Text(b)) => Some(a.to_lowercase().cmp(&b.to_lowercase())),
            (Self::Int(a), Self::Int(b)) => Some(a.cmp(b)),
            (a, b) => a.number()?.partial_cmp(&b.number()?),
        }
    }

    /// Whether the value matches a pattern of LIKE; `None` for NULL.
    pub fn is_like(&self, pattern: &Self) -> Option<bool> {
        let (text, pattern) = (self.shown()?, pattern.shown()?);
        Some(is_like(&text.to_lowercase(), &pattern.to_lowercase()))
    }
}

fn leading_number(text: &str) -> f64 {
    let text = text.trim_start();
    let numeric = |c: char| c.is_ascii_digit() || "+-.eE".contains(c);
    let mut head = text.split(|c| !numeric(c)).next().unwrap_or_default();
    // No number is longer.
    head = head.get(..40).unwrap_or(head);
    while !head.is_empty() {
        if let Ok(number) = head.parse() {
            return number;
        }
        head = head.get(..head.len() - 1).unwrap_or_default();
    }
    0.0
}

/// One step of a pattern.
#[derive(Clone, Copy, PartialEq)]
enum Step {
    Any,
    One,
    This(char),
}

fn is_like(text: &str, pattern: &str) -> bool {
    let mut steps = Vec::new();
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        steps.push(match c {
            '%' => Step::Any,
            '_' => Step::One,
            '\\' => Step::This(chars.next().unwrap_or('\\')),
            other => Step::This(other),
        });
    }
    let text: Vec<char> = text.chars().collect();
    // Where to go on if a step does not fit: behind the last `%`, one character later.
    let (mut at, mut step, mut again) = (0, 0, None);
    while let Some(&c) = text.get(at) {
        match steps.get(step) {
            Some(Step::Any) => {
                again = Some((step, at));
                step += 1;
            }
            Some(Step::One) => (at, step) = (at + 1, step + 1),
            Some(Step::This(wanted)) if *wanted == c => (at, step) = (at + 1, step + 1),
            _ => {
                let Some((any, from)) = again else {
                    return false;
                };
                again = Some((any, from + 1));
                (at, step) = (from + 1, any + 1);
            }
        }
    }
    steps.iter().skip(step).all(|&step| step == Step::Any)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn like_knows_wildcards_and_escapes() {
        for (text, pattern, like) in [
            ("version_comment", "version%", true),
            ("version_comment", "VERSION\\_comment", true),
            ("versionXcomment", "version\\_comment", false),
            ("versionXcomment", "version_comment", true),
            ("aXbXc", "a%x%c", true),
            ("abab", "%ab", true),
            ("aba", "%ab", false),
            ("", "%", true),
            ("", "_", false),
            ("é", "_", true),
        ] {
            let is = Value::text(text).is_like(&Value::text(pattern));
            assert_eq!(is, Some(like), "{text} LIKE {pattern}");
        }
        assert_eq!(Value::Null.is_like(&Value::text("%")), None);
    }

    #[test]
    fn texts_compare_without_case_and_with_numbers_as_numbers() {
        let text = |text: &str| Value::text(text);
        assert_eq!(text("ON").compare(&text("on")), Some(Ordering::Equal));
        assert_eq!(text("10").compare(&Value::Int(9)), Some(Ordering::Greater));
        assert_eq!(
            text("8.0.11-x").compare(&Value::Real(8.0)),
            Some(Ordering::Equal)
        );
        assert_eq!(text("x").compare(&Value::Int(0)), Some(Ordering::Equal));
        assert_eq!(Value::Null.compare(&Value::Null), None);
        assert_eq!(text("1.5e3x").number(), Some(1500.0));
    }
}
