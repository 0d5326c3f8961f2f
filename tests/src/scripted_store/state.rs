//! What the sessions of a scripted store share.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_rustls::rustls::ServerConfig;

use super::script::{Attempt, Script};

/// What the sessions of a store share.
pub(super) struct State {
    pub(super) script: Script,
    pub(super) tls: Option<Arc<ServerConfig>>,
    /// SHA256(SHA256(password)) of the users that have proved their password in full.
    pub(super) cache: Mutex<HashMap<String, [u8; 32]>>,
    pub(super) attempts: Mutex<Vec<Attempt>>,
    pub(super) sessions: AtomicU32,
    pub(super) stopping: AtomicBool,
}

/// Locks a mutex, also where a session has panicked.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
