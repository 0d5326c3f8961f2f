//! A statement whose answers are compared.

use super::answer::Param;

/// A statement to compare.
#[derive(Debug, Clone, Default)]
pub struct Case {
    /// With schema `ml`; `?` stands for a parameter.
    pub sql: String,
    pub params: Vec<Param>,
    /// Run in both sessions before.
    pub setup: Vec<&'static str>,
    /// Whether its ORDER BY makes the order of its rows total.
    pub ordered: bool,
    /// Whether a column may be said to be possibly NULL that the naive evaluation says never is:
    /// the store infers it of outer joins from conditions,
    /// if it has merged what stands for the view.
    pub infers_not_null: bool,
}

/// A statement without parameters, whose rows are ordered if it says so.
pub fn case(sql: impl Into<String>) -> Case {
    let sql = sql.into();
    Case {
        ordered: sql.contains("ORDER BY"),
        sql,
        ..Case::default()
    }
}

impl Case {
    pub fn with(mut self, params: impl IntoIterator<Item = Param>) -> Self {
        self.params.extend(params);
        self
    }

    pub fn after(mut self, setup: &'static str) -> Self {
        self.setup.push(setup);
        self
    }

    /// The text with its parameters written out. No string of these tests holds a `?`.
    pub fn inlined(&self) -> String {
        let mut parts = self.sql.split('?');
        let mut sql = parts.next().unwrap().to_owned();
        for (part, param) in parts.zip(&self.params) {
            sql.push_str(&param.literal());
            sql.push_str(part);
        }
        sql
    }
}
