//! Dependency arrows, first lines, file lengths, paths named in documents.

mod structure;

use predictsql_tests::process::checkout;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Who may depend on whom: `catalog <- optimizer <- executor <- proxy`, `catalog <- k8s <- proxy`.
const ARROWS: &[(&str, &[&str])] = &[
    ("catalog", &[]),
    ("optimizer", &["catalog"]),
    ("executor", &["optimizer", "catalog"]),
    ("k8s", &["catalog"]),
    ("proxy", &["executor", "k8s", "optimizer", "catalog"]),
];
/// These may use any.
const FREE: &[&str] = &["tests", "bench"];

/// Crates whose presence would mean I/O, async or a network in the optimizer.
const IMPURE: &[&str] = &[
    "async-std",
    "futures-executor",
    "h2",
    "hyper",
    "mio",
    "mysql_async",
    "mysql_common",
    "polling",
    "quinn",
    "reqwest",
    "rustls",
    "smol",
    "socket2",
    "tokio",
    "tokio-util",
    "tonic",
    "tower",
    "ureq",
    "object_store",
    "kube",
    "sqlx",
    "ort",
];
/// No file is longer; most are far shorter.
const FILE_LINES_MAX: usize = 600;
/// Folders that hold nothing of ours.
const FOREIGN: &[&str] = &[
    "target",
    ".git",
    ".cache",
    "predictsql-data",
    "node_modules",
];

/// Names of our packages that a manifest's tables of dependencies name, by folder.
fn our_dependencies(manifest: &str) -> BTreeSet<String> {
    let manifest: toml::Table = manifest.parse().unwrap();
    let mut tables = vec![&manifest];
    if let Some(targets) = manifest.get("target").and_then(toml::Value::as_table) {
        tables.extend(targets.values().filter_map(toml::Value::as_table));
    }
    let kinds = ["dependencies", "dev-dependencies", "build-dependencies"];
    let named = tables
        .iter()
        .flat_map(|table| kinds.iter().filter_map(|kind| table.get(*kind)?.as_table()));
    named
        .flat_map(|dependencies| dependencies.iter())
        .filter_map(|(name, value)| {
            let package = value
                .get("package")
                .and_then(toml::Value::as_str)
                .unwrap_or(name);
            Some(package.strip_prefix("predictsql-")?.to_owned())
        })
        .collect()
}

/// What is wrong with the dependencies of the crate in `folder`.
fn wrong_arrows(folder: &str, manifest: &str) -> Vec<String> {
    if FREE.contains(&folder) {
        return Vec::new();
    }
    let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == folder) else {
        return vec![format!("{folder} has no place among the arrows")];
    };
    our_dependencies(manifest)
        .into_iter()
        .filter(|target| !allowed.contains(&target.as_str()))
        .map(|target| format!("{folder} must not depend on {target}"))
        .collect()
}

#[test]
fn dependencies_point_one_way() {
    let root = checkout();
    let workspace: toml::Table = fs::read_to_string(root.join("Cargo.toml"))
        .unwrap()
        .parse()
        .unwrap();
    let members = workspace["workspace"]["members"].as_array().unwrap();
    assert!(members.len() >= ARROWS.len());
    let mut wrong = Vec::new();
    for member in members {
        let folder = member.as_str().unwrap();
        let manifest = fs::read_to_string(root.join(folder).join("Cargo.toml")).unwrap();
        assert!(
            manifest.contains(&format!("name = \"predictsql-{folder}\"")),
            "{folder}"
        );
        wrong.extend(wrong_arrows(folder, &manifest));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_wrong_arrow_is_seen_wherever_a_manifest_hides_it() {
    let hidden = [
        "[dependencies]\npredictsql-proxy.workspace = true",
        "[dev-dependencies]\npredictsql-proxy = { path = \"../proxy\" }",
        "[build-dependencies]\nx = { package = \"predictsql-proxy\", version = \"1\" }",
        "[target.'cfg(unix)'.dependencies]\npredictsql-proxy.workspace = true",
    ];
    for manifest in hidden {
        assert_eq!(
            wrong_arrows("catalog", manifest),
            ["catalog must not depend on proxy"]
        );
        assert_eq!(wrong_arrows("bench", manifest), Vec::<String>::new());
    }
    assert_eq!(wrong_arrows("stray", "").len(), 1);
}

/// The packages that `package` is built from, itself included, with the features that it asks for
/// itself. (`cargo metadata` would add those that other members ask for.)
fn build_tree(package: &str) -> BTreeSet<String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args([
            "tree",
            "--package",
            package,
            "--edges=normal,build",
            "--prefix=none",
        ])
        .args(["--format={p}", "--locked"])
        .current_dir(checkout())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let tree = String::from_utf8(output.stdout).unwrap();
    let names = tree.lines().filter_map(|line| line.split(' ').next());
    names.map(str::to_owned).collect()
}

#[test]
fn the_optimizer_is_built_without_io_async_or_network() {
    let tree = build_tree("predictsql-optimizer");
    assert!(tree.contains("sqlparser"), "{tree:?}");
    let impure: Vec<_> = IMPURE.iter().filter(|name| tree.contains(**name)).collect();
    assert!(impure.is_empty(), "{impure:?}");
    // The list would see them.
    let proxy = build_tree("predictsql-proxy");
    assert!(
        proxy.contains("tokio") && IMPURE.contains(&"tokio"),
        "{proxy:?}"
    );
}

/// Our files with that extension, relative to the checkout.
fn files(extension: &str) -> Vec<PathBuf> {
    let root = checkout();
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_symlink() || FOREIGN.contains(&&*name) {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                found.push(path.strip_prefix(&root).unwrap().to_owned());
            }
        }
    }
    found
}

#[test]
fn every_file_says_first_what_lives_in_it_and_is_not_long() {
    let root = checkout();
    let files = files("rs");
    assert!(files.len() > 100, "only {} files were found", files.len());
    let mut wrong = Vec::new();
    for file in files {
        let text = fs::read_to_string(root.join(&file)).unwrap();
        let lines = text.lines().count();
        if !text.starts_with("//! ") {
            wrong.push(format!("{} does not start with `//! `", file.display()));
        }
        if lines > FILE_LINES_MAX {
            wrong.push(format!(
                "{} has {lines} lines, more than {FILE_LINES_MAX}",
                file.display()
            ));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// What a document names in backquotes and looks like a path of this checkout: it has a slash or
/// the ending of a source file, and no pattern, placeholder, space or address in it.
fn named_paths(document: &str) -> Vec<String> {
    let mut outside = String::new();
    for (index, part) in document.split("```").enumerate() {
        if index % 2 == 0 {
            outside.push_str(part);
        }
    }
    let quoted = outside.split('`').skip(1).step_by(2).map(str::to_owned);
    quoted
        .filter(|name| {
            let plain = name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
            let ending = [".rs", ".toml", ".md", ".sh", ".py", ".json"]
                .iter()
                .any(|end| name.ends_with(end));
            // `/metrics` and `/run/x.sock` are no files of ours;
            // what is built or grown is not in the checkout.
            let made = name.starts_with("target/") || name.contains("fuzz/grown");
            plain && !made && !name.starts_with(['/', '.', '-']) && (name.contains('/') || ending)
        })
        .collect()
}

/// A path is named as seen from the checkout or, inside a crate's section,
/// from the crate or its sources.
fn exists(root: &Path, name: &str) -> bool {
    let crates = ARROWS
        .iter()
        .map(|(folder, _)| *folder)
        .chain(FREE.iter().copied());
    let places = crates.flat_map(|folder| [root.join(folder), root.join(folder).join("src")]);
    std::iter::once(root.to_owned())
        .chain(places)
        .any(|place| place.join(name).exists())
}

/// Documents about the code: what they name in backquotes must be there.
fn documents_about_code() -> Vec<PathBuf> {
    let mut documents = files("md");
    documents.retain(|path| {
        let is_page = path.starts_with("docs");
        is_page || *path == Path::new("ARCHITECTURE.md") || *path == Path::new("CONTRIBUTING.md")
    });
    documents
}

#[test]
fn paths_named_in_documents_exist() {
    let root = checkout();
    let mut missing = Vec::new();
    for document in documents_about_code() {
        let text = fs::read_to_string(root.join(&document)).unwrap();
        let named = named_paths(&text);
        if document == Path::new("ARCHITECTURE.md") {
            assert!(named.len() >= 10, "a map names places: {named:?}");
        }
        let absent = named.into_iter().filter(|name| !exists(&root, name));
        missing.extend(absent.map(|name| format!("{}: {name}", document.display())));
    }
    assert!(
        missing.is_empty(),
        "documents name what does not exist: {missing:#?}"
    );
}

#[test]
fn paths_are_told_from_other_quoted_text() {
    let document = "`proxy/src/lane` and `serve.rs`, not `/metrics`, `ml.predict`, `a <- b/c` or `bench/*.json`\n\
                    ```\n`x/y`\n```\n`make test`, `scripts/setup.sh`";
    assert_eq!(
        named_paths(document),
        ["proxy/src/lane", "serve.rs", "scripts/setup.sh"]
    );
    assert!(exists(&checkout(), "relay/framer.rs"));
    assert!(!exists(&checkout(), "relay/frame.rs"));
}

/// The lines of a document outside its code blocks, without inline code.
fn prose(document: &str) -> Vec<String> {
    let mut inside = false;
    let outside = document.lines().filter(|line| {
        let fence = line.trim_start().starts_with("```");
        inside ^= fence;
        !inside && !fence
    });
    let without_code = |line: &str| line.split('`').step_by(2).collect::<String>();
    outside.map(without_code).collect()
}

/// Targets of the links and pictures of a document that lead to files of this checkout.
fn links(document: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in prose(document) {
        let targets = line.split("](").skip(1);
        let targets = targets.filter_map(|rest| Some(rest.split_once(')')?.0.to_owned()));
        found.extend(targets.filter(|target| !target.contains("://")));
    }
    found
}

/// Names by which links lead to the headings of a document.
fn anchors(document: &str) -> Vec<String> {
    let mut anchors: Vec<String> = Vec::new();
    let mut inside = false;
    for line in document.lines() {
        inside ^= line.trim_start().starts_with("```");
        let Some(heading) = line.strip_prefix('#').filter(|_| !inside) else {
            continue;
        };
        let heading = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = heading
            .chars()
            .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        let name: String = kept.map(|c| if c == ' ' { '-' } else { c }).collect();
        let again = anchors.iter().filter(|anchor| **anchor == name).count();
        anchors.push(if again == 0 {
            name
        } else {
            format!("{name}-{again}")
        });
    }
    anchors
}

/// Links of `document`, a path relative to `root`, that lead nowhere.
fn broken_links(root: &Path, document: &Path) -> Vec<String> {
    let text = fs::read_to_string(root.join(document)).unwrap();
    let is_broken = |target: &String| {
        let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
        let file = match path {
            "" => root.join(document),
            path => root.join(document).parent().unwrap().join(path),
        };
        let has_anchor = || {
            anchors(&fs::read_to_string(&file).unwrap())
                .iter()
                .any(|a| a == anchor)
        };
        !file.exists() || (!anchor.is_empty() && !has_anchor())
    };
    let broken = links(&text).into_iter().filter(is_broken);
    broken
        .map(|target| format!("{}: {target}", document.display()))
        .collect()
}

#[test]
fn links_between_documents_lead_somewhere() {
    let root = checkout();
    let documents = files("md");
    assert!(documents.len() > 10, "{documents:?}");
    let broken: Vec<String> = documents
        .iter()
        .flat_map(|document| broken_links(&root, document))
        .collect();
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn links_and_headings_are_read_as_they_are_shown() {
    let document = "# A `b`: c, d\n[x](y.md#z), ![p](q.svg) `[no](no)` [web](https://e.org)\n```\n# no\n[no](no)\n```\n## A b c d\n";
    assert_eq!(links(document), ["y.md#z", "q.svg"]);
    assert_eq!(anchors(document), ["a-b-c-d", "a-b-c-d-1"]);
}

/// Documents that are read from the first line to the last, and the most words that they may have.
const WORDS_MAX: [(&str, usize); 2] = [("README.md", 1_500), ("ARCHITECTURE.md", 3_000)];
const GLOSSARY_TERMS_MAX: usize = 40;

#[test]
fn documents_that_everybody_reads_are_short() {
    for (document, words_max) in WORDS_MAX {
        let text = fs::read_to_string(checkout().join(document)).unwrap();
        let words = text.split_whitespace().count();
        assert!(
            words <= words_max,
            "{document} has {words} words, more than {words_max}"
        );
    }
    let map = fs::read_to_string(checkout().join("ARCHITECTURE.md")).unwrap();
    let (_, glossary) = map.split_once("\n## Glossary\n").expect("a glossary");
    let glossary = glossary.split("\n## ").next().unwrap();
    let terms = glossary
        .lines()
        .filter(|line| line.starts_with('|'))
        .skip(2)
        .count();
    assert!((10..=GLOSSARY_TERMS_MAX).contains(&terms), "{terms} terms");
}
