//! Random statements by a grammar, the same for the same choices. Each is made over the tables `p`
//! and `q`, changes go to `w` (a copy of `p`) and `made`,
//! and every statement has but one right answer.

mod changes;
pub mod choices;
mod expressions;
mod queries;
pub mod views;

use super::answer::Param;
use super::case::{Case, case};
use choices::Choices;

/// A statement and how it is run.
#[derive(Debug, Clone)]
pub struct Statement {
    /// Text and parameters.
    pub case: Case,
    /// What it is to be compared by.
    pub kind: Kind,
    /// What comes before it; a ROLLBACK comes after it then.
    pub begin: Option<&'static str>,
}

/// What a statement does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Rows.
    Read,
    /// Another `w`, or other variables. Over the binary protocol?
    Change {
        /// Prepared and executed.
        binary: bool,
    },
}

/// The grammar's state.
pub struct Generator {
    choices: Choices,
    params: Vec<Param>,
}

/// Of 100 statements, those that change something.
const CHANGES_PERCENT: usize = 18;

impl Generator {
    /// From choices.
    pub fn new(choices: Choices) -> Self {
        Self {
            choices,
            params: Vec::new(),
        }
    }

    /// The choices made so far.
    pub fn made(&self) -> Vec<usize> {
        self.choices.made().to_vec()
    }

    /// The next statement.
    pub fn statement(&mut self) -> Statement {
        self.params.clear();
        let changes = self.chance(CHANGES_PERCENT);
        let begin = match self.choices.weighted([80, 12, 5, 3]) {
            0 => None,
            1 => Some("START TRANSACTION"),
            2 if !changes => Some("START TRANSACTION READ ONLY"),
            _ => Some("START TRANSACTION WITH CONSISTENT SNAPSHOT"),
        };
        let (sql, ordered, kind) = match changes {
            true => {
                let binary = self.chance(50);
                let (sql, ordered) = self.change();
                (sql, ordered, Kind::Change { binary })
            }
            false => {
                let (sql, ordered) = self.query();
                (sql, ordered, Kind::Read)
            }
        };
        let mut params = std::mem::take(&mut self.params);
        // A part with a parameter was made and left out.
        let (sql, kind) = match sql.matches('?').count() == params.len() {
            true => (sql, kind),
            false => {
                params.clear();
                ("SELECT id, ml.apparel(photo) FROM p".to_owned(), Kind::Read)
            }
        };
        let mut case = case(sql).with(params);
        case.ordered &= ordered;
        Statement { case, kind, begin }
    }

    /// Settings of a session that change what statements mean or how the store runs them.
    pub fn settings(&mut self) -> Vec<String> {
        const VARIABLES: &[(&str, &[&str])] = &[
            (
                "sql_mode",
                &[
                    "''",
                    "'ANSI_QUOTES,STRICT_TRANS_TABLES'",
                    "'ONLY_FULL_GROUP_BY,STRICT_ALL_TABLES'",
                    "'NO_BACKSLASH_ESCAPES'",
                    "'PIPES_AS_CONCAT,PAD_CHAR_TO_FULL_LENGTH'",
                    "'TRADITIONAL'",
                ],
            ),
            (
                "collation_connection",
                &["utf8mb4_bin", "utf8mb4_general_ci", "latin1_german1_ci"],
            ),
            (
                "optimizer_switch",
                &[
                    "'derived_merge=off'",
                    "'semijoin=off'",
                    "'materialization=off'",
                    "'condition_pushdown_for_derived=off'",
                    "'derived_with_keys=off,split_materialized=off'",
                    "'join_cache_hashed=off,firstmatch=off'",
                ],
            ),
            (
                "tx_isolation",
                &["'READ-COMMITTED'", "'SERIALIZABLE'", "'READ-UNCOMMITTED'"],
            ),
            ("character_set_results", &["utf8mb3", "NULL"]),
            ("join_cache_level", &["0", "8"]),
            ("group_concat_max_len", &["40"]),
        ];
        let mut settings = Vec::new();
        if self.chance(15) {
            settings.push(format!("SET NAMES {}", self.pick(&["latin1", "utf8mb3"])));
        }
        for (name, values) in VARIABLES {
            if self.chance(14) {
                settings.push(format!("SET {name} = {}", self.pick(values)));
            }
        }
        settings
    }

    fn number(&mut self, below: usize) -> usize {
        self.choices.number(below)
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.choices.chance(percent)
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        self.choices.pick(from)
    }

    /// A parameter.
    fn param(&mut self, param: Param) -> String {
        self.params.push(param);
        "?".to_owned()
    }
}
