//! Hit rates of kept outputs by model, used to estimate those of the next statement.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Maximum number of counted models; further models are not counted.
const MODELS_MAX: usize = 4096;

/// Lookup counts since the start, by output id.
#[derive(Debug, Default)]
pub struct LookedUp(Mutex<HashMap<[u8; 16], Count>>);

#[derive(Debug, Clone, Copy, Default)]
struct Count {
    asked: u64,
    kept: u64,
}

impl LookedUp {
    /// Adds a number of lookups and how many were found.
    pub fn add(&self, output: [u8; 16], asked: u64, kept: u64) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if asked == 0 || (counts.len() >= MODELS_MAX && !counts.contains_key(&output)) {
            return;
        }
        let count = counts.entry(output).or_default();
        count.asked += asked;
        count.kept += kept;
    }

    /// Hit rate; `None` without lookups.
    pub fn rate(&self, output: [u8; 16]) -> Option<f64> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.get(&output)?;
        Some(count.kept as f64 / count.asked as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_model_has_a_rate_once_its_outputs_were_looked_up() {
        let counts = LookedUp::default();
        counts.add([1; 16], 0, 0);
        assert_eq!(counts.rate([1; 16]), None);
        counts.add([1; 16], 3, 0);
        counts.add([1; 16], 1, 1);
        counts.add([2; 16], 5, 5);
        assert_eq!(counts.rate([1; 16]), Some(0.25));
        assert_eq!(counts.rate([2; 16]), Some(1.0));
    }

    #[test]
    fn there_is_an_end_to_what_is_counted() {
        let counts = LookedUp::default();
        let id = |n: usize| {
            let mut id = [0; 16];
            id[..8].copy_from_slice(&n.to_le_bytes());
            id
        };
        for n in 0..=MODELS_MAX {
            counts.add(id(n), 1, 1);
        }
        assert_eq!(counts.rate(id(0)), Some(1.0));
        assert_eq!(counts.rate(id(MODELS_MAX)), None);
    }
}
