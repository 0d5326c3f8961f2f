//! How the lane's answer compares with the naive evaluation's.

use predictsql_tests::wire::SqlError;

use super::answer::Answer;
use super::schemas::plain_name;

/// ER_NOT_SUPPORTED_YET.
pub const UNSUPPORTED: u16 = 1235;
/// ER_CANT_AGGREGATE_2COLLATIONS, and its kin of three and more.
pub const MIXED_COLLATIONS: [u16; 3] = [1267, 1270, 1271];

/// How an answer compares.
#[derive(Debug)]
pub enum Verdict {
    Same,
    /// Both are the same error.
    SameError,
    /// The lane answers where functions of the store mix collations (1267): its labels are
    /// constants, which the store converts where it can.
    Lenient,
    /// Refused with 1235.
    Refused(String),
    Different(String),
}

/// An answer or an error.
pub type Answered = Result<Answer, SqlError>;

/// Compares an answer with the expected one; rows in any order unless `ordered`.
pub fn verdict(found: Answered, expected: Answered, ordered: bool) -> Verdict {
    match (found, expected) {
        // The lane has asked the store something that is no SQL.
        (Err(error), _)
            if error.code == UNSUPPORTED && error.message.contains("error in your SQL syntax") =>
        {
            Verdict::Different(error.message)
        }
        (Err(error), _) if error.code == UNSUPPORTED => Verdict::Refused(error.message),
        (Ok(found), Ok(expected)) => {
            let plain = |answer: &Answer| -> Vec<String> {
                let names = answer.names();
                names.iter().map(|name| plain_name(name)).collect()
            };
            if plain(&found) != plain(&expected) {
                let (found, expected) = (plain(&found), plain(&expected));
                return Verdict::Different(format!("names {found:?}, expected {expected:?}"));
            }
            match found.difference(&expected, ordered) {
                None => Verdict::Same,
                Some(difference) => Verdict::Different(difference),
            }
        }
        (Err(found), Err(expected))
            if (found.code, &found.sqlstate) == (expected.code, &expected.sqlstate) =>
        {
            Verdict::SameError
        }
        (_, Err(expected)) if MIXED_COLLATIONS.contains(&expected.code) => Verdict::Lenient,
        (Err(found), Err(expected)) => {
            Verdict::Different(format!("{found:?}, expected {expected:?}"))
        }
        (Err(found), Ok(_)) => Verdict::Different(format!("{found:?}, expected rows")),
        (Ok(found), Err(expected)) => {
            Verdict::Different(format!("{} rows, expected {expected:?}", found.rows.len()))
        }
    }
}
