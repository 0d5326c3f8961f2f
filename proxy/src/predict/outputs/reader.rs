//! Looks up kept outputs in the table; concurrent lookups are combined into one query.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use predictsql_catalog::OutputCodec;
use predictsql_catalog::store::{self, FoundOutput};
use predictsql_executor::InputId;
use predictsql_executor::kept::Numbers;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::writer::Writer;
use crate::account::ServiceAccount;

/// Maximum input identities in one query.
const KEYS_MAX: usize = 512;

/// Maximum queued lookups; further callers wait for space in the queue.
const QUEUE_MAX: usize = 256;

/// How long a statement waits for a lookup before it runs the model instead.
const WAIT_MAX: Duration = Duration::from_secs(1);

/// Pause of all lookups after the store failed to answer in time or returned an error.
const REST: Duration = Duration::from_secs(10);

type Found = Vec<(InputId, Numbers)>;

struct Question {
    output: [u8; 16],
    codec: OutputCodec,
    inputs: Vec<InputId>,
    reply: oneshot::Sender<Found>,
}

/// Handle for lookups in the table.
#[derive(Clone)]
pub struct Reader(mpsc::Sender<Question>);

impl Reader {
    /// Starts the lookup task.
    pub fn start(account: &ServiceAccount, writer: Writer) -> Self {
        let (sender, receiver) = mpsc::channel(QUEUE_MAX);
        let asking = Asking {
            account: account.clone(),
            writer,
            rests_until: None,
            told_of_poison: Arc::default(),
        };
        account.spawn(asking.run(receiver));
        Self(sender)
    }

    /// Stored outputs of those `inputs` that have one, decoded by `codec`. Empty if the answer
    /// takes too long.
    pub async fn read(&self, output: [u8; 16], codec: OutputCodec, inputs: Vec<InputId>) -> Found {
        let (reply, answer) = oneshot::channel();
        let question = Question {
            output,
            codec,
            inputs,
            reply,
        };
        let asked = async {
            self.0.send(question).await.ok()?;
            answer.await.ok()
        };
        let answered = tokio::time::timeout(WAIT_MAX, asked).await;
        answered.ok().flatten().unwrap_or_default()
    }
}

struct Asking {
    account: ServiceAccount,
    writer: Writer,
    rests_until: Option<Instant>,
    told_of_poison: Arc<AtomicBool>,
}

impl Asking {
    async fn run(mut self, mut questions: mpsc::Receiver<Question>) {
        while let Some(first) = questions.recv().await {
            if self.rests_until.is_some_and(|until| Instant::now() < until) {
                continue; // without a reply: not found
            }
            let mut keys = first.inputs.len();
            let mut together: HashMap<[u8; 16], Vec<Question>> = HashMap::new();
            together.entry(first.output).or_default().push(first);
            while keys < KEYS_MAX
                && let Ok(next) = questions.try_recv()
            {
                keys += next.inputs.len();
                together.entry(next.output).or_default().push(next);
            }
            for (output, questions) in together {
                self.answer(output, questions).await;
            }
        }
    }

    async fn answer(&mut self, output: [u8; 16], mut questions: Vec<Question>) {
        questions.retain(|question| !question.reply.is_closed());
        let mut inputs: Vec<[u8; 16]> = questions
            .iter()
            .flat_map(|question| &question.inputs)
            .map(|input| *input.as_bytes())
            .collect();
        inputs.sort_unstable();
        inputs.dedup();
        let mut rows: HashMap<[u8; 16], FoundOutput> = HashMap::new();
        for inputs in inputs.chunks(KEYS_MAX) {
            let Some(found) = self.ask(output, inputs.to_vec()).await else {
                return;
            };
            rows.extend(found.into_iter().map(|row| (row.kept.input, row)));
        }
        let unmarked = rows.values().filter(|row| row.unmarked);
        self.writer.used(output, unmarked.map(|row| row.kept.input));
        for question in questions {
            let found = question.inputs.iter().filter_map(|input| {
                let row = rows.get(input.as_bytes())?;
                match Numbers::decode(&row.kept.scores, question.codec) {
                    Some(numbers) => Some((*input, numbers)),
                    None => self.tell_of_poison(),
                }
            });
            // The caller may be gone.
            let _ = question.reply.send(found.collect());
        }
    }

    /// Queries the table. `None`: the query failed, and lookups are paused.
    async fn ask(&mut self, output: [u8; 16], inputs: Vec<[u8; 16]>) -> Option<Vec<FoundOutput>> {
        let asked = self.account.run(move |mut conn, schema| async move {
            store::read_outputs(&mut conn, &schema, output, &inputs).await
        });
        let error = match tokio::time::timeout(WAIT_MAX, asked).await {
            Ok(Ok(found)) => return Some(found),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {} s", WAIT_MAX.as_secs()),
        };
        tracing::warn!(error, "kept outputs of models could not be read");
        self.rests_until = Some(Instant::now() + REST);
        None
    }

    fn tell_of_poison(&self) -> Option<(InputId, Numbers)> {
        if !self.told_of_poison.swap(true, Relaxed) {
            tracing::warn!(
                "table `predictions` holds outputs that no model gave; they are ignored. Who may write it?"
            );
        }
        None
    }
}
