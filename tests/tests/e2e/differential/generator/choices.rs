//! The choices from which a random statement is made. They can be recorded, and made again with
//! some of them left out or smaller: which is how a statement that fails is made shorter.

use predictsql_tests::process::checkout;
use predictsql_tests::seed;

/// Where choices come from.
pub struct Choices {
    state: u64,
    given: Option<Vec<usize>>,
    made: Vec<usize>,
}

/// The seed of a run where none is given: another one for each change of the sources.
pub fn usual_seed() -> u64 {
    let crates = ["catalog", "optimizer", "executor", "proxy"].map(|name| format!("{name}/src"));
    let mut folders: Vec<&str> = crates.iter().map(String::as_str).collect();
    folders.push("tests/tests/e2e/differential");
    seed::of_sources(&checkout(), &folders)
}

impl Choices {
    /// The same choices for the same seed.
    pub fn seeded(seed: u64) -> Self {
        Self {
            state: seed,
            given: None,
            made: Vec::new(),
        }
    }

    /// These choices; then always the first.
    pub fn given(choices: Vec<usize>) -> Self {
        Self {
            state: 0,
            given: Some(choices),
            made: Vec::new(),
        }
    }

    /// What was chosen so far.
    pub fn made(&self) -> &[usize] {
        &self.made
    }

    /// A number below `below`. Grammars have what is simplest at 0.
    pub fn number(&mut self, below: usize) -> usize {
        let number = match &self.given {
            Some(given) => (given.get(self.made.len()).copied().unwrap_or(0)).min(below - 1),
            None => (mix(&mut self.state) % below as u64) as usize,
        };
        self.made.push(number);
        number
    }

    /// True in `percent` of 100 cases; false is what is simplest.
    pub fn chance(&mut self, percent: usize) -> bool {
        self.number(100) >= 100 - percent
    }

    /// One of `from`.
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.number(from.len())]
    }

    /// Position of one of `weights`, each as often as its weight says.
    pub fn weighted(&mut self, weights: impl IntoIterator<Item = usize> + Clone) -> usize {
        let mut left = self.number(weights.clone().into_iter().sum());
        let fits = |weight: usize| {
            let found = left < weight;
            left = left.saturating_sub(weight);
            found
        };
        weights.into_iter().position(fits).unwrap()
    }
}

/// SplitMix64.
fn mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The seed of part `number` of a run.
pub fn seed_of(run: u64, number: usize) -> u64 {
    let mut state = run ^ (number as u64).wrapping_mul(0xd6e8_feb8_6659_fd93);
    mix(&mut state)
}

/// Makes choices smaller as long as `fails` says that they still show the failure;
/// at most `tries` times.
pub fn shrink(
    choices: Vec<usize>,
    mut tries: usize,
    mut fails: impl FnMut(&[usize]) -> Option<Vec<usize>>,
) -> Vec<usize> {
    let mut best = choices;
    let mut progress = true;
    while progress && tries > 0 {
        progress = false;
        for size in [16, 8, 4, 2, 1] {
            let mut at = best.len().saturating_sub(size);
            loop {
                let without = [&best[..at], &best[(at + size).min(best.len())..]].concat();
                let mut zeroed = best.clone();
                zeroed[at..].iter_mut().take(size).for_each(|c| *c = 0);
                for smaller in [without, zeroed] {
                    let less = (smaller.len(), smaller.iter().sum::<usize>());
                    if tries == 0 || less >= (best.len(), best.iter().sum()) {
                        continue;
                    }
                    tries -= 1;
                    if let Some(made) = fails(&smaller)
                        && made.len() <= best.len()
                        && made != best
                    {
                        best = made;
                        progress = true;
                    }
                }
                if at == 0 {
                    break;
                }
                at = at.min(best.len()).saturating_sub(size);
            }
        }
    }
    best
}

#[test]
fn choices_shrink_to_the_smallest_that_fail() {
    let mut choices = Choices::seeded(1);
    (0..60).for_each(|_| assert!(choices.number(9) < 9));
    let found = shrink(choices.made().to_vec(), 2000, |choices| {
        let sevens = choices.iter().filter(|c| **c > 6).count();
        (sevens > 1).then(|| choices.to_vec())
    });
    assert_eq!(found.len(), 2, "{found:?}");
}
