//! Accepts and serves the endpoint's clients.

use super::endpoint::Admin;
use super::handshake::{Client, NotLetIn};
use super::session::Session;
use crate::admission::{Admission, Applicant, LineLimit, Source};
use crate::error::ErrorKind;
use crate::wire::{PacketWriter, Stream};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};

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
    // With keep-alive, so that connections of vanished hosts do not hold permits for ever.
    let mut stream = match Stream::tcp(client) {
        Ok(stream) => stream,
        Err(error) => return tracing::debug!(%peer, %error, "admin: a client left at once"),
    };
    let latest = applicant.since() + admin.settings.config().logins.login_time_max;
    let mut client = Client {
        stream: &mut stream,
        id,
        source: applicant.source(),
        latest,
        waits_for_client: applicant.waits_for_client(),
    };
    let login = tokio::select! {
        login = client.log_in(&admin) => login,
        () = applicant.displaced() => {
            return tracing::debug!(%peer, "admin: a client gave way to another");
        }
        () = tokio::time::sleep_until(latest) => {
            return tracing::debug!(%peer, "admin: no login in time");
        }
    };
    let login = match login {
        Ok(login) => login,
        Err(NotLetIn::Io(error)) => return tracing::debug!(%peer, %error, "admin: no login"),
        Err(NotLetIn::Refused(reason)) => return warn_of_refusal(peer, reason),
    };
    let Ok(_place) = Arc::clone(&admin.places).try_acquire_owned() else {
        refuse_late(&mut stream, login.seq).await;
        return warn_of_refusal(peer, "too many sessions");
    };
    drop(applicant);
    let session = Session::new(admin, id, peer, &login);
    match session.run(&mut stream, login).await {
        Ok(()) => tracing::debug!(%peer, "admin: session ended"),
        Err(error) => tracing::debug!(%peer, %error, "admin: session ended"),
    }
}

/// Sends error 1040 in place of the OK.
async fn refuse_late(stream: &mut Stream, seq: u8) {
    let mut writer = PacketWriter::new(seq);
    let error = ErrorKind::TooManyConnections.packet("Too many connections");
    writer.write(&error.encode());
    // The client may be gone.
    let _ = writer.flush(stream).await;
}

fn warn_of_refusal(client: SocketAddr, reason: &'static str) {
    static LINES: LineLimit = LineLimit::new();
    if let Some(left_out) = LINES.pass() {
        tracing::warn!(%client, reason, left_out, "admin: refused a login");
    }
}
