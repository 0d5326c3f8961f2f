//! `predictsql-bench fairness`: how long a statement of one image takes, alone and beside
//! statements of many, and how soon a statement of many gives its first row, in one run.
//!
//! ```text
//! embedded store, proxy -> images, model, table -> alone -> beside 1 scan -> beside 16 scans
//!     -> first rows -> table, JSON
//! ```

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder};
use predictsql_executor::Executor;
use predictsql_proxy::config::{Config, StoreConfig};
use predictsql_proxy::demo::dataset::{self, Split};
use predictsql_proxy::demo::{pictures, zoo};
use predictsql_proxy::predict::CacheMode;
use predictsql_proxy::serve::Server;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::history;
use crate::predict::BenchError;
use crate::statistics::Summary;

/// Folder of the images below the image root.
const IMAGE_FOLDER: &str = "test";
/// Scans beside which the small statement is timed, in turn.
const SCANS: [usize; 3] = [0, 1, 16];
/// Pause between two looks at whether the scans have begun.
const PAUSE: Duration = Duration::from_millis(20);
/// Statements of which the first row is timed.
const STREAMS: usize = 5;

/// Flags of `predictsql-bench fairness`.
#[derive(Debug, Clone, clap::Args)]
pub struct FairnessArgs {
    /// Fewer statements, and nothing is added to the history
    #[arg(long)]
    quick: bool,
    /// Statements of one image that are timed for each number of scans [default:
    /// 200 with --quick, else 2000]
    #[arg(long, value_name = "N")]
    statements: Option<usize>,
    /// Rows of a scan; each scan begins anew until all small statements are timed
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    rows: usize,
    /// A model of the zoo that reads grey images
    #[arg(long, value_name = "NAME", default_value = "apparel_large")]
    model: String,
    /// Add the result to the history, also with --quick
    #[arg(long)]
    save: bool,
    /// File of the history
    #[arg(
        long,
        value_name = "FILE",
        default_value = "bench/history/fairness.jsonl"
    )]
    history: PathBuf,
    /// Folder that holds zoo.json and the models that it lists
    #[arg(long, value_name = "DIR", default_value = "bench/zoo")]
    zoo: PathBuf,
    /// Folder of the Fashion-MNIST files
    #[arg(long, value_name = "DIR", default_value = dataset::DATASET_DIR)]
    dataset: PathBuf,
    /// The ONNX Runtime library
    #[arg(
        long,
        value_name = "FILE",
        env = "PREDICTSQL_ORT_LIB",
        default_value = ".cache/onnxruntime/libonnxruntime.so"
    )]
    ort_library: PathBuf,
}

impl FairnessArgs {
    fn statements(&self) -> usize {
        self.statements
            .unwrap_or(if self.quick { 200 } else { 2000 })
    }
}

/// Times of the small statement beside some scans.
struct Phase {
    scans: usize,
    p50_ms: f64,
    p99_ms: f64,
    /// By scans and statements together.
    images_per_s: f64,
}

/// Times of a statement over all rows, alone.
struct Stream {
    first_row_ms: f64,
    all_rows_ms: f64,
}

/// What was measured.
struct Measured {
    phases: Vec<Phase>,
    streams: Vec<Stream>,
}

/// Runs the benchmark and prints its result.
///
/// # Errors
/// See [`BenchError`]. Nothing keeps running.
pub fn run(args: &FairnessArgs) -> Result<(), BenchError> {
    if args.statements() == 0 || args.rows == 0 {
        return Err(BenchError::Flag(
            "--statements and --rows must be greater than 0".to_owned(),
        ));
    }
    let work_dir = tempfile::tempdir()?;
    let data_dir = work_dir.path().join("data");
    println!("starting the proxy and its store in {}", data_dir.display());
    let mut config = Config::new(StoreConfig::Embedded {
        data_dir: data_dir.clone(),
    });
    config.listen.set_port(0);
    config.executor.ort_library = Some(args.ort_library.clone());
    // Every statement is to run the model.
    config.cache.mode = CacheMode::Off;
    let (threads, run_ms_max) = (config.executor.threads, config.executor.run_ms_max);
    let server = Server::start(config)?;
    let stopping = CancellationToken::new();
    predictsql_proxy::stop::on_signals(stopping.clone())?;
    let (proxy, executor) = (server.address(), server.lane().executor.clone());
    let measured = std::thread::Builder::new()
        .name("bench".to_owned())
        .spawn({
            let (args, stopping) = (args.clone(), stopping.clone());
            move || {
                let _stop_at_the_end = stopping.drop_guard();
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()?;
                runtime.block_on(measure(&args, proxy, &executor, &data_dir))
            }
        })?;
    server.run(stopping)?;
    let measured = measured
        .join()
        .map_err(|_| BenchError::Worthless("the benchmark's thread died".to_owned()))??;
    let json = json_of(args, &measured, threads, run_ms_max);
    if args.save || !args.quick {
        history::append(&args.history, &json)?;
    }
    println!("{json}");
    Ok(())
}

async fn measure(
    args: &FairnessArgs,
    proxy: SocketAddr,
    executor: &Executor,
    data_dir: &std::path::Path,
) -> Result<Measured, BenchError> {
    let images = Split::read(&args.dataset, "t10k")?;
    pictures::write_all(&data_dir.join("images"), IMAGE_FOLDER, &images)?;
    let mut client = connect(proxy).await?;
    let models: Vec<_> = (zoo::read(&args.zoo)?.into_iter())
        .filter(|model| model.name == args.model)
        .collect();
    if models.is_empty() {
        let text = format!("--model {}: the zoo has no such model", args.model);
        return Err(BenchError::Flag(text));
    }
    zoo::create(&mut client, &args.zoo, &models, &data_dir.join("models")).await?;
    let path = format!(
        "CONCAT('{IMAGE_FOLDER}/', LPAD(seq * 7919 % {} + 1, 5, '0'), '.png')",
        images.count()
    );
    for sql in [
        "CREATE DATABASE bench".to_owned(),
        "USE bench".to_owned(),
        "CREATE TABLE bench.items (id INT PRIMARY KEY, photo VARCHAR(100) NOT NULL)".to_owned(),
        format!(
            "INSERT INTO bench.items SELECT seq, {path} FROM seq_1_to_{}",
            args.rows
        ),
    ] {
        let done = client.query_drop(sql).await;
        done.map_err(BenchError::sql("filling the table"))?;
    }
    // The model is loaded, and all threads have a session.
    let warm = format!(
        "SELECT COUNT(*) FROM bench.items WHERE id <= 1000 AND ml.predict('{}', photo) = 'Bag'",
        args.model
    );
    client
        .query_drop(warm)
        .await
        .map_err(BenchError::sql("warming up"))?;
    let mut phases = Vec::new();
    for scans in SCANS {
        let phase = beside(args, proxy, executor, &mut client, scans).await?;
        println!(
            "beside {:2} scans: p50 {:8.2} ms, p99 {:8.2} ms, {:6.0} images/s in all",
            phase.scans, phase.p50_ms, phase.p99_ms, phase.images_per_s
        );
        phases.push(phase);
    }
    let mut streams = Vec::new();
    for _ in 0..STREAMS {
        streams.push(stream(args, &mut client).await?);
    }
    let _ = client.disconnect().await;
    Ok(Measured { phases, streams })
}

/// Times the first row of a statement over all rows, and the last one.
async fn stream(args: &FairnessArgs, client: &mut Conn) -> Result<Stream, BenchError> {
    let failed = || BenchError::sql("reading rows as they come");
    let sql = format!(
        "SELECT id, ml.predict('{}', photo) FROM bench.items",
        args.model
    );
    let begin = Instant::now();
    let mut rows = client.query_iter(sql).await.map_err(failed())?;
    let (mut count, mut first_row_ms) = (0, f64::NAN);
    while let Some(row) = rows.next().await.map_err(failed())? {
        if count == 0 {
            first_row_ms = begin.elapsed().as_secs_f64() * 1e3;
        }
        let answer: (usize, Option<String>) = mysql_async::from_row(row);
        count += usize::from(answer.1.is_some());
    }
    let all_rows_ms = begin.elapsed().as_secs_f64() * 1e3;
    if count != args.rows {
        let text = format!("{count} of {} rows were answered", args.rows);
        return Err(BenchError::Worthless(text));
    }
    println!(
        "{count} rows: the first after {first_row_ms:.1} ms, the last after {all_rows_ms:.0} ms"
    );
    Ok(Stream {
        first_row_ms,
        all_rows_ms,
    })
}

/// Times the small statement while so many scans run.
async fn beside(
    args: &FairnessArgs,
    proxy: SocketAddr,
    executor: &Executor,
    client: &mut Conn,
    scans: usize,
) -> Result<Phase, BenchError> {
    let mut running = JoinSet::new();
    let mut ids = Vec::new();
    let stopped = CancellationToken::new();
    let scan = format!(
        "SELECT COUNT(*) FROM bench.items WHERE ml.predict('{}', photo) = 'Bag'",
        args.model
    );
    for _ in 0..scans {
        let (mut conn, scan, stopped) = (connect(proxy).await?, scan.clone(), stopped.clone());
        ids.push(conn.id());
        running.spawn(async move {
            // It ends by an error when it is killed.
            while !stopped.is_cancelled() && conn.query_drop(&scan).await.is_ok() {}
            stopped.is_cancelled()
        });
    }
    let wanted = executor.images_inferred() + 1000 * scans as u64;
    while executor.images_inferred() < wanted {
        tokio::time::sleep(PAUSE).await;
    }
    let (begin, inferred) = (Instant::now(), executor.images_inferred());
    let mut seconds = Vec::with_capacity(args.statements());
    for number in 0..args.statements() {
        let sql = format!(
            "SELECT ml.predict('{}', photo) FROM bench.items WHERE id = {}",
            args.model,
            number * 31 % args.rows + 1
        );
        let begin = Instant::now();
        let answer: Option<Option<String>> = client
            .query_first(sql)
            .await
            .map_err(BenchError::sql("predicting one image"))?;
        seconds.push(begin.elapsed().as_secs_f64());
        if answer.flatten().is_none() {
            return Err(BenchError::Worthless("one image had no answer".to_owned()));
        }
    }
    let images = executor.images_inferred() - inferred;
    let images_per_s = images as f64 / begin.elapsed().as_secs_f64();
    stopped.cancel();
    for id in ids {
        let killed = client.query_drop(format!("KILL CONNECTION {id}")).await;
        killed.map_err(BenchError::sql("ending a scan"))?;
    }
    while let Some(ended) = running.join_next().await {
        if !ended.unwrap_or(false) {
            return Err(BenchError::Worthless("a scan failed".to_owned()));
        }
    }
    seconds.sort_by(f64::total_cmp);
    Ok(Phase {
        scans,
        p50_ms: quantile(&seconds, 0.5) * 1e3,
        p99_ms: quantile(&seconds, 0.99) * 1e3,
        images_per_s,
    })
}

async fn connect(proxy: SocketAddr) -> Result<Conn, BenchError> {
    let options = OptsBuilder::default()
        .ip_or_hostname(proxy.ip().to_string())
        .tcp_port(proxy.port())
        // The client library would otherwise go on to the store's own socket, past the proxy.
        .prefer_socket(false)
        .user(Some("root"));
    let conn = Conn::new(options).await;
    conn.map_err(BenchError::sql("connecting to the proxy"))
}

/// Of ascending numbers: the smallest that is at least as large as this part of them.
fn quantile(ascending: &[f64], part: f64) -> f64 {
    let place = (ascending.len() as f64 * part).ceil() as usize;
    let found = ascending.get(place.saturating_sub(1));
    found.copied().unwrap_or(f64::NAN)
}

fn json_of(args: &FairnessArgs, measured: &Measured, threads: usize, run_ms_max: u64) -> Value {
    let Measured { phases, streams } = measured;
    let alone = phases.first();
    let beside_one = phases.iter().find(|phase| phase.scans == 1);
    let ratio = |batch_ms: f64| {
        let (alone, beside) = (alone?.p99_ms, beside_one?.p99_ms);
        Some((beside - batch_ms).max(0.0) / alone)
    };
    let of_streams = |figure: fn(&Stream) -> f64| {
        let figures: Vec<f64> = streams.iter().map(figure).collect();
        Summary::of(&figures).map(|summary| summary.median)
    };
    let of = |figure: fn(&Phase) -> f64| {
        let figures = phases.iter().map(|phase| {
            let ratio = alone.map(|alone| figure(phase) / figure(alone));
            json!({ "scans": phase.scans, "ms": figure(phase), "ratio_to_alone": ratio })
        });
        figures.collect::<Vec<_>>()
    };
    json!({
        "benchmark": "fairness",
        "p99_under_scan_over_idle": ratio(0.0),
        "p99_under_scan_less_batch_over_idle": ratio(run_ms_max as f64),
        "first_row_share": of_streams(|stream| stream.first_row_ms / stream.all_rows_ms),
        "first_row_ms": of_streams(|stream| stream.first_row_ms),
        "p50": of(|phase| phase.p50_ms),
        "p99": of(|phase| phase.p99_ms),
        "images_per_s": phases.iter().map(|phase| phase.images_per_s).collect::<Vec<_>>(),
        "model": args.model,
        "statements": args.statements(),
        "rows": args.rows,
        "threads": threads,
        "run_ms_max": run_ms_max,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_of_the_times_themselves() {
        let times: Vec<f64> = (1..=200).map(f64::from).collect();
        assert_eq!(quantile(&times, 0.5), 100.0);
        assert_eq!(quantile(&times, 0.99), 198.0);
        assert_eq!(quantile(&[7.0], 0.99), 7.0);
    }

    #[test]
    fn ratios_are_of_one_scan_and_of_the_median_stream() {
        let phase = |scans, p99_ms| Phase {
            scans,
            p50_ms: 1.0,
            p99_ms,
            images_per_s: 1.0,
        };
        let stream = |first_row_ms| Stream {
            first_row_ms,
            all_rows_ms: 1000.0,
        };
        let measured = Measured {
            phases: vec![phase(0, 2.0), phase(1, 9.0), phase(16, 50.0)],
            streams: vec![stream(10.0), stream(900.0), stream(20.0)],
        };
        let json = json_of(&default_args(), &measured, 2, 5);
        assert_eq!(json["p99_under_scan_over_idle"], 4.5);
        assert_eq!(json["p99_under_scan_less_batch_over_idle"], 2.0);
        assert_eq!(json["first_row_share"], 0.02);
    }

    fn default_args() -> FairnessArgs {
        let path = PathBuf::new();
        FairnessArgs {
            quick: true,
            statements: None,
            rows: 1,
            model: String::new(),
            save: false,
            history: path.clone(),
            zoo: path.clone(),
            dataset: path.clone(),
            ort_library: path,
        }
    }
}
