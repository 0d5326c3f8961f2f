//! Encoding of statement texts: most are UTF-8; some contain binary data (an image in a literal)
//! or use another character set.

use std::borrow::Cow;

/// The encoding with which a statement's bytes are decoded, and derived texts are encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TextEncoding {
    /// UTF-8.
    #[default]
    Utf8,
    /// Each byte is the character with the same code, so any byte passes unchanged. Correct for
    /// every character set whose multi-byte characters contain no ASCII bytes.
    Bytes,
}

/// Character sets whose multi-byte characters may contain the byte of a backslash or a backquote.
const WITH_ASCII_BYTES: [&str; 5] = ["big5", "cp932", "gb18030", "gbk", "sjis"];

impl TextEncoding {
    /// The encoding for a statement of a session with `character_set_client = charset`; `None` if
    /// the statement cannot be tokenised safely.
    pub fn of(statement: &[u8], charset: &str) -> Option<Self> {
        let utf8 = matches!(charset, "utf8mb4" | "utf8mb3" | "utf8");
        if statement.is_ascii() || (utf8 && std::str::from_utf8(statement).is_ok()) {
            return Some(Self::Utf8);
        }
        (!WITH_ASCII_BYTES.contains(&charset)).then_some(Self::Bytes)
    }

    /// Decodes a statement.
    pub fn decode(self, bytes: &[u8]) -> Cow<'_, str> {
        match self {
            Self::Utf8 => String::from_utf8_lossy(bytes),
            Self::Bytes => bytes.iter().map(|&byte| char::from(byte)).collect(),
        }
    }

    /// Encodes a text for the store session.
    pub fn encode(self, text: &str) -> Cow<'_, [u8]> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_bytes_pass_unchanged() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(TextEncoding::of(&all, "utf8mb4"), Some(TextEncoding::Bytes));
        let text = TextEncoding::Bytes.decode(&all);
        assert_eq!(text.chars().count(), 256);
        assert_eq!(*TextEncoding::Bytes.encode(&text), all[..]);
    }

    #[test]
    fn utf8_is_read_as_such_where_the_session_says_so() {
        let statement = "SELECT 'é'".as_bytes();
        assert_eq!(
            TextEncoding::of(statement, "utf8mb3"),
            Some(TextEncoding::Utf8)
        );
        assert_eq!(
            TextEncoding::of(statement, "latin1"),
            Some(TextEncoding::Bytes)
        );
        assert_eq!(TextEncoding::of(statement, "sjis"), None);
        assert_eq!(
            TextEncoding::of(b"SELECT 'e'", "sjis"),
            Some(TextEncoding::Utf8)
        );
    }
}
