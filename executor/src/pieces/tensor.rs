//! Input tensors, whose memory is reused between chunks.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};

/// Maximum bytes of unused tensors kept in the pool.
const SPARE_BYTES_MAX: usize = 256 << 20;

/// Pool of tensors, so that their pages need not be allocated from the system again.
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

    /// An empty tensor, with capacity if the pool has one.
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

/// Consecutive images in the layout of a model. Dropping it returns its memory to the pool.
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
