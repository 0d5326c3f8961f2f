//! Accepts and serves the endpoint's clients.

use super::cap::Capped;
use super::endpoint::Admin;
use super::shim::AdminSession;
use crate::admission::{Admission, Applicant, Source};
use crate::error::ErrorKind;
use crate::wire::{PacketWriter, Stream};
use opensrv_mysql::AsyncMysqlIntermediary;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::io::BufWriter;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// Maximum concurrent connections that have not logged in. A further one displaces one that waits
/// for its client.
const LOGINS_MAX: usize = 64;
/// Pause after an accept that failed for lack of file descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves `listener` until the task is dropped.
pub async fn serve(listener: TcpListener, admin: Arc<Admin>) {
    let admission = Arc::new(Admission::default());
    let mut id: u32 = 0;
    loop {
        let (client, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "admin: cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let source = Source::from(peer.ip());
        let room = admission.count() < LOGINS_MAX || admission.make_room(source);
        if !room || admin.places.available_permits() == 0 {
            refuse(&client);
            continue;
        }
        id = id.wrapping_add(1);
        let applicant = admission.enter(source);
        tokio::spawn(serve_client(
            client,
            peer,
            id,
            applicant,
            Arc::clone(&admin),
        ));
    }
}

/// Sends error 1040 as the first packet. A fresh socket either takes it at once or not at all.
fn refuse(client: &TcpStream) {
    let mut writer = PacketWriter::new(0);
    let error = ErrorKind::TooManyConnections.packet("Too many connections");
    writer.write(&error.encode_before_handshake());
    let _ = client.try_write(&writer.into_bytes());
}

async fn serve_client(
    client: TcpStream,
    peer: SocketAddr,
    id: u32,
    applicant: Applicant,
    admin: Arc<Admin>,
) {
    applicant.waits_for_client().store(true, Relaxed);
    let latest = applicant.since() + admin.settings.config().logins.login_time_max;
    let let_in = CancellationToken::new();
    let session = match AdminSession::new(admin, id, peer, &applicant, latest, let_in.clone()) {
        Ok(session) => session,
        Err(error) => return tracing::warn!(%error, "admin: no random bytes for a login"),
    };
    // With keep-alive, so that connections of vanished hosts do not hold permits for ever.
    let client = match Stream::tcp(client) {
        Ok(client) => client,
        Err(error) => return tracing::debug!(%peer, %error, "admin: a client left at once"),
    };
    let (reader, writer) = tokio::io::split(client);
    let talking = AsyncMysqlIntermediary::run_on(
        session,
        Capped::new(reader, let_in.clone()),
        BufWriter::new(writer),
    );
    tokio::pin!(talking);
    let ended = tokio::select! {
        ended = &mut talking => ended,
        () = let_in.cancelled() => {
            drop(applicant);
            talking.await
        }
        () = applicant.displaced() => {
            return tracing::debug!(%peer, "admin: a client gave way to another");
        }
        () = tokio::time::sleep_until(latest) => {
            return tracing::debug!(%peer, "admin: no login in time");
        }
    };
    match ended {
        Ok(()) => tracing::debug!(%peer, "admin: session ended"),
        Err(error) => tracing::debug!(%peer, %error, "admin: session ended"),
    }
}
