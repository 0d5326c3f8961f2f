//! Cycles between files, and the lengths of functions and of comments.

use std::fs;
use std::path::{Path, PathBuf};

use predictsql_tests::process::checkout;
use predictsql_tests::structure::Structure;

use super::{ARROWS, FREE, files};

/// The root modules of our crates, relative to the checkout.
/// Modules of a crate are found from its root.
fn root_modules() -> Vec<PathBuf> {
    let crates = ARROWS.iter().map(|(folder, _)| *folder);
    let sources = crates
        .chain(FREE.iter().copied())
        .flat_map(|folder| ["src/lib.rs", "src/main.rs"].map(|file| Path::new(folder).join(file)));
    let suites = ["tests/tests/e2e/main.rs", "tests/tests/clients/main.rs"].map(PathBuf::from);
    let root = checkout();
    sources
        .chain(suites)
        .filter(|file| root.join(file).exists())
        .collect()
}

/// The structure of every crate by its root module.
fn structures() -> Vec<(PathBuf, Structure)> {
    let root = checkout();
    let read = |file: PathBuf| {
        let structure = Structure::read(&root.join(&file)).unwrap();
        (file, structure)
    };
    let structures: Vec<_> = root_modules().into_iter().map(read).collect();
    assert!(structures.len() > ARROWS.len() + FREE.len());
    let files: usize = structures.iter().map(|(_, s)| s.uses.len()).sum();
    assert!(files > 100, "only {files} files use others");
    structures
}

#[test]
fn no_files_import_each_other_in_a_cycle() {
    let mut cycles = Vec::new();
    for (file, structure) in structures() {
        let found = structure.cycles().into_iter();
        cycles.extend(found.map(|cycle| format!("{}: {cycle}", file.display())));
    }
    assert!(cycles.is_empty(), "{}", cycles.join("\n"));
}

/// Files of a crate with cycles: between two files, between two folders, and in arguments of a
/// macro. What is passed on by `pub use` and what only tests use forms none.
const CRATE_WITH_CYCLES: [(&str, &str); 14] = [
    (
        "lib.rs",
        "mod first; mod heard; mod left; mod passed; mod right; mod second; mod shouted; mod tested; mod tester;",
    ),
    ("first.rs", "use crate::second::B; pub struct A(B);"),
    (
        "second.rs",
        "pub struct B; mod inner { fn back() -> super::super::first::A { loop {} } }",
    ),
    ("left/mod.rs", "mod asks; pub mod answers;"),
    (
        "left/asks.rs",
        "use crate::right::answers; fn ask() { answers::say() }",
    ),
    ("left/answers.rs", "pub fn say() {}"),
    ("right/mod.rs", "mod asks; pub mod answers;"),
    (
        "right/asks.rs",
        "fn ask() { super::super::left::answers::say() }",
    ),
    ("right/answers.rs", "pub fn say() {}"),
    (
        "passed/mod.rs",
        "mod item; pub use item::Item; pub const LIMIT: usize = 9;",
    ),
    ("passed/item.rs", "pub struct Item([u8; super::LIMIT]);"),
    (
        "shouted.rs",
        "pub fn shout() { println!(\"{}\", crate::heard::VOLUME) }",
    ),
    (
        "heard.rs",
        "use crate::shouted::shout; pub const VOLUME: u8 = 9; fn hear() { shout() }",
    ),
    ("tester.rs", "pub fn test() { crate::tested::act() }"),
];
/// Holds a use of `tester` that only tests compile.
const USED_BY_TESTS: (&str, &str) = (
    "tested.rs",
    "pub fn act() {} #[cfg(test)] mod tests { use crate::tester::test; #[test] fn t() { test() } }",
);

#[test]
fn cycles_are_found_between_files_and_folders_but_not_in_what_is_passed_on_or_tested() {
    let folder = tempfile::tempdir().unwrap();
    for (file, text) in CRATE_WITH_CYCLES.iter().chain([&USED_BY_TESTS]) {
        let path = folder.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let structure = Structure::read(&folder.path().join("lib.rs")).unwrap();
    assert_eq!(
        structure.cycles(),
        [
            "a cycle of 2 files:\n    first.rs -> second.rs (B)\n    second.rs -> first.rs (A)",
            "a cycle of 2 files:\n    heard.rs -> shouted.rs (shout)\n    shouted.rs -> heard.rs (VOLUME)",
            "a cycle of 2 modules of /:\n    first -> second (B)\n    second -> first (A)",
            "a cycle of 2 modules of /:\n    heard -> shouted (shout)\n    shouted -> heard (VOLUME)",
            "a cycle of 2 modules of /:\n    left -> right (say, self)\n    right -> left (say)",
        ]
    );
}

/// No function is longer, but for tables. Tests are not counted.
const FUNCTION_LINES_MAX: usize = 70;
/// Functions that are tables: the crate's root module, the file, the function,
/// and what its rows are.
const TABLES: &[(&str, &str, &str, &str)] = &[(
    "proxy/src/lib.rs",
    "metrics.rs",
    "new",
    "every metric with its name and its help, side by side",
)];

#[test]
fn functions_fit_a_screen() {
    let (mut wrong, mut tables, mut count) = (Vec::new(), 0, 0);
    for (root, structure) in structures() {
        count += structure.functions.len();
        for (file, name, lines) in structure.functions {
            if lines <= FUNCTION_LINES_MAX {
                continue;
            }
            let is_table = TABLES.iter().any(|(of_crate, of_file, table, _)| {
                (Path::new(of_crate), Path::new(of_file), *table) == (&*root, &*file, &*name)
            });
            match is_table {
                true => tables += 1,
                false => wrong.push(format!(
                    "{} of {}: {name} has {lines} lines",
                    file.display(),
                    root.display()
                )),
            }
        }
    }
    assert!(count > 1_000, "only {count} functions were found");
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(tables, TABLES.len(), "a function is no table any more");
}

/// Every line of comments is narrower, in characters.
const COMMENT_COLUMNS: usize = 100;

/// Numbers of the lines that hold nothing but a comment and are too wide.
/// An address cannot be broken.
fn wide_comments(text: &str) -> Vec<usize> {
    let lines = text.lines().enumerate().filter(|(_, line)| {
        let is_comment = line.trim_start().starts_with("//");
        is_comment && line.chars().count() >= COMMENT_COLUMNS && !line.contains("://")
    });
    lines.map(|(index, _)| index + 1).collect()
}

#[test]
fn lines_of_comments_are_narrow() {
    let root = checkout();
    let mut wide = Vec::new();
    for file in files("rs") {
        let lines = wide_comments(&fs::read_to_string(root.join(&file)).unwrap());
        wide.extend(
            lines
                .iter()
                .map(|line| format!("{}:{line}", file.display())),
        );
    }
    assert!(wide.is_empty(), "{} lines: {wide:#?}", wide.len());
}

#[test]
fn wide_comments_are_told_from_narrow_ones_and_from_code() {
    let words = "w".repeat(COMMENT_COLUMNS);
    let text = format!(
        "//! {words}\n    // short\n    /// {words}\nlet {words} = 1; // code\n// https://{words}\n// {}\n",
        "é".repeat(COMMENT_COLUMNS - 4)
    );
    assert_eq!(wide_comments(&text), [1, 3]);
}
