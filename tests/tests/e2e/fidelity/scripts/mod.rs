//! Sequences of commands that are more than a statement.

mod accounts;
mod bulk;
mod character_sets;
mod commands;
mod cursors;
mod files;
mod kills;
mod long;
mod odd_commands;
mod pipelines;
mod prepared;
mod progress;
mod results;
mod tracking;

use super::capabilities::Set;
use super::tape::Tape;
use predictsql_proxy::wire::Capabilities;

/// What is run on a tape, and with which capabilities.
pub struct Script<'a> {
    pub name: &'static str,
    pub run: Box<dyn Fn(&mut Tape) + Sync + 'a>,
    /// Whether the relay knows what such a session does, to its end.
    pub is_followed: bool,
    needs: Capabilities,
    long: bool,
}

impl<'a> Script<'a> {
    pub fn new(name: &'static str, run: impl Fn(&mut Tape) + Sync + 'a) -> Self {
        Self {
            name,
            run: Box::new(run),
            is_followed: true,
            needs: Capabilities(0),
            long: false,
        }
    }

    /// Only with these capabilities.
    fn needs(mut self, capabilities: Capabilities) -> Self {
        self.needs = self.needs.or(capabilities);
        self
    }

    /// Takes long, and differs by capabilities only in how results end.
    fn long(mut self) -> Self {
        self.long = true;
        self
    }

    /// Has a command in it that the relay cannot follow.
    fn loses_track(mut self) -> Self {
        self.is_followed = false;
        self
    }

    pub fn suits(&self, set: &Set) -> bool {
        set.capabilities.has(self.needs) && (set.runs_long || !self.long)
    }
}

/// All of them. Later ones find what earlier ones have left.
pub fn all() -> Vec<Script<'static>> {
    let kinds = [
        commands::scripts(),
        odd_commands::scripts(),
        accounts::scripts(),
        kills::scripts(),
        prepared::scripts(),
        cursors::scripts(),
        bulk::scripts(),
        results::scripts(),
        tracking::scripts(),
        character_sets::scripts(),
        files::scripts(),
        pipelines::scripts(),
        progress::scripts(),
        long::scripts(),
    ];
    kinds.into_iter().flatten().collect()
}
