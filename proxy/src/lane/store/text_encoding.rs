//! Encoding of statement texts: most are UTF-8; some contain binary data (an image in a literal)
//! or use another character set.

use std::borrow::Cow;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use predictsql_optimizer::LexMode;
use predictsql_optimizer::literals::long_literals;

/// How a statement's bytes are text, and a derived text is bytes.
#[derive(Debug, Clone, Default)]
pub struct TextEncoding {
    characters: Characters,
    /// Long literals, for which something shorter stands in the text.
    literals: Option<Arc<LongLiterals>>,
}

/// What a character of the text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Characters {
    /// One of UTF-8.
    #[default]
    Utf8,
    /// Each byte is the character with the same code, so any byte passes unchanged. Correct for
    /// every character set whose multi-byte characters contain no ASCII bytes.
    Bytes,
}

/// Length from which on a literal is replaced, in bytes.
const LITERAL_BYTES_MIN: usize = 16 * 1024;

/// Hexadecimal digits of a stand-in: a number that occurs nowhere in the statement, and the
/// literal's own. They are a string's content as well as that of `x'...'` and `0x...`, and more
/// than an alias can have, so that no alias is made of them.
const STAND_IN_DIGITS: usize = KEY_DIGITS + 8;
const KEY_DIGITS: usize = 280;

/// The contents of long literals. The text has a stand-in for each, so what reads it takes time
/// and memory for the statement, and not for the data in it.
#[derive(Debug)]
struct LongLiterals {
    /// First digits of all stand-ins.
    key: String,
    contents: Vec<Bytes>,
}

/// Character sets whose multi-byte characters may contain the byte of a backslash or a backquote.
const WITH_ASCII_BYTES: [&str; 5] = ["big5", "cp932", "gb18030", "gbk", "sjis"];

impl TextEncoding {
    /// The encoding for a statement of a session with `character_set_client = charset`; `None` if
    /// the statement cannot be tokenised safely.
    pub fn of(statement: &[u8], charset: &str) -> Option<Self> {
        Self::of_parts([statement], charset)
    }

    /// The same, for a statement whose long literals are replaced under `mode`.
    pub fn with_stand_ins(statement: &Bytes, charset: &str, mode: LexMode) -> Option<Self> {
        let literals = long_literals(statement, mode, LITERAL_BYTES_MIN);
        if literals.is_empty() {
            return Self::of(statement, charset);
        }
        // What may be misread is refused as a whole.
        Self::of(statement, charset)?;
        let rest = without(&literals, statement.len());
        let rest = rest.filter_map(|range| statement.get(range));
        let contents = literals.iter().map(|range| statement.slice(range.clone()));
        let literals = LongLiterals {
            key: absent_key(statement),
            contents: contents.collect(),
        };
        let encoding = Self::of_parts(rest, charset)?;
        Some(Self {
            literals: Some(Arc::new(literals)),
            ..encoding
        })
    }

    fn of_parts<'a>(parts: impl IntoIterator<Item = &'a [u8]>, charset: &str) -> Option<Self> {
        let utf8 = matches!(charset, "utf8mb4" | "utf8mb3" | "utf8");
        let is_utf8 = |part: &[u8]| part.is_ascii() || (utf8 && std::str::from_utf8(part).is_ok());
        let characters = match parts.into_iter().all(is_utf8) {
            true => Characters::Utf8,
            false if WITH_ASCII_BYTES.contains(&charset) => return None,
            false => Characters::Bytes,
        };
        Some(Self {
            characters,
            literals: None,
        })
    }

    /// Whether the text's characters are characters of UTF-8.
    pub fn is_utf8(&self) -> bool {
        self.characters == Characters::Utf8
    }

    /// Decodes a statement. The literals for which the encoding was made are replaced in it.
    pub fn decode<'a>(&self, bytes: &'a [u8]) -> Cow<'a, str> {
        let Some(literals) = &self.literals else {
            return self.characters.decode(bytes);
        };
        let mut text = Vec::new();
        let mut from = 0;
        let within = |content: &Bytes| {
            let start = (content.as_ptr() as usize).checked_sub(bytes.as_ptr() as usize)?;
            Some(start..start + content.len())
        };
        for (number, content) in literals.contents.iter().enumerate() {
            let Some(place) =
                within(content).filter(|place| bytes.get(place.clone()) == Some(content))
            else {
                continue;
            };
            text.extend_from_slice(bytes.get(from..place.start).unwrap_or_default());
            text.extend_from_slice(literals.stand_in(number).as_bytes());
            from = place.end;
        }
        text.extend_from_slice(bytes.get(from..).unwrap_or_default());
        Cow::Owned(self.characters.decode(&text).into_owned())
    }

    /// Whether a literal's content in a decoded text is data and no text: it is long, or has a NUL
    /// (`\\0` where a backslash escapes), as every image and no path has.
    pub fn is_data(&self, content: &str, mode: LexMode) -> bool {
        let is_stand_in = |literals: &Arc<LongLiterals>| literals.found(content).next().is_some();
        self.literals.as_ref().is_some_and(is_stand_in)
            || content.contains('\0')
            || (!mode.no_backslash_escapes && has_escaped_nul(content))
    }

    /// Bytes of an encoded text.
    pub fn encoded_bytes(&self, text: &str) -> usize {
        let stand_ins = self
            .literals
            .iter()
            .flat_map(|literals| literals.found(text));
        let more = |(_, content): (usize, &Bytes)| content.len().saturating_sub(STAND_IN_DIGITS);
        stand_ins.map(more).fold(text.len(), usize::saturating_add)
    }

    /// Encodes a text for the store session.
    pub fn encode<'a>(&self, text: &'a str) -> Cow<'a, [u8]> {
        match &self.literals {
            None => self.characters.encode(text),
            Some(_) => {
                let mut bytes = BytesMut::new();
                self.encode_into(text, &mut bytes);
                Cow::Owned(bytes.into())
            }
        }
    }

    /// Appends the encoded text to `out`.
    pub fn encode_into(&self, text: &str, out: &mut BytesMut) {
        let mut from = 0;
        if let Some(literals) = &self.literals {
            out.reserve(self.encoded_bytes(text));
            for (at, content) in literals.found(text) {
                let before = text.get(from..at).unwrap_or_default();
                out.extend_from_slice(&self.characters.encode(before));
                out.extend_from_slice(content);
                from = at + STAND_IN_DIGITS;
            }
        }
        let rest = text.get(from..).unwrap_or_default();
        out.extend_from_slice(&self.characters.encode(rest));
    }

    /// Encodes a name: stand-ins stay what they are.
    pub fn encode_name<'a>(&self, name: &'a str) -> Cow<'a, [u8]> {
        self.characters.encode(name)
    }
}

impl Characters {
    fn decode(self, bytes: &[u8]) -> Cow<'_, str> {
        match self {
            Self::Utf8 => String::from_utf8_lossy(bytes),
            Self::Bytes => bytes.iter().map(|&byte| char::from(byte)).collect(),
        }
    }

    fn encode(self, text: &str) -> Cow<'_, [u8]> {
        match self {
            Self::Utf8 => Cow::Borrowed(text.as_bytes()),
            // Text that does not come from the statement is ASCII.
            Self::Bytes => text
                .chars()
                .map(|c| u8::try_from(c).unwrap_or(b'?'))
                .collect(),
        }
    }
}

impl LongLiterals {
    fn stand_in(&self, number: usize) -> String {
        // Equal literals have equal stand-ins, as they are equal tokens.
        let content = self.contents.get(number);
        let same = |other: &Bytes| Some(other) == content;
        let first = self.contents.iter().position(same).unwrap_or(number);
        format!("{}{first:08x}", self.key)
    }

    /// The stand-ins in a text: where each begins, and what it stands for.
    fn found<'t>(&'t self, text: &'t str) -> impl Iterator<Item = (usize, &'t Bytes)> {
        memchr::memmem::find_iter(text.as_bytes(), &self.key).filter_map(|at| {
            let digits = text.get(at + KEY_DIGITS..at + STAND_IN_DIGITS)?;
            let number = usize::from_str_radix(digits, 16).ok()?;
            Some((at, self.contents.get(number)?))
        })
    }
}

fn has_escaped_nul(content: &str) -> bool {
    let mut characters = content.chars();
    while let Some(c) = characters.next() {
        if c == '\\' && characters.next() == Some('0') {
            return true;
        }
    }
    false
}

/// What is left between some ranges of a text.
fn without(ranges: &[Range<usize>], bytes: usize) -> impl Iterator<Item = Range<usize>> {
    let starts = std::iter::once(0).chain(ranges.iter().map(|range| range.end));
    let ends = ranges.iter().map(|range| range.start).chain([bytes]);
    starts.zip(ends).map(|(start, end)| start..end)
}

/// Hexadecimal digits that do not occur in a text.
fn absent_key(text: &[u8]) -> String {
    loop {
        let random = || RandomState::new().build_hasher().finish();
        let digits = format!("{:016x}{:016x}", random(), random());
        let key: String = digits.chars().cycle().take(KEY_DIGITS).collect();
        if memchr::memmem::find(text, key.as_bytes()).is_none() {
            return key;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn characters(statement: &[u8], charset: &str) -> Option<Characters> {
        TextEncoding::of(statement, charset).map(|encoding| encoding.characters)
    }

    #[test]
    fn any_bytes_pass_unchanged() {
        let all: Vec<u8> = (0..=255).collect();
        let encoding = TextEncoding::of(&all, "utf8mb4").unwrap();
        assert!(!encoding.is_utf8());
        let text = encoding.decode(&all);
        assert_eq!(text.chars().count(), 256);
        assert_eq!(*encoding.encode(&text), all[..]);
    }

    #[test]
    fn utf8_is_read_as_such_where_the_session_says_so() {
        let statement = "SELECT 'é'".as_bytes();
        assert_eq!(characters(statement, "utf8mb3"), Some(Characters::Utf8));
        assert_eq!(characters(statement, "latin1"), Some(Characters::Bytes));
        assert_eq!(characters(statement, "sjis"), None);
        assert_eq!(characters(b"SELECT 'e'", "sjis"), Some(Characters::Utf8));
    }

    #[test]
    fn long_literals_are_read_as_stand_ins_and_written_as_they_are() {
        let long = |byte: u8| vec![byte; LITERAL_BYTES_MIN];
        let (image, other, digits) = (long(0xff), long(b'x'), long(b'a'));
        let statement: Bytes = [
            &b"SELECT ml.a(_binary'"[..],
            &image,
            b"'), 'short', '",
            &other,
            b"', x'",
            &digits,
            b"', 0x",
            &digits,
            b", '",
            &image,
            "' AS é".as_bytes(),
        ]
        .concat()
        .into();
        let mode = LexMode::default();
        let encoding = TextEncoding::with_stand_ins(&statement, "utf8mb4", mode).unwrap();
        assert!(encoding.is_utf8(), "what is no data is UTF-8");
        let text = encoding.decode(&statement);
        assert!(text.len() < 2000 && text.ends_with("AS é"));
        assert_eq!(encoding.encoded_bytes(&text), statement.len());
        assert_eq!(*encoding.encode(&text), statement[..]);
        let literals: Vec<&str> = text.split('\'').filter(|part| part.len() > 200).collect();
        let [first, _, third, ..] = &literals[..] else {
            panic!("{text}");
        };
        assert_eq!(literals.last(), Some(first), "equal ones stay equal");
        assert!(third.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let twice = format!("DO '{first}', '{first}'");
        assert_eq!(
            encoding.encode(&twice).len(),
            "DO '', ''".len() + 2 * image.len()
        );
    }

    #[test]
    fn short_statements_have_no_stand_ins() {
        let statement = Bytes::from_static(b"SELECT ml.a('x')");
        let encoding = TextEncoding::with_stand_ins(&statement, "latin1", LexMode::default());
        assert!(encoding.unwrap().literals.is_none());
        let foreign: Bytes = [&b"SELECT '"[..], &[0xe9; LITERAL_BYTES_MIN], b"'"]
            .concat()
            .into();
        assert!(TextEncoding::with_stand_ins(&foreign, "sjis", LexMode::default()).is_none());
    }
}
