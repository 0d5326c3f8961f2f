//! What disturbs the clients: KILL, clients without manners, and the ends of processes.

use std::io::Read;
use std::net::{Shutdown, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder};

use super::client::Common;
use super::error::SoakError;
use super::servers::{Door, Proxy, Store, direct};
use crate::relay::client::Client as RawClient;
use crate::repository::Dice;

/// Longest pause between two KILLs.
const KILL_PAUSE_MILLIS_MAX: usize = 400;
/// Pause between two rude clients.
const RUDE_PAUSE_MILLIS_MAX: usize = 1_500;
/// How long a client does not read.
const SILENCE: Duration = Duration::from_secs(3);
/// Far more than the sockets on the way hold.
const LONG_ANSWER: &str = "SELECT REPEAT('x', 20000), ml.kind(photo) FROM shop.products";

/// Kills sessions and their statements at random, by every proxy and at the store itself.
pub async fn kill_sessions(common: Arc<Common>, doors: Vec<Door>, socket: PathBuf, mut dice: Dice) {
    while !common.stop.load(Relaxed) {
        let pause = Duration::from_millis(dice.below(KILL_PAUSE_MILLIS_MAX) as u64);
        tokio::time::sleep(pause).await;
        let victim = common.sessions.get(dice.below(common.sessions.len()));
        let id = victim.map_or(0, |id| id.load(Relaxed));
        // Two of three end statements only.
        let kind = ["QUERY", "QUERY", "CONNECTION"][dice.below(3)];
        let way = doors.get(dice.below(doors.len() + 1));
        let Some(mut conn) = connect(way, &socket).await.filter(|_| id != 0) else {
            continue;
        };
        if conn.query_drop(format!("KILL {kind} {id}")).await.is_ok() {
            common.ledger.kills.fetch_add(1, Relaxed);
        }
        let _ = conn.disconnect().await;
    }
}

async fn connect(door: Option<&Door>, socket: &std::path::Path) -> Option<Conn> {
    let Some(door) = door else {
        return direct(socket).await.ok();
    };
    let address = (*door.lock().unwrap_or_else(PoisonError::into_inner))?;
    let options = OptsBuilder::default()
        .ip_or_hostname(address.ip().to_string())
        .tcp_port(address.port())
        .prefer_socket(false)
        .user(Some("root"));
    Conn::new(options).await.ok()
}

/// Clients that ask for much and go, do not read, or only read: one after the other,
/// on a thread of its own.
pub fn be_rude(common: &Common, door: &Door, mut dice: Dice) {
    while !common.stop.load(Relaxed) {
        let pause = Duration::from_millis(dice.below(RUDE_PAUSE_MILLIS_MAX) as u64);
        std::thread::sleep(pause);
        let address = *door.lock().unwrap_or_else(PoisonError::into_inner);
        let client = address.and_then(|address| RawClient::login(address, None).ok());
        let Some(stream) = client.and_then(|client| client.send(LONG_ANSWER).ok()) else {
            continue;
        };
        misbehave(stream, &mut dice);
        common.ledger.rude_clients.fetch_add(1, Relaxed);
    }
}

fn misbehave(mut stream: TcpStream, dice: &mut Dice) {
    let mut some = vec![0; 1 + dice.below(100_000)];
    match dice.below(4) {
        // Goes at once.
        0 => {}
        // Goes in mid-answer.
        1 => drop(stream.read_exact(&mut some)),
        // Does not read, and then goes.
        2 => {
            let _ = stream.read_exact(&mut [0]);
            std::thread::sleep(SILENCE);
        }
        // Says that it will ask nothing more, and reads what it is told.
        _ => {
            let _ = stream.shutdown(Shutdown::Write);
            let _ = std::io::copy(&mut stream, &mut std::io::sink());
        }
    }
}

/// Kills a proxy every `period` or less and starts it again, until `end`.
///
/// # Errors
/// It does not come back.
pub async fn kill_proxy(
    common: &Common,
    proxy: &mut Proxy,
    period: Duration,
    end: Instant,
    dice: &mut Dice,
) -> Result<(), SoakError> {
    loop {
        let pause = period.mul_f64(0.3 + 0.7 * dice.uniform());
        if Instant::now() + pause > end {
            return Ok(());
        }
        tokio::time::sleep(pause).await;
        proxy.kill()?;
        common.ledger.process_kills.fetch_add(1, Relaxed);
        proxy.restart().await?;
    }
}

/// Kills the store, and with it one proxy in three times, every `period` or less until `end`.
///
/// # Errors
/// Either does not come back.
pub async fn kill_store(
    common: &Common,
    store: &mut Store,
    proxy: &mut Proxy,
    period: Duration,
    end: Instant,
    dice: &mut Dice,
) -> Result<(), SoakError> {
    loop {
        let pause = period.mul_f64(0.3 + 0.7 * dice.uniform());
        if Instant::now() + pause > end {
            return Ok(());
        }
        tokio::time::sleep(pause).await;
        let both = dice.below(3) == 0;
        if both {
            proxy.kill()?;
            common.ledger.process_kills.fetch_add(1, Relaxed);
        }
        store.kill()?;
        common.ledger.process_kills.fetch_add(1, Relaxed);
        store.restart().await?;
        if both {
            proxy.restart().await?;
        }
    }
}
