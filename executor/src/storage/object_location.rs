//! Locations of objects in remote storage: a bucket or host, and a key.

use std::fmt;
use std::net::IpAddr;

use object_store::path::Path;

use super::address::is_forbidden;

/// A protocol of remote storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Scheme {
    /// Amazon S3 and what speaks its protocol.
    S3,
    /// Google Cloud Storage.
    Gs,
    /// Azure Blob Storage.
    Az,
    /// A web server, without TLS.
    Http,
    /// A web server.
    Https,
}

impl Scheme {
    /// The protocol of a scheme in lower case; other names of the same protocol are known, too.
    pub(crate) fn parse(scheme: &str) -> Option<Self> {
        Some(match scheme {
            "s3" | "s3a" => Self::S3,
            "gs" | "gcs" => Self::Gs,
            "az" | "azure" | "abfs" | "abfss" | "adl" => Self::Az,
            "http" => Self::Http,
            "https" => Self::Https,
            _ => return None,
        })
    }

    /// The scheme as it is shown.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Gs => "gs",
            Self::Az => "az",
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// Whether locations are URLs, whose keys are percent-encoded. Keys of the others are taken as
    /// they are.
    pub(crate) fn is_web(self) -> bool {
        matches!(self, Self::Http | Self::Https)
    }
}

/// A bucket of an object store, or a web server.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Bucket {
    pub(crate) scheme: Scheme,
    /// Name of the bucket (Azure: of the container, perhaps `@` and the account's host), or host
    /// and port.
    pub(crate) name: String,
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.as_str(), self.name)
    }
}

/// An object of a bucket, or all objects below a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ObjectLocation {
    pub(crate) bucket: Bucket,
    pub(crate) key: Path,
}

impl ObjectLocation {
    /// Parses what follows `scheme://` in an object's location. The error is a clause that names
    /// the problem.
    pub(crate) fn parse(scheme: Scheme, rest: &[u8]) -> Result<Self, String> {
        let rest = std::str::from_utf8(rest).map_err(|_| "is a URI that is not UTF-8")?;
        let (name, key) = rest.split_once('/').unwrap_or((rest, ""));
        if key.is_empty() {
            return Err("is a URI without a key".to_string());
        }
        if key.ends_with('/') {
            return Err("is a URI that ends in a slash".to_string());
        }
        Ok(Self {
            bucket: Bucket::parse(scheme, name)?,
            key: parse_key(scheme, key)?,
        })
    }

    /// Parses what follows `scheme://` in the location of a root: a bucket, or objects of it below
    /// a key.
    pub(crate) fn parse_root(scheme: Scheme, rest: &str) -> Result<Self, String> {
        let (name, key) = rest.split_once('/').unwrap_or((rest, ""));
        let key = key.strip_suffix('/').unwrap_or(key);
        Ok(Self {
            bucket: Bucket::parse(scheme, name)?,
            key: match key {
                "" => Path::default(),
                key => parse_key(scheme, key)?,
            },
        })
    }

    /// Whether an object is below this root.
    pub(crate) fn holds(&self, object: &Self) -> bool {
        self.bucket == object.bucket
            && object
                .key
                .prefix_match(&self.key)
                .is_some_and(|mut rest| rest.next().is_some())
    }

    /// Whether another root is this one, or below it.
    pub(crate) fn holds_root(&self, other: &Self) -> bool {
        self.bucket == other.bucket && other.key.prefix_matches(&self.key)
    }

    /// The object at a path relative to this root.
    pub(crate) fn join(&self, relative: &[u8]) -> Result<Self, String> {
        let relative = std::str::from_utf8(relative).map_err(|_| "is a key that is not UTF-8")?;
        if relative.ends_with('/') {
            return Err("is a key that ends in a slash".to_string());
        }
        // A column's relative paths are no URLs, whatever the root is.
        let below = parse_raw(relative)?;
        let key = Path::parse(match self.key.as_ref() {
            "" => below.to_string(),
            root => format!("{root}/{below}"),
        });
        Ok(Self {
            bucket: self.bucket.clone(),
            key: key.map_err(|_| "is not a key of an object")?,
        })
    }
}

/// The URI, which is parsed to this location.
impl fmt::Display for ObjectLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/", self.bucket)?;
        if !self.bucket.scheme.is_web() {
            return f.write_str(self.key.as_ref());
        }
        for byte in self.key.as_ref().bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                    write!(f, "{}", char::from(byte))?;
                }
                _ => write!(f, "%{byte:02X}")?,
            }
        }
        Ok(())
    }
}

impl Bucket {
    fn parse(scheme: Scheme, name: &str) -> Result<Self, String> {
        if name.is_empty() {
            return Err(match scheme.is_web() {
                true => "is a URL without a host".to_string(),
                false => "is a URI without a bucket".to_string(),
            });
        }
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if !scheme.is_web() {
            let (container, account) = match scheme {
                Scheme::Az => name.split_once('@').unwrap_or((name, "account")),
                _ => (name, "account"),
            };
            let plain = !container.is_empty()
                && !account.is_empty()
                && container.chars().chain(account.chars()).all(is_plain);
            return match plain {
                true => Ok(Self {
                    scheme,
                    name: name.to_string(),
                }),
                false => Err("is a URI with a bucket that cannot be".to_string()),
            };
        }
        if name.contains('@') {
            return Err("is a URL with a user; credentials are not read from locations".into());
        }
        let name = name.to_ascii_lowercase();
        let (host, port) = split_port(&name).ok_or("is a URL with a port that is no number")?;
        let literal = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
        let address = literal.unwrap_or(host).parse::<IpAddr>();
        if address.as_ref().is_ok_and(|address| is_forbidden(*address)) {
            return Err("is at a link-local address, which is never read".to_string());
        }
        // A host of digits and dots alone would be read as an address by others.
        let odd = address.is_err()
            && (literal.is_some()
                || !host.chars().all(is_plain)
                || host
                    .rsplit('.')
                    .find(|label| !label.is_empty())
                    .is_none_or(|last| last.starts_with(|c: char| c.is_ascii_digit())));
        if odd {
            return Err("is a URL with a host that cannot be".to_string());
        }
        let default_port = if scheme == Scheme::Http { 80 } else { 443 };
        Ok(Self {
            scheme,
            name: match port {
                Some(port) if port != default_port => format!("{host}:{port}"),
                _ => host.to_string(),
            },
        })
    }
}

/// Host and port of `host`, `host:port`, `[address]` or `[address]:port`.
fn split_port(name: &str) -> Option<(&str, Option<u16>)> {
    let end = name.rfind(']').map_or(0, |bracket| bracket + 1);
    match name.get(end..).and_then(|rest| rest.find(':')) {
        None => Some((name, None)),
        Some(colon) => {
            let (host, port) = name.split_at(end + colon);
            Some((host, Some(port.strip_prefix(':')?.parse().ok()?)))
        }
    }
}

fn parse_key(scheme: Scheme, key: &str) -> Result<Path, String> {
    if !scheme.is_web() {
        return parse_raw(key);
    }
    if key.contains(['?', '#']) {
        return Err("is a URL with a query or a fragment, which is not sent".to_string());
    }
    if key.split('/').any(str::is_empty) {
        return Err("is a URL with an empty part".to_string());
    }
    Path::from_url_path(key).map_err(|_| "is a URL with a path that cannot be".to_string())
}

/// A key as it is.
fn parse_raw(key: &str) -> Result<Path, String> {
    if key.split('/').any(str::is_empty) {
        return Err("is a key with an empty part".to_string());
    }
    if key.split('/').any(|part| part == "." || part == "..") {
        return Err("is a key with a part . or ..".to_string());
    }
    Path::parse(key).map_err(|_| "is a key with control characters".to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn object(uri: &str) -> Result<ObjectLocation, String> {
        let (scheme, rest) = uri.split_once("://").unwrap();
        ObjectLocation::parse(Scheme::parse(scheme).unwrap(), rest.as_bytes())
    }

    fn root(uri: &str) -> Result<ObjectLocation, String> {
        let (scheme, rest) = uri.split_once("://").unwrap();
        ObjectLocation::parse_root(Scheme::parse(scheme).unwrap(), rest)
    }

    #[test]
    fn a_root_holds_what_is_below_it_by_whole_parts() {
        let tenant = root("s3://bucket/tenant-a/").unwrap();
        for (uri, held) in [
            ("s3://bucket/tenant-a/x.jpg", true),
            ("s3a://bucket/tenant-a/x/y.jpg", true),
            ("s3://bucket/tenant-a", false),
            ("s3://bucket/tenant-ab/x.jpg", false),
            ("s3://bucket/x.jpg", false),
            ("s3://Bucket/tenant-a/x.jpg", false),
            ("gs://bucket/tenant-a/x.jpg", false),
        ] {
            assert_eq!(tenant.holds(&object(uri).unwrap()), held, "{uri}");
        }
        let all = root("s3://bucket").unwrap();
        assert!(all.holds(&object("s3://bucket/x.jpg").unwrap()));
    }

    #[test]
    fn a_root_holds_itself_and_roots_below_it() {
        let own = root("s3://bucket/tenant-a/").unwrap();
        for (uri, held) in [
            ("s3://bucket/tenant-a", true),
            ("s3a://bucket/tenant-a/2026/", true),
            ("s3://bucket/tenant-ab", false),
            ("s3://bucket/", false),
            ("s3://other/tenant-a", false),
            ("gs://bucket/tenant-a", false),
        ] {
            assert_eq!(own.holds_root(&root(uri).unwrap()), held, "{uri}");
        }
        let all = root("s3://bucket").unwrap();
        assert!(all.holds_root(&all) && all.holds_root(&own));
    }

    #[test]
    fn keys_are_taken_as_they_are_and_urls_are_decoded() {
        assert_eq!(
            object("s3://b/a b%20#?.jpg").unwrap().key.as_ref(),
            "a b%20#?.jpg"
        );
        assert_eq!(
            object("https://h/a%20b/%C3%A9.jpg").unwrap().key.as_ref(),
            "a b/\u{e9}.jpg"
        );
        let web = root("https://h/base").unwrap();
        assert_eq!(
            web.join(b"x%20y.jpg").unwrap().key.as_ref(),
            "base/x%20y.jpg"
        );
    }

    #[test]
    fn hosts_are_the_same_in_any_spelling() {
        for uri in ["https://H:443/a", "HTTPS://h/a".to_lowercase().as_str()] {
            assert_eq!(object(uri).unwrap().to_string(), "https://h/a");
        }
        assert_eq!(object("http://h:80/a").unwrap().to_string(), "http://h/a");
        assert_eq!(object("http://[::1]:8/a").unwrap().bucket.name, "[::1]:8");
    }

    #[test]
    fn what_leads_elsewhere_is_refused() {
        for uri in [
            "s3://b/../a",
            "s3://b/a/./b",
            "s3://b//a",
            "s3://b/a/",
            "s3://b",
            "s3:///a",
            "s3://b c/a",
            "https://h/%2e%2e/a",
            "https://h/a?b=c",
            "https://h/a#b",
            "https://user:pass@h/a",
            "https://h:x/a",
            "http://169.254.169.254/latest",
            "http://[fe80::1]/a",
            "http://[::ffff:169.254.169.254]/a",
            "http://2852039166/latest",
            "http://0xa9fea9fe/latest",
            "http://169.254.43518/latest",
            "az://c@/a",
        ] {
            assert!(object(uri).is_err(), "{uri}");
        }
        let tenant = root("s3://bucket/tenant-a").unwrap();
        for path in [
            "../tenant-b/x",
            "/x",
            "x/../../y",
            "x/",
            "",
            "a//b",
            "\u{1}",
        ] {
            assert!(tenant.join(path.as_bytes()).is_err(), "{path}");
        }
        assert!(tenant.join(b"\xff").is_err());
    }

    proptest::proptest! {
        #[test]
        fn a_shown_location_is_parsed_to_itself(path in "[ -~éß]{1,12}") {
            for base in ["s3://b/k", "https://h/k"] {
                if let Ok(joined) = root(base).unwrap().join(path.as_bytes()) {
                    proptest::prop_assert_eq!(object(&joined.to_string()), Ok(joined));
                }
            }
        }

        #[test]
        fn no_relative_path_leads_out(path in "[a-c./%]{1,12}") {
            let tenant = root("s3://bucket/tenant-a").unwrap();
            if let Ok(object) = tenant.join(path.as_bytes()) {
                proptest::prop_assert!(tenant.holds(&object));
            }
        }
    }
}
