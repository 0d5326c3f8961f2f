//! Session settings that a predict statement needs. They are queried from the store for each
//! statement, since nothing else is exact.

use bytes::Bytes;
use predictsql_optimizer::bare::BareNames;
use predictsql_optimizer::planner::{DEMANDS, Demands, WrongDemand};
use predictsql_optimizer::planning::Forced;
use predictsql_optimizer::views::ViewSession;
use predictsql_optimizer::{LabelCollation, LexMode};

use crate::config::LimitsConfig;
use crate::error::{ErrorKind, SqlError};
use crate::lane::store::answer::Answer;
use crate::lane::store::before::Before;
use crate::lane::store::error::LinkError;
use crate::lane::store::link::StoreLink;
use crate::lane::store::text_encoding::TextEncoding;
use crate::predict::{CacheMode, cache_mode_of_variable};

/// Settings of the session in which a predict statement runs.
#[derive(Debug, Clone)]
pub struct SessionSettings {
    /// Encoding of the statement's text.
    pub encoding: TextEncoding,
    /// How the text is split into tokens.
    pub lex: LexMode,
    /// Collation of labels.
    pub labels: LabelCollation,
    /// Whether result text arrives in UTF-8.
    pub results_utf8: bool,
    /// Whether string literals are binary.
    pub literals_binary: bool,
    /// `@@sql_select_limit`; `u64::MAX` for none.
    pub select_limit: u64,
    /// Whether `@ml_on_error = 'fail'`: an unreadable image is an error.
    pub fail_on_error: bool,
    /// `@@timestamp`: the time at which the statement began, or the time set by the session.
    pub timestamp: String,
    /// `@@max_statement_time` in seconds; zero for no limit.
    pub max_statement_time: f64,
    /// `@ml_plan`: the physical plan that must be used.
    pub forced_plan: Option<Forced>,
    /// `@ml_cache`: the cache mode, if the session sets it.
    pub cache: Option<CacheMode>,
    /// `@ml_min_accuracy` and similar variables: constraints on plans and on the choice of models.
    pub demands: Demands,
    /// `@ml_max_inferences`, if the session sets it; 0 for no limit.
    inferences_max: Option<u64>,
    /// Name of the logged-in user, without the host.
    user: String,
    /// Settings that a statement's meaning depends on besides its text.
    pub meaning: Meaning,
    /// `@@collation_connection`.
    pub collation: String,
    /// Functions of the schema that the statement calls unqualified.
    pub bare: BareNames,
}

/// Settings that determine the meaning of a statement's text: they must be the same at its
/// preparation and at its execution.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Meaning {
    database: String,
    sql_mode: String,
    character_set_client: String,
}

impl Meaning {
    /// The current database; empty if there is none.
    pub fn database(&self) -> &str {
        &self.database
    }

    /// Whether `schema` is the current database.
    pub fn is_in(&self, schema: &str) -> bool {
        self.database == schema
    }
}

impl SessionSettings {
    /// The settings of a `SET STATEMENT ... FOR` statement: `self`, except for the settings that
    /// govern how text is read, which come from `session`, since the text was parsed before.
    pub fn for_text_of(self, session: Self) -> Self {
        Self {
            encoding: session.encoding,
            lex: session.lex,
            labels: session.labels,
            collation: session.collation,
            ..self
        }
    }

    /// The settings that the text of a view depends on.
    pub fn for_views(&self) -> ViewSession<'_> {
        ViewSession {
            mode: self.lex,
            database: &self.meaning.database,
            collation: &self.collation,
            utf8: self.encoding.is_utf8() && self.meaning.character_set_client.starts_with("utf8"),
        }
    }
}

/// Expressions that the settings query selects, before the constraints ([`DEMANDS`]).
const ASKED: [&str; 20] = [
    "ROW_COUNT()",
    "FOUND_ROWS()",
    "@@warning_count",
    "@@error_count",
    "@@max_error_count",
    "@@max_allowed_packet",
    "@@timestamp",
    "@@max_statement_time",
    "@@sql_mode",
    "@@character_set_client",
    "CAST(@@character_set_results AS BINARY)",
    "@@collation_connection",
    "COLLATION(_utf8mb4'')",
    "@@sql_select_limit",
    "@ml_on_error",
    "@ml_plan",
    "@ml_cache",
    "@ml_max_inferences",
    "USER()",
    "DATABASE()",
];

/// The store's answer to the settings query, addressed by expression.
struct SessionVariables(Answer);

impl SessionVariables {
    async fn ask(store: &mut StoreLink<'_>) -> Result<Self, LinkError> {
        let mut sql = format!("SELECT {}", ASKED.join(", "));
        for demand in DEMANDS {
            sql.push_str(&match demand {
                // It contains class names, which character_set_results may not be able to
                // represent.
                "prior" => ", CAST(CONVERT(@ml_prior USING utf8mb4) AS BINARY)".to_owned(),
                _ => format!(", @ml_{demand}"),
            });
        }
        sql.push_str(" LIMIT 1"); // overrides sql_select_limit
        Ok(Self(store.ask_text(&sql).await?))
    }

    /// The value as text; empty for NULL.
    fn text(&self, asked: &str) -> Result<String, LinkError> {
        let place = ASKED.iter().position(|a| *a == asked);
        let text = self.0.text(0, place.unwrap_or(usize::MAX))?;
        Ok(text.unwrap_or_default())
    }

    /// The constraints that the session sets for every plan.
    fn demands(&self) -> Result<Demands, LinkError> {
        let mut demands = Demands::default();
        for (i, name) in DEMANDS.iter().enumerate() {
            let Some(value) = self.0.text(0, ASKED.len() + i)? else {
                continue;
            };
            let set = demands.set(name, &value);
            set.map_err(|wrong| wrong_demand(&format!("@ml_{name}"), wrong))?;
        }
        Ok(demands)
    }

    fn number<T: std::str::FromStr + Default>(&self, asked: &str) -> Result<T, LinkError> {
        Ok(self.text(asked)?.parse().unwrap_or_default())
    }

    fn before(&self) -> Result<Before, LinkError> {
        Ok(Before {
            row_count: self.number("ROW_COUNT()")?,
            found_rows: self.number("FOUND_ROWS()")?,
            warnings: self.number("@@warning_count")?,
            errors: self.number("@@error_count")?,
        })
    }

    /// The user's name without the host; the host contains no `@`.
    fn user(&self) -> Result<String, LinkError> {
        let whole = self.text("USER()")?;
        let name = whole.rsplit_once('@').map_or(&*whole, |(name, _)| name);
        Ok(name.to_owned())
    }
}

impl SessionSettings {
    /// Whether sql_mode is strict: a value that does not fit its column or parameter is an error.
    pub fn is_strict(&self) -> bool {
        let strict = ["STRICT_TRANS_TABLES", "STRICT_ALL_TABLES"];
        let mut modes = self.meaning.sql_mode.split(',');
        modes.any(|mode| strict.contains(&mode.trim()))
    }

    /// Reads the statement's text with its long literals in it.
    pub fn read_whole(&mut self, store: &mut StoreLink<'_>, statement: &[u8]) {
        let client = &self.meaning.character_set_client;
        self.encoding = TextEncoding::of(statement, client).unwrap_or_default();
        store.encode_as(self.encoding.clone());
    }

    /// Whether the characters of the statement's text stand for bytes, of which the store may take
    /// several for a character, or none.
    pub fn text_is_bytes(&self) -> bool {
        let client = &*self.meaning.character_set_client;
        !self.encoding.is_utf8() && (client.starts_with("utf8") || client == "binary")
    }

    /// Queries the store. `statement` is the client's text as received; from here on, text is sent
    /// to the store in its encoding.
    pub async fn read(store: &mut StoreLink<'_>, statement: &Bytes) -> Result<Self, LinkError> {
        let variables = SessionVariables::ask(store).await?;
        store.before.get_or_insert(variables.before()?);
        store.warnings_kept = variables.number("@@max_error_count")?;
        store.packet_bytes_max = match variables.number("@@max_allowed_packet")? {
            0 => usize::MAX,
            bytes => bytes,
        };
        let results = variables.text("CAST(@@character_set_results AS BINARY)")?;
        // In these character sets the lane cannot read numbers and paths.
        if matches!(&*results, "ucs2" | "utf16" | "utf16le" | "utf32") {
            return Err(SqlError::unsupported(format_args!(
                "predictions with character_set_results = {results}; use SET NAMES utf8mb4"
            ))
            .into());
        }
        store.results_binary = results == "binary";
        let client = variables.text("@@character_set_client")?;
        let sql_mode = variables.text("@@sql_mode")?;
        let lex = LexMode::from_sql_mode(&sql_mode);
        let encoding = TextEncoding::with_stand_ins(statement, &client, lex).ok_or_else(|| {
            SqlError::unsupported(format_args!(
                "statements with predictions in character set {client} beyond ASCII; use SET NAMES utf8mb4"
            ))
        })?;
        store.encode_as(encoding.clone());
        // The client's own statement: on a direct connection the store would refuse it.
        if statement.len() >= store.packet_bytes_max {
            let message = "Got a packet bigger than 'max_allowed_packet' bytes";
            return Err(SqlError::new(ErrorKind::PacketTooLarge, message).into());
        }
        let collation = variables.text("@@collation_connection")?;
        let labels = labels(&collation, &variables.text("COLLATION(_utf8mb4'')")?);
        Ok(Self {
            encoding,
            lex,
            labels,
            results_utf8: results == "utf8mb4",
            literals_binary: collation == "binary",
            select_limit: variables
                .text("@@sql_select_limit")?
                .parse()
                .unwrap_or(u64::MAX),
            fail_on_error: on_error(&variables.text("@ml_on_error")?)?,
            forced_plan: forced_plan(&variables.text("@ml_plan")?)?,
            cache: cache_mode_of_variable(&variables.text("@ml_cache")?)?,
            collation,
            bare: BareNames::default(),
            demands: variables.demands()?,
            timestamp: variables.text("@@timestamp")?,
            max_statement_time: variables.number("@@max_statement_time")?,
            inferences_max: inferences_max(&variables.text("@ml_max_inferences")?)?,
            user: variables.user()?,
            meaning: Meaning {
                database: variables.text("DATABASE()")?,
                sql_mode,
                character_set_client: client,
            },
        })
    }
}

/// The error for a setting with a wrong value.
pub fn wrong_demand(name: &str, wrong: WrongDemand) -> SqlError {
    let expected = wrong.0.unwrap_or("no setting".into());
    let message = format!("Variable '{name}' can't be set to that value: it is {expected}");
    SqlError::new(ErrorKind::WrongVariableValue, message)
}

impl SessionSettings {
    /// Maximum number of inputs that the statement may run through models; `None` for no limit.
    pub fn inferences_max(&self, limits: &LimitsConfig) -> Option<u64> {
        match self.inferences_max {
            Some(max) => Some(max).filter(|max| *max > 0),
            None => limits.inferences_max(&self.user),
        }
    }
}

/// Literals in the connection's collation and text in utf8mb4's `default` collation have the same
/// coercibility: the store compares them only if one is binary or of a smaller character set;
/// otherwise it returns error 1267.
fn labels(connection: &str, default: &str) -> LabelCollation {
    let is_other = connection.starts_with("utf8mb4_") || connection.starts_with("uca1400_");
    match is_other && connection != default && !connection.ends_with("_bin") {
        true => LabelCollation::Connection,
        false => LabelCollation::Default,
    }
}

fn inferences_max(value: &str) -> Result<Option<u64>, SqlError> {
    if value.is_empty() {
        return Ok(None);
    }
    value.parse().map(Some).map_err(|_| {
        SqlError::new(
            ErrorKind::WrongVariableValue,
            "Variable '@ml_max_inferences' can't be set to that value: it is a number of images, 0 for no limit",
        )
    })
}

fn on_error(value: &str) -> Result<bool, SqlError> {
    match value.to_ascii_lowercase().as_str() {
        "" | "null" => Ok(false),
        "fail" => Ok(true),
        _ => Err(SqlError::new(
            ErrorKind::WrongVariableValue,
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
            ErrorKind::WrongVariableValue,
            "Variable '@ml_plan' can't be set to that value: it is 'stream', 'temporary' or 'inline'",
        )),
    }
}
