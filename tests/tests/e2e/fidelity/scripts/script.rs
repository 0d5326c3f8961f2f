//! A script: commands that are run on a tape, and the capabilities that they need.

use predictsql_proxy::wire::Capabilities;

use crate::fidelity::capabilities::Set;
use crate::fidelity::tape::Tape;

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
    pub fn needs(mut self, capabilities: Capabilities) -> Self {
        self.needs = self.needs.or(capabilities);
        self
    }

    /// Takes long, and differs by capabilities only in how results end.
    pub fn long(mut self) -> Self {
        self.long = true;
        self
    }

    /// Has a command in it that the relay cannot follow.
    pub fn loses_track(mut self) -> Self {
        self.is_followed = false;
        self
    }

    pub fn suits(&self, set: &Set) -> bool {
        set.capabilities.has(self.needs) && (set.runs_long || !self.long)
    }
}
