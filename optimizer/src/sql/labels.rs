//! Labels as SQL: in place of a prediction stands `ELT(code, labels)`, whose collation is as weak
//! as a literal's.

use predictsql_catalog::Task;

use super::fragment::quote_string;

/// Characters of a label as the stubs return it. A column made of labels has room for as many.
const LABEL_CHARS: usize = 255;

/// Which collation labels have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LabelCollation {
    /// That which utf8mb4 has by default, as what the stubs return.
    #[default]
    Default,
    /// That of the connection's literals, which is another of utf8mb4:
    /// the store would not compare the two.
    Connection,
}

impl LabelCollation {
    /// The task's labels as literals, separated by commas.
    pub(crate) fn list(self, task: &Task) -> String {
        let labels: Vec<String> = task.classes.iter().map(|c| self.literal(c)).collect();
        labels.join(", ")
    }

    /// The same, and a last one that no code selects and that gives the type its length.
    pub(crate) fn wide_list(self, task: &Task) -> String {
        let widest = self.literal(&" ".repeat(LABEL_CHARS));
        format!("{}, {widest}", self.list(task))
    }

    /// A label as a literal that means the same under every `sql_mode` and in every encoding of
    /// the text.
    fn literal(self, label: &str) -> String {
        let literal = quote_string(label);
        match (self, literal.strip_prefix("_utf8mb4'")) {
            (Self::Default, _) => literal,
            (Self::Connection, Some(plain)) => format!("'{plain}"),
            // In hexadecimal it would have the default collation;
            // as the format of a date it has the connection's.
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
