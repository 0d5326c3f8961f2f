//! Tokens of the admin endpoint's statements: comments are skipped, executable ones are read.

use std::ops::Range;

/// Maximum number of tokens of a statement: statements are short.
const TOKENS_MAX: usize = 10_000;
/// Executable comments of later versions (`/*!80023 ...`) are skipped, as by a server.
const EXECUTED_VERSION_MAX: u32 = 80_099;

/// Kind and content of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Token {
    /// A keyword or a name without quotes.
    Word(String),
    /// A name in backticks.
    Quoted(String),
    /// A string literal, without its quotes.
    Text(String),
    /// A number as written.
    Number(String),
    /// `@name`
    UserVariable,
    /// Operators and punctuation; `@@` is one.
    Symbol(&'static str),
}

/// A token and its place in the statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lexeme {
    /// The token.
    pub token: Token,
    /// Its bytes.
    pub range: Range<usize>,
}

/// Symbols, longer ones first.
const SYMBOLS: [&str; 30] = [
    "<=>", "<=", ">=", "<>", "!=", ":=", "||", "&&", "@@", "=", "<", ">", "(", ")", ",", ".", ";",
    "*", "+", "-", "/", "%", "?", "!", "|", "&", "~", "^", "{", "}",
];

/// Splits a statement into tokens; `None` for a quote that does not end, a character that begins
/// no token, or too many tokens.
pub fn lex(text: &str) -> Option<Vec<Lexeme>> {
    let mut lexer = Lexer {
        text,
        at: 0,
        in_executable: false,
    };
    let mut lexemes = Vec::new();
    while lexer.skip_space() {
        let start = lexer.at;
        let token = lexer.token()?;
        if lexemes.len() == TOKENS_MAX {
            return None;
        }
        let range = start..lexer.at;
        lexemes.push(Lexeme { token, range });
    }
    Some(lexemes)
}

struct Lexer<'t> {
    text: &'t str,
    at: usize,
    /// Whether the end of an executable comment is still to come.
    in_executable: bool,
}

impl Lexer<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// Moves behind the first `end`, or to the end of the statement.
    fn skip_past(&mut self, end: &str) {
        let found = self.rest().find(end).map(|at| at + end.len());
        self.at += found.unwrap_or(self.rest().len());
    }

    /// Skips white space and comments; returns whether anything follows.
    fn skip_space(&mut self) -> bool {
        loop {
            let rest = self.rest();
            let Some(first) = rest.chars().next() else {
                return false;
            };
            if first.is_whitespace() || first == '\0' {
                self.at += first.len_utf8();
            } else if first == '#' || is_dash_comment(rest) {
                self.skip_past("\n");
            } else if self.in_executable && rest.starts_with("*/") {
                self.in_executable = false;
                self.at += 2;
            } else if let Some(comment) = rest.strip_prefix("/*!")
                && !self.in_executable
            {
                let version: String = comment.chars().take_while(char::is_ascii_digit).collect();
                let newer = version
                    .parse()
                    .is_ok_and(|version: u32| version > EXECUTED_VERSION_MAX);
                if newer {
                    self.skip_past("*/");
                } else {
                    self.at += "/*!".len() + version.len();
                    self.in_executable = true;
                }
            } else if rest.starts_with("/*") {
                self.at += 2;
                self.skip_past("*/");
            } else {
                return true;
            }
        }
    }

    fn token(&mut self) -> Option<Token> {
        let rest = self.rest();
        let first = rest.chars().next()?;
        match first {
            '\'' | '"' => self.quoted(first, true).map(Token::Text),
            '`' => self.quoted(first, false).map(Token::Quoted),
            '@' if !rest.starts_with("@@") => {
                self.at += 1;
                match self.rest().chars().next() {
                    Some(quote @ ('\'' | '"' | '`')) => {
                        self.quoted(quote, quote != '`')?;
                    }
                    _ => {
                        self.take_while(|c| is_name(c) || c == '.');
                    }
                }
                Some(Token::UserVariable)
            }
            _ if first.is_ascii_digit() || is_point_number(rest) => Some(self.number()),
            _ if is_name(first) => Some(Token::Word(self.take_while(is_name))),
            _ => {
                let mut symbols = SYMBOLS.into_iter();
                let symbol = symbols.find(|symbol| rest.starts_with(symbol))?;
                self.at += symbol.len();
                Some(Token::Symbol(symbol))
            }
        }
    }

    fn take_while(&mut self, belongs: impl Fn(char) -> bool) -> String {
        let taken: String = self.rest().chars().take_while(|&c| belongs(c)).collect();
        self.at += taken.len();
        taken
    }

    /// The content of quotes, which are doubled in it or, if `escapes`, follow a backslash.
    fn quoted(&mut self, quote: char, escapes: bool) -> Option<String> {
        let mut content = String::new();
        let mut chars = self.rest().char_indices().skip(1).peekable();
        while let Some((at, c)) = chars.next() {
            if c == quote {
                match chars.next_if(|&(_, next)| next == quote) {
                    Some(_) => content.push(quote),
                    None => {
                        self.at += at + quote.len_utf8();
                        return Some(content);
                    }
                }
            } else if c == '\\' && escapes {
                let (_, escaped) = chars.next()?;
                match escaped {
                    '0' => content.push('\0'),
                    'b' => content.push('\u{8}'),
                    'n' => content.push('\n'),
                    'r' => content.push('\r'),
                    't' => content.push('\t'),
                    'Z' => content.push('\u{1a}'),
                    // They stay escaped, for LIKE.
                    '%' | '_' => content.extend(['\\', escaped]),
                    other => content.push(other),
                }
            } else {
                content.push(c);
            }
        }
        None
    }

    fn number(&mut self) -> Token {
        let mut number = self.take_while(|c| c.is_ascii_digit());
        if self.rest().starts_with('.') {
            number += &self.take_while(|c| c.is_ascii_digit() || c == '.');
        }
        // A name that begins with digits, or an exponent.
        let tail = self.take_while(is_name);
        number += &tail;
        let signed = matches!(tail.as_str(), "e" | "E") && self.rest().starts_with(['+', '-']);
        if signed {
            number += &self.take_while(|c| "+-".contains(c) || c.is_ascii_digit());
        }
        Token::Number(number)
    }
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$'
}

fn is_dash_comment(rest: &str) -> bool {
    let after = rest.strip_prefix("--").map(|rest| rest.chars().next());
    after.is_some_and(|next| next.is_none_or(|c| c.is_whitespace() || c.is_control()))
}

fn is_point_number(rest: &str) -> bool {
    let digit = rest.strip_prefix('.').and_then(|rest| rest.chars().next());
    digit.is_some_and(|c| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn shown(text: &str) -> Option<String> {
        let lexemes = lex(text)?;
        let show = |lexeme: &Lexeme| match &lexeme.token {
            Token::Word(word) => word.clone(),
            Token::Quoted(name) => format!("`{name}`"),
            Token::Text(text) => format!("{text:?}"),
            Token::Number(number) => format!("#{number}"),
            Token::UserVariable => "@v".to_owned(),
            Token::Symbol(symbol) => (*symbol).to_owned(),
        };
        let tokens: Vec<String> = lexemes.iter().map(show).collect();
        Some(tokens.join(" "))
    }

    #[test]
    fn comments_are_skipped_and_executable_ones_read() {
        for (text, tokens) in [
            ("/* ping */ SELECT 1 -- one\n;# end", "SELECT #1 ;"),
            ("--\n#x\n/**/a", "a"),
            ("/*!40101 SET NAMES utf8 */", "SET NAMES utf8"),
            ("SHOW /*!50002 GLOBAL */ STATUS", "SHOW GLOBAL STATUS"),
            ("SHOW /*!99999 X */ /*M!100100 Y */ STATUS", "SHOW STATUS"),
            ("/*! SET /* in */ x */ y", "SET x y"),
            ("a /* open", "a"),
            ("1--1", "#1 - - #1"),
        ] {
            assert_eq!(shown(text).as_deref(), Some(tokens), "{text}");
        }
    }

    #[test]
    fn tokens_are_those_of_a_server() {
        for (text, tokens) in [
            (
                "'it''s' \"a\\\"b\\n\" 'x\\_y'",
                "\"it's\" \"a\\\"b\\n\" \"x\\\\_y\"",
            ),
            (
                "@@session.`x` @v @'w x' `a``b`",
                "@@ session . `x` @v @v `a`b`",
            ),
            ("1.5e-3 .5 0x1F 7days", "#1.5e-3 #.5 #0x1F #7days"),
            ("a<=>b<=c", "a <=> b <= c"),
            ("größe $a", "größe $a"),
        ] {
            assert_eq!(shown(text).as_deref(), Some(tokens), "{text}");
        }
        for bad in ["'open", "`open", "'a\\", "\u{2028}\u{7}"] {
            assert_eq!(lex(bad), None, "{bad}");
        }
        assert!(lex(&"a ".repeat(TOKENS_MAX + 1)).is_none());
    }

    proptest! {
        #[test]
        fn ranges_are_in_order_and_within_the_text(text in "[-a'\"`@.0-9e/*!# \n<=\\\\é]{0,40}") {
            let mut end = 0;
            for lexeme in lex(&text).unwrap_or_default() {
                prop_assert!(end <= lexeme.range.start && lexeme.range.start < lexeme.range.end);
                prop_assert!(text.get(lexeme.range.clone()).is_some());
                end = lexeme.range.end;
            }
        }
    }
}
