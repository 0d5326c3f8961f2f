//! One session: its login, both directions of the relay, and its end.

mod config;
mod ending;
mod long;
mod opening;
mod relaying;
mod state;
mod transfer;

pub use config::SessionConfig;

use self::opening::open;
use self::state::Session;
use super::handshake::SessionFacts;
use super::router::Router;
use crate::admission::Applicant;
use crate::session_end::SessionEnd;
use crate::wire::Stream;

/// Serves a client until its session ends.
pub async fn serve<R: Router>(
    client: Stream,
    applicant: Applicant,
    config: &SessionConfig,
    open_lane: impl FnOnce(&SessionFacts) -> R,
) -> SessionEnd {
    let end = serve_to_end(client, applicant, config, open_lane).await;
    config.live.note_end(&end);
    end
}

async fn serve_to_end<R: Router>(
    mut client: Stream,
    applicant: Applicant,
    config: &SessionConfig,
    open_lane: impl FnOnce(&SessionFacts) -> R,
) -> SessionEnd {
    // Boxed, so that the memory of these phases is not part of every idle session.
    let opened = tokio::select! {
        opened = Box::pin(open(&mut client, config, &applicant)) => opened,
        () = config.drain.cancelled() => return SessionEnd::Stopped,
    };
    drop(applicant);
    let (store, facts, ahead) = match opened {
        Ok(opened) => opened,
        Err(end) => return end,
    };
    let router = open_lane(&facts);
    let stop = config.stop.child_token();
    let leave = config.drain.child_token();
    let record = config.live.enter(
        facts.connection_id,
        &facts.user,
        client.peer(),
        facts.database.as_deref(),
        stop.clone(),
        leave,
    );
    let mut session = Session::new(client, store, &facts, router, config, record);
    drop(facts);
    let end = tokio::select! {
        biased;
        end = session.run(ahead) => end,
        () = stop.cancelled() => SessionEnd::Stopped,
    };
    let end = match end {
        SessionEnd::Stopped if stop.is_cancelled() && !config.stop.is_cancelled() => {
            SessionEnd::Killed
        }
        end => end,
    };
    Box::pin(session.farewell(&end)).await;
    end
}

#[cfg(test)]
mod tests;
