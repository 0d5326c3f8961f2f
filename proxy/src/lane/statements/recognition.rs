//! Whose a statement is: the store's, or one of the kinds that the lane answers.

use predictsql_optimizer::{ddl, prefilter};

use crate::error::SqlError;
use crate::lane::session::lane::Lane;
use crate::lane::store::error::LinkError;

impl Lane {
    /// Whether a statement's text may be for the lane.
    pub(in crate::lane) fn is_ours(&self, body: &[u8]) -> bool {
        let schema = self.context.schema.as_str();
        if self.concerns_views(body) {
            return true;
        }
        let bare = self.may_call_bare(body);
        if !bare && !prefilter::may_call(body, schema) && !may_be_catalog_statement(body) {
            return may_hold_catalog_statement(body);
        }
        // Text in another character set is looked at too, so that its refusal says why.
        let text = String::from_utf8_lossy(body);
        bare || prefilter::has_schema_call(&text, schema)
            || ddl::recognise(&text)
            || may_hold_catalog_statement(body)
    }

    /// Whether a text, inside strings too, may name what predicts.
    pub(in crate::lane) fn may_predict(&self, body: &[u8]) -> bool {
        let account = &self.context.account;
        prefilter::may_call(body, self.context.schema.as_str())
            || account.may_name_view(body)
            || self.may_hold_bare_call(body)
    }
}

/// Whether one of several statements begins as a catalog statement, but for the first, which may with settings
/// of its own.
fn may_hold_catalog_statement(text: &[u8]) -> bool {
    is_headed(text)
        || memchr::memchr_iter(b';', text).any(|semicolon| {
            let rest = text.get(semicolon + 1..).unwrap_or_default();
            is_headed(rest)
                || (may_be_catalog_statement(rest)
                    && ddl::recognise(&String::from_utf8_lossy(rest)))
        })
}

/// Whether a text begins with settings of a catalog statement.
fn is_headed(text: &[u8]) -> bool {
    let text = text.trim_ascii_start();
    // Nearly every statement ends here.
    let may_be = [&b"SET"[..], b"/*", b"--", b"#"].iter().any(|begin| {
        let head = text.get(..begin.len());
        head.is_some_and(|head| head.eq_ignore_ascii_case(begin))
    });
    may_be && ddl::recognise_with_settings(&String::from_utf8_lossy(text))
}

/// The first letters of the statements that the proxy adds, or a comment before them.
fn may_be_catalog_statement(body: &[u8]) -> bool {
    let body = body.trim_ascii_start();
    let starts = |word: &[u8]| {
        body.get(..word.len())
            .is_some_and(|b| b.eq_ignore_ascii_case(word))
    };
    [
        &b"CREATE"[..],
        b"ALTER",
        b"DROP",
        b"SHOW",
        b"EVALUATE",
        b"/*",
        b"--",
        b"#",
    ]
    .iter()
    .any(|w| starts(w))
}

/// A catalog statement as text.
///
/// # Errors
/// It is not UTF-8.
pub fn utf8(body: &[u8]) -> Result<&str, LinkError> {
    std::str::from_utf8(body)
        .map_err(|_| SqlError::unsupported("catalog statements that are not UTF-8").into())
}
