//! Looks through the bytes of a long statement as they arrive: may it be for the lane? What a scan
//! holds does not grow with the text.

use super::prefilter::is_space;

/// What a statement may name that is not plain.
pub trait Names {
    /// Whether a name is that of the catalog's schema.
    fn is_schema(&self, name: &[u8]) -> bool;
    /// Whether a name may be that of a view that predicts.
    fn may_be_view(&self, name: &[u8]) -> bool;
    /// Whether an unqualified function may be one of the schema.
    fn may_be_function(&self, name: &[u8]) -> bool;
}

/// First words of statements that are plain unless they name something that predicts. What begins
/// otherwise (`CREATE`, `SET`, `PREPARE`, `USE`) is left to those who see the whole text.
const PLAIN_HEADS: [&[u8]; 10] = [
    b"INSERT", b"REPLACE", b"UPDATE", b"DELETE", b"SELECT", b"WITH", b"VALUES", b"LOAD", b"CALL",
    b"DO",
];

/// Longer words name nothing: the store's names have at most 64 characters.
const NAME_BYTES_MAX: usize = 2 * 4 * 64;

/// A scan of one text, by every `sql_mode` that the session may have: where a backslash or a
/// double quote means one thing or another, the text is read both ways from there on.
#[derive(Debug, Clone)]
pub struct Scan {
    cursors: Vec<Cursor>,
    found: bool,
}

impl Scan {
    /// A scan at the start of a text; `escapes`: whether a backslash in a string escapes the next
    /// character, if that is known.
    #[must_use]
    pub fn new(escapes: Option<bool>) -> Self {
        Self {
            cursors: vec![Cursor::new(escapes)],
            found: false,
        }
    }

    /// Reads the next bytes of the text.
    pub fn feed(&mut self, bytes: &[u8], names: &impl Names) {
        let mut unread: Vec<(Cursor, &[u8])> = self
            .cursors
            .drain(..)
            .map(|cursor| (cursor, bytes))
            .collect();
        while let Some((mut cursor, bytes)) = unread.pop() {
            match cursor.read(bytes, names) {
                Read::End => self.cursors.push(cursor),
                Read::Found => {
                    self.found = true;
                    return;
                }
                Read::Depends(flag, rest) => {
                    unread.extend([true, false].map(|value| (cursor.with(flag, value), rest)));
                }
            }
        }
    }

    /// Whether what has been read may predict or be a catalog statement. It has no false
    /// negatives for whole texts that are followed by a byte that is part of no word.
    #[must_use]
    pub fn found(&self) -> bool {
        self.found
    }
}

/// How far a cursor has read.
enum Read<'a> {
    End,
    Found,
    /// The rest has two meanings.
    Depends(Flag, &'a [u8]),
}

/// What `sql_mode` says of the backslash.
#[derive(Debug, Clone, Copy)]
enum Flag {
    /// It escapes the next character of a string.
    Escapes,
    /// Double quotes are around names, where it is a character.
    AnsiQuotes,
}

/// Where a cursor stands in the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Between tokens.
    Code,
    Word,
    /// After `-`, `--` and `/`, which may begin a comment.
    Minus,
    Minuses,
    Slash,
    LineComment,
    Comment,
    /// After an asterisk in a comment.
    CommentStar,
    /// In a string or name with this quote.
    Quoted(u8),
    /// After a backslash in it.
    Escaped(u8),
    /// After a quote in it: another one continues it.
    Quote(u8),
}

/// How much of `schema.function(` or `function(` the last tokens are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call {
    Nothing,
    Schema,
    SchemaDot,
    OtherDot,
    Function,
}

/// A reader of the text under one `sql_mode`, as far as it is known.
#[derive(Debug, Clone)]
struct Cursor {
    escapes: Option<bool>,
    ansi_quotes: Option<bool>,
    state: State,
    /// The word or quoted name that is being read.
    name: Vec<u8>,
    call: Call,
    /// No token of the statement has been read.
    begins: bool,
}

impl Cursor {
    fn new(escapes: Option<bool>) -> Self {
        Self {
            escapes,
            ansi_quotes: None,
            state: State::Code,
            name: Vec::new(),
            call: Call::Nothing,
            begins: true,
        }
    }

    fn with(&self, flag: Flag, value: bool) -> Self {
        let mut known = self.clone();
        match flag {
            Flag::Escapes => known.escapes = Some(value),
            Flag::AnsiQuotes => known.ansi_quotes = Some(value),
        }
        known
    }

    fn read<'a>(&mut self, mut bytes: &'a [u8], names: &impl Names) -> Read<'a> {
        while let Some((&byte, rest)) = bytes.split_first() {
            let next = match self.state {
                State::Code => match self.code(byte) {
                    true => return Read::Found,
                    false => rest,
                },
                State::Word => match bytes.iter().position(|byte| !is_word(*byte)) {
                    None => {
                        self.keep(bytes);
                        return Read::End;
                    }
                    Some(end) => {
                        let (word, rest) = bytes.split_at(end);
                        self.keep(word);
                        self.state = State::Code;
                        if self.named(true, names) {
                            return Read::Found;
                        }
                        rest
                    }
                },
                State::Minus | State::Minuses | State::Slash => {
                    match self.may_begin_comment(byte) {
                        true => rest,
                        false => bytes,
                    }
                }
                State::LineComment => self.skip_past(b'\n', State::Code, bytes),
                State::Comment => self.skip_past(b'*', State::CommentStar, bytes),
                State::CommentStar => {
                    self.state = match byte {
                        b'/' => State::Code,
                        b'*' => State::CommentStar,
                        _ => State::Comment,
                    };
                    rest
                }
                State::Quoted(quote) => match self.quoted(quote, bytes) {
                    Ok(rest) => rest,
                    Err((flag, rest)) => return Read::Depends(flag, rest),
                },
                State::Escaped(quote) => {
                    self.state = State::Quoted(quote);
                    rest
                }
                State::Quote(quote) if byte == quote => {
                    self.keep(&[quote, quote]);
                    self.state = State::Quoted(quote);
                    rest
                }
                State::Quote(quote) => {
                    self.state = State::Code;
                    if quote == b'\'' {
                        self.other();
                    } else if self.named(false, names) {
                        return Read::Found;
                    }
                    bytes
                }
            };
            bytes = next;
        }
        Read::End
    }

    /// Reads a byte between tokens; true if it ends what was looked for.
    fn code(&mut self, byte: u8) -> bool {
        match byte {
            b'\'' | b'"' | b'`' => {
                self.name.clear();
                self.state = State::Quoted(byte);
            }
            b'-' => self.state = State::Minus,
            b'/' => self.state = State::Slash,
            b'#' => self.state = State::LineComment,
            b'.' => {
                self.call = match self.call {
                    Call::Schema => Call::SchemaDot,
                    _ => Call::OtherDot,
                };
            }
            b'(' => {
                if self.call == Call::Function {
                    return true;
                }
                self.call = Call::Nothing;
            }
            b';' => {
                self.other();
                self.begins = true;
            }
            _ if is_word(byte) => {
                self.name.clear();
                self.keep(&[byte]);
                self.state = State::Word;
            }
            _ if is_space(&byte) => {}
            _ => self.other(),
        }
        false
    }

    /// A token that names nothing.
    fn other(&mut self) {
        self.call = Call::Nothing;
        self.begins = false;
    }

    /// A word or a quoted name; true if it is what was looked for.
    fn named(&mut self, is_word: bool, names: &impl Names) -> bool {
        let begins = std::mem::take(&mut self.begins);
        let name = match self.name.len() {
            ..=NAME_BYTES_MAX => &*self.name,
            _ => &[],
        };
        let is_head = |head: &&[u8]| name.eq_ignore_ascii_case(head);
        if (begins && is_word && !PLAIN_HEADS.iter().any(is_head)) || names.may_be_view(name) {
            return true;
        }
        self.call = match self.call {
            Call::SchemaDot => Call::Function,
            _ if names.is_schema(name) => Call::Schema,
            Call::OtherDot => Call::Nothing,
            _ if names.may_be_function(name) => Call::Function,
            _ => Call::Nothing,
        };
        false
    }

    /// Reads the second byte of what may begin a comment; false if the byte is to be read anew.
    fn may_begin_comment(&mut self, byte: u8) -> bool {
        let comment = match (self.state, byte) {
            (State::Minus, b'-') => State::Minuses,
            (State::Minuses, byte) if is_space(&byte) || byte.is_ascii_control() => {
                // A line's end ends the comment at once.
                self.state = State::LineComment;
                return false;
            }
            (State::Slash, b'*') => State::Comment,
            _ => {
                self.other();
                self.state = State::Code;
                return false;
            }
        };
        self.state = comment;
        true
    }

    fn skip_past<'a>(&mut self, end: u8, then: State, bytes: &'a [u8]) -> &'a [u8] {
        let Some(at) = memchr::memchr(end, bytes) else {
            return &[];
        };
        self.state = then;
        bytes.get(at + 1..).unwrap_or_default()
    }

    /// Reads to the next quote in a string or name, which may end it. Fails before a backslash of
    /// which it is not known what it means.
    fn quoted<'a>(&mut self, quote: u8, bytes: &'a [u8]) -> Result<&'a [u8], (Flag, &'a [u8])> {
        let is_name = quote == b'`' || (quote == b'"' && self.ansi_quotes == Some(true));
        let searched = match is_name || self.escapes == Some(false) {
            true => (quote, quote),
            false => (quote, b'\\'),
        };
        let mut at = 0;
        loop {
            let rest = bytes.get(at..).unwrap_or_default();
            let found = memchr::memchr2(searched.0, searched.1, rest);
            let end = found.map_or(bytes.len(), |found| at + found);
            if quote != b'\'' {
                self.keep(bytes.get(at..end).unwrap_or_default());
            }
            match bytes.get(end) {
                None => return Ok(&[]),
                Some(&byte) if byte == quote => {
                    self.state = State::Quote(quote);
                    return Ok(bytes.get(end + 1..).unwrap_or_default());
                }
                Some(_) => {}
            }
            let unknown = match quote {
                _ if self.escapes.is_none() => Some(Flag::Escapes),
                b'"' if self.ansi_quotes.is_none() => Some(Flag::AnsiQuotes),
                _ => None,
            };
            if let Some(flag) = unknown {
                return Err((flag, bytes.get(end..).unwrap_or_default()));
            }
            if bytes.len() == end + 1 {
                self.state = State::Escaped(quote);
                return Ok(&[]);
            }
            at = end + 2;
        }
    }

    /// Appends to the name; of a longer one just enough is kept to tell that it is too long.
    fn keep(&mut self, bytes: &[u8]) {
        let room = (NAME_BYTES_MAX + 1).saturating_sub(self.name.len());
        let kept = bytes.get(..room).unwrap_or(bytes);
        self.name.extend_from_slice(kept);
    }
}

pub(super) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$') || byte >= 0x80
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bare::is_generic;
    use crate::prefilter::has_schema_call;
    use proptest::prelude::*;

    /// A schema `ml`, a view `kinds`, and a session that is in the schema.
    struct Known;

    impl Names for Known {
        fn is_schema(&self, name: &[u8]) -> bool {
            name.eq_ignore_ascii_case(b"ml")
        }
        fn may_be_view(&self, name: &[u8]) -> bool {
            name == b"kinds"
        }
        fn may_be_function(&self, name: &[u8]) -> bool {
            std::str::from_utf8(name).is_ok_and(is_generic)
        }
    }

    fn found(text: &[u8], escapes: Option<bool>, chunk_bytes: usize) -> bool {
        let mut scan = Scan::new(escapes);
        for chunk in text.chunks(chunk_bytes) {
            scan.feed(chunk, &Known);
        }
        scan.feed(b"\n", &Known);
        scan.found()
    }

    #[test]
    fn what_may_be_for_the_lane_is_found_however_it_is_cut() {
        for text in [
            "SELECT ml.predict('a', x) FROM t",
            "SELECT ML . `animals` (x)",
            "SELECT `ml`.animals(x)",
            "SELECT ml/* c */.predict('a', x)",
            "SELECT ml -- c\n.predict('a', x)",
            "SELECT ml --\n.predict('a', x)",
            "SELECT ml # c \n .predict('a', x)",
            "SELECT \"ml\".\"animals\"(x)",
            r"SELECT '\', ml.animals(x)",
            r"SELECT '\', ml.animals(x), '\'",
            "SELECT '/*', ml.animals(x), '*/'",
            "SELECT 1--ml.animals(x)",
            "SELECT /*/ ' */ ml.animals(x)",
            "INSERT INTO t VALUES (_binary'it''s', ml.animals(x))",
            "SELECT * FROM shop.kinds",
            "SELECT * FROM `kinds`",
            "SELECT predict('a', x)",
            "SELECT 1; DROP TASK t",
            "/* c */ CREATE TASK t CLASSES ('a')",
            "SET STATEMENT a = 1 FOR SELECT 1",
        ] {
            for chunk_bytes in [1, 2, 3, 1000] {
                assert!(found(text.as_bytes(), None, chunk_bytes), "{text}");
            }
        }
    }

    #[test]
    fn what_stands_in_strings_is_not() {
        for text in [
            "INSERT INTO t VALUES (1.5, 'ml.predict(1)', _binary'it''s \\' ml.predict(')",
            "SELECT 'a', \"b; DROP TASK t\" -- ml.predict(",
            "SELECT app.predict(x), t.ml, ml.x FROM t /* ml.predict( */",
            "(SELECT 1) UNION (SELECT 2); DELETE FROM t",
            "SELECT otherkinds, kindsof",
            "SELECT ml.tasks, (1)",
        ] {
            for chunk_bytes in [1, 7, 1000] {
                let text = text.as_bytes();
                assert!(
                    !found(text, Some(true), chunk_bytes),
                    "{}",
                    text.escape_ascii()
                );
            }
        }
        assert!(!found(br"SELECT '\', 'ml.a(x)'", Some(false), 4));
        assert!(found(br"SELECT '\', 'ml.a(x)'", Some(true), 4));
    }

    proptest! {
        #[test]
        fn no_call_is_missed(
            parts in prop::collection::vec(
                prop::sample::select(vec![
                    "ml", ".", "(", "a", "'", "\"", "`", "\\", "--", "-", " ", "\n", "/*", "*/", "#", ")", "1",
                ]),
                0..14,
            ),
            chunk_bytes in 1_usize..9,
        ) {
            let text = format!("SELECT {}", parts.concat());
            let whole = found(text.as_bytes(), None, 1000);
            prop_assert!(whole || !has_schema_call(&text, "ml"), "{}", text);
            prop_assert_eq!(whole, found(text.as_bytes(), None, chunk_bytes));
        }
    }
}
