//! The result, as a table and as one line of JSON.

use std::fmt::Write as _;
use std::sync::atomic::Ordering::Relaxed;

use serde_json::{Value, json};

use super::ledger::{Fault, Ledger};
use super::memory::Growth;

/// How much the memory may grow once it is warm.
const GROWTH_MAX: f64 = 1.05;
/// Below that the memory has not settled: its growth is shown and not judged.
const JUDGED_FROM_MINUTES: f64 = 10.0;

/// All that is told.
pub struct Report<'a> {
    /// How long the load went on.
    pub minutes: f64,
    /// Clients at once.
    pub clients: usize,
    /// Which draws were made.
    pub seed: u64,
    /// What was written down.
    pub ledger: &'a Ledger,
    /// The memory of the proxy that was not killed.
    pub growth: Option<Growth>,
}

const FAULTS: [(Fault, &str); 6] = [
    (Fault::WrongRow, "wrong_rows"),
    (Fault::LostRow, "lost_rows"),
    (Fault::DoubledRow, "doubled_rows"),
    (Fault::HalfUpdate, "half_updates"),
    (Fault::KeptAfterError, "rows_kept_after_an_error"),
    (Fault::BadAnswer, "bad_answers"),
];

impl Report<'_> {
    fn counts(&self) -> [(&'static str, u64); 6] {
        let ledger = self.ledger;
        [
            ("statements", ledger.statements.load(Relaxed)),
            ("rows_compared", ledger.rows_compared.load(Relaxed)),
            ("kills", ledger.kills.load(Relaxed)),
            ("process_kills", ledger.process_kills.load(Relaxed)),
            ("rude_clients", ledger.rude_clients.load(Relaxed)),
            (
                "interrupted_assignments",
                ledger.interrupted_assignments.load(Relaxed),
            ),
        ]
    }

    /// For people.
    pub fn table(&self) -> String {
        let mut table = String::new();
        let mut line = |name: &str, value: String| {
            let _ = writeln!(table, "{name:<28}{value}");
        };
        line("minutes", format!("{:.1}", self.minutes));
        line("clients", self.clients.to_string());
        for (name, count) in self.counts() {
            line(name, count.to_string());
        }
        for (fault, name) in FAULTS {
            line(name, self.ledger.faults(fault).to_string());
        }
        if let Some(growth) = self.growth {
            let Growth {
                warm_mib,
                largest_mib,
                last_mib,
            } = growth;
            line(
                "resident memory",
                format!(
                    "{warm_mib:.0} MiB warm, then at most {largest_mib:.0}, at last {last_mib:.0}"
                ),
            );
            line("rss_ratio_after_warm", format!("{:.3}", growth.ratio()));
        }
        for (code, count) in self.ledger.errors() {
            line(&format!("error {code}"), count.to_string());
        }
        table
    }

    /// For programs.
    pub fn json(&self) -> Value {
        let mut json = json!({
            "benchmark": "soak",
            "minutes": (self.minutes * 10.0).round() / 10.0,
            "clients": self.clients,
            "seed": self.seed,
            "errors": self.ledger.errors(),
            "rss_warm_mib": self.growth.map(|growth| growth.warm_mib.round()),
            "rss_last_mib": self.growth.map(|growth| growth.last_mib.round()),
            "rss_ratio_after_warm": self.growth.map(|g| (g.ratio() * 1000.0).round() / 1000.0),
        });
        let faults = FAULTS.map(|(fault, name)| (name, self.ledger.faults(fault)));
        if let Some(object) = json.as_object_mut() {
            let counts = self.counts().into_iter().chain(faults);
            object.extend(counts.map(|(name, count)| (name.to_owned(), count.into())));
        }
        json
    }

    /// What is wrong with it, if anything is.
    pub fn broken(&self) -> Option<String> {
        let mut wrong: Vec<String> = FAULTS
            .into_iter()
            .map(|(fault, name)| (name, self.ledger.faults(fault)))
            .filter(|(_, count)| *count > 0)
            .map(|(name, count)| format!("{name} {count}"))
            .collect();
        if let Some(growth) = self.growth.filter(|g| g.ratio() > GROWTH_MAX)
            && self.minutes >= JUDGED_FROM_MINUTES
        {
            wrong.push(format!(
                "the memory grew by a factor of {:.3}",
                growth.ratio()
            ));
        }
        (!wrong.is_empty()).then(|| wrong.join(", "))
    }
}
