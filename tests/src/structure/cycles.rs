//! Cycles in a graph of files: strongly connected groups of more than one.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

type Uses = BTreeMap<PathBuf, BTreeMap<PathBuf, BTreeSet<String>>>;
type Graph<N> = BTreeMap<N, BTreeMap<N, BTreeSet<String>>>;

/// Groups of files that use each other.
pub fn between_files(uses: &Uses) -> Vec<String> {
    groups(uses)
        .iter()
        .map(|group| said("files", uses, group, |file| file.display().to_string()))
        .collect()
}

/// Groups of modules beside each other whose files use each other.
/// A module is a file with the folder of its name.
pub fn between_modules(uses: &Uses) -> Vec<String> {
    let mut levels: BTreeMap<PathBuf, Graph<String>> = BTreeMap::new();
    for (from, targets) in uses {
        for (to, names) in targets {
            let (from, to) = (module_of(from), module_of(to));
            let shared = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
            let (Some(from_here), Some(to_here)) = (from.get(shared), to.get(shared)) else {
                continue; // a module and one within it
            };
            let folder: PathBuf = from.iter().take(shared).collect();
            let level = levels.entry(folder).or_default();
            let targets = level.entry(from_here.clone()).or_default();
            targets
                .entry(to_here.clone())
                .or_default()
                .extend(names.iter().cloned());
        }
    }
    let mut found = Vec::new();
    for (folder, graph) in &levels {
        let kind = format!("modules of {}/", folder.display());
        let here = groups(graph);
        found.extend(
            here.iter()
                .map(|group| said(&kind, graph, group, String::clone)),
        );
    }
    found
}

/// Names from the crate's root: `lane/mod.rs` and `lane.rs` are the module `lane`.
fn module_of(file: &Path) -> Vec<String> {
    let stem = file.with_extension("");
    let mut names: Vec<String> = stem
        .iter()
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    if names
        .last()
        .is_some_and(|name| matches!(&**name, "mod" | "lib" | "main"))
    {
        names.pop();
    }
    names
}

fn said<N: Ord + Clone>(
    kind: &str,
    graph: &Graph<N>,
    group: &BTreeSet<N>,
    name: impl Fn(&N) -> String,
) -> String {
    let mut text = format!("a cycle of {} {kind}:", group.len());
    for from in group {
        for (to, names) in graph.get(from).into_iter().flatten() {
            if group.contains(to) {
                let names: Vec<&str> = names.iter().map(String::as_str).take(6).collect();
                text.push_str(&format!(
                    "\n    {} -> {} ({})",
                    name(from),
                    name(to),
                    names.join(", ")
                ));
            }
        }
    }
    text
}

/// Groups of more than one node of which each reaches each.
fn groups<N: Ord + Clone>(graph: &Graph<N>) -> Vec<BTreeSet<N>> {
    let reached: BTreeMap<&N, BTreeSet<&N>> =
        graph.keys().map(|n| (n, reached(graph, n))).collect();
    let mut found: Vec<BTreeSet<N>> = Vec::new();
    for (node, others) in &reached {
        let mutual = others.iter().filter(|other| {
            *other != node && reached.get(*other).is_some_and(|back| back.contains(node))
        });
        let mut group: BTreeSet<N> = mutual.map(|n| (*n).clone()).collect();
        if !group.is_empty() {
            group.insert((*node).clone());
            if !found.contains(&group) {
                found.push(group);
            }
        }
    }
    found
}

fn reached<'g, N: Ord>(graph: &'g Graph<N>, from: &'g N) -> BTreeSet<&'g N> {
    let mut seen = BTreeSet::new();
    let mut open = vec![from];
    while let Some(node) = open.pop() {
        for next in graph
            .get(node)
            .into_iter()
            .flat_map(|targets| targets.keys())
        {
            if seen.insert(next) {
                open.push(next);
            }
        }
    }
    seen
}
