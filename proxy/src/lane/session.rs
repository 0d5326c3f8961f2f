//! What a predict statement must know of its session, asked of the store each time: the only
//! exact way.

use predictsql_optimizer::LexMode;

use super::store_link::{LinkError, StoreLink};
use super::text_encoding::TextEncoding;
use crate::error::SqlError;

/// Settings of the session that a predict statement runs in.
#[derive(Debug, Clone)]
pub struct SessionSettings {
    /// How the statement is read as text.
    pub encoding: TextEncoding,
    /// How text is cut into tokens.
    pub lex: LexMode,
    /// Text of results arrives in UTF-8.
    pub results_utf8: bool,
    /// `@@sql_select_limit`; `u64::MAX` for none.
    pub select_limit: u64,
    /// `@ml_on_error = 'fail'`: an unreadable image is an error.
    pub fail_on_error: bool,
    /// `@ml_plan`: the physical plan that must answer.
    pub forced_plan: Option<Forced>,
    /// What a statement's meaning depends on besides its text.
    pub meaning: Meaning,
}

/// A physical plan by name: a debugging aid, so that one plan can be held against another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forced {
    /// Rows pass through.
    Stream,
    /// Two passes, relations in temporary tables.
    Temporary,
    /// Two passes, relations in the statement's text.
    Inline,
}

/// Under which a statement's text has one meaning: what it was prepared under must hold when it is
/// executed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Meaning {
    database: String,
    sql_mode: String,
    character_set_client: String,
}

/// Session variables of constraints that this version does not plan by.
const CONSTRAINTS: [&str; 5] = [
    "ml_min_accuracy",
    "ml_max_seconds",
    "ml_max_cost",
    "ml_max_inferences",
    "ml_strategy",
];

impl SessionSettings {
    /// Asks the store; from here on it is sent text in the encoding of `statement`, which is as it
    /// came.
    pub async fn read(store: &mut StoreLink<'_>, statement: &[u8]) -> Result<Self, LinkError> {
        let mut sql = String::from(
            "SELECT @@sql_mode, @@character_set_client, CAST(@@character_set_results AS BINARY), \
             @@sql_select_limit, @ml_on_error, @ml_plan",
        );
        for variable in CONSTRAINTS {
            sql.push_str(", @");
            sql.push_str(variable);
        }
        sql.push_str(", DATABASE() LIMIT 1"); // whatever sql_select_limit says
        let answer = store.ask_text(&sql).await?;
        let cell = |i: usize| answer.text(0, i).map(Option::unwrap_or_default);
        let results = cell(2)?;
        // In these the lane cannot read numbers and paths, or text cannot be told from bytes.
        if matches!(&*results, "ucs2" | "utf16" | "utf16le" | "utf32" | "binary") {
            return Err(SqlError::unsupported(format_args!(
                "predictions with character_set_results = {results}; use SET NAMES utf8mb4"
            ))
            .into());
        }
        let client = cell(1)?;
        let encoding = TextEncoding::of(statement, &client).ok_or_else(|| {
            SqlError::unsupported(format_args!(
                "statements with predictions in character set {client} beyond ASCII; use SET NAMES utf8mb4"
            ))
        })?;
        store.encode_as(encoding);
        for (i, variable) in CONSTRAINTS.iter().enumerate() {
            if answer.text(0, 6 + i)?.is_some() {
                return Err(SqlError::unsupported(format_args!(
                    "@{variable}; SET @{variable} = NULL"
                ))
                .into());
            }
        }
        Ok(Self {
            encoding,
            lex: LexMode::from_sql_mode(&cell(0)?),
            results_utf8: results == "utf8mb4",
            select_limit: cell(3)?.parse().unwrap_or(u64::MAX),
            fail_on_error: on_error(&cell(4)?)?,
            forced_plan: forced_plan(&cell(5)?)?,
            meaning: Meaning {
                database: cell(6 + CONSTRAINTS.len())?,
                sql_mode: cell(0)?,
                character_set_client: client,
            },
        })
    }
}

fn on_error(value: &str) -> Result<bool, SqlError> {
    match value.to_ascii_lowercase().as_str() {
        "" | "null" => Ok(false),
        "fail" => Ok(true),
        _ => Err(SqlError::new(
            1231,
            "42000",
            "Variable '@ml_on_error' can't be set to that value: it is 'null' or 'fail'",
        )),
    }
}

fn forced_plan(value: &str) -> Result<Option<Forced>, SqlError> {
    match value.to_ascii_lowercase().as_str() {
        "" => Ok(None),
        "stream" => Ok(Some(Forced::Stream)),
        "temporary" => Ok(Some(Forced::Temporary)),
        "inline" => Ok(Some(Forced::Inline)),
        _ => Err(SqlError::new(
            1231,
            "42000",
            "Variable '@ml_plan' can't be set to that value: it is 'stream', 'temporary' or 'inline'",
        )),
    }
}
