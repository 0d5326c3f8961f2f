//! Tests of the distribution of clients over relay threads, by number.
#![allow(clippy::unwrap_used)]

use super::tests::{End, Proxy, greeting, proxy_on};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

const RUNTIMES: usize = 8;
const CLIENTS: usize = 400;

/// A proxy with 8 threads, in front of a store that greets every connection, and the client count
/// of each thread.
fn spread() -> (Arc<Proxy>, Vec<Arc<AtomicUsize>>) {
    let (proxy, threads) = proxy_on(RUNTIMES, 2 * CLIENTS, Duration::from_secs(5));
    let proxy = Arc::new(proxy);
    let greeter = Arc::clone(&proxy);
    tokio::spawn(async move {
        let mut greeted = Vec::new();
        loop {
            let mut store = greeter.at_store().await;
            store.put(0, &greeting()).await;
            greeted.push(store);
        }
    });
    (proxy, threads)
}

/// Opens the given number of clients concurrently; each has received its greeting.
async fn connect(proxy: &Arc<Proxy>, clients: usize) -> Vec<End<TcpStream>> {
    let connected = Arc::new(Mutex::new(Vec::new()));
    let mut connecting = JoinSet::new();
    for _ in 0..clients {
        let (proxy, connected) = (Arc::clone(proxy), Arc::clone(&connected));
        connecting.spawn(async move {
            let mut client = proxy.connect().await;
            client.get().await;
            connected.lock().unwrap().push(client);
        });
    }
    while connecting.join_next().await.is_some() {}
    Arc::into_inner(connected).unwrap().into_inner().unwrap()
}

fn counts(threads: &[Arc<AtomicUsize>]) -> Vec<usize> {
    let counts = threads.iter().map(|count| count.load(Ordering::Relaxed));
    counts.collect()
}

/// Waits until the given number of clients is left.
async fn left(threads: &[Arc<AtomicUsize>], clients: usize) {
    while counts(threads).iter().sum::<usize>() != clients {
        tokio::task::yield_now().await;
    }
}

#[track_caller]
fn assert_even(threads: &[Arc<AtomicUsize>]) {
    let counts = counts(threads);
    let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
    assert!(most - least <= 1, "{counts:?}");
}

#[tokio::test]
async fn clients_that_come_at_once_are_spread_evenly() {
    let (proxy, threads) = spread();
    let mut clients = Vec::new();
    for more in [1, 6, CLIENTS - 8, 1] {
        clients.extend(connect(&proxy, more).await);
        assert_even(&threads);
    }
    assert_eq!(counts(&threads), [CLIENTS / RUNTIMES; RUNTIMES]);
}

#[tokio::test]
async fn new_clients_fill_the_threads_that_others_have_left() {
    let (proxy, threads) = spread();
    let mut clients = Vec::new();
    // Sequentially, so that each client's thread is known.
    for _ in 0..CLIENTS {
        clients.extend(connect(&proxy, 1).await);
    }
    // Drops all clients of the first thread, half of the second, one of the third.
    let mut index = 0;
    clients.retain(|_| {
        let (thread, turn) = (index % RUNTIMES, index / RUNTIMES);
        index += 1;
        match thread {
            0 => false,
            1 => turn % 2 == 0,
            2 => turn > 0,
            _ => true,
        }
    });
    let gone = CLIENTS - clients.len();
    left(&threads, clients.len()).await;
    let share = CLIENTS / RUNTIMES;
    assert_eq!(counts(&threads)[..4], [0, share / 2, share - 1, share]);

    clients.extend(connect(&proxy, gone).await);
    assert_even(&threads);
    clients.extend(connect(&proxy, 3).await);
    assert_even(&threads);
}
