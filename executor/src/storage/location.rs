//! Parses a path or URI given as bytes by a column or a statement.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::object_location::{ObjectLocation, Scheme};

/// Maximum length of a scheme: with more letters before `://` the text is a path.
const SCHEME_CHARS_MAX: usize = 16;

/// Where an input is stored.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Location<'a> {
    /// A local file: absolute, or relative to the first root.
    File(Cow<'a, Path>),
    /// An object in remote storage.
    Object(ObjectLocation),
}

/// Parses a location. The error is a clause that names the problem.
pub(crate) fn parse(raw: &[u8]) -> Result<Location<'_>, String> {
    if raw.is_empty() {
        return Err("is an empty path".to_string());
    }
    if raw.contains(&0) {
        return Err("is a path with a NUL byte".to_string());
    }
    let Some((scheme, rest)) = split_scheme(raw) else {
        return Ok(Location::File(Cow::Borrowed(Path::new(OsStr::from_bytes(
            raw,
        )))));
    };
    let scheme = scheme.to_ascii_lowercase();
    if scheme == "file" {
        return parse_file(rest);
    }
    match Scheme::parse(&scheme) {
        Some(scheme) => ObjectLocation::parse(scheme, rest).map(Location::Object),
        None => Err(format!("has the unknown scheme {scheme}")),
    }
}

/// Parses the part of a `file://` URI after the scheme: an optional host and an absolute path (RFC
/// 8089).
fn parse_file(rest: &[u8]) -> Result<Location<'_>, String> {
    let slash = rest.iter().position(|b| *b == b'/');
    let (host, path) = rest.split_at(slash.unwrap_or(rest.len()));
    if !host.is_empty() && !host.eq_ignore_ascii_case(b"localhost") {
        return Err("is a file URI that names another host".to_string());
    }
    if path.is_empty() {
        return Err("is a file URI without a path".to_string());
    }
    let path = percent_decode(path)?;
    Ok(Location::File(match path {
        Cow::Borrowed(path) => Cow::Borrowed(Path::new(OsStr::from_bytes(path))),
        Cow::Owned(path) => Cow::Owned(OsStr::from_bytes(&path).into()),
    }))
}

/// Splits `scheme://rest`, if the scheme is valid by RFC 3986.
pub(super) fn split_scheme(raw: &[u8]) -> Option<(&str, &[u8])> {
    let colon = raw
        .iter()
        .take(SCHEME_CHARS_MAX + 1)
        .position(|b| *b == b':')?;
    let rest = raw.get(colon..)?.strip_prefix(b"://")?;
    let scheme = std::str::from_utf8(raw.get(..colon)?).ok()?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    (scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && scheme.chars().all(plain))
        .then_some((scheme, rest))
}

fn percent_decode(raw: &[u8]) -> Result<Cow<'_, [u8]>, String> {
    if !raw.contains(&b'%') {
        return Ok(Cow::Borrowed(raw));
    }
    let mut decoded = Vec::with_capacity(raw.len());
    let mut bytes = raw.iter().copied();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        match (bytes.next().and_then(hex), bytes.next().and_then(hex)) {
            (Some(0), Some(0)) => return Err("is a path with a NUL byte".to_string()),
            (Some(high), Some(low)) => decoded.push(high << 4 | low),
            _ => return Err("is a file URI with a broken %-escape".to_string()),
        }
    }
    Ok(Cow::Owned(decoded))
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn file(path: &str) -> Location<'_> {
        Location::File(Cow::Borrowed(Path::new(path)))
    }

    #[test]
    fn plain_paths_are_taken_as_they_are() {
        assert_eq!(parse(b"a/b.png").unwrap(), file("a/b.png"));
        assert_eq!(parse(b"/a/b%20c.png").unwrap(), file("/a/b%20c.png"));
        assert_eq!(parse(b"odd:name.png").unwrap(), file("odd:name.png"));
        assert_eq!(parse(b"1x://name").unwrap(), file("1x://name"));
        let latin1 = parse(b"caf\xe9.png").unwrap();
        assert_eq!(
            latin1,
            Location::File(Cow::Borrowed(Path::new(OsStr::from_bytes(b"caf\xe9.png"))))
        );
    }

    #[test]
    fn file_uris_are_decoded() {
        assert_eq!(
            parse(b"file:///a/b%20c%C3%A9.png").unwrap(),
            file("/a/b c\u{e9}.png")
        );
        assert_eq!(parse(b"FILE://localhost/a").unwrap(), file("/a"));
        assert!(
            parse(b"file://other/a")
                .unwrap_err()
                .contains("another host")
        );
        assert!(parse(b"file://").unwrap_err().contains("without a path"));
        assert!(parse(b"file:///a%2").unwrap_err().contains("%-escape"));
        assert!(parse(b"file:///a%00").unwrap_err().contains("NUL"));
        assert!(parse(b"a\0b").unwrap_err().contains("NUL"));
        assert!(parse(b"").unwrap_err().contains("empty"));
    }

    #[test]
    fn remote_schemes_are_known_by_name() {
        for (uri, shown) in [
            ("S3://bucket/key", "s3://bucket/key"),
            ("https://H/p", "https://h/p"),
        ] {
            let Ok(Location::Object(object)) = parse(uri.as_bytes()) else {
                panic!("{uri} is no object");
            };
            assert_eq!(object.to_string(), shown);
        }
        assert_eq!(
            parse(b"gopher://h").unwrap_err(),
            "has the unknown scheme gopher"
        );
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_give_a_place_or_a_reason(raw: Vec<u8>) {
            if let Ok(Location::File(path)) = parse(&raw) {
                proptest::prop_assert!(!path.as_os_str().is_empty());
                proptest::prop_assert!(!path.as_os_str().as_bytes().contains(&0));
            }
        }

        #[test]
        fn an_escaped_path_is_the_path(path in proptest::collection::vec(1u8.., 1..40)) {
            let escaped: String = path.iter().map(|byte| format!("%{byte:02X}")).collect();
            let uri = format!("file:///{escaped}");
            let expected = [b"/", &path[..]].concat();
            let expected = Path::new(OsStr::from_bytes(&expected));
            proptest::prop_assert_eq!(parse(uri.as_bytes()), Ok(Location::File(expected.into())));
        }
    }
}
