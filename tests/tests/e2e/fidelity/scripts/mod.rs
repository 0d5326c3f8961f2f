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
mod script;
mod tracking;

pub use script::Script;

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
