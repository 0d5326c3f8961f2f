//! Errors of the admin endpoint.

use crate::wire::ErrPacket;

/// What the endpoint answers, for messages.
pub const UNDERSTOOD: &str = "this is PredictSQL's admin endpoint, which understands SHOW SESSIONS, SHOW QUERIES, \
     SHOW WORKERS, SHOW METRICS, SHOW CONFIG (each with LIKE or WHERE) and KILL SESSION n, and what clients ask when they connect: \
     SET, USE, SHOW VARIABLES, SHOW STATUS and other SHOWs, SELECT of @@variables, functions and literals; \
     SQL goes to the address that --listen names";

/// Maximum characters of a statement that a message quotes.
const NEAR_CHARS_MAX: usize = 40;

/// Why a statement is not answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    code: u16,
    sqlstate: [u8; 5],
    message: String,
}

impl Refusal {
    fn new(code: u16, sqlstate: &[u8; 5], message: String) -> Self {
        Self {
            code,
            sqlstate: *sqlstate,
            message,
        }
    }

    /// 1064: the statement is not understood from `near` on.
    pub fn syntax(near: &str) -> Self {
        let near: String = near.chars().take(NEAR_CHARS_MAX).collect();
        let at = match near.is_empty() {
            true => "at the end".to_owned(),
            false => format!("near '{near}'"),
        };
        Self::new(1064, b"42000", format!("not understood {at}: {UNDERSTOOD}"))
    }

    /// 1193: a system variable without a value here.
    pub fn unknown_variable(name: &str) -> Self {
        Self::new(1193, b"HY000", format!("Unknown system variable '{name}'"))
    }

    /// 1054: a column that a list does not have.
    pub fn unknown_column(name: &str) -> Self {
        Self::new(1054, b"42S22", format!("Unknown column '{name}'"))
    }

    /// 1305: a function that is not known here.
    pub fn unknown_function(name: &str) -> Self {
        let message = format!("FUNCTION {name} does not exist: {UNDERSTOOD}");
        Self::new(1305, b"42000", message)
    }

    /// 1582: a function that takes another number of arguments.
    pub fn argument_count(name: &str) -> Self {
        let message = format!("Incorrect parameter count in the call to native function '{name}'");
        Self::new(1582, b"42000", message)
    }

    /// 1235: what the endpoint does not do, and says so rather than ignore it.
    pub fn unsupported(what: &str) -> Self {
        Self::new(1235, b"42000", format!("{what}: {UNDERSTOOD}"))
    }

    /// 1094: no session of that id.
    pub fn no_session(id: i128) -> Self {
        let message = format!("there is no session {id} here: SHOW SESSIONS lists them");
        Self::new(1094, b"HY000", message)
    }

    /// 1047: a command that the endpoint does not know.
    pub fn unknown_command() -> Self {
        Self::new(1047, b"08S01", format!("Unknown command: {UNDERSTOOD}"))
    }

    /// 1243: a statement that was not prepared.
    pub fn not_prepared(id: u32) -> Self {
        let message = format!("Unknown prepared statement handler ({id}) given to EXECUTE");
        Self::new(1243, b"HY000", message)
    }

    /// 1210: parameters that cannot be read.
    pub fn wrong_arguments() -> Self {
        Self::new(1210, b"HY000", "Incorrect arguments to EXECUTE".to_owned())
    }

    /// 1461: too many prepared statements.
    pub fn too_many_prepared(most: usize) -> Self {
        let message = format!(
            "Can't create more than max_prepared_stmt_count statements (current value: {most})"
        );
        Self::new(1461, b"42000", message)
    }

    /// 1045: a login that is not admitted.
    pub fn access_denied(user: &str) -> Self {
        let message = format!("Access denied for user '{user}' to the admin endpoint");
        Self::new(1045, b"28000", message)
    }

    /// The packet that says so.
    pub fn packet(&self) -> ErrPacket {
        ErrPacket::new(self.code, &self.sqlstate, self.message.clone())
    }
}
