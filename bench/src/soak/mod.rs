//! `predictsql-bench soak`: mixed load with kills for half an hour. Every answer and every table
//! is compared with what it must be, and the memory of the proxy with what it was.
//!
//! ```text
//! private store, two proxies -> shop, each photo's labels -> clients of both, KILLs, rude clients
//!     first:  the second proxy is killed and started again; the first one's memory is sampled
//!     then:   the store is killed, too -> tables against the ledger, memory, JSON
//! ```

mod args;
mod attack;
mod catalog;
mod client;
mod error;
mod ledger;
mod memory;
mod reading;
mod report;
mod servers;
mod shop;
mod verify;
mod writing;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use mysql_async::{Conn, OptsBuilder};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;

use crate::history;
use crate::repository::Dice;
pub use args::SoakArgs;
use client::{Client, Common, Duty};
pub use error::SoakError;
use ledger::Ledger;
use memory::{Growth, Memory};
use report::Report;
use servers::{Door, Proxy, Store};
use shop::Shop;

/// Of the whole time how much comes before the store is killed.
const FIRST_SHARE: f64 = 0.9;
/// Longest time between two ends of the second proxy, and of the store.
const PROXY_LIFE_MAX: Duration = Duration::from_secs(20);
const STORE_LIFE_MAX: Duration = Duration::from_secs(15);
const SAMPLE_PERIOD: Duration = Duration::from_millis(500);
/// Of the clients, how many ask the second proxy.
const AT_SECOND: f64 = 0.3;

/// Runs the soak and prints its result.
///
/// # Errors
/// See [`SoakError`]; [`SoakError::Broken`] where a promise does not hold. Nothing keeps running.
pub fn run(args: &SoakArgs) -> Result<(), SoakError> {
    let whole = args.whole()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (common, growth) = runtime.block_on(async {
        let (mut interrupt, mut terminate) = (
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
        );
        tokio::select! {
            soaked = soak(args, whole) => soaked,
            _ = interrupt.recv() => Err(SoakError::Interrupted),
            _ = terminate.recv() => Err(SoakError::Interrupted),
        }
    })?;
    let report = Report {
        minutes: whole.as_secs_f64() / 60.0,
        clients: common.sessions.len(),
        seed: args.seed,
        ledger: &common.ledger,
        growth,
    };
    println!("\n{}", report.table());
    let json = report.json();
    if args.save || !args.quick {
        history::append(&args.history, &json)?;
    }
    println!("{json}");
    report
        .broken()
        .map_or(Ok(()), |text| Err(SoakError::Broken(text)))
}

async fn soak(
    args: &SoakArgs,
    whole: Duration,
) -> Result<(Arc<Common>, Option<Growth>), SoakError> {
    let work_dir = tempfile::tempdir()?;
    let folder = args
        .keep
        .clone()
        .unwrap_or_else(|| work_dir.path().to_owned());
    std::fs::create_dir_all(&folder)?;
    let folder = std::fs::canonicalize(folder)?;
    println!("starting a store and two proxies in {}", folder.display());
    std::fs::create_dir_all(folder.join(servers::IMAGES))?;
    let mut store = Store::start(&folder).await?;
    Proxy::init(args, &store)?;
    let mut first = Proxy::start(args, &store, &folder, "first").await?;
    let mut second = Proxy::start(args, &store, &folder, "second").await?;
    println!("filling the shop");
    let shop = fill(args, &first.door(), &folder).await?;
    let clients = args.clients + 4;
    let common = Arc::new(Common {
        ledger: Ledger::default(),
        shop,
        stop: AtomicBool::new(false),
        sessions: (0..clients).map(|_| AtomicU32::new(0)).collect(),
    });
    println!(
        "{clients} clients for {:.1} minutes",
        whole.as_secs_f64() / 60.0
    );
    let load = Load::start(args, &common, [first.door(), second.door()], &store);
    let began = Instant::now();
    let mut memory = Memory::new(first.pid(), whole.mul_f64(FIRST_SHARE));
    let mut dice = Dice::new(args.seed, 0xA77A);
    let end = began + whole.mul_f64(FIRST_SHARE);
    tokio::select! {
        killed = attack::kill_proxy(&common, &mut second, PROXY_LIFE_MAX, end, &mut dice) => killed?,
        sampled = watch(&mut memory, &common) => sampled?,
    }
    wait_until(end, &mut memory).await?;
    first.check_alive()?;
    let period = STORE_LIFE_MAX.min(whole.mul_f64(0.03));
    attack::kill_store(
        &common,
        &mut store,
        &mut second,
        period,
        began + whole,
        &mut dice,
    )
    .await?;
    load.stop(&common).await;
    first.check_alive()?;
    println!("comparing the tables");
    let mut root = store.root().await?;
    quiet(&mut root).await?;
    verify::all(&mut root, &common).await?;
    Ok((common, memory.growth()))
}

async fn fill(args: &SoakArgs, door: &Door, folder: &Path) -> Result<Shop, SoakError> {
    let address = *door
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let address = address.ok_or_else(|| SoakError::Flag("the proxy is down".to_owned()))?;
    let options = OptsBuilder::default()
        .ip_or_hostname(address.ip().to_string())
        .tcp_port(address.port())
        .prefer_socket(false)
        .user(Some("root"));
    let mut conn = Conn::new(options)
        .await
        .map_err(SoakError::sql("connecting to the proxy"))?;
    let shop = Shop::create(&mut conn, &args.dataset, folder).await?;
    let _ = conn.disconnect().await;
    Ok(shop)
}

/// Statements of lost sessions may still be at work: waits until the store does nothing more.
async fn quiet(root: &mut Conn) -> Result<(), SoakError> {
    use mysql_async::prelude::Queryable;
    let sql = "SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'root' AND id <> CONNECTION_ID()";
    let mut tries = 0;
    loop {
        let left: Option<u64> = (root.query_first(sql).await)
            .map_err(SoakError::sql("waiting for the last statements"))?;
        if left == Some(0) {
            return Ok(());
        }
        tries += 1;
        if tries > 600 {
            return Err(SoakError::Broken(
                "sessions are left at the store".to_owned(),
            ));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Samples the memory for as long as it is polled, and tells now and then how far all is.
async fn watch(memory: &mut Memory, common: &Common) -> Result<(), SoakError> {
    let mut ticks = tokio::time::interval(SAMPLE_PERIOD);
    let began = Instant::now();
    let mut told = 0;
    loop {
        ticks.tick().await;
        memory.sample()?;
        let minutes = began.elapsed().as_secs() / 60;
        if minutes > told {
            told = minutes;
            let statements = common.ledger.statements.load(Relaxed);
            println!("{minutes} min: {statements} statements, {}", memory.last());
        }
    }
}

async fn wait_until(end: Instant, memory: &mut Memory) -> Result<(), SoakError> {
    while Instant::now() < end {
        tokio::time::sleep(SAMPLE_PERIOD).await;
        memory.sample()?;
    }
    Ok(())
}

/// Clients and those who disturb them.
struct Load {
    tasks: Vec<JoinHandle<()>>,
    rude: std::thread::JoinHandle<()>,
}

impl Load {
    fn start(args: &SoakArgs, common: &Arc<Common>, doors: [Door; 2], store: &Store) -> Self {
        let mixed = args.clients;
        let at_second = (f64::from(mixed) * AT_SECOND) as u32;
        let duty = |number: u32| match number.checked_sub(mixed) {
            None => (Duty::Mixed, usize::from(number < at_second)),
            Some(0) => (Duty::Evaluate, 0),
            Some(1) => (Duty::Evaluate, 1),
            Some(2) => (Duty::Catalog, 0),
            Some(_) => (Duty::Catalog, 1),
        };
        let [first, second] = &doors;
        let client = |number: u32| {
            let (duty, proxy) = duty(number);
            let client = Client {
                number: number as usize,
                shares: (mixed, number),
                duty,
                door: Arc::clone(if proxy == 0 { first } else { second }),
                dice: Dice::new(args.seed, u64::from(number)),
                common: Arc::clone(common),
            };
            tokio::spawn(client.run())
        };
        let mut tasks: Vec<_> = (0..mixed + 4).map(client).collect();
        tasks.push(tokio::spawn(attack::kill_sessions(
            Arc::clone(common),
            doors.to_vec(),
            store.socket(),
            Dice::new(args.seed, 0x1BAD),
        )));
        let (common, door) = (Arc::clone(common), Arc::clone(first));
        let dice = Dice::new(args.seed, 0x2BAD);
        let rude = std::thread::spawn(move || attack::be_rude(&common, &door, dice));
        Self { tasks, rude }
    }

    async fn stop(self, common: &Common) {
        common.stop.store(true, Relaxed);
        for task in self.tasks {
            if let Err(error) = task.await {
                let text = || format!("a client: {error}");
                common.ledger.fault(ledger::Fault::BadAnswer, 1, text);
            }
        }
        let _ = tokio::task::spawn_blocking(|| self.rude.join()).await;
    }
}
