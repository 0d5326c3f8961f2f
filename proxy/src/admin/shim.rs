//! A session of the admin endpoint: the callbacks of opensrv-mysql.

use super::answer::{Table, VERSION};
use super::endpoint::Admin;
use super::statement::{Statement, UNDERSTOOD};
use crate::admin_login::{SCRAMBLE_BYTES, challenge};
use crate::admission::{Applicant, LineLimit, Source};
use async_trait::async_trait;
use opensrv_mysql::{
    AsyncMysqlShim, ErrorKind, InitWriter, OkResponse, ParamParser, QueryResultWriter,
    StatementMetaWriter,
};
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use tokio::io::AsyncWrite;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// A session.
pub struct AdminSession {
    admin: Arc<Admin>,
    id: u32,
    peer: SocketAddr,
    source: Source,
    /// Deadline of the login.
    latest: Instant,
    waits_for_client: Arc<AtomicBool>,
    salt: [u8; SCRAMBLE_BYTES],
    /// The session's permit, once it has logged in.
    place: OnceLock<OwnedSemaphorePermit>,
    /// Cancelled when the client is authenticated. opensrv-mysql does not authenticate a handshake
    /// without a user, so every answer checks this.
    let_in: CancellationToken,
}

impl AdminSession {
    /// A session before login, with the login deadline `latest`.
    ///
    /// # Errors
    /// The system provides no random bytes.
    pub fn new(
        admin: Arc<Admin>,
        id: u32,
        peer: SocketAddr,
        applicant: &Applicant,
        latest: Instant,
        let_in: CancellationToken,
    ) -> io::Result<Self> {
        Ok(Self {
            admin,
            id,
            peer,
            source: applicant.source(),
            latest,
            waits_for_client: Arc::clone(applicant.waits_for_client()),
            place: OnceLock::new(),
            salt: challenge()?,
            let_in,
        })
    }

    /// Checks a login, after the delay for its address.
    async fn admits(&self, user: &[u8], salt: &[u8], answer: &[u8]) -> Result<(), &'static str> {
        let wrong_logins = &self.admin.wrong_logins;
        let turn = wrong_logins.turn(self.source, self.latest);
        sleep_until(turn.ok_or("too many wrong logins from its address")?).await;
        if !self.admin.login.admits(user, salt, answer) {
            wrong_logins.note_wrong(self.source);
            return Err("wrong user or password");
        }
        wrong_logins.note_right(self.source);
        let place = Arc::clone(&self.admin.places).try_acquire_owned();
        let place = place.map_err(|_| "too many sessions")?;
        self.place.get_or_init(|| place);
        Ok(())
    }

    fn check_login(&self) -> io::Result<()> {
        if self.let_in.is_cancelled() {
            return Ok(());
        }
        Err(io::ErrorKind::PermissionDenied.into())
    }

    async fn answer<W: AsyncWrite + Send + Unpin>(
        &self,
        text: &str,
        results: QueryResultWriter<'_, W>,
    ) -> io::Result<()> {
        let status = &self.admin.status;
        let table = match Statement::parse(text) {
            Some(Statement::ShowSessions) => Table::sessions(status),
            Some(Statement::ShowQueries) => Table::queries(status),
            Some(Statement::ShowMetrics) => Table::metrics(status),
            Some(Statement::ShowConfig) => Table::config(&self.admin.settings.config()),
            Some(Statement::Variable(name)) => Table::variable(&name),
            Some(Statement::Set) => return results.completed(OkResponse::default()).await,
            Some(Statement::KillSession(id)) => return self.kill(id, results).await,
            None => {
                let kind = ErrorKind::ER_PARSE_ERROR;
                return results.error(kind, UNDERSTOOD.as_bytes()).await;
            }
        };
        write(&table, results).await
    }

    async fn kill<W: AsyncWrite + Send + Unpin>(
        &self,
        id: u32,
        results: QueryResultWriter<'_, W>,
    ) -> io::Result<()> {
        if self.admin.status.live().kill(id) {
            tracing::info!(session = id, operator = %self.peer, "session killed");
            return results.completed(OkResponse::default()).await;
        }
        let text = format!("there is no session {id} here: SHOW SESSIONS lists them");
        let kind = ErrorKind::ER_NO_SUCH_THREAD;
        results.error(kind, text.as_bytes()).await
    }
}

async fn write<W: AsyncWrite + Send + Unpin>(
    table: &Table,
    results: QueryResultWriter<'_, W>,
) -> io::Result<()> {
    let mut writer = results.start(&table.columns).await?;
    for row in &table.rows {
        for cell in row {
            writer.write_col(cell.as_deref())?;
        }
        writer.end_row().await?;
    }
    writer.finish().await
}

#[async_trait]
impl<W: AsyncWrite + Send + Unpin> AsyncMysqlShim<W> for AdminSession {
    type Error = io::Error;

    fn version(&self) -> String {
        VERSION.to_owned()
    }

    fn connect_id(&self) -> u32 {
        self.id
    }

    fn salt(&self) -> [u8; SCRAMBLE_BYTES] {
        self.salt
    }

    async fn authenticate(&self, _plugin: &str, user: &[u8], salt: &[u8], answer: &[u8]) -> bool {
        static LINES: LineLimit = LineLimit::new();
        self.waits_for_client.store(false, Relaxed);
        match self.admits(user, salt, answer).await {
            Ok(()) => self.let_in.cancel(),
            Err(reason) => {
                if let Some(left_out) = LINES.pass() {
                    let client = self.peer;
                    tracing::warn!(%client, reason, left_out, "admin: refused a login");
                }
            }
        }
        self.let_in.is_cancelled()
    }

    async fn on_prepare<'a>(
        &'a mut self,
        _query: &'a str,
        info: StatementMetaWriter<'a, W>,
    ) -> io::Result<()> {
        self.check_login()?;
        let text = "the admin endpoint does not prepare statements: send them as text";
        let kind = ErrorKind::ER_NOT_SUPPORTED_YET;
        info.error(kind, text.as_bytes()).await
    }

    async fn on_execute<'a>(
        &'a mut self,
        _id: u32,
        _parameters: ParamParser<'a>,
        results: QueryResultWriter<'a, W>,
    ) -> io::Result<()> {
        self.check_login()?;
        let text = "the admin endpoint does not prepare statements: send them as text";
        let kind = ErrorKind::ER_NOT_SUPPORTED_YET;
        results.error(kind, text.as_bytes()).await
    }

    async fn on_close<'a>(&'a mut self, _statement: u32)
    where
        W: 'async_trait,
    {
    }

    async fn on_query<'a>(
        &'a mut self,
        query: &'a str,
        results: QueryResultWriter<'a, W>,
    ) -> io::Result<()> {
        self.check_login()?;
        self.answer(query, results).await
    }

    async fn on_init<'a>(
        &'a mut self,
        _name: &'a str,
        writer: InitWriter<'a, W>,
    ) -> io::Result<()> {
        self.check_login()?;
        let text = "the admin endpoint has no databases";
        writer
            .error(ErrorKind::ER_BAD_DB_ERROR, text.as_bytes())
            .await
    }
}
