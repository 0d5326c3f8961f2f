//! Long literals of a statement: data, such as an image, that nobody who reads the statement's
//! text need look at.

use std::ops::Range;

use super::prefilter::is_space;
use super::scan::is_word;
use super::text::LexMode;

/// The literals whose content is at least `bytes_min` long: the range between the quotes of a
/// string, and the digits of `0x...`.
pub fn long_literals(text: &[u8], mode: LexMode, bytes_min: usize) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        let rest = text.get(at + 1..).unwrap_or_default();
        let next = rest.first();
        let end = match byte {
            b'\'' | b'"' | b'`' => {
                let is_name = byte == b'`' || (byte == b'"' && mode.ansi_quotes);
                let escapes = !is_name && !mode.no_backslash_escapes;
                let content = at + 1..at + 1 + quoted_bytes(rest, byte, escapes);
                let end = content.end + 1;
                if !is_name && content.len() >= bytes_min {
                    found.push(content);
                }
                end
            }
            b'-' if next == Some(&b'-') && rest.get(1).is_none_or(begins_line_comment) => {
                at + 1 + to(b"\n", rest)
            }
            b'#' => at + 1 + to(b"\n", rest),
            b'/' if next == Some(&b'*') => {
                at + 2 + to(b"*/", rest.get(1..).unwrap_or_default()) + b"*/".len()
            }
            _ if is_word(byte) => {
                let length = rest.iter().position(|byte| !is_word(*byte));
                let end = at + 1 + length.unwrap_or(rest.len());
                if byte == b'0' && next == Some(&b'x') && end - at - 2 >= bytes_min {
                    found.push(at + 2..end);
                }
                end
            }
            _ => at + 1,
        };
        at = end;
    }
    found
}

/// The text without its long literals, by each way to read quotes: a search in it costs the same
/// however long the data is.
pub fn without_long_literals(text: &[u8], bytes_min: usize) -> Vec<Vec<u8>> {
    let mut texts: Vec<Vec<u8>> = Vec::new();
    for mode in LexMode::QUOTINGS {
        let mut rest = Vec::new();
        let mut from = 0;
        for literal in long_literals(text, mode, bytes_min) {
            rest.extend_from_slice(text.get(from..literal.start).unwrap_or_default());
            from = literal.end;
        }
        rest.extend_from_slice(text.get(from..).unwrap_or_default());
        if !texts.contains(&rest) {
            texts.push(rest);
        }
    }
    texts
}

fn begins_line_comment(byte: &u8) -> bool {
    is_space(byte) || byte.is_ascii_control()
}

/// Bytes before `end`, or all.
fn to(end: &[u8], text: &[u8]) -> usize {
    memchr::memmem::find(text, end).unwrap_or(text.len())
}

/// Bytes before the quote that ends a string.
fn quoted_bytes(text: &[u8], quote: u8, escapes: bool) -> usize {
    let mut at = 0;
    loop {
        let rest = text.get(at..).unwrap_or_default();
        let found = match escapes {
            true => memchr::memchr2(quote, b'\\', rest),
            false => memchr::memchr(quote, rest),
        };
        let Some(found) = found else {
            return text.len();
        };
        let is_quote = rest.get(found) == Some(&quote);
        if is_quote && rest.get(found + 1) != Some(&quote) {
            return at + found;
        }
        at += found + 2; // an escaped character, or a quote written twice
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::text::Lexed;
    use proptest::prelude::*;
    use sqlparser::tokenizer::Token;

    fn found(text: &str, mode: LexMode) -> Vec<&str> {
        long_literals(text.as_bytes(), mode, 4)
            .into_iter()
            .map(|range| &text[range])
            .collect()
    }

    #[test]
    fn long_ones_are_found_whatever_stands_around_them() {
        let mode = LexMode::default();
        for (text, expected) in [
            (
                "SELECT 'abc', _binary'abcd', x'abcdef'",
                &["abcd", "abcdef"][..],
            ),
            (r"SELECT 'ab\'cd', 'ab''cd'", &[r"ab\'cd", "ab''cd"]),
            ("SELECT 0xabcd, 0xab, a0xabcdef", &["abcd"]),
            (
                "SELECT `abcd`, \"abcd\" -- 'abcde'\n, 'defg'",
                &["abcd", "defg"],
            ),
            ("SELECT /* 'abcd' */ 1--'abcd' # 'efgh'", &["abcd"]),
            ("SELECT 'abcd", &["abcd"]),
        ] {
            assert_eq!(found(text, mode), expected, "{text}");
        }
        let ansi = LexMode::from_sql_mode("ANSI_QUOTES,NO_BACKSLASH_ESCAPES");
        assert_eq!(found(r#""abcd", '\abc', 'd'"#, ansi), [r"\abc"]);
    }

    #[test]
    fn each_reading_has_a_text_without_them() {
        let texts = |text: &str| without_long_literals(text.as_bytes(), 4);
        assert_eq!(texts("SELECT 'abcd', 'a'"), [b"SELECT '', 'a'"]);
        assert_eq!(texts("SELECT \"abcd\"").len(), 2);
        assert_eq!(texts(r"SELECT 'abcd\', ml.a('efgh')").len(), 2);
    }

    proptest! {
        /// The literals are those of sqlparser's tokens.
        #[test]
        fn the_tokens_are_the_stores(
            parts in prop::collection::vec(
                prop::sample::select(vec!["a", "'", "\"", "`", "\\", "--", " ", "\n", "/*", "*/", "#", ",", "0x1"]),
                0..12,
            ),
            number in 0_usize..4,
        ) {
            let text = format!("SELECT {}", parts.concat());
            let mode = *LexMode::QUOTINGS.get(number).unwrap_or(&LexMode::QUOTINGS[0]);
            if let Some(lexed) = Lexed::new(&text, mode) {
                let is_string = |token: &Token| matches!(
                    token,
                    Token::SingleQuotedString(_) | Token::DoubleQuotedString(_)
                );
                let strings: Vec<_> = lexed.lexemes.iter()
                    .filter(|lexeme| is_string(&lexeme.token))
                    .map(|lexeme| lexeme.range.start + 1..lexeme.range.end - 1)
                    .collect();
                let ours: Vec<_> = long_literals(text.as_bytes(), mode, 0)
                    .into_iter()
                    .filter(|range| !text[..range.start].ends_with("0x"))
                    .collect();
                prop_assert_eq!(ours, strings, "{}", text);
            }
        }
    }
}
