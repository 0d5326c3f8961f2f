//! A cursor over the tokens of a statement: expected tokens are consumed, anything else is a
//! syntax error.

use predictsql_catalog::OptionValue;
use sqlparser::tokenizer::{Token, Tokenizer};

use crate::sql::text::{Lexed, StoreDialect};
use crate::{LexMode, Refusal, RefusalKind};

/// Maximum length of the statement excerpt in an error message, in characters, as in the store's.
const NEAR_CHARS_MAX: usize = 80;

/// The tokens of a statement and the position of the next one.
pub struct Cursor<'a> {
    /// The tokens.
    pub lexed: &'a Lexed<'a>,
    /// Index of the next token.
    pub at: usize,
}

/// Parses a whole statement with `read`; a trailing semicolon is allowed.
///
/// # Errors
/// The refusals of `read`, lexical errors, executable comments, and text after the statement.
pub fn read_whole<T>(
    sql: &str,
    mode: LexMode,
    read: impl FnOnce(&mut Cursor<'_>) -> Result<T, Refusal>,
) -> Result<T, Refusal> {
    let Some(lexed) = Lexed::new(sql, mode) else {
        return Err(lexical_error(sql, mode));
    };
    if lexed.has_executable_comment() {
        return Err(unsupported(
            "a comment that the store executes (/*! ... */) in this statement",
        ));
    }
    let mut cursor = Cursor {
        lexed: &lexed,
        at: 0,
    };
    let statement = read(&mut cursor)?;
    cursor.accept_token(&Token::SemiColon);
    match lexed.token(cursor.at) {
        None => Ok(statement),
        Some(_) => Err(cursor.syntax("the end of the statement")),
    }
}

impl Cursor<'_> {
    /// A syntax error that names the expected syntax at this position.
    pub fn syntax(&self, expected: &str) -> Refusal {
        let end = self.lexed.text.len();
        let offset = self
            .lexed
            .lexemes
            .get(self.at)
            .map_or(end, |l| l.range.start);
        syntax_error(expected, self.lexed.text, offset)
    }

    /// Consumes the words if all of them are next.
    pub fn accept(&mut self, words: &str) -> bool {
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

    /// Consumes the words, or fails.
    pub fn expect(&mut self, words: &str) -> Result<(), Refusal> {
        if self.accept(words) {
            Ok(())
        } else {
            Err(self.syntax(words))
        }
    }

    /// Consumes the token if it is next.
    pub fn accept_token(&mut self, token: &Token) -> bool {
        let stands = self.lexed.token(self.at) == Some(token);
        self.at += usize::from(stands);
        stands
    }

    /// Consumes the token, or fails.
    fn expect_token(&mut self, token: &Token) -> Result<(), Refusal> {
        if self.accept_token(token) {
            Ok(())
        } else {
            Err(self.syntax(&format!("'{token}'")))
        }
    }

    /// Consumes a name.
    pub fn name(&mut self, what: &str) -> Result<String, Refusal> {
        match self.lexed.token(self.at) {
            Some(Token::Word(word)) => {
                self.at += 1;
                Ok(word.value.clone())
            }
            _ => Err(self.syntax(what)),
        }
    }

    /// Consumes a string literal.
    pub fn string(&mut self, what: &str) -> Result<String, Refusal> {
        let literal = self.lexed.string_literal(&(self.at..self.at + 1));
        let literal = literal.ok_or_else(|| self.syntax(what))?;
        self.at += 1;
        Ok(literal)
    }

    /// Consumes a list of string literals.
    pub fn strings(&mut self, what: &str) -> Result<Vec<String>, Refusal> {
        self.list(|parser| parser.string(what))
    }

    /// Consumes `( item, item, ... )` with at least one item.
    pub fn list<T>(
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

    /// Consumes `VERSION 'v'` if it is next.
    pub fn version(&mut self) -> Result<Option<String>, Refusal> {
        if self.accept("VERSION") {
            self.string("a version in quotes").map(Some)
        } else {
            Ok(None)
        }
    }

    /// Consumes `(key = value, ...)`.
    pub fn options(&mut self) -> Result<Vec<(String, OptionValue)>, Refusal> {
        let mut options = Vec::new();
        self.list(|parser| {
            let option = parser.option(&options)?;
            options.push(option);
            Ok(())
        })?;
        Ok(options)
    }

    /// Consumes `key = value`; the key must not be among those `before`.
    pub fn option(
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
        } else if self.lexed.is_keyword(self.at, "FILE") {
            self.at += 1;
            OptionValue::File(self.string("a file's path in quotes")?)
        } else {
            self.scalar()?
        };
        Ok((key, value))
    }

    /// Consumes a number, a string or a word.
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

/// A construct that is not supported yet.
pub fn unsupported(construct: &str) -> Refusal {
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

/// The error for an unterminated string or comment.
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
