//! The schedule: batch sizes for running the chosen models. It never changes an answer.

/// Sizes of the chunks in which a statement's inputs are predicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    /// Rows in the first chunk; doubles up to `chunk_rows`, so that the first rows are sent early
    /// and a small LIMIT needs little inference.
    pub first_chunk_rows: usize,
    /// Maximum rows per chunk.
    pub chunk_rows: usize,
    /// Maximum number of chunks in flight.
    pub chunks_in_flight: usize,
}

impl Schedule {
    /// A schedule for a device that takes `batch` images at a time with `threads` workers.
    /// `rows_wanted` is the LIMIT where predictions drop rows.
    pub fn new(batch: usize, threads: usize, rows_wanted: Option<u64>) -> Self {
        let chunk_rows = batch.max(1);
        let wanted = rows_wanted
            .and_then(|w| usize::try_from(w).ok())
            .unwrap_or(chunk_rows);
        Self {
            first_chunk_rows: wanted.clamp(1, chunk_rows),
            chunk_rows,
            chunks_in_flight: if rows_wanted.is_some() {
                threads.max(1)
            } else {
                threads.max(1) * 4
            },
        }
    }

    /// Rows in chunk number `n`.
    pub fn chunk_rows(&self, n: usize) -> usize {
        let doublings = u32::try_from(n).unwrap_or(u32::MAX).min(30);
        self.first_chunk_rows
            .saturating_mul(1_usize << doublings)
            .min(self.chunk_rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_double_up_to_the_batch() {
        let schedule = Schedule::new(32, 2, Some(5));
        let sizes: Vec<usize> = (0..5).map(|n| schedule.chunk_rows(n)).collect();
        assert_eq!(sizes, [5, 10, 20, 32, 32]);
        assert_eq!(Schedule::new(32, 2, None).chunk_rows(0), 32);
        assert_eq!(Schedule::new(0, 0, Some(0)).chunk_rows(usize::MAX), 1);
    }
}
