//! What the client's statement before has left in the session.

use predictsql_optimizer::last_statement::LastStatement;

/// What the statement before the lane's first own one has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Before {
    /// `ROW_COUNT()`
    pub row_count: i64,
    /// `FOUND_ROWS()`
    pub found_rows: u64,
    /// `@@warning_count`
    pub warnings: u64,
    /// `@@error_count`
    pub errors: u64,
}

impl Before {
    /// What a predict statement reads of it. Where it reads tables,
    /// the store has forgotten the warnings by then.
    pub fn as_read_by(&self, statement: &str) -> LastStatement {
        let reads_tables = reads_tables(statement);
        let kept = |count: u64| Some(if reads_tables { 0 } else { count });
        LastStatement {
            row_count: Some(self.row_count),
            found_rows: Some(self.found_rows),
            warnings: kept(self.warnings),
            errors: kept(self.errors),
        }
    }
}

/// Whether a statement reads tables, or is no query:
/// then the store forgets the warnings of the statement before.
pub fn reads_tables(statement: &str) -> bool {
    let words = || statement.split_ascii_whitespace();
    let is_query = |word: &str| word.eq_ignore_ascii_case("SELECT");
    words().any(|word| word.eq_ignore_ascii_case("FROM")) || !words().next().is_some_and(is_query)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_are_read_where_no_table_is() {
        let before = Before {
            warnings: 3,
            ..Before::default()
        };
        let read = |text| before.as_read_by(text).warnings;
        assert_eq!(read("SELECT @@warning_count, ml.t('x')"), Some(3));
        assert_eq!(read("SELECT @@warning_count, ml.t(x) FROM p"), Some(0));
        assert_eq!(read("UPDATE p SET x = @@warning_count"), Some(0));
    }
}
