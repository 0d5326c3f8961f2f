//! A client: logs in, asks one thing after the other,
//! and logs in again when its connection is lost.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, DriverError, Error, OptsBuilder, Params, Row, Value};

use super::ledger::{Fate, Fault, Ledger};
use super::servers::Door;
use super::shop::Shop;
use crate::repository::Dice;

/// Longest wait for an answer before it counts as not coming.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(120);
/// Pause before the next try to log in.
const LOGIN_PAUSE: Duration = Duration::from_millis(50);

/// Errors that kills, deadlines, locks and the catalog's changes explain. All others are faults.
const EXPLAINED: [u16; 13] = [
    1053, // the server stops
    1152, // the connection was aborted
    1158, // the store went
    1205, // a lock took too long
    1213, // deadlock
    1317, // KILL QUERY
    1429, // no store
    1644, // no plan within @ml_max_seconds
    1927, // KILL
    1969, // max_statement_time
    2013, // lost
    3024, // @ml_max_seconds
    4166, // prepared anew too often, because the catalog changes
];
/// Of these: the connection is no more.
const LOST: [u16; 6] = [1053, 1152, 1158, 1429, 1927, 2013];

/// What a client is asked to do over and over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duty {
    /// Selects and changes of all kinds.
    Mixed,
    /// EVALUATE.
    Evaluate,
    /// CREATE, ALTER and DROP of tasks and models of its own.
    Catalog,
}

/// What all clients share.
pub struct Common {
    /// What they write down.
    pub ledger: Ledger,
    /// What answers must be.
    pub shop: Shop,
    /// Whether they are to stop after their statement.
    pub stop: AtomicBool,
    /// Ids of their sessions; 0 while there is none.
    pub sessions: Vec<AtomicU32>,
}

/// Why a statement has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// An error; the session goes on.
    Refused(u16),
    /// The session is gone.
    Lost,
}

impl Trouble {
    /// What became of an autocommit change.
    pub fn fate(self) -> Fate {
        match self {
            Self::Refused(_) => Fate::Gone,
            Self::Lost => Fate::Unknown,
        }
    }
}

/// A client between two sessions.
pub struct Client {
    /// Its place in [`Common::sessions`].
    pub number: usize,
    /// Of all mixed clients how many there are, and which this is: batches are shared out.
    pub shares: (u32, u32),
    /// What it does.
    pub duty: Duty,
    /// Where its proxy is.
    pub door: Door,
    /// Chance.
    pub dice: Dice,
    /// What it shares with others.
    pub common: Arc<Common>,
}

/// A client that is logged in.
pub struct Session<'a> {
    /// Whose it is.
    pub client: &'a mut Client,
    /// The connection.
    pub conn: Conn,
}

impl Client {
    /// Goes on until all are to stop.
    pub async fn run(mut self) {
        while !self.common.stop.load(Relaxed) {
            let address = *self.door.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(conn) = self.login(address).await else {
                tokio::time::sleep(LOGIN_PAUSE).await;
                continue;
            };
            let common = Arc::clone(&self.common);
            let mut session = Session {
                client: &mut self,
                conn,
            };
            let number = session.client.number;
            let tell = |id| {
                if let Some(place) = common.sessions.get(number) {
                    place.store(id, Relaxed);
                }
            };
            tell(session.conn.id());
            while !common.stop.load(Relaxed) {
                if session.step().await == Err(Trouble::Lost) {
                    break;
                }
            }
            tell(0);
            let goodbye = session.conn.disconnect();
            let _ = tokio::time::timeout(ANSWER_TIME_MAX, goodbye).await;
        }
    }

    async fn login(&self, address: Option<SocketAddr>) -> Option<Conn> {
        let address = address?;
        let options = OptsBuilder::default()
            .ip_or_hostname(address.ip().to_string())
            .tcp_port(address.port())
            // The client library would otherwise go on to the store's own socket, past the proxy.
            .prefer_socket(false)
            .user(Some("root"))
            .db_name(Some("shop"));
        match tokio::time::timeout(ANSWER_TIME_MAX, Conn::new(options)).await {
            Ok(Ok(conn)) => Some(conn),
            Ok(Err(error)) => {
                self.trouble(&error, "login");
                None
            }
            Err(_) => {
                self.never("login");
                None
            }
        }
    }

    /// Writes an error down.
    fn trouble(&self, error: &Error, sql: &str) -> Trouble {
        let ledger = &self.common.ledger;
        let unexplained = || format!("{error} at {sql:.300}");
        match error {
            Error::Server(told) => {
                ledger.error(told.code.to_string());
                if !EXPLAINED.contains(&told.code) {
                    ledger.fault(Fault::BadAnswer, 1, unexplained);
                }
                if LOST.contains(&told.code) {
                    Trouble::Lost
                } else {
                    Trouble::Refused(told.code)
                }
            }
            Error::Io(_) | Error::Driver(DriverError::ConnectionClosed) => {
                ledger.error("lost");
                Trouble::Lost
            }
            _ => {
                ledger.error("driver");
                ledger.fault(Fault::BadAnswer, 1, unexplained);
                Trouble::Lost
            }
        }
    }

    fn never(&self, sql: &str) -> Trouble {
        self.common.ledger.error("no answer");
        (self.common.ledger).fault(Fault::BadAnswer, 1, || format!("no answer to {sql:.300}"));
        Trouble::Lost
    }
}

impl Session<'_> {
    async fn step(&mut self) -> Result<(), Trouble> {
        match self.client.duty {
            Duty::Mixed if self.client.dice.below(100) < 60 => self.read().await,
            Duty::Mixed => self.write().await,
            Duty::Evaluate => self.evaluate().await,
            Duty::Catalog => self.change_catalog().await,
        }
    }

    /// One of `count` numbers, by chance.
    pub fn below(&mut self, count: u32) -> u32 {
        u32::try_from(self.client.dice.below(count as usize)).unwrap_or(0)
    }

    /// The ledger.
    pub fn ledger(&self) -> &Ledger {
        &self.client.common.ledger
    }

    /// Runs a statement with parameters in `?`: as text or prepared, by chance.
    ///
    /// # Errors
    /// Written down.
    pub async fn rows(&mut self, sql: &str, parameters: &[Value]) -> Result<Vec<Row>, Trouble> {
        if self.below(2) == 0 {
            return self.text_rows(&with_literals(sql, parameters)).await;
        }
        self.ledger().sends();
        let parameters = match parameters {
            [] => Params::Empty,
            _ => Params::Positional(parameters.to_vec()),
        };
        let asked = self.conn.exec(sql, parameters);
        let answered = tokio::time::timeout(ANSWER_TIME_MAX, asked).await;
        self.told(answered, sql)
    }

    /// Runs a statement as text.
    ///
    /// # Errors
    /// Written down.
    pub async fn text_rows(&mut self, sql: &str) -> Result<Vec<Row>, Trouble> {
        self.ledger().sends();
        let answered = tokio::time::timeout(ANSWER_TIME_MAX, self.conn.query(sql)).await;
        self.told(answered, sql)
    }

    /// Runs a statement whose rows do not matter.
    ///
    /// # Errors
    /// Written down.
    pub async fn run(&mut self, sql: &str, parameters: &[Value]) -> Result<(), Trouble> {
        self.rows(sql, parameters).await.map(drop)
    }

    /// Runs a statement until it is taken: a KILL may meet it, too.
    ///
    /// # Errors
    /// The session is lost.
    pub async fn insist(&mut self, sql: &str) -> Result<(), Trouble> {
        loop {
            match self.text_rows(sql).await {
                Err(Trouble::Refused(_)) => {}
                done => return done.map(drop),
            }
        }
    }

    fn told<T>(
        &self,
        answered: Result<Result<T, Error>, tokio::time::error::Elapsed>,
        sql: &str,
    ) -> Result<T, Trouble> {
        match answered {
            Ok(Ok(rows)) => Ok(rows),
            Ok(Err(error)) => Err(self.client.trouble(&error, sql)),
            Err(_) => Err(self.client.never(sql)),
        }
    }
}

/// The statement with values in the places of its parameters.
pub fn with_literals(sql: &str, parameters: &[Value]) -> String {
    let mut parts = sql.split('?');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for (part, value) in parts.zip(parameters) {
        text += &value.as_sql(true);
        text += part;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_become_literals() {
        let sql = with_literals("SELECT ?, ? + 1", &["a".into(), 5.into()]);
        assert_eq!(sql, "SELECT 'a', 5 + 1");
        assert_eq!(with_literals("SELECT 1", &[]), "SELECT 1");
    }
}
