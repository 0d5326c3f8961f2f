//! Parsing of a statement that may contain predict calls, and the texts derived from it for the
//! store.

use std::ops::Range;

use predictsql_catalog::{Snapshot, Task};
use sqlparser::tokenizer::Token;

use crate::refusal::Refusal;
use crate::sql::bare::BareNames;
use crate::sql::blocks::{Block, Blocks};
use crate::sql::calls::{self, Call};
use crate::sql::fragment::{Fragment, Splice, splice};
use crate::sql::hint;
use crate::sql::labels::LabelCollation;
use crate::sql::select_list;
use crate::sql::text::{LexMode, Lexed};

/// Splits a text into its statements. `None`: it is a single statement, or it contains constructs
/// that must not be split (routine bodies, executable comments).
pub fn split(text: &str, mode: LexMode) -> Option<Vec<&str>> {
    const UNCUT: [&str; 7] = [
        "PROCEDURE",
        "FUNCTION",
        "TRIGGER",
        "EVENT",
        "PACKAGE",
        "BEGIN",
        "DELIMITER",
    ];
    let lexed = Lexed::new(text, mode)?;
    let mut end = lexed.lexemes.len();
    let is_semicolon = |at: usize| matches!(lexed.token(at), Some(Token::SemiColon));
    while end > 0 && is_semicolon(end - 1) {
        end -= 1;
    }
    let uncut = |at: usize| UNCUT.iter().any(|w| lexed.is_keyword(at, w));
    if lexed.has_executable_comment() || (0..end).any(uncut) {
        return None;
    }
    let mut statements = Vec::new();
    let mut start = 0;
    for at in (0..end).filter(|&at| is_semicolon(at)).chain([end]) {
        statements.push(lexed.text_of(&(start..at)));
        start = at + 1;
    }
    (statements.len() > 1).then_some(statements)
}

/// How a statement requests its plan instead of its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Explain {
    /// One row of JSON (`FORMAT=JSON`) instead of one text line per row.
    pub json: bool,
    /// The statement is executed, and actual figures are shown beside the expected ones: MariaDB's
    /// `ANALYZE`, MySQL's `EXPLAIN ANALYZE`.
    pub analyze: bool,
    /// Column name of the result.
    pub column: &'static str,
}

/// Parses a leading EXPLAIN or synonym, and gives the lexeme where the explained statement begins.
fn explained(lexed: &Lexed<'_>) -> (Option<Explain>, usize) {
    let is = |at: usize, words: &[&str]| words.iter().any(|w| lexed.is_keyword(at, w));
    let (analyze, column, mut at) = match () {
        () if is(0, &["ANALYZE"]) => (true, "ANALYZE", 1),
        () if is(0, &["EXPLAIN", "DESCRIBE", "DESC"]) => match is(1, &["ANALYZE"]) {
            true => (true, "EXPLAIN", 2),
            false => (false, "EXPLAIN", 1),
        },
        () => return (None, 0),
    };
    let is_format = is(at, &["FORMAT"]) && matches!(lexed.token(at + 1), Some(Token::Eq));
    let json = is_format && is(at + 2, &["JSON"]);
    // MySQL's FORMAT=TREE is treated as the text-line format.
    if json || (is_format && is(at + 2, &["TRADITIONAL", "TREE"])) {
        at += 3;
    }
    let explain = Explain {
        json,
        analyze,
        column,
    };
    (Some(explain), at)
}

/// The statement after an EXPLAIN; `None` if the text is not an EXPLAIN.
pub fn explained_statement(text: &str, mode: LexMode) -> Option<&str> {
    let lexed = Lexed::new(text, mode)?;
    let (explain, start) = explained(&lexed);
    explain.map(|_| lexed.text_of(&(start..lexed.lexemes.len())))
}

/// A statement with at least one predict call.
#[derive(Debug)]
pub struct PredictStatement<'a> {
    pub(crate) lexed: Lexed<'a>,
    pub(crate) calls: Vec<Call>,
    pub(crate) schema: &'a str,
    /// Lexemes of the statement itself, without EXPLAIN and trailing semicolons.
    pub(crate) body: Range<usize>,
    explain: Option<Explain>,
    pub(crate) labels: LabelCollation,
    /// The characters of the text stand for bytes.
    pub(crate) as_bytes: bool,
}

impl<'a> PredictStatement<'a> {
    /// Parses a statement. `None`: it contains no predict call, or is not lexically SQL; the store
    /// executes it.
    pub fn read(
        text: &'a str,
        mode: LexMode,
        schema: &'a str,
        catalog: &Snapshot,
    ) -> Result<Option<Self>, Refusal> {
        Self::read_with_bare(text, mode, schema, &BareNames::default(), catalog)
    }

    /// The same in a session whose current database is `schema`: unqualified functions named in
    /// `bare` belong to that schema.
    pub fn read_with_bare(
        text: &'a str,
        mode: LexMode,
        schema: &'a str,
        bare: &BareNames,
        catalog: &Snapshot,
    ) -> Result<Option<Self>, Refusal> {
        let Some(lexed) = Lexed::new(text, mode) else {
            return Ok(None);
        };
        let calls = calls::find(&lexed, schema, bare, catalog)?;
        if calls.is_empty() {
            return Ok(None);
        }
        if lexed.has_executable_comment() {
            return Err(Refusal::unsupported(
                "executable comments (/*! */) in a statement with predictions",
            ));
        }
        let mut end = lexed.lexemes.len();
        while end > 0 && matches!(lexed.token(end - 1), Some(Token::SemiColon)) {
            end -= 1;
        }
        let (explain, start) = explained(&lexed);
        const EXPLAINED: [&str; 7] = [
            "SELECT", "WITH", "VALUES", "INSERT", "REPLACE", "UPDATE", "DELETE",
        ];
        let has_plan = EXPLAINED.iter().any(|w| lexed.is_keyword(start, w))
            || matches!(lexed.token(start), Some(Token::LParen));
        if explain.is_some() && !has_plan {
            let what = lexed.keyword(start).unwrap_or_default().to_uppercase();
            return Err(Refusal::unsupported(format_args!(
                "EXPLAIN {what} of a statement with predictions"
            )));
        }
        Ok(Some(Self {
            lexed,
            calls,
            schema,
            body: start..end,
            explain,
            labels: LabelCollation::default(),
            as_bytes: false,
        }))
    }

    /// Sets the collation of class labels.
    #[must_use]
    pub fn with_labels(self, labels: LabelCollation) -> Self {
        Self { labels, ..self }
    }

    /// Sets whether the characters of the text stand for bytes, of which the store may take
    /// several for a character, or none.
    #[must_use]
    pub fn with_text_as_bytes(self, as_bytes: bool) -> Self {
        Self { as_bytes, ..self }
    }

    /// The statement with `_binary` before the string literals that are images: drivers write
    /// bytes so, and as text they would be converted. `is_data` tells of a literal's content
    /// whether it is data that is no text. `None` if there is no such literal.
    pub fn with_images_as_bytes(&self, is_data: impl Fn(&str) -> bool) -> Option<String> {
        let mut places = Vec::new();
        for call in self
            .calls
            .iter()
            .filter(|call| call.task.columns().is_empty())
        {
            let [input] = &call.arguments(&self.lexed)[..] else {
                continue;
            };
            let is_image =
                input.len() == 1 && self.lexed.string_content(input.start).is_some_and(&is_data);
            if is_image {
                places.push(self.lexed.bytes_of(input).start);
            }
        }
        let mut text = self.lexed.text.to_owned();
        for place in places.iter().rev() {
            text.insert_str(*place, "_binary");
        }
        (!places.is_empty()).then_some(text)
    }

    /// Its text with the schema of each call in the schema's own case, if any has another: calls
    /// are found in any case, but the store may tell cases apart. Nothing else differs.
    pub fn with_schema_in_its_case(&self) -> Option<String> {
        let mut text = self.lexed.text.to_owned();
        for call in &self.calls {
            let at = call.range.start;
            if !matches!(self.lexed.token(at + 1), Some(Token::Period)) {
                continue;
            }
            let word = self.lexed.bytes_of(&(at..at + 1));
            let spelled = self.lexed.text.get(word.clone()).unwrap_or_default();
            // It may stand in quotes.
            let place = spelled
                .to_ascii_lowercase()
                .find(&self.schema.to_ascii_lowercase());
            if let Some(place) = place {
                let start = word.start + place;
                text.replace_range(start..start + self.schema.len(), self.schema);
            }
        }
        (text != self.lexed.text).then_some(text)
    }

    /// Whether a column that is named after its text may have another name in the store: its names
    /// are shorter, and have fewer characters, than literals.
    pub fn has_unclear_names(&self) -> bool {
        let (lexed, calls) = (&self.lexed, &self.calls);
        let is_unclear = |element: &Range<usize>| {
            let mut calls = calls.iter();
            calls.any(|call| element.contains(&call.range.start))
                && select_list::is_unclear_name(lexed.text_of(element))
                && select_list::is_unnamed(lexed, element).unwrap_or(true)
        };
        let blocks = Blocks::cut(lexed, self.body.clone()).blocks;
        let mut elements = blocks
            .iter()
            .flat_map(|block| select_list::elements(lexed, block.items.clone()));
        elements.any(|element| is_unclear(&element))
    }

    /// The columns whose elements of the select list hold predict calls; none if there are
    /// wildcards, which are any number of columns.
    pub fn predicted_columns(&self) -> Vec<usize> {
        let lexed = &self.lexed;
        let cut = Blocks::cut(lexed, self.body.clone());
        let is_outer = |block: &&Block| {
            let mut ctes = cut.ctes.iter();
            block.parent.is_none() && !ctes.any(|cte| cte.range.contains(&block.range.start))
        };
        let Some(outer) = cut.blocks.iter().find(is_outer) else {
            return Vec::new();
        };
        let elements = select_list::elements(lexed, outer.items.clone());
        let is_wildcard = |element: &Range<usize>| {
            let last = element
                .end
                .checked_sub(1)
                .and_then(|last| lexed.token(last));
            matches!(last, Some(Token::Mul))
        };
        if elements.iter().any(is_wildcard) {
            return Vec::new();
        }
        let predicts = |(_, element): &(usize, &Range<usize>)| {
            let mut calls = self.calls.iter();
            calls.any(|call| element.contains(&call.range.start))
        };
        let numbered = elements.iter().enumerate().filter(predicts);
        numbered.map(|(number, _)| number).collect()
    }

    /// Settings of its hints `/*+ ML(...) */`, as (name in lower case, value).
    pub fn hints(&self) -> Vec<(String, String)> {
        hint::settings(&self.lexed)
    }

    /// Whether it contains several statements. The store prepares single statements only.
    pub fn is_several(&self) -> bool {
        let mut body = self.body.clone();
        body.any(|at| matches!(self.lexed.token(at), Some(Token::SemiColon)))
    }

    /// The EXPLAIN form, if it is one.
    pub fn explain(&self) -> Option<Explain> {
        self.explain
    }

    /// Whether its result or the rows it writes may depend on the current time.
    pub fn tells_time(&self) -> bool {
        const CLOCK: [&str; 12] = [
            "NOW",
            "CURRENT_TIMESTAMP",
            "CURRENT_DATE",
            "CURRENT_TIME",
            "CURDATE",
            "CURTIME",
            "LOCALTIME",
            "LOCALTIMESTAMP",
            "UNIX_TIMESTAMP",
            "UTC_DATE",
            "UTC_TIME",
            "UTC_TIMESTAMP",
        ];
        let is = |at: usize| CLOCK.iter().any(|w| self.lexed.is_keyword(at, w));
        // Written columns may default to the current time.
        !self.is_query() || self.body.clone().any(is)
    }

    /// Whether it is a VALUES statement, whose first row names the columns: aliases are not
    /// possible.
    pub fn is_values(&self) -> bool {
        self.lexed.is_keyword(self.body.start, "VALUES")
    }

    fn is_query(&self) -> bool {
        let start = self.body.start;
        let is = |word: &&str| self.lexed.is_keyword(start, word);
        ["SELECT", "WITH", "VALUES"].iter().any(is)
            || matches!(self.lexed.token(start), Some(Token::LParen))
    }

    /// Whether it sets FOUND_ROWS(). Assignments, and changes of one table without a query, leave
    /// it unchanged.
    pub fn finds_rows(&self) -> bool {
        let is = |at: usize, words: &[&str]| words.iter().any(|w| self.lexed.is_keyword(at, w));
        let mut body = self.body.clone();
        if self.is_query() || body.any(|at| is(at, &["SELECT"])) {
            return true;
        }
        let start = self.body.start;
        let end_of_tables = match self.lexed.keyword(start) {
            Some(word) if word.eq_ignore_ascii_case("UPDATE") => "SET",
            Some(word) if word.eq_ignore_ascii_case("DELETE") => "WHERE",
            _ => return false,
        };
        let mut tables = self
            .lexed
            .outside_parentheses(self.body.clone())
            .take_while(|at| !is(*at, &[end_of_tables]));
        let several = |at: usize| {
            is(at, &["JOIN", "USING"]) || matches!(self.lexed.token(at), Some(Token::Comma))
        };
        let names_first = end_of_tables == "WHERE" && !is(start + 1, &["FROM"]);
        names_first || tables.any(several)
    }

    /// The statement with each call replaced by its typed stub; the store checks this text, so
    /// that its own errors come first.
    pub fn as_stubs(&self) -> Fragment {
        splice(
            &self.lexed,
            self.body.clone(),
            &calls::stub_splices(&self.lexed, self.schema, &self.calls, &self.body),
        )
    }

    /// The statement with each call replaced by an expression of the same column type as the
    /// answer.
    pub fn as_described(&self) -> Fragment {
        let splices = self.described_splices(&self.body);
        splice(&self.lexed, self.body.clone(), &splices)
    }

    pub(crate) fn described_splices(&self, range: &Range<usize>) -> Vec<Splice> {
        calls::described_splices(&self.lexed, self.schema, &self.calls, range, self.labels)
    }

    /// Shortens a statement for display: replaces the class name lists of these tasks, which
    /// repeat, by `...`.
    pub(crate) fn abbreviated<'t>(
        &self,
        sql: &str,
        tasks: impl Iterator<Item = &'t Task>,
    ) -> String {
        tasks.fold(sql.to_owned(), |text, task| {
            text.replace(&self.labels.list(task), "...")
        })
    }

    /// Number of parameters (`?`) in the statement.
    pub fn parameter_count(&self) -> usize {
        self.as_stubs().parameters.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_are_asked_for_in_either_servers_words() {
        let read = |text: &'static str| {
            let lexed = Lexed::new(text, LexMode::default());
            let explain = lexed.and_then(|lexed| explained(&lexed).0)?;
            let statement = explained_statement(text, LexMode::default())?;
            Some((explain.json, explain.analyze, explain.column, statement))
        };
        for (text, json, analyze, column) in [
            ("EXPLAIN SELECT 1", false, false, "EXPLAIN"),
            ("desc format = json SELECT 1", true, false, "EXPLAIN"),
            ("ANALYZE SELECT 1", false, true, "ANALYZE"),
            ("ANALYZE FORMAT=JSON SELECT 1", true, true, "ANALYZE"),
            ("EXPLAIN ANALYZE SELECT 1", false, true, "EXPLAIN"),
            (
                "EXPLAIN ANALYZE FORMAT=tree SELECT 1",
                false,
                true,
                "EXPLAIN",
            ),
            (
                "EXPLAIN ANALYZE FORMAT=JSON SELECT 1",
                true,
                true,
                "EXPLAIN",
            ),
        ] {
            assert_eq!(
                read(text),
                Some((json, analyze, column, "SELECT 1")),
                "{text}"
            );
        }
        assert_eq!(read("SELECT 1"), None);
        let other = read("EXPLAIN FORMAT=XML SELECT 1").map(|read| read.3);
        assert_eq!(other, Some("FORMAT=XML SELECT 1"));
    }

    #[test]
    fn texts_are_cut_between_statements() {
        let cut = |text| split(text, LexMode::default());
        assert_eq!(
            cut("SELECT ';' ; /* ; */ SET @a = 1;\nSELECT `;` ;"),
            Some(vec!["SELECT ';'", "SET @a = 1", "SELECT `;`"])
        );
        assert_eq!(
            cut("SELECT 1;;SELECT 2"),
            Some(vec!["SELECT 1", "", "SELECT 2"])
        );
        for whole in [
            "SELECT 1;",
            "SELECT ';'",
            "BEGIN NOT ATOMIC SELECT 1; END",
            "CREATE PROCEDURE p() BEGIN SELECT 1; END",
            "SELECT 1; /*! SELECT 2 */",
            "SELECT 1; SELECT 'open",
        ] {
            assert_eq!(cut(whole), None, "{whole}");
        }
    }
}
