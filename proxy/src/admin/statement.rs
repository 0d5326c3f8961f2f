//! Statements of the admin endpoint: its own, and those that clients send by themselves.
//!
//! ```text
//! SHOW modifier* list [FROM name]* [LIKE 'p' | WHERE e] [LIMIT ...]      KILL SESSION n
//! SELECT e [[AS] name], ... [FROM DUAL] [WHERE e] [LIMIT ...]            USE name
//! SET ... | BEGIN ... | START TRANSACTION ... | COMMIT ... | ROLLBACK ...   without effect
//! ```

use super::cursor::Cursor;
use super::endpoint::Admin;
use super::expression::{self, Expression, Scope};
use super::lexer::{Token, lex};
use super::lists::{LISTS, List};
use super::refusal::Refusal;
use super::table::{Column, Kind, Table};
use super::value::Value;

/// A statement, and how many `?` it has.
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    verb: Verb,
    parameters: usize,
}

#[derive(Debug, Clone, PartialEq)]
enum Verb {
    Show(List, Filter),
    Select(Vec<(String, Expression)>, Filter),
    KillSession(Expression),
    Use(String),
    /// SET and the begin and end of transactions.
    Nothing,
}

/// Which rows are wanted.
#[derive(Debug, Clone, Default, PartialEq)]
struct Filter {
    like: Option<Expression>,
    condition: Option<Expression>,
    skipped: Option<Expression>,
    most: Option<Expression>,
}

/// What a statement comes to.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// Rows.
    Table(Table),
    /// Nothing to do.
    Done,
    /// The session is to be killed.
    Kill(i128),
    /// The session's database is this from now on.
    Use(String),
}

/// Words in front of a list that do not change what is shown here.
const MODIFIERS: [&str; 5] = ["FULL", "GLOBAL", "SESSION", "LOCAL", "EXTENDED"];
/// Words in front of a select list that mean nothing for one row.
const SELECT_OPTIONS: [&str; 5] = [
    "ALL",
    "DISTINCT",
    "DISTINCTROW",
    "SQL_NO_CACHE",
    "SQL_CACHE",
];
/// Words that begin a clause, and thus are no alias.
const CLAUSES: [&str; 9] = [
    "FROM", "WHERE", "LIMIT", "ORDER", "GROUP", "HAVING", "FOR", "UNION", "INTO",
];

impl Statement {
    /// Reads a statement.
    ///
    /// # Errors
    /// Not a statement of the grammar, or one that would promise what the endpoint does not do.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let lexemes = lex(text).ok_or_else(|| Refusal::syntax(text.trim()))?;
        let mut cursor = Cursor::new(text, &lexemes);
        while cursor.take_symbol(";") {}
        let verb = verb(&mut cursor)?;
        cursor.end()?;
        Ok(Self {
            verb,
            parameters: cursor.parameters(),
        })
    }

    /// Words of which a statement of this kind begins with one, after comments.
    #[cfg(any(test, fuzzing))]
    pub fn first_words(&self) -> &'static [&'static str] {
        match self.verb {
            Verb::Show(..) => &["SHOW"],
            Verb::Select(..) => &["SELECT"],
            Verb::KillSession(_) => &["KILL"],
            Verb::Use(_) => &["USE"],
            Verb::Nothing => &["SET", "BEGIN", "START", "COMMIT", "ROLLBACK"],
        }
    }

    /// Number of `?`.
    pub fn parameters(&self) -> usize {
        self.parameters
    }

    /// What the statement comes to, without doing it.
    ///
    /// # Errors
    /// Names that are not known.
    pub fn reply(&self, admin: &Admin, scope: Scope<'_>) -> Result<Reply, Refusal> {
        match &self.verb {
            Verb::Show(list, filter) => {
                let table = list.table(admin, scope.facts);
                filter.applied(table, scope).map(Reply::Table)
            }
            Verb::Select(items, filter) => select(items, filter, scope).map(Reply::Table),
            Verb::KillSession(id) => match id.value(scope)?.number() {
                Some(id) => Ok(Reply::Kill(id as i128)),
                None => Ok(Reply::Kill(-1)),
            },
            Verb::Use(name) => Ok(Reply::Use(name.clone())),
            Verb::Nothing => Ok(Reply::Done),
        }
    }
}

fn verb(cursor: &mut Cursor<'_>) -> Result<Verb, Refusal> {
    if cursor.take_word("SHOW") {
        return show(cursor);
    }
    if cursor.take_word("SELECT") {
        return select_list(cursor);
    }
    if cursor.take_word("SET") {
        return set(cursor);
    }
    if cursor.take_word("USE") {
        let name = cursor.name().ok_or_else(|| cursor.syntax())?;
        return Ok(Verb::Use(name.to_owned()));
    }
    if cursor.take_words(&["KILL", "SESSION"]) {
        return expression::parse(cursor).map(Verb::KillSession);
    }
    let transactions: [&[&str]; 4] = [
        &["BEGIN"],
        &["START", "TRANSACTION"],
        &["COMMIT"],
        &["ROLLBACK"],
    ];
    if transactions.iter().any(|words| cursor.take_words(words)) {
        while cursor.name().is_some() || cursor.take_symbol(",") {}
        return Ok(Verb::Nothing);
    }
    Err(cursor.syntax())
}

fn show(cursor: &mut Cursor<'_>) -> Result<Verb, Refusal> {
    let full = cursor.at_words(&["FULL"]) || cursor.at_words(&["EXTENDED", "FULL"]);
    while cursor.take_one_of(&MODIFIERS) {}
    let mut lists = LISTS.iter();
    let found = lists.find(|(words, _)| cursor.take_words(words));
    let &(_, mut list) = found.ok_or_else(|| cursor.syntax())?;
    if list == List::Tables && full {
        list = List::FullTables;
    }
    while cursor.take_one_of(&["FROM", "IN"]) {
        cursor.name().ok_or_else(|| cursor.syntax())?;
    }
    Ok(Verb::Show(list, filter(cursor, true)?))
}

fn select_list(cursor: &mut Cursor<'_>) -> Result<Verb, Refusal> {
    while cursor.take_one_of(&SELECT_OPTIONS) {}
    let mut items = Vec::new();
    loop {
        let mark = cursor.mark();
        let expression = expression::parse(cursor)?;
        let mut name = cursor.text_from(mark).to_owned();
        if let Some(alias) = alias(cursor)? {
            name = alias;
        }
        items.push((name, expression));
        if !cursor.take_symbol(",") {
            break;
        }
    }
    let dual = cursor.at_words(&["FROM", "DUAL"]);
    if dual {
        cursor.take_words(&["FROM", "DUAL"]);
    }
    Ok(Verb::Select(items, filter(cursor, false)?))
}

fn alias(cursor: &mut Cursor<'_>) -> Result<Option<String>, Refusal> {
    let named = cursor.take_word("AS");
    let alias = match cursor.peek() {
        Some(Token::Quoted(alias) | Token::Text(alias)) => alias,
        Some(Token::Word(word)) => {
            let is_clause = CLAUSES
                .iter()
                .any(|clause| clause.eq_ignore_ascii_case(word));
            if is_clause && !named {
                return Ok(None);
            }
            word
        }
        _ if named => return Err(cursor.syntax()),
        _ => return Ok(None),
    };
    cursor.next();
    Ok(Some(alias.clone()))
}

fn filter(cursor: &mut Cursor<'_>, like: bool) -> Result<Filter, Refusal> {
    let mut filter = Filter::default();
    if like && cursor.take_word("LIKE") {
        filter.like = Some(expression::parse(cursor)?);
    } else if cursor.take_word("WHERE") {
        filter.condition = Some(expression::parse(cursor)?);
    }
    if cursor.take_word("LIMIT") {
        let first = expression::parse(cursor)?;
        if cursor.take_symbol(",") {
            filter.skipped = Some(first);
            filter.most = Some(expression::parse(cursor)?);
        } else {
            filter.most = Some(first);
            if cursor.take_word("OFFSET") {
                filter.skipped = Some(expression::parse(cursor)?);
            }
        }
    }
    Ok(filter)
}

/// SET of the session has no effect, which clients cannot notice; what would promise more is
/// refused.
fn set(cursor: &mut Cursor<'_>) -> Result<Verb, Refusal> {
    let mut begins = true;
    let mut any = false;
    let wider = [
        "GLOBAL",
        "PERSIST",
        "PERSIST_ONLY",
        "PASSWORD",
        "ROLE",
        "DEFAULT",
    ];
    while let Some(token) = cursor.peek() {
        if *token == Token::Symbol(";") {
            break;
        }
        let promises = wider.iter().any(|word| cursor.at_words(&[word]));
        if begins && promises {
            return Err(Refusal::unsupported(
                "only SET of the session is accepted here",
            ));
        }
        begins = matches!(token, Token::Symbol("," | "@@"));
        if cursor.parameter().is_none() {
            cursor.next();
        }
        any = true;
    }
    match any {
        true => Ok(Verb::Nothing),
        false => Err(cursor.syntax()),
    }
}

fn select(
    items: &[(String, Expression)],
    filter: &Filter,
    scope: Scope<'_>,
) -> Result<Table, Refusal> {
    let values = items.iter().map(|(_, expression)| expression.value(scope));
    let row: Vec<Value> = values.collect::<Result<_, _>>()?;
    let column = |((name, _), value): (&(String, Expression), &Value)| Column {
        name: name.clone(),
        kind: Kind::of(value),
    };
    let columns = items.iter().zip(&row).map(column).collect();
    let table = Table {
        columns,
        rows: vec![row],
    };
    filter.applied(table, scope)
}

impl Filter {
    /// The rows that are wanted. LIKE is about the first column.
    fn applied(&self, table: Table, scope: Scope<'_>) -> Result<Table, Refusal> {
        let Table { columns, rows } = table;
        let pattern = self.like.as_ref().map(|like| like.value(scope));
        let pattern = pattern.transpose()?;
        let mut wanted = Vec::new();
        if let Some(condition) = &self.condition
            && rows.is_empty()
        {
            // Names are checked even without rows.
            let names = columns
                .iter()
                .map(|column| (column.name.as_str(), Value::Null));
            let row: Vec<(&str, Value)> = names.collect();
            condition.value(Scope { row: &row, ..scope })?;
        }
        for row in rows {
            let like = match (&pattern, row.first()) {
                (Some(pattern), Some(first)) => first.is_like(pattern) == Some(true),
                _ => true,
            };
            let holds = match &self.condition {
                Some(condition) => {
                    let names = columns.iter().map(|column| column.name.as_str());
                    let row: Vec<(&str, Value)> = names.zip(row.iter().cloned()).collect();
                    condition.value(Scope { row: &row, ..scope })?.is_true() == Some(true)
                }
                None => true,
            };
            if like && holds {
                wanted.push(row);
            }
        }
        let count = |limit: &Option<Expression>| -> Result<Option<usize>, Refusal> {
            let value = limit.as_ref().map(|limit| limit.value(scope)).transpose()?;
            Ok(value
                .and_then(|value| value.number())
                .map(|number| number as usize))
        };
        let skipped = count(&self.skipped)?.unwrap_or(0);
        let most = count(&self.most)?.unwrap_or(usize::MAX);
        let rows = wanted.into_iter().skip(skipped).take(most).collect();
        Ok(Table { columns, rows })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::facts::tests::facts;
    use super::*;
    use proptest::prelude::*;

    /// Names and values of a SELECT.
    fn selected(text: &str) -> Result<Vec<(String, Value)>, Refusal> {
        let facts = facts();
        let scope = Scope {
            facts: &facts,
            parameters: &[],
            row: &[],
        };
        let statement = Statement::parse(text)?;
        let Verb::Select(items, filter) = &statement.verb else {
            panic!("{text} is no SELECT")
        };
        let table = select(items, filter, scope)?;
        let names = table.columns.into_iter().map(|column| column.name);
        let row = table.rows.into_iter().next().unwrap_or_default();
        Ok(names.zip(row).collect())
    }

    fn shows(text: &str) -> Option<List> {
        match Statement::parse(text).ok()?.verb {
            Verb::Show(list, _) => Some(list),
            _ => None,
        }
    }

    #[test]
    fn lists_are_named_in_any_case_and_spacing() {
        for (text, list) in [
            (" show\tSessions ; ", List::Sessions),
            ("SHOW QUERIES", List::Queries),
            ("/* all */ show -- them\n config;;", List::Config),
            ("SHOW CONFIG LIKE 'a%'", List::Config),
            ("SHOW /*!50002 GLOBAL */ STATUS LIKE 'x'", List::Status),
            ("SHOW FULL TABLES FROM `a` LIKE '%'", List::FullTables),
            ("SHOW TABLES IN a", List::Tables),
            (
                "SHOW CHARACTER SET WHERE Charset = 'x'",
                List::CharacterSets,
            ),
            ("SHOW STORAGE ENGINES", List::Engines),
            ("SHOW WARNINGS LIMIT 10", List::Warnings),
        ] {
            assert_eq!(shows(text), Some(list), "{text}");
        }
    }

    #[test]
    fn a_select_has_the_names_that_a_server_gives() {
        let answers = selected(
            "select @@max_allowed_packet , @@Session.autocommit AS a, @@global.`version_comment` `c`, \
             DATABASE(), 'x' 'y', 1+1, -1.5, version() LIKE '8.%' limit 1",
        );
        let expected: [(&str, Value); 8] = [
            ("@@max_allowed_packet", Value::Int(1 << 20)),
            ("a", Value::Int(1)),
            ("c", Value::text("PredictSQL admin endpoint")),
            ("DATABASE()", Value::Null),
            ("y", Value::text("x")),
            ("1+1", Value::Int(2)),
            ("-1.5", Value::Real(-1.5)),
            ("version() LIKE '8.%'", Value::Int(1)),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value));
        assert_eq!(answers.unwrap(), expected);
    }

    #[test]
    fn conditions_follow_the_rules_of_servers() {
        for (expression, value) in [
            ("1 OR NULL", Value::Int(1)),
            ("0 OR NULL", Value::Null),
            ("NULL AND 0", Value::Int(0)),
            ("NOT 1 = 2", Value::Int(1)),
            ("'A' = 'a' AND 'b' IN ('a', 'B')", Value::Int(1)),
            ("3 NOT IN (1, NULL)", Value::Null),
            ("2 BETWEEN 1 AND 3", Value::Int(1)),
            ("2 NOT BETWEEN 1 AND 3", Value::Int(0)),
            ("NULL IS NULL", Value::Int(1)),
            ("@v IS NOT NULL", Value::Int(0)),
            ("NULL <=> NULL", Value::Int(1)),
            ("2 + 3 * 4 - 1", Value::Int(13)),
            ("7 / 2", Value::Real(3.5)),
            ("1 / 0", Value::Null),
            ("(1)", Value::Int(1)),
            ("CAST('a' AS CHAR(60))", Value::text("a")),
            ("CONVERT(_utf8mb4'a' USING utf8)", Value::text("a")),
            ("0x10", Value::Int(16)),
            ("1 IS NOT FALSE", Value::Int(1)),
        ] {
            let found = selected(&format!("SELECT {expression}"));
            assert_eq!(found.map(|row| row[0].1.clone()), Ok(value), "{expression}");
        }
    }

    #[test]
    fn limits_and_conditions_leave_rows_out() {
        for text in [
            "SELECT 1 LIMIT 0",
            "SELECT 1 FROM dual WHERE 1 = 0",
            "SELECT 1 LIMIT 1, 1",
            "SELECT 1 LIMIT 1 OFFSET 1",
        ] {
            assert_eq!(selected(text), Ok(Vec::new()), "{text}");
        }
    }

    #[test]
    fn what_has_no_effect_is_accepted() {
        for text in [
            "SET NAMES utf8mb4",
            "SET SQL_SAFE_UPDATES=1,SQL_SELECT_LIMIT=1000,MAX_JOIN_SIZE=1000000",
            "SET sql_mode=(SELECT CONCAT(@@sql_mode, ',PIPES_AS_CONCAT')),time_zone='+00:00',NAMES utf8mb4",
            "/*!40101 SET character_set_results = NULL */;",
            "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
            "SET @@session.autocommit = OFF",
            "set autocommit=?",
            "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
            "BEGIN WORK",
            "COMMIT AND CHAIN",
            "rollback",
        ] {
            let verb = Statement::parse(text).map(|statement| statement.verb);
            assert_eq!(verb, Ok(Verb::Nothing), "{text}");
        }
    }

    #[test]
    fn anything_else_is_not_understood() {
        for text in [
            "",
            ";",
            "SHOW",
            "SHOW COLUMNS FROM a",
            "SHOW SESSIONS; SHOW CONFIG",
            "KILL 1",
            "KILL SESSION",
            "SELECT",
            "SELECT *",
            "SELECT @@a OFFSET 1",
            "SELECT @@",
            "SELECT 1 FROM mysql.user",
            "SELECT 'open",
            "DROP TABLE users",
            "SET",
            "SET GLOBAL max_connections = 1",
            "SET names utf8, @@global.x = 1",
            "SET PASSWORD = 'x'",
        ] {
            let refused = Statement::parse(text).unwrap_err();
            let message = refused.packet().to_string();
            assert!(message.contains("SHOW SESSIONS"), "{text}: {message}");
        }
        let deep = format!("SELECT {}1{}", "(".repeat(9000), ")".repeat(900));
        assert!(Statement::parse(&deep).is_err());
        assert!(selected("SELECT @@no_such").is_err());
        assert!(selected("SELECT no_such").is_err());
        assert!(selected("SELECT SLEEP(1)").is_err());
    }

    #[test]
    fn parameters_are_counted() {
        for (text, count) in [
            ("KILL SESSION ?", 1),
            ("SHOW VARIABLES WHERE Variable_name IN (?, '?')", 1),
            ("SELECT ?, ? LIMIT ?", 3),
            ("SET a = ?, b = ?", 2),
        ] {
            assert_eq!(
                Statement::parse(text).unwrap().parameters(),
                count,
                "{text}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_text_is_a_panic(text in ".{0,60}") {
            let _ = Statement::parse(&text);
        }

        #[test]
        fn no_expression_is_a_panic(tail in "[-+*/%()a@.,'!=<>0-9 LIKENOT]{0,60}") {
            let _ = selected(&format!("SELECT {tail}"));
        }
    }
}
