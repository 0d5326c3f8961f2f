//! E2: the real zoo on real pictures, end to end through SQL, in the demo's own shop.
//!
//! Models are evaluated on training images that none was trained on; what is reported is measured
//! on the test images, which nothing of the planner has seen.

mod answered;
mod client;
mod questions;
mod shop;
mod summary;

use std::net::SocketAddr;
use std::path::PathBuf;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder};
use predictsql_executor::Executor;
use predictsql_proxy::config::{Config, StoreConfig};
use predictsql_proxy::demo::dataset::Split;
use predictsql_proxy::demo::{pictures, shop as demo_shop, zoo};
use predictsql_proxy::serve::Server;
use tokio_util::sync::CancellationToken;

use self::answered::{Answered, Asked, Constraint};
use self::client::{Client, Decisions};
use self::questions::{Answer, Question};
use super::error::SelectionError;
pub use summary::Real;

/// Training images that no model was trained on.
const LABELLED: usize = 10_000;
/// How far a constraint is between what can be promised of the cheapest models and of the most
/// accurate plan.
const BETWEEN: [f64; 4] = [0.25, 0.5, 0.75, 0.95];
/// Constraints of single models are looked for in such steps.
const STEP: f64 = 0.0025;
/// Nobody asks for less.
const LEAST: f64 = 0.5;

/// What E2 needs.
#[derive(Debug, Clone)]
pub struct Setting {
    /// Folder of zoo.json.
    pub zoo: PathBuf,
    /// Folder of the Fashion-MNIST files.
    pub dataset: PathBuf,
    /// The ONNX Runtime library.
    pub ort_library: PathBuf,
    /// Questions of each kind and number of classes.
    pub draws: usize,
    /// How often each decision is run.
    pub rounds: usize,
    /// Seed of the choice of classes.
    pub seed: u64,
}

/// Runs E2 on a proxy and a store of its own.
///
/// # Errors
/// Something is missing, or a statement fails that should not.
pub fn run(setting: &Setting) -> Result<Real, SelectionError> {
    let work_dir = tempfile::tempdir()?;
    let work = Work {
        models: zoo::read(&setting.zoo)?,
        test: Split::read(&setting.dataset, "t10k")?,
        labelled: Split::read(&setting.dataset, "train")?.last(LABELLED),
        data_dir: work_dir.path().join("data"),
        setting: setting.clone(),
    };
    let mut config = Config::new(StoreConfig::Embedded {
        data_dir: work.data_dir.clone(),
    });
    config.listen.set_port(0);
    config.executor.ort_library = Some(setting.ort_library.clone());
    let server = Server::start(config)?;
    let stopping = CancellationToken::new();
    predictsql_proxy::stop::on_signals(stopping.clone())?;
    let (address, executor) = (server.address(), server.lane().executor.clone());
    let thread = std::thread::Builder::new().name("selection".to_owned());
    let measured = thread.spawn({
        let stopping = stopping.clone();
        move || {
            let _stop_at_the_end = stopping.drop_guard();
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(work.measure(address, executor))
        }
    })?;
    server.run(stopping)?;
    measured.join().map_err(|_| SelectionError::Died)?
}

/// What the client's thread needs.
struct Work {
    models: Vec<zoo::ZooModel>,
    test: Split,
    labelled: Split,
    data_dir: PathBuf,
    setting: Setting,
}

impl Work {
    async fn measure(
        self,
        address: SocketAddr,
        executor: Executor,
    ) -> Result<Real, SelectionError> {
        let images = self.data_dir.join("images");
        pictures::write_all(&images, "test", &self.test)?;
        pictures::write_all(&images, "labelled", &self.labelled)?;
        let options = OptsBuilder::default()
            .ip_or_hostname(address.ip().to_string())
            .tcp_port(address.port())
            .prefer_socket(false)
            .user(Some("root"));
        let mut conn = Conn::new(options).await?;
        demo_shop::create(&mut conn, &self.test, &self.labelled).await?;
        let root = self.data_dir.join("models");
        zoo::create(&mut conn, &self.setting.zoo, &self.models, &root).await?;
        println!("E2: EVALUATE over {} images", self.labelled.count());
        conn.query_drop("EVALUATE TASK apparel ON (SELECT photo, label FROM labelled)")
            .await?;
        let mut client = Client::new(conn, executor, &self.test).await?;
        let mut named = Vec::new();
        for model in &self.models {
            named.push(client.label_all(&model.name).await?);
        }
        let mut answered = Vec::new();
        for question in questions::draw(self.setting.draws, self.setting.seed) {
            let one = client.ask(question, &named, self.setting.rounds).await?;
            print!("{}", one.rows(self.test.count()));
            answered.push(one);
        }
        let search = client.search_shop(self.setting.rounds).await?;
        client.end().await?;
        Ok(Real {
            answered,
            search,
            labelled: self.labelled.count(),
            images: self.test.count(),
        })
    }
}

impl Client {
    /// All constraints of a question, and what keeps them; then runs it all.
    async fn ask(
        &mut self,
        question: Question,
        named: &[(Answer, f64)],
        rounds: usize,
    ) -> Result<Answered, SelectionError> {
        let mut decisions = Decisions::default();
        let best = self.explain(&question, "most_accurate", None).await?;
        let cheapest = self.explain(&question, "cheapest", None).await?;
        let most = best.as_ref().map_or(1.0, |b| b.at_least);
        let least = cheapest.map_or(0.0, |c| c.at_least);
        let mut constraints = Vec::new();
        if most > least {
            let at = BETWEEN.map(|share| least + share * (most - least));
            constraints.extend(at.map(|at| (Constraint::Between, thousandths(at))));
        }
        let of_single = self.promises_of_singles(&question, most).await?;
        constraints.extend(of_single.into_iter().map(|at| (Constraint::OfSingle, at)));
        let mut asked = Vec::new();
        for (constraint, least) in constraints {
            let optimal = self.explain(&question, "optimal", Some(least)).await?;
            let single = self.explain(&question, "best_single", Some(least)).await?;
            asked.push(Asked {
                constraint,
                least,
                optimal: optimal.map(|plan| decisions.number(plan)),
                single: single.map(|plan| decisions.number(plan)),
            });
        }
        let most_accurate = best.map(|plan| decisions.number(plan));
        self.run_all(&question, &mut decisions, rounds).await?;
        let score = |(labels, inference): &(Answer, f64)| {
            let labels = labels.iter().map(|(id, label)| (*id, label.as_deref()));
            let answer = question.answer_of(labels);
            (question.score(&answer, &self.truth), *inference)
        };
        Ok(Answered {
            named: named.iter().map(score).collect(),
            runs: decisions.0,
            question,
            most_accurate,
            asked,
        })
    }

    /// For each model that is the cheapest single one under some constraint,
    /// the closest such constraint.
    async fn promises_of_singles(
        &mut self,
        question: &Question,
        most: f64,
    ) -> Result<Vec<f64>, SelectionError> {
        let last = self.explain(question, "best_single", Some(LEAST)).await?;
        let last = last.map(|plan| plan.models);
        let mut promises: Vec<(String, f64)> = Vec::new();
        let mut least = (most / STEP).floor() * STEP;
        while least >= LEAST && promises.last().map(|(models, _)| models) != last.as_ref() {
            let at = thousandths(least);
            if let Some(plan) = self.explain(question, "best_single", Some(at)).await?
                && promises.iter().all(|(models, _)| *models != plan.models)
            {
                promises.push((plan.models, at));
            }
            least -= STEP;
        }
        Ok(promises.into_iter().map(|(_, at)| at).collect())
    }
}

/// As people type it.
fn thousandths(share: f64) -> f64 {
    (share * 1e3).floor() / 1e3
}
