//! The recursive descent over a catalog statement's tokens.

mod alter;
mod evaluate;

use predictsql_catalog::{Column, ColumnKind, OptionValue, TaskInput, TaskKind};
use sqlparser::tokenizer::{Token, Tokenizer};

use super::{CatalogStatement, CreateModel, CreateTask, ShowFilter};
use crate::sql::text::{Lexed, StoreDialect};
use crate::{LexMode, Refusal, RefusalKind};

/// Longest piece of the statement that an error quotes, in characters, as the store does it.
const NEAR_CHARS_MAX: usize = 80;

pub(super) fn parse(sql: &str, mode: LexMode) -> Result<CatalogStatement, Refusal> {
    let Some(lexed) = Lexed::new(sql, mode) else {
        return Err(lexical_error(sql, mode));
    };
    if lexed.has_executable_comment() {
        return Err(unsupported(
            "a comment that the store executes (/*! ... */) in this statement",
        ));
    }
    let mut parser = Parser {
        lexed: &lexed,
        at: 0,
    };
    let statement = parser.statement()?;
    parser.accept_token(&Token::SemiColon);
    match lexed.token(parser.at) {
        None => Ok(statement),
        Some(_) => Err(parser.syntax("the end of the statement")),
    }
}

fn unsupported(construct: &str) -> Refusal {
    let message = format!("This version of PredictSQL doesn't yet support {construct}");
    Refusal::new(RefusalKind::Unsupported, message)
}

fn syntax_error(expected: &str, text: &str, offset: usize) -> Refusal {
    let before = text.get(..offset).unwrap_or(text);
    let near: String = text
        .get(offset..)
        .unwrap_or("")
        .chars()
        .take(NEAR_CHARS_MAX)
        .collect();
    let line = before.matches('\n').count() + 1;
    let message = format!(
        "You have an error in your SQL syntax; {expected} was expected near '{near}' at line {line}"
    );
    Refusal::new(RefusalKind::Syntax, message)
}

/// A string or comment that does not end.
fn lexical_error(sql: &str, mode: LexMode) -> Refusal {
    let dialect = StoreDialect::new(mode);
    let offset = match Tokenizer::new(&dialect, sql).tokenize_with_location() {
        Ok(_) => 0,
        Err(error) => {
            let line = error.location.line.saturating_sub(1) as usize;
            let column = error.location.column.saturating_sub(1) as usize;
            let start: usize = sql.split_inclusive('\n').take(line).map(str::len).sum();
            let rest = sql.get(start..).unwrap_or("");
            start
                + rest
                    .char_indices()
                    .nth(column)
                    .map_or(rest.len(), |(i, _)| i)
        }
    };
    syntax_error("the end of a quoted string or comment", sql, offset)
}

struct Parser<'a> {
    lexed: &'a Lexed<'a>,
    at: usize,
}

impl Parser<'_> {
    fn syntax(&self, expected: &str) -> Refusal {
        let end = self.lexed.text.len();
        let offset = self
            .lexed
            .lexemes
            .get(self.at)
            .map_or(end, |l| l.range.start);
        syntax_error(expected, self.lexed.text, offset)
    }

    /// Takes the words if they all stand here.
    fn accept(&mut self, words: &str) -> bool {
        let mut at = self.at;
        for word in words.split(' ') {
            if !self.lexed.is_keyword(at, word) {
                return false;
            }
            at += 1;
        }
        self.at = at;
        true
    }

    fn expect(&mut self, words: &str) -> Result<(), Refusal> {
        if self.accept(words) {
            Ok(())
        } else {
            Err(self.syntax(words))
        }
    }

    fn accept_token(&mut self, token: &Token) -> bool {
        let stands = self.lexed.token(self.at) == Some(token);
        self.at += usize::from(stands);
        stands
    }

    fn expect_token(&mut self, token: &Token) -> Result<(), Refusal> {
        if self.accept_token(token) {
            Ok(())
        } else {
            Err(self.syntax(&format!("'{token}'")))
        }
    }

    fn name(&mut self, what: &str) -> Result<String, Refusal> {
        match self.lexed.token(self.at) {
            Some(Token::Word(word)) => {
                self.at += 1;
                Ok(word.value.clone())
            }
            _ => Err(self.syntax(what)),
        }
    }

    fn string(&mut self, what: &str) -> Result<String, Refusal> {
        let literal = self.lexed.string_literal(&(self.at..self.at + 1));
        let literal = literal.ok_or_else(|| self.syntax(what))?;
        self.at += 1;
        Ok(literal)
    }

    fn strings(&mut self, what: &str) -> Result<Vec<String>, Refusal> {
        self.list(|parser| parser.string(what))
    }

    /// `( item, item, ... )`, at least one.
    fn list<T>(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Result<T, Refusal>,
    ) -> Result<Vec<T>, Refusal> {
        self.expect_token(&Token::LParen)?;
        let mut items = vec![item(self)?];
        while self.accept_token(&Token::Comma) {
            items.push(item(self)?);
        }
        if self.accept_token(&Token::RParen) {
            Ok(items)
        } else {
            Err(self.syntax("',' or ')'"))
        }
    }

    fn statement(&mut self) -> Result<CatalogStatement, Refusal> {
        if self.accept("CREATE OR REPLACE") {
            return Err(unsupported(
                "CREATE OR REPLACE; drop it first, or create another version",
            ));
        }
        if self.accept("CREATE TASK") {
            return self.create_task();
        }
        if self.accept("CREATE MODEL") {
            return self.create_model();
        }
        if self.accept("DROP TASK") {
            let if_exists = self.accept("IF EXISTS");
            return Ok(CatalogStatement::DropTask {
                name: self.name("a task's name")?,
                if_exists,
            });
        }
        if self.accept("DROP MODEL") {
            let if_exists = self.accept("IF EXISTS");
            let name = self.name("a model's name")?;
            let version = self.version()?;
            return Ok(CatalogStatement::DropModel {
                name,
                version,
                if_exists,
            });
        }
        if self.accept("SHOW") {
            return self.show();
        }
        if self.accept("EVALUATE") {
            return self.evaluate();
        }
        if self.accept("ALTER") {
            return self.alter();
        }
        Err(self.syntax("CREATE, ALTER, DROP, SHOW or EVALUATE of a TASK or MODEL"))
    }

    fn create_task(&mut self) -> Result<CatalogStatement, Refusal> {
        let if_not_exists = self.accept("IF NOT EXISTS");
        let name = self.name("a task's name")?;
        let (mut classes, mut kind, mut input, mut options) = (None, None, None, None);
        loop {
            if classes.is_none() && self.accept("CLASSES") {
                classes = Some(self.strings("a class in quotes")?);
            } else if kind.is_none() && self.accept("KIND") {
                kind = Some(self.kind()?);
            } else if input.is_none() && self.accept("INPUT") {
                input = Some(self.input()?);
            } else if options.is_none() && self.accept("OPTIONS") {
                options = Some(self.options()?);
            } else {
                break;
            }
        }
        let kind = kind.unwrap_or(TaskKind::Classification);
        let classes = match (kind, classes) {
            (TaskKind::Classification, None) => {
                return Err(self.syntax("CLASSES ('a', 'b', ...)"));
            }
            (_, classes) => classes.unwrap_or_default(),
        };
        Ok(CatalogStatement::CreateTask(CreateTask {
            name,
            if_not_exists,
            kind,
            input: input.unwrap_or(TaskInput::Image),
            classes,
            options: options.unwrap_or_default(),
        }))
    }

    fn kind(&mut self) -> Result<TaskKind, Refusal> {
        for kind in [TaskKind::Classification, TaskKind::Regression] {
            if self.accept(kind.as_str()) {
                return Ok(kind);
            }
        }
        for later in ["MULTILABEL", "DETECTION"] {
            if self.accept(later) {
                return Err(unsupported(&format!("tasks of KIND {later}")));
            }
        }
        Err(self.syntax("CLASSIFICATION or REGRESSION"))
    }

    fn input(&mut self) -> Result<TaskInput, Refusal> {
        if self.accept("IMAGE") {
            return Ok(TaskInput::Image);
        }
        if self.lexed.token(self.at) != Some(&Token::LParen) {
            return Err(self.syntax("IMAGE or (column DOUBLE, column VARCHAR, ...)"));
        }
        self.list(Self::column).map(TaskInput::Columns)
    }

    fn column(&mut self) -> Result<Column, Refusal> {
        let name = self.name("a column's name")?;
        let word = self.lexed.keyword(self.at).unwrap_or_default();
        let kind = ColumnKind::from_word(word);
        let kind = kind.ok_or_else(|| self.syntax("DOUBLE or VARCHAR"))?;
        self.at += 1;
        Ok(Column { name, kind })
    }

    fn create_model(&mut self) -> Result<CatalogStatement, Refusal> {
        let if_not_exists = self.accept("IF NOT EXISTS");
        let name = self.name("a model's name")?;
        self.expect("FOR TASK")?;
        let task = self.name("a task's name")?;
        self.expect("FROM")?;
        let uri = self.string("the model's path or URI in quotes")?;
        let (mut version, mut covers, mut options) = (None, None, None);
        loop {
            if version.is_none() && self.lexed.is_keyword(self.at, "VERSION") {
                version = self.version()?;
            } else if covers.is_none() && self.accept("COVERS") {
                covers = Some(self.strings("a class in quotes")?);
            } else if options.is_none() && self.accept("OPTIONS") {
                options = Some(self.options()?);
            } else {
                break;
            }
        }
        Ok(CatalogStatement::CreateModel(CreateModel {
            name,
            if_not_exists,
            task,
            uri,
            version,
            covers,
            options: options.unwrap_or_default(),
        }))
    }

    fn version(&mut self) -> Result<Option<String>, Refusal> {
        if self.accept("VERSION") {
            self.string("a version in quotes").map(Some)
        } else {
            Ok(None)
        }
    }

    fn show(&mut self) -> Result<CatalogStatement, Refusal> {
        if self.accept("CREATE TASK") {
            return Ok(CatalogStatement::ShowCreateTask {
                name: self.name("a task's name")?,
            });
        }
        if self.accept("CREATE MODEL") {
            let name = self.name("a model's name")?;
            let version = self.version()?;
            return Ok(CatalogStatement::ShowCreateModel { name, version });
        }
        if self.accept("TASKS") {
            return Ok(CatalogStatement::ShowTasks {
                filter: self.filter()?,
            });
        }
        if !self.accept("MODELS") {
            return Err(self.syntax("TASKS, MODELS, CREATE TASK or CREATE MODEL"));
        }
        let task = if self.accept("FOR TASK") {
            Some(self.name("a task's name")?)
        } else {
            None
        };
        Ok(CatalogStatement::ShowModels {
            task,
            filter: self.filter()?,
        })
    }

    fn filter(&mut self) -> Result<Option<ShowFilter>, Refusal> {
        if self.accept("LIKE") {
            return Ok(Some(ShowFilter::Like(self.string("a pattern in quotes")?)));
        }
        if !self.accept("WHERE") {
            return Ok(None);
        }
        let count = self.lexed.lexemes.len();
        let end = (self.at..count)
            .find(|at| self.lexed.token(*at) == Some(&Token::SemiColon))
            .unwrap_or(count);
        if end == self.at || self.closes_more_than_it_opens(end) {
            return Err(self.syntax("an expression"));
        }
        let text = self.lexed.text_of(&(self.at..end)).to_owned();
        self.at = end;
        Ok(Some(ShowFilter::Where(text)))
    }

    /// Whether the parentheses from here to `end` are unbalanced.
    fn closes_more_than_it_opens(&self, end: usize) -> bool {
        let mut depth = 0_usize;
        for at in self.at..end {
            match self.lexed.token(at) {
                Some(Token::LParen) => depth += 1,
                Some(Token::RParen) if depth == 0 => return true,
                Some(Token::RParen) => depth -= 1,
                _ => {}
            }
        }
        depth != 0
    }

    fn options(&mut self) -> Result<Vec<(String, OptionValue)>, Refusal> {
        let mut options = Vec::new();
        self.list(|parser| {
            let option = parser.option(&options)?;
            options.push(option);
            Ok(())
        })?;
        Ok(options)
    }

    /// `key = value`, the key none of those `before`.
    fn option(
        &mut self,
        before: &[(String, OptionValue)],
    ) -> Result<(String, OptionValue), Refusal> {
        let again = self.syntax("an option that is not given yet");
        let key = self.name("an option's name")?;
        if before.iter().any(|(k, _)| k.eq_ignore_ascii_case(&key)) {
            return Err(again);
        }
        self.accept_token(&Token::Eq);
        let value = if self.lexed.token(self.at) == Some(&Token::LParen) {
            OptionValue::List(self.list(Self::scalar)?)
        } else {
            self.scalar()?
        };
        Ok((key, value))
    }

    fn scalar(&mut self) -> Result<OptionValue, Refusal> {
        let expected = "a number, a quoted string or a word";
        let start = self.at;
        let negative = self.accept_token(&Token::Minus);
        match self.lexed.token(self.at) {
            Some(Token::Number(digits, _)) => {
                let number: Option<f64> = digits.parse().ok().filter(|n: &f64| n.is_finite());
                let number = number.ok_or_else(|| self.syntax("a number"))?;
                self.at += 1;
                Ok(OptionValue::Number(if negative { -number } else { number }))
            }
            _ if negative => {
                self.at = start;
                Err(self.syntax(expected))
            }
            Some(Token::Word(word)) => {
                let word = word.value.clone();
                self.at += 1;
                Ok(OptionValue::Word(word))
            }
            _ => Ok(OptionValue::Text(self.string(expected)?)),
        }
    }
}
