//! Forecast of the number of inferences before they are run.

use std::collections::HashSet;

use crate::identity::InputId;

/// Number of inputs that the first stage's models of one prediction would process. Later stages
/// process the inputs that the first stage leaves undecided, whose number is not known in advance.
#[derive(Debug, Default)]
pub struct Forecast {
    contents: HashSet<(usize, InputId)>,
    /// Number of inputs by voter.
    counts: Vec<u64>,
}

impl Forecast {
    /// Sum over all models.
    pub fn inputs(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Number of inputs by voter of the first stage.
    pub(super) fn by_voter(&self) -> &[u64] {
        &self.counts
    }

    /// Adds a content that a voter's model processes once, however often it occurs.
    pub(super) fn add_content(&mut self, voter: usize, id: InputId) {
        if self.contents.insert((voter, id)) {
            self.add(voter, 1);
        }
    }

    /// Adds inputs that a voter's model processes each time.
    pub(super) fn add(&mut self, voter: usize, inputs: usize) {
        if self.counts.len() <= voter {
            self.counts.resize(voter + 1, 0);
        }
        if let Some(count) = self.counts.get_mut(voter) {
            *count += inputs as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_counts_once_for_each_model() {
        let id = |n| InputId::from_bytes([n; 16]);
        let mut forecast = Forecast::default();
        for (voter, content) in [(0, 1), (0, 2), (0, 1), (1, 1)] {
            forecast.add_content(voter, id(content));
        }
        forecast.add(1, 3);
        assert_eq!((forecast.by_voter(), forecast.inputs()), (&[2, 4][..], 6));
    }
}
