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
    /// What a predict statement reads of it. Where it reads tables, the store has forgotten the warnings by then.
    pub fn as_read_by(&self, statement: &str) -> LastStatement {
        let words = || statement.split_ascii_whitespace();
        let reads_tables = words().any(|word| word.eq_ignore_ascii_case("FROM"))
            || !words()
                .next()
                .is_some_and(|word| word.eq_ignore_ascii_case("SELECT"));
        let kept = |count: u64| Some(if reads_tables { 0 } else { count });
        LastStatement {
            row_count: Some(self.row_count),
            found_rows: Some(self.found_rows),
            warnings: kept(self.warnings),
            errors: kept(self.errors),
        }
    }
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
