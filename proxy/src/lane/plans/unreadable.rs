//! Inputs that cannot be read: an error or a warning, as the statement's settings say.

use std::sync::atomic::Ordering::Relaxed;

use crate::error::{ErrorKind, SqlError};
use crate::lane::session::diagnostics::Diagnostics;
use crate::live::Statement;

/// What a statement does about inputs that cannot be read.
#[derive(Debug, Clone, Copy)]
pub struct Unreadable {
    /// It fails.
    pub fails: bool,
    /// What a warning says of the input otherwise.
    pub instead: &'static str,
}

impl Unreadable {
    /// Of a statement that predicts.
    pub fn prediction(fails: bool) -> Self {
        Self {
            fails,
            instead: "its prediction is NULL",
        }
    }

    /// Counts an input, and warns of it. `name` is a noun phrase ("Image 'a.png'"), `reason` a
    /// clause ("does not exist").
    ///
    /// # Errors
    /// [`ErrorKind::UnreadableInput`] where the statement fails.
    pub fn note(
        self,
        running: &Statement,
        diagnostics: &mut Diagnostics,
        name: impl Fn() -> String,
        reason: &str,
    ) -> Result<(), SqlError> {
        running.images_unreadable.fetch_add(1, Relaxed);
        let message = || format!("{} {reason}", name());
        if self.fails {
            return Err(SqlError::new(ErrorKind::UnreadableInput, message()));
        }
        diagnostics.warn(ErrorKind::UnreadableInput, || {
            format!("{}: {}", message(), self.instead)
        });
        Ok(())
    }
}
