//! Input tensors, whose memory goes from chunk to chunk.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes of tensors that are kept while nobody uses them.
const SPARE_BYTES_MAX: usize = 256 << 20;

/// Tensors kept for the next chunk, so that their pages need not be had from the system again.
#[derive(Debug)]
pub(crate) struct TensorPool {
    spare: Mutex<Vec<Vec<f32>>>,
    spare_max: usize,
}

impl TensorPool {
    pub(crate) fn new(spare_max: usize) -> Arc<Self> {
        Arc::new(Self {
            spare: Mutex::default(),
            spare_max,
        })
    }

    /// An empty tensor, with room if there is one.
    pub(crate) fn take(self: &Arc<Self>) -> Tensor {
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        Tensor {
            numbers: spare.pop().unwrap_or_default(),
            pool: self.clone(),
        }
    }

    fn give_back(&self, mut numbers: Vec<f32>) {
        numbers.clear();
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        let kept: usize = spare.iter().chain([&numbers]).map(Vec::capacity).sum();
        if spare.len() < self.spare_max && kept * size_of::<f32>() <= SPARE_BYTES_MAX {
            spare.push(numbers);
        }
    }
}

/// Images one after another, each as a model wants it. Dropped, its memory goes back to the pool.
#[derive(Debug)]
pub(crate) struct Tensor {
    numbers: Vec<f32>,
    pool: Arc<TensorPool>,
}

impl Drop for Tensor {
    fn drop(&mut self) {
        self.pool.give_back(std::mem::take(&mut self.numbers));
    }
}

impl Deref for Tensor {
    type Target = Vec<f32>;

    fn deref(&self) -> &Vec<f32> {
        &self.numbers
    }
}

impl DerefMut for Tensor {
    fn deref_mut(&mut self) -> &mut Vec<f32> {
        &mut self.numbers
    }
}
