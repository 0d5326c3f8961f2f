//! Labels as SQL: a prediction is replaced by `ELT(code, labels)`, whose collation has the same
//! low coercibility as a literal's.

use predictsql_catalog::Task;

use super::fragment::quote_string;

/// Length of a label in characters, as the stubs return it. A column created from labels has this
/// length.
const LABEL_CHARS: usize = 255;

/// The collation of labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LabelCollation {
    /// The default collation of utf8mb4, which the stubs return.
    #[default]
    Default,
    /// The collation of the connection's literals, where it is another one of utf8mb4: the store
    /// would not compare the two.
    Connection,
}

impl LabelCollation {
    /// The task's labels as comma-separated literals.
    pub(crate) fn list(self, task: &Task) -> String {
        let labels: Vec<String> = task.classes.iter().map(|c| self.literal(c)).collect();
        labels.join(", ")
    }

    /// The same, with an extra last label that no code selects and that gives the type its length.
    pub(crate) fn wide_list(self, task: &Task) -> String {
        let widest = self.literal(&" ".repeat(LABEL_CHARS));
        format!("{}, {widest}", self.list(task))
    }

    /// A label as a literal with the same meaning under every `sql_mode` and in every encoding of
    /// the text.
    fn literal(self, label: &str) -> String {
        let literal = quote_string(label);
        match (self, literal.strip_prefix("_utf8mb4'")) {
            (Self::Default, _) => literal,
            (Self::Connection, Some(plain)) => format!("'{plain}"),
            // A hexadecimal literal would have the default collation; a date format has the
            // connection's.
            (Self::Connection, None) => {
                let format = quote_string(&label.replace('%', "%%"));
                format!("DATE_FORMAT(DATE'2000-01-01', {format})")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::task;

    #[test]
    fn labels_are_written_by_the_collation_that_they_are_to_have() {
        let task = task("t", &["cat", "Größe %"]);
        assert_eq!(
            LabelCollation::Default.list(&task),
            "_utf8mb4'cat', _utf8mb4 X'4772C3B6C39F652025'"
        );
        assert_eq!(
            LabelCollation::Connection.list(&task),
            "'cat', DATE_FORMAT(DATE'2000-01-01', _utf8mb4 X'4772C3B6C39F65202525')"
        );
    }
}
