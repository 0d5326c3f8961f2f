//! E1 and E3 as tables in Markdown, with what they amount to in words.

use std::fmt::Write;

use super::strategies::{
    ABLE, ABLE_NEEDED, COMPARED, Duel, LABELLED_LESS, NEEDED, RIVALS, Setting, Strategies,
};

fn settings() -> impl Iterator<Item = Setting> {
    let needed = NEEDED.iter().map(|n| (*n, usize::MAX));
    needed.chain(ABLE.iter().map(|a| (ABLE_NEEDED, *a)))
}

fn name((needed, able): Setting) -> String {
    match able {
        usize::MAX => format!("{needed} | all"),
        able => format!("{needed} | {able}"),
    }
}

fn head(text: &mut String, first: &str, columns: &[String]) {
    let dashes = " --: |".repeat(first.matches('|').count() + 1 + columns.len());
    let _ = writeln!(text, "| {first} | {} |\n|{dashes}", columns.join(" | "));
}

/// F1 and time by setting and strategy.
pub fn strategies(text: &mut String, all: &Strategies) {
    text.push_str(
        "F1 on held-out rows / milliseconds an input, planning included (mean over queries). `optimal` and\n\
         `greedy` may take as long as `best_per_class`.\n\n",
    );
    let names: Vec<String> = COMPARED
        .iter()
        .map(|(name, ..)| (*name).to_owned())
        .collect();
    head(text, "classes | able", &names);
    for (needed, able) in settings() {
        let cell = |name: &'static str| match all.cells.get(&(needed, able, name)) {
            Some(c) if c.queries > 0 => format!("{:.3} / {:.1}", c.f1(), c.seconds() * 1e3),
            _ => "none".to_owned(),
        };
        if !all.cells.contains_key(&(needed, able, "best_per_class")) {
            continue;
        }
        let row: Vec<String> = COMPARED.iter().map(|(name, ..)| cell(name)).collect();
        let _ = writeln!(text, "| {} | {} |", name((needed, able)), row.join(" | "));
    }
    text.push('\n');
}

/// `optimal` beside each rival, within the rival's time.
pub fn duels(text: &mut String, all: &Strategies) {
    text.push_str(
        "`optimal` with no more time than the rival took: points of F1 gained on held-out rows / its time over the rival\'s. \n\
         Rivals with a limit may take that share of the time of `best_per_class`. **Lost**: F1 lower by more than half a\n\
         point, or more time (by more than 1 %).\n\n",
    );
    let names: Vec<String> = RIVALS.iter().map(|(name, ..)| (*name).to_owned()).collect();
    head(text, "classes | able", &names);
    for setting in settings() {
        let duel = |rival: &'static str| match all.duels.get(&(rival, setting)) {
            Some(d) if d.is_won() => format!("{:+.1} / {:.2}", d.points(), d.time_ratio()),
            Some(d) => format!("**{:+.1} / {:.2}**", d.points(), d.time_ratio()),
            None => "none".to_owned(),
        };
        if !all.duels.contains_key(&("best_per_class", setting)) {
            continue;
        }
        let row: Vec<String> = RIVALS.iter().map(|(name, ..)| duel(name)).collect();
        let _ = writeln!(text, "| {} | {} |", name(setting), row.join(" | "));
    }
    text.push('\n');
    for (rival, ..) in RIVALS {
        let of = |setting| Some((setting, all.duels.get(&(rival, setting))?));
        let duels: Vec<(Setting, &Duel)> = settings().filter_map(of).collect();
        if duels.is_empty() {
            continue;
        }
        let lost: Vec<String> = duels
            .iter()
            .filter(|(_, duel)| !duel.is_won())
            .map(|((needed, able), _)| match *able {
                usize::MAX => format!("{needed} classes"),
                able => format!("{able} able"),
            })
            .collect();
        let mean = |of: fn(&Duel) -> f64| {
            duels.iter().map(|(_, d)| of(d)).sum::<f64>() / duels.len().max(1) as f64
        };
        let _ = writeln!(
            text,
            "* {rival}: at least as good in {} of {} settings{}; {:+.1} points and {:.2} of the time in the mean",
            duels.len() - lost.len(),
            duels.len(),
            if lost.is_empty() {
                String::new()
            } else {
                format!(", not with {}", lost.join(", "))
            },
            mean(Duel::points),
            mean(Duel::time_ratio),
        );
    }
    text.push('\n');
}

/// Errors of estimates by needed classes and labelled rows.
pub fn estimates(text: &mut String, all: &Strategies) {
    text.push_str(
        "Mean absolute error of the F1 that is expected of `optimal`, in points, by the number of labelled rows given to\n\
         EVALUATE: by replay of rows that were not searched (what plans say), of those that were (what plans are compared\n\
         by), and with errors taken for independent; and milliseconds to plan with most rows. Calibrations are those of\n\
         most rows throughout.\n\n",
    );
    let mut columns = Vec::new();
    for labelled in LABELLED_LESS {
        columns.push(format!("{labelled}: replay"));
        columns.push("searched".to_owned());
        columns.push("independence".to_owned());
    }
    columns.push("planning ms".to_owned());
    head(text, "classes", &columns);
    for needed in NEEDED {
        let mut row = Vec::new();
        for labelled in LABELLED_LESS {
            let Some(e) = all.estimates.get(&(needed, labelled)) else {
                continue;
            };
            row.extend([e.expected(), e.searched(), e.independent()].map(|p| format!("{p:.2}")));
        }
        let Some(cell) = all.cells.get(&(needed, usize::MAX, "optimal")) else {
            continue;
        };
        row.push(format!("{:.2}", cell.planning() * 1e3));
        let _ = writeln!(text, "| {needed} | {} |", row.join(" | "));
    }
    text.push('\n');
}
