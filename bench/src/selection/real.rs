//! E2: the real zoo on real pictures, end to end through SQL.
//!
//! Models are evaluated on training images that none was trained on; what is reported is measured on the
//! test images, which nothing of the planner has seen.

use std::collections::{HashMap, HashSet};
use std::fmt::Write;
use std::path::Path;
use std::time::Instant;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder};
use predictsql_executor::Executor;
use predictsql_proxy::config::{Config, StoreConfig};
use predictsql_proxy::demo::dataset::{CLASSES, Split};
use predictsql_proxy::demo::{pictures, zoo};
use predictsql_proxy::serve::Server;
use tokio_util::sync::CancellationToken;

use super::SelectionError;
use crate::repository::Dice;

/// Training images that no model was trained on.
const LABELLED: usize = 10_000;
/// Rows of one INSERT.
const ROWS_PER_INSERT: usize = 1_000;
/// A constraint that cannot be kept (ER_SIGNAL_EXCEPTION).
const CONSTRAINT_REFUSED: u16 = 1644;

/// What E2 needs.
#[derive(Debug, Clone)]
pub struct Setting<'a> {
    /// Folder of zoo.json.
    pub zoo: &'a Path,
    /// Folder of the Fashion-MNIST files.
    pub dataset: &'a Path,
    /// The ONNX Runtime library.
    pub ort_library: &'a Path,
    /// Queries; each is asked for every least F1.
    pub queries: usize,
    /// Least F1 that is asked for.
    pub least: &'a [f64],
    /// Seed of the choice of classes.
    pub seed: u64,
}

/// One statement under one strategy.
#[derive(Debug, Clone)]
pub struct Run {
    /// On the test images.
    pub f1: f64,
    /// CPU seconds of inference.
    pub inference: f64,
    /// CPU seconds of decoding and preprocessing.
    pub preparing: f64,
    /// From sending the statement to the last row.
    pub wall: f64,
    /// The models that ran, as EXPLAIN names them.
    pub models: String,
}

/// One query under one constraint.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Names of the classes.
    pub classes: Vec<&'static str>,
    /// Least F1.
    pub least: f64,
    /// The planner's choice; `None` where nothing could be promised.
    pub optimal: Option<Run>,
    /// The cheapest single model that keeps the constraint, if any.
    pub single: Option<Run>,
    /// The most accurate plan, whatever it costs.
    pub most_accurate: Option<Run>,
}

/// All of them.
#[derive(Debug, Clone, Default)]
pub struct Real {
    asked: Vec<Asked>,
    labelled: usize,
    images: usize,
}

/// Runs E2 on a proxy and a store of its own.
///
/// # Errors
/// Something is missing, or a statement fails that should not.
pub fn run(setting: &Setting<'_>) -> Result<Real, SelectionError> {
    let models = zoo::read(setting.zoo)?;
    let test = Split::read(setting.dataset, "t10k")?;
    let labelled = Split::read(setting.dataset, "train")?.last(LABELLED);
    let work_dir = tempfile::tempdir()?;
    let data_dir = work_dir.path().join("data");
    let mut config = Config::new(StoreConfig::Embedded {
        data_dir: data_dir.clone(),
    });
    config.listen.set_port(0);
    config.executor.ort_library = Some(setting.ort_library.to_path_buf());
    let server = Server::start(config)?;
    let stopping = CancellationToken::new();
    server.stop_on_signals(stopping.clone())?;
    let (address, executor) = (server.address(), server.lane().executor.clone());
    let setting = Owned {
        zoo: setting.zoo.to_path_buf(),
        queries: setting.queries,
        least: setting.least.to_vec(),
        seed: setting.seed,
    };
    let measured = std::thread::Builder::new()
        .name("selection".to_owned())
        .spawn({
            let stopping = stopping.clone();
            move || {
                let _stop_at_the_end = stopping.drop_guard();
                pictures::write_all(&data_dir.join("images"), "test", &test)?;
                pictures::write_all(&data_dir.join("images"), "labelled", &labelled)?;
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()?;
                runtime.block_on(async {
                    let options = OptsBuilder::default()
                        .ip_or_hostname(address.ip().to_string())
                        .tcp_port(address.port())
                        .prefer_socket(false)
                        .user(Some("root"));
                    let mut conn = Conn::new(options).await?;
                    zoo::create(&mut conn, &setting.zoo, &models, &data_dir.join("models")).await?;
                    fill(&mut conn, &test, &labelled).await?;
                    println!(
                        "E2: evaluating {} models on {} images",
                        models.len(),
                        labelled.count()
                    );
                    conn.query_drop("EVALUATE TASK apparel ON (SELECT photo, label FROM labelled)")
                        .await?;
                    let truth: HashMap<u64, &'static str> =
                        (1..).zip(test.iter().map(|(_, class)| class)).collect();
                    let mut client = Client {
                        conn,
                        executor,
                        truth,
                    };
                    let asked = client.ask_all(&setting).await?;
                    client.conn.disconnect().await?;
                    Ok::<_, SelectionError>(Real {
                        asked,
                        labelled: labelled.count(),
                        images: test.count(),
                    })
                })
            }
        })?;
    server.run(stopping)?;
    measured.join().map_err(|_| SelectionError::Died)?
}

/// A setting that outlives its thread.
struct Owned {
    zoo: std::path::PathBuf,
    queries: usize,
    least: Vec<f64>,
    seed: u64,
}

async fn fill(conn: &mut Conn, test: &Split, labelled: &Split) -> Result<(), SelectionError> {
    conn.query_drop("CREATE DATABASE selection").await?;
    conn.query_drop("USE selection").await?;
    for (table, split) in [("test", test), ("labelled", labelled)] {
        conn.query_drop(format!(
            "CREATE TABLE {table} (id INT PRIMARY KEY, photo VARCHAR(255) NOT NULL, label VARCHAR(64) NOT NULL)"
        ))
        .await?;
        let row = |(id, (_, class)): (usize, (&[u8], &str))| {
            format!("({id},'{}','{class}')", pictures::relative_path(table, id))
        };
        let rows: Vec<String> = (1..).zip(split.iter()).map(row).collect();
        for rows in rows.chunks(ROWS_PER_INSERT) {
            conn.query_drop(format!("INSERT INTO {table} VALUES {}", rows.join(",")))
                .await?;
        }
    }
    // Outputs that are kept would hide what models cost.
    conn.query_drop("SET @ml_cache = 'off'").await?;
    Ok(())
}

struct Client {
    conn: Conn,
    executor: Executor,
    truth: HashMap<u64, &'static str>,
}

impl Client {
    async fn ask_all(&mut self, setting: &Owned) -> Result<Vec<Asked>, SelectionError> {
        let mut dice = Dice::new(setting.seed, 0xE2);
        let sizes = [2, 1, 3, 5, 8];
        let mut all = Vec::new();
        for number in 0..setting.queries {
            let size = sizes.get(number % sizes.len()).copied().unwrap_or(1);
            let classes = match number {
                0 => vec!["Sneaker", "Ankle boot"],
                _ => dice.some(&CLASSES, size),
            };
            let best = self.run(&classes, "most_accurate", None).await?;
            for least in &setting.least {
                let optimal = self.run(&classes, "optimal", Some(*least)).await?;
                let single = self.run(&classes, "best_single", Some(*least)).await?;
                all.push(Asked {
                    classes: classes.clone(),
                    least: *least,
                    optimal,
                    single,
                    most_accurate: best.clone(),
                });
            }
        }
        Ok(all)
    }

    /// `None` where the constraint cannot be kept.
    async fn run(
        &mut self,
        classes: &[&'static str],
        strategy: &str,
        least: Option<f64>,
    ) -> Result<Option<Run>, SelectionError> {
        let least = least.map_or("NULL".to_owned(), |least| least.to_string());
        let set = format!("SET @ml_strategy = '{strategy}', @ml_min_accuracy = {least}");
        self.conn.query_drop(set).await?;
        let quoted: Vec<String> = classes.iter().map(|c| format!("'{c}'")).collect();
        let query = format!(
            "SELECT id FROM test WHERE ml.predict('apparel', photo) IN ({})",
            quoted.join(", ")
        );
        let explained: Result<Vec<String>, _> = self.conn.query(format!("EXPLAIN {query}")).await;
        let explained = match explained {
            Err(mysql_async::Error::Server(error)) if error.code == CONSTRAINT_REFUSED => {
                return Ok(None);
            }
            explained => explained?,
        };
        // Loads the models.
        self.conn.query_drop(format!("{query} LIMIT 1")).await?;
        let before = self.executor.cpu_seconds();
        let begin = Instant::now();
        let found: Vec<u64> = self.conn.query(query).await?;
        let wall = begin.elapsed().as_secs_f64();
        let after = self.executor.cpu_seconds();
        Ok(Some(Run {
            f1: self.f1(classes, &found),
            inference: after.inferring - before.inferring,
            preparing: after.preparing - before.preparing,
            wall,
            models: models(&explained),
        }))
    }

    fn f1(&self, classes: &[&'static str], found: &[u64]) -> f64 {
        let wanted: HashSet<u64> = self
            .truth
            .iter()
            .filter(|(_, class)| classes.contains(class))
            .map(|(id, _)| *id)
            .collect();
        let right = found.iter().filter(|id| wanted.contains(id)).count();
        2.0 * right as f64 / (wanted.len() + found.len()).max(1) as f64
    }
}

/// The models of an EXPLAIN, stage by stage.
fn models(lines: &[String]) -> String {
    let names = |line: &String| {
        let line = line.trim_start();
        let rest = line
            .strip_prefix("Model ")
            .or_else(|| line.strip_prefix("Stage "))?;
        let rest = rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == ' ');
        let names = rest.split([':', ';']).next()?;
        Some(names.replace("@1", "").trim().to_owned())
    };
    let stages: Vec<String> = lines.iter().filter_map(names).collect();
    stages.join(" -> ")
}

impl Real {
    fn ratios(&self, of: impl Fn(&Asked) -> Option<f64>) -> Option<f64> {
        let mut ratios: Vec<f64> = self.asked.iter().filter_map(of).collect();
        ratios.sort_by(f64::total_cmp);
        let middle = |at: usize| ratios.get(at).copied();
        Some((middle(ratios.len().checked_sub(1)? / 2)? + middle(ratios.len() / 2)?) / 2.0)
    }

    /// Inference time of the cheapest single model that keeps the same constraint over the planner's, of the
    /// median query.
    pub fn time_ratio_to_single(&self) -> Option<f64> {
        self.ratios(|a| Some(a.single.as_ref()?.inference / a.optimal.as_ref()?.inference))
    }

    /// Of the most accurate plan likewise.
    pub fn time_ratio_to_most_accurate(&self) -> Option<f64> {
        self.ratios(|a| Some(a.most_accurate.as_ref()?.inference / a.optimal.as_ref()?.inference))
    }

    /// F1 of the cheapest single model less the planner's, of the median query, in points.
    pub fn f1_loss_points(&self) -> Option<f64> {
        self.ratios(|a| Some((a.single.as_ref()?.f1 - a.optimal.as_ref()?.f1) * 100.0))
    }

    /// The table.
    pub fn markdown(&self) -> String {
        let mut text = format!(
            "\n## E2: the real zoo\n\n{} models' statistics from {} labelled images; queries over {} test images. CPU seconds.\n\n\
             | classes | least F1 | plan | F1 | inference s | decode s | cheapest single model: F1 | inference s | most accurate: F1 | inference s |\n\
             | --- | --: | --- | --: | --: | --: | --: | --: | --: | --: |\n",
            "All", self.labelled, self.images
        );
        for asked in &self.asked {
            let _ = write!(text, "| {} | {} |", asked.classes.join(", "), asked.least);
            let _ = match &asked.optimal {
                Some(run) => write!(
                    text,
                    " {} | {:.3} | {:.3} | {:.2} |",
                    run.models, run.f1, run.inference, run.preparing
                ),
                None => write!(text, " refused | | | |"),
            };
            for run in [&asked.single, &asked.most_accurate] {
                let _ = match run {
                    Some(run) => write!(text, " {:.3} | {:.3} |", run.f1, run.inference),
                    None => write!(text, " none | |"),
                };
            }
            text.push('\n');
        }
        let kept = self
            .asked
            .iter()
            .filter_map(|a| Some(a.optimal.as_ref()?.f1 >= a.least));
        let (promised, held) = kept.fold((0, 0), |(all, held), kept| {
            (all + 1, held + u32::from(kept))
        });
        let optimal = || self.asked.iter().filter_map(|a| a.optimal.as_ref());
        let (wall, work): (f64, f64) = optimal().fold((0.0, 0.0), |(w, c), r| {
            (w + r.wall, c + r.inference + r.preparing)
        });
        let inference: f64 = optimal().map(|r| r.inference).sum();
        let _ = writeln!(
            text,
            "\nMedian: inference of the cheapest single model that keeps the same constraint over the plan's {}, of the most\n\
             accurate plan {}; F1 lost against that single model {} points. {held} of {promised} promises held on the test images.\n\
             Of the plans' CPU time in the executor, inference is {:.0} %; wall time in all {wall:.1} s.",
            figure(self.time_ratio_to_single()),
            figure(self.time_ratio_to_most_accurate()),
            figure(self.f1_loss_points()),
            100.0 * inference / work.max(1e-9),
        );
        text
    }
}

fn figure(value: Option<f64>) -> String {
    value.map_or("unknown".to_owned(), |value| format!("{value:.2}"))
}
