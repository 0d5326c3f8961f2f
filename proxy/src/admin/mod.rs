//! `--admin`: the live state of this proxy as SQL, for the clients that operators have at hand.
//!
//! It has a user of its own (`[admin]`), apart from those of the store. opensrv-mysql speaks the protocol; it answers
//! commands that it does not know with OK, which is why it stands here and never before a store.

mod answer;
mod auth;
mod shim;
pub(crate) mod statement;

pub use auth::AdminLogin;

use crate::http::Telltale;
use crate::reload::Settings;
use crate::wire::Stream;
use opensrv_mysql::AsyncMysqlIntermediary;
use shim::AdminSession;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, BufWriter};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// Sessions at once; further ones wait in the kernel's queue.
const SESSIONS_MAX: usize = 16;
/// All that one session may send, in bytes: statements are short, and what is read is held in memory.
const SESSION_BYTES_MAX: u64 = 4 << 20;
/// Longest time between a connection and the end of its login.
const LOGIN_TIME_MAX: Duration = Duration::from_secs(10);
/// Pause after an accept that failed for want of file descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What the endpoint shows, and to whom.
pub struct Admin {
    telltale: Arc<Telltale>,
    settings: Settings,
    login: AdminLogin,
}

impl Admin {
    /// Shows `telltale`'s parts and `settings` to who knows `login`.
    #[must_use]
    pub fn new(telltale: Arc<Telltale>, settings: Settings, login: AdminLogin) -> Self {
        Self {
            telltale,
            settings,
            login,
        }
    }
}

/// Answers on `listener` until its task is dropped.
pub async fn serve(listener: TcpListener, admin: Arc<Admin>) {
    let room = Arc::new(Semaphore::new(SESSIONS_MAX));
    let mut id: u32 = 0;
    loop {
        let Ok(place) = Arc::clone(&room).acquire_owned().await else {
            return;
        };
        let (client, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "admin: cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        id = id.wrapping_add(1);
        let admin = Arc::clone(&admin);
        tokio::spawn(async move {
            let _place = place;
            serve_client(client, peer, id, admin).await;
        });
    }
}

async fn serve_client(client: TcpStream, peer: SocketAddr, id: u32, admin: Arc<Admin>) {
    let let_in = CancellationToken::new();
    let session = match AdminSession::new(admin, id, peer, let_in.clone()) {
        Ok(session) => session,
        Err(error) => return tracing::warn!(%error, "admin: no random bytes for a login"),
    };
    // With keep-alive, so that operators' vanished machines take no places for ever.
    let client = match Stream::tcp(client) {
        Ok(client) => client,
        Err(error) => return tracing::debug!(%peer, %error, "admin: a client left at once"),
    };
    let (reader, writer) = tokio::io::split(client);
    let talking = AsyncMysqlIntermediary::run_on(
        session,
        reader.take(SESSION_BYTES_MAX),
        BufWriter::new(writer),
    );
    tokio::pin!(talking);
    let ended = tokio::select! {
        ended = &mut talking => ended,
        () = let_in.cancelled() => talking.await,
        () = tokio::time::sleep(LOGIN_TIME_MAX) => {
            return tracing::debug!(%peer, "admin: no login in time");
        }
    };
    match ended {
        Ok(()) => tracing::debug!(%peer, "admin: session ended"),
        Err(error) => tracing::debug!(%peer, %error, "admin: session ended"),
    }
}
