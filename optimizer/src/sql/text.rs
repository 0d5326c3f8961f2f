//! Tokens of a statement's text with exact byte ranges, on which splicing works.

use std::any::TypeId;
use std::ops::Range;

use sqlparser::dialect::{Dialect, MySqlDialect};
use sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan, Tokenizer};

/// The `sql_mode` flags that affect tokenization.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LexMode {
    /// `"x"` is an identifier, not a string.
    pub ansi_quotes: bool,
    /// A backslash in a string is an ordinary character.
    pub no_backslash_escapes: bool,
    /// `||` concatenates strings; otherwise it is OR.
    pub pipes_as_concat: bool,
}

impl LexMode {
    /// All combinations of the flags that affect quoting, for a text of a session with unknown
    /// `sql_mode`.
    pub(crate) const QUOTINGS: [Self; 4] = [
        Self::quoting(false, false),
        Self::quoting(false, true),
        Self::quoting(true, false),
        Self::quoting(true, true),
    ];

    const fn quoting(ansi_quotes: bool, no_backslash_escapes: bool) -> Self {
        Self {
            ansi_quotes,
            no_backslash_escapes,
            pipes_as_concat: false,
        }
    }

    /// Parses the value of `@@sql_mode`.
    pub fn from_sql_mode(sql_mode: &str) -> Self {
        let has = |flag: &str| {
            sql_mode
                .split(',')
                .any(|m| m.trim().eq_ignore_ascii_case(flag))
        };
        Self {
            ansi_quotes: has("ANSI_QUOTES"),
            no_backslash_escapes: has("NO_BACKSLASH_ESCAPES"),
            pipes_as_concat: has("PIPES_AS_CONCAT"),
        }
    }
}

/// sqlparser's MySQL dialect under a [`LexMode`].
#[derive(Debug)]
pub(crate) struct StoreDialect {
    mode: LexMode,
    mysql: MySqlDialect,
}

impl StoreDialect {
    pub(crate) fn new(mode: LexMode) -> Self {
        Self {
            mode,
            mysql: MySqlDialect {},
        }
    }
}

impl Dialect for StoreDialect {
    /// The parser checks for this type in many places, so it must be MySQL's.
    fn dialect(&self) -> TypeId {
        TypeId::of::<MySqlDialect>()
    }
    fn is_identifier_start(&self, ch: char) -> bool {
        self.mysql.is_identifier_start(ch)
    }
    fn is_identifier_part(&self, ch: char) -> bool {
        self.mysql.is_identifier_part(ch)
    }
    fn is_delimited_identifier_start(&self, ch: char) -> bool {
        ch == '`' || (self.mode.ansi_quotes && ch == '"')
    }
    fn supports_string_literal_backslash_escape(&self) -> bool {
        !self.mode.no_backslash_escapes
    }
    fn supports_string_literal_concatenation(&self) -> bool {
        self.mysql.supports_string_literal_concatenation()
    }
    fn ignores_wildcard_escapes(&self) -> bool {
        self.mysql.ignores_wildcard_escapes()
    }
    fn supports_numeric_prefix(&self) -> bool {
        self.mysql.supports_numeric_prefix()
    }
    fn supports_bitwise_shift_operators(&self) -> bool {
        self.mysql.supports_bitwise_shift_operators()
    }
    fn requires_single_line_comment_whitespace(&self) -> bool {
        self.mysql.requires_single_line_comment_whitespace()
    }
    fn require_interval_qualifier(&self) -> bool {
        self.mysql.require_interval_qualifier()
    }
    fn supports_limit_comma(&self) -> bool {
        self.mysql.supports_limit_comma()
    }
    fn supports_match_against(&self) -> bool {
        self.mysql.supports_match_against()
    }
    fn supports_set_names(&self) -> bool {
        self.mysql.supports_set_names()
    }
    fn supports_group_by_with_modifier(&self) -> bool {
        self.mysql.supports_group_by_with_modifier()
    }
    fn supports_select_modifiers(&self) -> bool {
        self.mysql.supports_select_modifiers()
    }
    fn parse_infix(
        &self,
        parser: &mut sqlparser::parser::Parser,
        expr: &sqlparser::ast::Expr,
        precedence: u8,
    ) -> Option<Result<sqlparser::ast::Expr, sqlparser::parser::ParserError>> {
        self.mysql.parse_infix(parser, expr, precedence)
    }
    fn is_table_factor_alias(
        &self,
        explicit: bool,
        keyword: &sqlparser::keywords::Keyword,
        parser: &mut sqlparser::parser::Parser,
    ) -> bool {
        self.mysql.is_table_factor_alias(explicit, keyword, parser)
    }
    fn supports_table_hints(&self) -> bool {
        self.mysql.supports_table_hints()
    }
}

/// A token other than white space and comments.
#[derive(Debug, Clone)]
pub(crate) struct Lexeme {
    pub(crate) token: Token,
    /// Byte range in the text.
    pub(crate) range: Range<usize>,
    /// The same position as sqlparser's lines and columns.
    pub(crate) span: Span,
}

/// A text and its tokens.
#[derive(Debug)]
pub(crate) struct Lexed<'a> {
    pub(crate) text: &'a str,
    pub(crate) mode: LexMode,
    pub(crate) lexemes: Vec<Lexeme>,
}

impl<'a> Lexed<'a> {
    /// Tokenizes `text`; `None` if it is not lexically SQL (an unterminated string, say).
    pub(crate) fn new(text: &'a str, mode: LexMode) -> Option<Self> {
        let dialect = StoreDialect::new(mode);
        let with_spans = Tokenizer::new(&dialect, text)
            .with_unescape(false)
            .tokenize_with_location()
            .ok()?;
        let mut cursor = Cursor::new(text);
        let mut lexemes = Vec::with_capacity(with_spans.len());
        for t in with_spans {
            if matches!(t.token, Token::Whitespace(_) | Token::EOF) {
                continue;
            }
            let start = cursor.advance_to(t.span.start)?;
            let end = cursor.advance_to(t.span.end)?;
            lexemes.push(Lexeme {
                token: t.token,
                range: start..end,
                span: t.span,
            });
        }
        Some(Self {
            text,
            mode,
            lexemes,
        })
    }

    /// Whether the text contains a comment that the store executes (`/*! ... */`, `/*M! ... */`).
    /// They are plain comments here, so a statement that contains one is not fully parsed.
    pub(crate) fn has_executable_comment(&self) -> bool {
        let expands = |at: usize| {
            !self
                .lexemes
                .iter()
                .any(|l| l.range.start < at && at < l.range.end && is_string(&l.token))
        };
        ["/*!", "/*M!"]
            .iter()
            .any(|mark| self.text.match_indices(mark).any(|(at, _)| expands(at)))
    }

    /// A range of tokens in the form that sqlparser's parser expects.
    pub(crate) fn parser_tokens(&self, lexemes: Range<usize>) -> Vec<TokenWithSpan> {
        self.lexemes
            .get(lexemes)
            .unwrap_or_default()
            .iter()
            .map(|l| TokenWithSpan {
                token: match l.token {
                    // The parser supports `&&` only as an operator of another dialect.
                    Token::Overlap => Token::make_keyword("AND"),
                    ref token => token.clone(),
                },
                span: l.span,
            })
            .collect()
    }

    /// The byte range of some lexemes, from the start of the first to the end of the last.
    pub(crate) fn bytes_of(&self, lexemes: &Range<usize>) -> Range<usize> {
        match (
            self.lexemes.get(lexemes.start),
            lexemes.end.checked_sub(1).and_then(|e| self.lexemes.get(e)),
        ) {
            (Some(first), Some(last)) if lexemes.start < lexemes.end => {
                first.range.start..last.range.end
            }
            (Some(first), _) => first.range.start..first.range.start,
            _ => self.text.len()..self.text.len(),
        }
    }

    /// The text of a range of lexemes.
    pub(crate) fn text_of(&self, lexemes: &Range<usize>) -> &'a str {
        self.text.get(self.bytes_of(lexemes)).unwrap_or_default()
    }

    /// The unquoted word at `at`, if there is one and it is not part of a dotted name.
    pub(crate) fn keyword(&self, at: usize) -> Option<&str> {
        if at > 0 && matches!(self.token(at - 1), Some(Token::Period)) {
            return None;
        }
        match self.token(at)? {
            Token::Word(w) if w.quote_style.is_none() => Some(&w.value),
            _ => None,
        }
    }

    /// Whether the unquoted word at `at` is `word` (upper case).
    pub(crate) fn is_keyword(&self, at: usize, word: &str) -> bool {
        self.keyword(at)
            .is_some_and(|k| k.eq_ignore_ascii_case(word))
    }

    /// The name or alias at `at`: a word, quoted or not, or a string.
    pub(crate) fn name(&self, at: usize) -> Option<String> {
        match self.token(at)? {
            Token::Word(w) => Some(match w.quote_style {
                Some(quote) => w
                    .value
                    .replace(&format!("{quote}{quote}"), &quote.to_string()),
                None => w.value.clone(),
            }),
            _ => self.string_literal(&(at..at + 1)),
        }
    }

    /// Whether the token at `at` is a name that the store may treat as equal to `name`. It ignores
    /// case and accents: non-ASCII names are treated as different only if their lengths differ.
    pub(crate) fn may_be(&self, at: usize, name: &str) -> bool {
        let Some(Token::Word(_)) = self.token(at) else {
            return false;
        };
        let word = self.name(at).unwrap_or_default();
        match word.is_ascii() && name.is_ascii() {
            true => word.eq_ignore_ascii_case(name),
            false => word.chars().count() == name.chars().count(),
        }
    }

    pub(crate) fn token(&self, at: usize) -> Option<&Token> {
        self.lexemes.get(at).map(|l| &l.token)
    }

    /// Whether two ranges are written alike, but for white space, comments, and the case of words
    /// that are not the name of a table or schema before a period.
    pub(crate) fn is_same(&self, a: &Range<usize>, b: &Range<usize>) -> bool {
        let same = |(a, b): (usize, usize)| match (self.token(a), self.token(b)) {
            (Some(Token::Word(x)), Some(Token::Word(y))) => {
                let qualifies = matches!(self.token(a + 1), Some(Token::Period));
                let same_quotes = x.quote_style == y.quote_style;
                same_quotes
                    && match qualifies {
                        true => x.value == y.value,
                        false => x.value.eq_ignore_ascii_case(&y.value),
                    }
            }
            (x, y) => x == y,
        };
        a.len() == b.len() && a.clone().zip(b.clone()).all(same)
    }

    /// Whether a range contains a `?`.
    pub(crate) fn holds_parameter(&self, range: &Range<usize>) -> bool {
        let mut range = range.clone();
        range.any(|at| matches!(self.token(at), Some(Token::Placeholder(_))))
    }

    /// The index after the parenthesis that closes the one at `open`.
    pub(crate) fn after_closing(&self, open: usize) -> Option<usize> {
        let mut depth = 0_usize;
        for (i, l) in self.lexemes.iter().enumerate().skip(open) {
            match l.token {
                Token::LParen => depth += 1,
                Token::RParen => {
                    depth = depth.checked_sub(1)?;
                    if depth == 0 {
                        return Some(i + 1);
                    }
                }
                _ => {}
            }
        }
        None
    }

    /// Splits lexemes at the commas outside parentheses. An empty range has no parts.
    pub(crate) fn split_commas(&self, range: Range<usize>) -> Vec<Range<usize>> {
        if range.is_empty() {
            return Vec::new();
        }
        let mut parts = Vec::new();
        let mut start = range.start;
        for at in self.outside_parentheses(range.clone()) {
            if matches!(self.token(at), Some(Token::Comma)) {
                parts.push(start..at);
                start = at + 1;
            }
        }
        parts.push(start..range.end);
        parts
    }

    /// Indexes in `range` outside parentheses that open within it.
    pub(crate) fn outside_parentheses(
        &self,
        range: Range<usize>,
    ) -> impl Iterator<Item = usize> + '_ {
        let mut depth = 0_usize;
        range.filter(move |&at| match self.token(at) {
            Some(Token::LParen) => {
                depth += 1;
                false
            }
            Some(Token::RParen) => {
                depth = depth.saturating_sub(1);
                false
            }
            _ => depth == 0,
        })
    }

    /// Whether a range is one literal, perhaps with an introducer: its length is that of its text.
    pub(crate) fn is_literal(&self, range: &Range<usize>) -> bool {
        let literal = range.end.checked_sub(1).and_then(|last| self.token(last));
        let is_introduced = || {
            self.keyword(range.start)
                .is_some_and(|word| word.starts_with('_'))
        };
        let is_literal = matches!(
            literal,
            Some(
                Token::SingleQuotedString(_)
                    | Token::DoubleQuotedString(_)
                    | Token::HexStringLiteral(_)
            )
        );
        is_literal && (range.len() == 1 || (range.len() == 2 && is_introduced()))
    }

    /// What stands between the quotes of the string literal at `at`, with its escapes.
    pub(crate) fn string_content(&self, at: usize) -> Option<&'a str> {
        let lexeme = self
            .lexemes
            .get(at)
            .filter(|lexeme| is_string(&lexeme.token))?;
        let quoted = self.text.get(lexeme.range.clone())?;
        quoted.get(1..quoted.len().checked_sub(1)?)
    }

    /// The unescaped value of the string literal in the lexemes `range`; adjacent literals are not
    /// concatenated, and introducers are not supported.
    pub(crate) fn string_literal(&self, range: &Range<usize>) -> Option<String> {
        if range.len() != 1 {
            return None;
        }
        let lexeme = self.lexemes.get(range.start)?;
        if !is_string(&lexeme.token) {
            return None;
        }
        let dialect = StoreDialect::new(self.mode);
        let tokens = Tokenizer::new(&dialect, self.text.get(lexeme.range.clone())?)
            .tokenize()
            .ok()?;
        match tokens.into_iter().next()? {
            Token::SingleQuotedString(s) | Token::DoubleQuotedString(s) => Some(s),
            _ => None,
        }
    }
}

fn is_string(token: &Token) -> bool {
    matches!(
        token,
        Token::SingleQuotedString(_) | Token::DoubleQuotedString(_)
    )
}

/// Converts sqlparser's (line, column) positions, in ascending order, into byte offsets.
struct Cursor<'a> {
    chars: std::str::CharIndices<'a>,
    at: Location,
    offset: usize,
    len: usize,
}

impl<'a> Cursor<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            chars: text.char_indices(),
            at: Location::new(1, 1),
            offset: 0,
            len: text.len(),
        }
    }

    fn advance_to(&mut self, to: Location) -> Option<usize> {
        while self.at < to {
            match self.chars.next()?.1 {
                '\n' => self.at = Location::new(self.at.line + 1, 1),
                _ => self.at.column += 1,
            }
            self.offset = self.chars.clone().next().map_or(self.len, |(i, _)| i);
        }
        (self.at == to).then_some(self.offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str, mode: LexMode) -> Vec<&str> {
        let lexed = Lexed::new(text, mode).expect("lexes");
        lexed
            .lexemes
            .iter()
            .map(|l| &text[l.range.clone()])
            .collect()
    }

    #[test]
    fn ranges_are_bytes_of_the_text() {
        let text = "SELECT 'é\n''x', /* c */ `ñ`.b -- end\n FROM t WHERE a = \"q\\\"\" # z";
        assert_eq!(
            words(text, LexMode::default()),
            [
                "SELECT",
                "'é\n''x'",
                ",",
                "`ñ`",
                ".",
                "b",
                "FROM",
                "t",
                "WHERE",
                "a",
                "=",
                "\"q\\\"\""
            ]
        );
    }

    #[test]
    fn sql_mode_changes_quotes_and_backslashes() {
        let mode = LexMode::from_sql_mode("ANSI_QUOTES,NO_BACKSLASH_ESCAPES");
        assert_eq!(words(r#"'\', "a""#, mode), [r"'\'", ",", "\"a\""]);
        let lexed = Lexed::new(r#""a""#, mode).expect("lexes");
        assert_eq!(lexed.string_literal(&(0..1)), None);
        let lexed = Lexed::new(r#""a""#, LexMode::default()).expect("lexes");
        assert_eq!(lexed.string_literal(&(0..1)).as_deref(), Some("a"));
    }

    #[test]
    fn literals_are_unescaped() {
        let lexed = Lexed::new(r"'it''s \'x\' \\'", LexMode::default()).expect("lexes");
        assert_eq!(
            lexed.string_literal(&(0..1)).as_deref(),
            Some(r"it's 'x' \")
        );
    }

    #[test]
    fn an_open_string_is_not_sql() {
        assert!(Lexed::new("SELECT 'a", LexMode::default()).is_none());
    }

    #[test]
    fn executable_comments_are_seen() {
        let seen = |t| {
            Lexed::new(t, LexMode::default())
                .expect("lexes")
                .has_executable_comment()
        };
        assert!(seen("SELECT /*!50000 1 */"));
        assert!(!seen("SELECT '/*! x */'"));
    }
}
