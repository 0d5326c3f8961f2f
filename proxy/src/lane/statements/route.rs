//! Whose a command is: the store's, or one of the kinds that the lane answers. It is decided once,
//! from the command as it comes: what only the session's settings tell (how its text is cut into
//! tokens) is left to the handler of the kind.

use predictsql_optimizer::literals::without_long_literals;
use predictsql_optimizer::{ddl, prefilter};

use crate::error::SqlError;
use crate::lane::session::diagnostics::ShowDiagnostics;
use crate::lane::session::lane::Lane;
use crate::lane::statements::kill::Kill;
use crate::lane::statements::named;
use crate::lane::store::error::LinkError;
use crate::wire::{Capabilities, ErrPacket, command};

/// A command of the lane.
#[derive(Debug, Clone)]
pub enum Routed {
    /// COM_QUERY
    Query(StatementKind),
    /// COM_QUERY of a statement that the store has answered with this error of a stub.
    TakenBack(Box<ErrPacket>),
    /// COM_STMT_PREPARE
    Prepare(PreparedKind),
    /// COM_STMT_EXECUTE of a statement prepared by the lane.
    Execute,
    /// COM_STMT_SEND_LONG_DATA for one.
    LongData,
    /// COM_STMT_BULK_EXECUTE of one.
    BulkExecute,
    /// A command of the statement prepared last, by the id that MariaDB's clients have for it.
    OfLast,
    /// A long command that is not answered.
    Refused(Box<SqlError>),
}

/// A statement of the lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatementKind {
    /// SHOW WARNINGS and the like, where the lane has them.
    Diagnostics(ShowDiagnostics),
    /// KILL of one connection.
    Kill(Kill),
    /// Several statements, unless the semicolons stand in strings.
    Several,
    /// CREATE, ALTER, DROP, SHOW of tasks and models, EVALUATE; perhaps with settings of its own.
    Catalog,
    /// PREPARE, EXECUTE, DEALLOCATE of a statement that may predict, unless another begins so.
    Named,
    /// Calls a function of the catalog's schema, or names a view that does.
    Predict,
    /// For the store, but for what it reads of the statement before.
    Remembered,
}

/// A statement that the lane prepares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PreparedKind {
    /// As [`StatementKind::Catalog`], without settings of its own.
    Catalog,
    /// As [`StatementKind::Predict`].
    Predict,
}

impl Lane {
    /// The kind of a command that is the lane's; `None`: it is the store's.
    pub(in crate::lane) fn routed(&self, command: u8, body: &[u8]) -> Option<Routed> {
        let names_last = || self.prepared.names_last(body);
        let owns = || self.prepared.owns(body);
        match command {
            command::QUERY => self.statement_kind(body).map(Routed::Query),
            command::STMT_PREPARE => self.is_ours(body).then(|| {
                Routed::Prepare(match ddl::recognise(&String::from_utf8_lossy(body)) {
                    true => PreparedKind::Catalog,
                    false => PreparedKind::Predict,
                })
            }),
            command::STMT_EXECUTE
            | command::STMT_BULK_EXECUTE
            | command::STMT_SEND_LONG_DATA
            | command::STMT_CLOSE
            | command::STMT_RESET
            | command::STMT_FETCH
                if names_last() =>
            {
                Some(Routed::OfLast)
            }
            command::STMT_EXECUTE => owns().then_some(Routed::Execute),
            command::STMT_SEND_LONG_DATA => owns().then_some(Routed::LongData),
            command::STMT_BULK_EXECUTE => owns().then_some(Routed::BulkExecute),
            _ => None,
        }
    }

    /// The kind of a statement that is the lane's; `None`: it is the store's.
    pub(in crate::lane) fn statement_kind(&self, body: &[u8]) -> Option<StatementKind> {
        if self.is_ours(body) || self.may_be_named(body) {
            let may_be_several = |text: &[u8]| may_be_several(text, self.capabilities);
            return Some(if any_reading(body, may_be_several) {
                StatementKind::Several
            } else if any_reading(body, is_catalog) {
                StatementKind::Catalog
            } else if named::begins_so(body) {
                StatementKind::Named
            } else {
                StatementKind::Predict
            });
        }
        if let Some(kill) = Kill::parse(body) {
            return Some(StatementKind::Kill(kill));
        }
        if self.remembered.diagnostics.is_some()
            && let Some(show) = ShowDiagnostics::recognise(body)
        {
            return Some(StatementKind::Diagnostics(show));
        }
        let remembered = self.may_read_remembered(body);
        remembered.then_some(StatementKind::Remembered)
    }

    /// Whether a statement's text may be for the lane.
    pub(in crate::lane) fn is_ours(&self, body: &[u8]) -> bool {
        any_reading(body, |text| self.is_ours_by(text))
    }

    fn is_ours_by(&self, body: &[u8]) -> bool {
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

/// Whether something holds for a text. Data in a long one is left out, by each way to read quotes,
/// so that what is searched does not grow with it.
fn any_reading(text: &[u8], holds: impl Fn(&[u8]) -> bool) -> bool {
    /// Texts up to this length, and literals below it, are searched as they are.
    const TEXT_BYTES_MAX: usize = 64 * 1024;
    const LITERAL_BYTES_MIN: usize = 1024;
    match text.len() {
        ..=TEXT_BYTES_MAX => holds(text),
        _ => {
            let readings = without_long_literals(text, LITERAL_BYTES_MIN);
            readings.iter().any(|reading| holds(reading))
        }
    }
}

/// Whether a text may hold several statements of a client that may send them.
fn may_be_several(text: &[u8], capabilities: Capabilities) -> bool {
    let text = text.trim_ascii_end();
    let text = text.strip_suffix(b";").unwrap_or(text);
    capabilities.has(Capabilities::MULTI_STATEMENTS) && memchr::memchr(b';', text).is_some()
}

/// Whether a text begins as a catalog statement, perhaps with settings of its own.
pub fn is_catalog(text: &[u8]) -> bool {
    let text = String::from_utf8_lossy(text);
    ddl::recognise(&text) || ddl::recognise_with_settings(&text)
}

/// Whether one of several statements begins as a catalog statement, but for the first, which may
/// with settings of its own.
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
