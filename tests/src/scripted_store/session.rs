//! One connection of the scripted store: greeting, login, and the few statements that it answers.

use std::io;
use std::sync::atomic::Ordering;

use predictsql_proxy::wire::{
    Capabilities, ErrPacket, StatusFlags, command, encode_ok, encode_result_end, lenenc,
};

use super::authentication::{authenticate, nonce};
use super::leg::Leg;
use super::packets::Packets;
use super::script::{Account, Attempt, Plugin, Way};
use super::state::{State, lock};

const VERSION: &str = "8.0.40-scripted";
/// As MySQL 8.0 offers it, but for TLS: compression and query attributes are there to be cleared.
const OFFERED: Capabilities = Capabilities(0xdfff_ffff & !Capabilities::SSL.0);
/// utf8mb4_0900_ai_ci.
const CHARSET: u8 = 255;
/// Length of an SSLRequest.
const TLS_REQUEST_BYTES: usize = 32;
/// MYSQL_TYPE_VAR_STRING.
const VAR_STRING: u8 = 0xfd;

struct Session<'a> {
    packets: Packets,
    state: &'a State,
    id: u32,
    capabilities: Capabilities,
    user: String,
}

/// What a client tells at its login.
struct Login {
    capabilities: Capabilities,
    user: String,
    response: Vec<u8>,
    plugin: Vec<u8>,
}

/// Serves a connection until it ends.
pub(super) fn serve(leg: Leg, state: &State) {
    let mut session = Session {
        packets: Packets::new(leg),
        state,
        id: state.sessions.fetch_add(1, Ordering::Relaxed) + 1,
        capabilities: Capabilities::default(),
        user: String::new(),
    };
    // A client that ends is no failure of the store's,
    // and one that breaks the protocol sees its connection end.
    if let Err(error) = session.run()
        && error.kind() == io::ErrorKind::InvalidData
    {
        eprintln!("scripted store, session {}: {error}", session.id);
    }
}

impl Session<'_> {
    fn run(&mut self) -> io::Result<()> {
        let nonce = nonce();
        self.packets.write(&self.greeting(&nonce))?;
        let mut payload = self.packets.read()?;
        if let (TLS_REQUEST_BYTES, Some(config)) = (payload.len(), &self.state.tls) {
            self.packets.leg.start_tls(config)?;
            payload = self.packets.read()?;
        }
        let login = Login::parse(&payload)?;
        self.capabilities = login.capabilities;
        if !self.log_in(&login, Some(&nonce))? {
            return Ok(());
        }
        loop {
            self.packets.new_command();
            let command = self.packets.read()?;
            if !self.command(&command)? {
                return Ok(());
            }
        }
    }

    fn greeting(&self, nonce: &[u8; 20]) -> Vec<u8> {
        let script = &self.state.script;
        let mut offered = OFFERED;
        if script.tls.is_some() {
            offered = offered.or(Capabilities::SSL);
        }
        let [a, b, c, d, ..] = offered.0.to_le_bytes();
        let mut payload = [&[10], VERSION.as_bytes(), &[0]].concat();
        payload.extend(self.id.to_le_bytes());
        payload.extend(&nonce[..8]);
        payload.extend([0, a, b, CHARSET, 2, 0, c, d, 21]);
        payload.extend([0; 10]);
        payload.extend(&nonce[8..]);
        payload.push(0);
        payload.extend(script.default_plugin.name().as_bytes());
        payload.push(0);
        payload
    }

    /// Whether the user is let in; it has been told. `greeted`: the nonce of the greeting, which
    /// the client's first response may answer; a change of user always starts with a new one.
    fn log_in(&mut self, login: &Login, greeted: Option<&[u8; 20]>) -> io::Result<bool> {
        let accounts = &self.state.script.accounts;
        let account = accounts.iter().find(|known| known.user == login.user);
        let plugin = account.map_or(Plugin::CachingSha2, |account| account.plugin);
        let (way, granted) = match greeted {
            Some(nonce) if login.plugin == plugin.name().as_bytes() => {
                self.prove(&login.user, account, nonce, &login.response)?
            }
            _ => {
                let nonce = nonce();
                let name = plugin.name().as_bytes();
                self.packets
                    .write(&[&[0xfe], name, &[0], &nonce[..], &[0]].concat())?;
                let response = self.packets.read()?;
                self.prove(&login.user, account, &nonce, &response)?
            }
        };
        lock(&self.state.attempts).push(Attempt {
            user: login.user.clone(),
            way,
            tls: self.packets.leg.is_tls(),
            granted,
        });
        if granted {
            self.user.clone_from(&login.user);
            self.ok()?;
        } else {
            let using = if matches!(way, Way::Empty) {
                "NO"
            } else {
                "YES"
            };
            let text = format!(
                "Access denied for user '{}'@'localhost' (using password: {using})",
                login.user
            );
            self.error(1045, *b"28000", &text)?;
        }
        Ok(granted)
    }

    fn prove(
        &mut self,
        user: &str,
        account: Option<&Account>,
        nonce: &[u8; 20],
        response: &[u8],
    ) -> io::Result<(Way, bool)> {
        authenticate(
            &mut self.packets,
            self.state,
            user,
            account,
            nonce,
            response,
        )
    }

    /// Answers a command; false: the client leaves.
    fn command(&mut self, payload: &[u8]) -> io::Result<bool> {
        let Some((&kind, body)) = payload.split_first() else {
            self.error(1047, *b"08S01", "Unknown command")?;
            return Ok(true);
        };
        match kind {
            command::QUIT => return Ok(false),
            command::PING | command::INIT_DB | command::RESET_CONNECTION => self.ok()?,
            command::CHANGE_USER => {
                let login = Login::parse_change_user(body)?;
                return self.log_in(&login, None);
            }
            command::QUERY => self.query(body)?,
            _ => self.error(1047, *b"08S01", "Unknown command")?,
        }
        Ok(true)
    }

    fn query(&mut self, text: &[u8]) -> io::Result<()> {
        let text = String::from_utf8_lossy(text);
        let text = text.trim().trim_end_matches(';');
        let (head, rest) = text.split_at_checked(7).unwrap_or((text, ""));
        if head.to_uppercase().starts_with("SET ") || text.eq_ignore_ascii_case("COMMIT") {
            return self.ok();
        }
        if !head.eq_ignore_ascii_case("SELECT ") {
            return self.error(
                1064,
                *b"42000",
                "The scripted store answers SELECT of little",
            );
        }
        let names: Vec<&str> = rest.split(',').map(str::trim).collect();
        let values: Option<Vec<String>> = names.iter().map(|name| self.value(name)).collect();
        match values {
            Some(values) => self.row(&names, &values),
            None => self.error(1054, *b"42S22", "Unknown column in 'field list'"),
        }
    }

    fn value(&self, name: &str) -> Option<String> {
        Some(match &*name.to_lowercase() {
            "1" => "1".to_owned(),
            "@@version" | "version()" => VERSION.to_owned(),
            "@@version_comment" => "scripted".to_owned(),
            "@@max_allowed_packet" => (64 << 20).to_string(),
            "@@wait_timeout" => 28800.to_string(),
            "@@socket" => String::new(),
            "connection_id()" => self.id.to_string(),
            "current_user()" => format!("{}@%", self.user),
            _ => return None,
        })
    }

    fn row(&mut self, names: &[&str], values: &[String]) -> io::Result<()> {
        self.packets.write(&[u8::try_from(names.len()).unwrap()])?;
        for name in names {
            let mut column = Vec::new();
            for text in ["def", "", "", "", name, ""] {
                lenenc::put_str(&mut column, text.as_bytes());
            }
            column.extend([0x0c, CHARSET, 0, 0, 4, 0, 0, VAR_STRING, 0, 0, 0, 0, 0]);
            self.packets.write(&column)?;
        }
        let status = StatusFlags::SERVER_STATUS_AUTOCOMMIT;
        let deprecates_eof = self.capabilities.has(Capabilities::DEPRECATE_EOF);
        let end = encode_result_end(self.capabilities, status, 0);
        if !deprecates_eof {
            self.packets.write(&end)?;
        }
        let mut row = Vec::new();
        for value in values {
            lenenc::put_str(&mut row, value.as_bytes());
        }
        self.packets.write(&row)?;
        self.packets.write(&end)
    }

    fn ok(&mut self) -> io::Result<()> {
        let status = StatusFlags::SERVER_STATUS_AUTOCOMMIT;
        self.packets.write(&encode_ok(0, 0, status, 0, b""))
    }

    fn error(&mut self, code: u16, sqlstate: [u8; 5], text: &str) -> io::Result<()> {
        let error = ErrPacket::new(code, &sqlstate, text);
        self.packets.write(&error.encode())
    }
}

impl Login {
    fn parse(payload: &[u8]) -> io::Result<Self> {
        let mut input = payload;
        let capabilities = Capabilities(u64::from(lenenc::get_u32(&mut input)?));
        let packet_size_charset_filler = 4 + 1 + 23;
        lenenc::get_bytes(&mut input, packet_size_charset_filler)?;
        let user = text(lenenc::get_nul_str(&mut input)?);
        let response = if capabilities.has(Capabilities::PLUGIN_AUTH_LENENC_CLIENT_DATA) {
            lenenc::get_str(&mut input)?
        } else {
            let length = lenenc::get_u8(&mut input)?;
            lenenc::get_bytes(&mut input, length.into())?
        };
        if capabilities.has(Capabilities::CONNECT_WITH_DB) {
            lenenc::get_nul_str(&mut input)?;
        }
        Ok(Self {
            capabilities,
            user,
            response: response.to_vec(),
            plugin: lenenc::get_nul_str(&mut input)?.to_vec(),
        })
    }

    fn parse_change_user(body: &[u8]) -> io::Result<Self> {
        let mut input = body;
        let user = text(lenenc::get_nul_str(&mut input)?);
        // What follows answers a nonce that is not used any more.
        Ok(Self {
            capabilities: Capabilities::default(),
            user,
            response: Vec::new(),
            plugin: Vec::new(),
        })
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
