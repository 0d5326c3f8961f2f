//! A session of the admin endpoint after its login: commands and their answers.

use super::encode::{Rows, STATUS, write_columns, write_table};
use super::endpoint::Admin;
use super::expression::Scope;
use super::facts::Facts;
use super::handshake::LoggedIn;
use super::prepared::Statements;
use super::refusal::Refusal;
use super::statement::{Reply, Statement};
use super::table::{Column, Kind};
use super::value::Value;
use super::variables::PACKET_BYTES_MAX;
use crate::error::ErrorKind;
use crate::wire::{
    Capabilities, Malformed, PacketReader, PacketWriter, Stream, command, encode_eof, encode_ok,
    encode_result_end, lenenc,
};
use bytes::{BufMut, Bytes, BytesMut};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

/// A session.
pub struct Session {
    admin: Arc<Admin>,
    id: u32,
    peer: SocketAddr,
    capabilities: Capabilities,
    database: Option<String>,
    statements: Statements,
    questions: u64,
}

/// An answer without rows, or why there is none.
type Answer = Result<(), Refusal>;

impl Session {
    /// The session of a client that has logged in.
    pub fn new(admin: Arc<Admin>, id: u32, peer: SocketAddr, login: &LoggedIn) -> Self {
        Self {
            admin,
            id,
            peer,
            capabilities: login.capabilities,
            database: login.database.clone(),
            statements: Statements::default(),
            questions: 0,
        }
    }

    /// Answers commands until the client leaves.
    ///
    /// # Errors
    /// I/O errors, and packets that are too long.
    pub async fn run(mut self, stream: &mut Stream, login: LoggedIn) -> io::Result<()> {
        let mut reader = PacketReader::with_buffered(PACKET_BYTES_MAX, login.ahead);
        let mut writer = PacketWriter::new(login.seq);
        writer.write(&self.ok());
        loop {
            writer.flush(stream).await?;
            let payload = match reader.read(stream).await {
                Ok(payload) => payload,
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
                Err(error) => {
                    if error.get_ref().is_some_and(|error| error.is::<Malformed>()) {
                        let text = "Got a packet bigger than 'max_allowed_packet' bytes";
                        writer.set_next_seq(1);
                        writer.write(&ErrorKind::PacketTooLarge.packet(text).encode());
                        writer.flush(stream).await?;
                    }
                    return Err(error);
                }
            };
            writer.set_next_seq(reader.last_seq().wrapping_add(1));
            let Some((&kind, _)) = payload.split_first() else {
                writer.write(&Refusal::unknown_command().packet().encode());
                continue;
            };
            if kind == command::QUIT {
                return Ok(());
            }
            let body = payload.slice(1..);
            if let Err(refusal) = self.command(kind, &body, &mut writer) {
                writer.write(&refusal.packet().encode());
            }
        }
    }

    fn ok(&self) -> Bytes {
        encode_ok(0, 0, STATUS, 0, b"")
    }

    fn command(&mut self, kind: u8, body: &[u8], writer: &mut PacketWriter) -> Answer {
        match kind {
            command::QUERY => return self.query(body, writer),
            command::STMT_PREPARE => return self.prepare(body, writer),
            command::STMT_EXECUTE => return self.execute(body, writer),
            // These two have no answer.
            command::STMT_SEND_LONG_DATA => {
                let prepared = id_of(body).ok().and_then(|(id, _)| self.statements.get(id));
                prepared
                    .into_iter()
                    .for_each(|prepared| prepared.note_long_data());
                return Ok(());
            }
            command::STMT_CLOSE => {
                if let Ok((id, _)) = id_of(body) {
                    self.statements.close(id);
                }
                return Ok(());
            }
            command::STMT_RESET => {
                let (id, _) = id_of(body)?;
                let prepared = self.statements.get(id);
                prepared.ok_or_else(|| Refusal::not_prepared(id))?.reset();
            }
            command::INIT_DB => self.database = Some(String::from_utf8_lossy(body).into_owned()),
            command::RESET_CONNECTION => self.statements.clear(),
            command::PING => {}
            command::SET_OPTION => {
                writer.write(&encode_eof(STATUS, 0));
                return Ok(());
            }
            // No table has fields.
            command::FIELD_LIST => {
                writer.write(&encode_result_end(self.capabilities, STATUS, 0));
                return Ok(());
            }
            command::STATISTICS => {
                writer.write(self.statistics().as_bytes());
                return Ok(());
            }
            _ => return Err(Refusal::unknown_command()),
        }
        writer.write(&self.ok());
        Ok(())
    }

    fn query(&mut self, body: &[u8], writer: &mut PacketWriter) -> Answer {
        self.questions += 1;
        let statement = Statement::parse(&String::from_utf8_lossy(body))?;
        if statement.parameters() > 0 {
            return Err(Refusal::unsupported("? is for prepared statements"));
        }
        self.answer(&statement, &[], Rows::Text, writer)
    }

    fn prepare(&mut self, body: &[u8], writer: &mut PacketWriter) -> Answer {
        let text = String::from_utf8_lossy(body);
        let statement = Statement::parse(&text)?;
        let facts = self.facts();
        let columns = match statement.reply(&self.admin, scope(&facts, &[]))? {
            Reply::Table(table) => table.columns,
            _ => Vec::new(),
        };
        let parameter = Column {
            name: "?".to_owned(),
            kind: Kind::Text,
        };
        let parameters = vec![parameter; statement.parameters()];
        let counts = (
            u16::try_from(columns.len()),
            u16::try_from(parameters.len()),
        );
        let (Ok(column_count), Ok(parameter_count)) = counts else {
            return Err(Refusal::unsupported("too many columns or parameters"));
        };
        let id = self.statements.add(statement, &text)?;
        let mut head = BytesMut::new();
        head.put_u8(0);
        head.put_u32_le(id);
        head.put_u16_le(column_count);
        head.put_u16_le(parameter_count);
        head.put_slice(&[0, 0, 0]); // filler, warnings
        writer.write(&head);
        write_columns(writer, &parameters, self.capabilities);
        write_columns(writer, &columns, self.capabilities);
        Ok(())
    }

    fn execute(&mut self, body: &[u8], writer: &mut PacketWriter) -> Answer {
        self.questions += 1;
        let (id, rest) = id_of(body)?;
        let prepared = self.statements.get(id);
        let prepared = prepared.ok_or_else(|| Refusal::not_prepared(id))?;
        let values = prepared.bind(rest)?;
        let statement = prepared.statement.clone();
        self.answer(&statement, &values, Rows::Binary, writer)
    }

    fn answer(
        &mut self,
        statement: &Statement,
        parameters: &[Value],
        rows: Rows,
        writer: &mut PacketWriter,
    ) -> Answer {
        let facts = self.facts();
        match statement.reply(&self.admin, scope(&facts, parameters))? {
            Reply::Table(table) => {
                write_table(writer, &table, rows, self.capabilities);
                return Ok(());
            }
            Reply::Done => {}
            Reply::Use(name) => self.database = Some(name),
            Reply::Kill(id) => self.kill(id)?,
        }
        writer.write(&self.ok());
        Ok(())
    }

    fn kill(&self, id: i128) -> Answer {
        let known = u32::try_from(id).ok();
        let live = self.admin.status.live();
        let killed = known.filter(|id| live.kill(*id));
        let session = killed.ok_or_else(|| Refusal::no_session(id))?;
        tracing::info!(session, operator = %self.peer, "session killed");
        Ok(())
    }

    fn facts(&self) -> Facts {
        let user = self.admin.login.user();
        Facts {
            id: self.id,
            user: format!("{user}@{}", self.peer.ip()),
            account: format!("{user}@%"),
            database: self.database.clone(),
            port: self.admin.port,
            sessions_max: self.admin.sessions_max(),
            sessions: self.admin.sessions(),
            questions: self.questions,
            uptime: self.admin.started.elapsed(),
            now: SystemTime::now(),
        }
    }

    /// The line that `\s` of clients shows.
    fn statistics(&self) -> String {
        let facts = self.facts();
        format!(
            "Uptime: {}  Threads: {}  Questions: {}  Slow queries: 0  Opens: 0  Open tables: 0  \
             Queries per second avg: 0.000",
            facts.uptime.as_secs(),
            facts.sessions,
            facts.questions
        )
    }
}

fn scope<'s>(facts: &'s Facts, parameters: &'s [Value]) -> Scope<'s> {
    Scope {
        facts,
        parameters,
        row: &[],
    }
}

/// A statement's id, and what follows.
fn id_of(body: &[u8]) -> Result<(u32, &[u8]), Refusal> {
    let mut rest = body;
    let id = lenenc::get_u32(&mut rest).map_err(|_| Refusal::wrong_arguments())?;
    Ok((id, rest))
}
