//! Reads a statement's tokens one after another.

use super::lexer::{Lexeme, Token};
use super::refusal::Refusal;

/// A place in a statement.
pub struct Cursor<'t> {
    text: &'t str,
    lexemes: &'t [Lexeme],
    at: usize,
    /// Number of `?` passed so far.
    parameters: usize,
}

impl<'t> Cursor<'t> {
    /// The begin of a statement.
    pub fn new(text: &'t str, lexemes: &'t [Lexeme]) -> Self {
        Self {
            text,
            lexemes,
            at: 0,
            parameters: 0,
        }
    }

    /// The next token.
    pub fn peek(&self) -> Option<&'t Token> {
        self.peek_at(0)
    }

    /// The token that follows `ahead` others.
    pub fn peek_at(&self, ahead: usize) -> Option<&'t Token> {
        self.lexemes
            .get(self.at + ahead)
            .map(|lexeme| &lexeme.token)
    }

    /// Takes the next token.
    pub fn next(&mut self) -> Option<&'t Token> {
        let token = self.peek()?;
        self.at += 1;
        Some(token)
    }

    /// Whether the next tokens are these keywords.
    pub fn at_words(&self, words: &[&str]) -> bool {
        let is = |(ahead, word): (usize, &&str)| matches!(self.peek_at(ahead), Some(Token::Word(found)) if found.eq_ignore_ascii_case(word));
        words.iter().enumerate().all(is)
    }

    /// Takes these keywords, if they are next.
    pub fn take_words(&mut self, words: &[&str]) -> bool {
        let here = self.at_words(words);
        if here {
            self.at += words.len();
        }
        here
    }

    /// Takes a keyword, if it is next.
    pub fn take_word(&mut self, word: &str) -> bool {
        self.take_words(&[word])
    }

    /// Takes one of `words`, if one is next.
    pub fn take_one_of(&mut self, words: &[&str]) -> bool {
        words.iter().any(|word| self.take_word(word))
    }

    /// Takes a symbol, if it is next.
    pub fn take_symbol(&mut self, symbol: &str) -> bool {
        let here = matches!(self.peek(), Some(Token::Symbol(found)) if *found == symbol);
        if here {
            self.at += 1;
        }
        here
    }

    /// Takes a symbol.
    pub fn expect_symbol(&mut self, symbol: &str) -> Result<(), Refusal> {
        match self.take_symbol(symbol) {
            true => Ok(()),
            false => Err(self.syntax()),
        }
    }

    /// Takes a name, in backticks or not.
    pub fn name(&mut self) -> Option<&'t str> {
        match self.peek()? {
            Token::Word(name) | Token::Quoted(name) => {
                self.at += 1;
                Some(name)
            }
            _ => None,
        }
    }

    /// Takes `?`, if it is next, and returns its number.
    pub fn parameter(&mut self) -> Option<usize> {
        let number = self.parameters;
        self.take_symbol("?").then(|| {
            self.parameters += 1;
            number
        })
    }

    /// Number of `?` passed so far.
    pub fn parameters(&self) -> usize {
        self.parameters
    }

    /// Index of the next token, for [`text_from`](Self::text_from).
    pub fn mark(&self) -> usize {
        self.at
    }

    /// The statement's text from a mark to the last token taken.
    pub fn text_from(&self, mark: usize) -> &'t str {
        let start = self.lexemes.get(mark).map(|lexeme| lexeme.range.start);
        let last = self.at.checked_sub(1).and_then(|at| self.lexemes.get(at));
        let range = start.zip(last).map(|(start, last)| start..last.range.end);
        range
            .and_then(|range| self.text.get(range))
            .unwrap_or_default()
    }

    /// Checks that nothing follows but semicolons.
    pub fn end(&mut self) -> Result<(), Refusal> {
        while self.take_symbol(";") {}
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.syntax()),
        }
    }

    /// The error that the next token is not what the grammar has there.
    pub fn syntax(&self) -> Refusal {
        let near = self.lexemes.get(self.at);
        let near = near.and_then(|lexeme| self.text.get(lexeme.range.start..));
        Refusal::syntax(near.unwrap_or_default())
    }
}
