//! The structure of a crate as its sources state it: which file uses which,
//! and where these uses form cycles.

mod cycles;
mod resolve;
mod uses;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use resolve::{Module, Modules};

/// A source file that does not parse, or that a module declaration does not find.
#[derive(Debug)]
pub struct Unreadable(pub String);

/// The files of one crate and the uses between them. Code that only tests compile is left out.
#[derive(Debug, Default)]
pub struct Structure {
    /// By file (relative to the folder of sources): the files that it uses, with the names used.
    pub uses: BTreeMap<PathBuf, BTreeMap<PathBuf, BTreeSet<String>>>,
    /// Functions and methods: file, name, lines.
    pub functions: Vec<(PathBuf, String, usize)>,
}

impl Structure {
    /// Reads the crate whose root module is the file `root`, such as `src/lib.rs`.
    ///
    /// # Errors
    /// A file cannot be read or parsed.
    pub fn read(root: &Path) -> Result<Self, Unreadable> {
        let folder = root.parent().unwrap_or(Path::new("."));
        let mut sources = Vec::new();
        collect(root, folder, &[], &mut sources)?;
        let modules = Modules::new(sources.iter().map(|(module, file)| (module, file)));
        let mut structure = Self::default();
        for (module, file) in &sources {
            let found = uses::of_file(file);
            for (name, lines) in found.functions {
                structure.functions.push((module.file.clone(), name, lines));
            }
            for path in found.paths {
                let Some((target, name)) = modules.target(&module.path, &path) else {
                    continue;
                };
                if target != module.file {
                    let of_file = structure.uses.entry(module.file.clone()).or_default();
                    of_file.entry(target).or_default().insert(name);
                }
            }
        }
        Ok(structure)
    }

    /// The cycles: groups of files that use each other,
    /// and groups of modules beside each other whose files do.
    pub fn cycles(&self) -> Vec<String> {
        let files = cycles::between_files(&self.uses);
        files
            .into_iter()
            .chain(cycles::between_modules(&self.uses))
            .collect()
    }
}

/// Parses a module's file and those of the modules that it declares.
fn collect(
    path: &Path,
    folder: &Path,
    module: &[String],
    sources: &mut Vec<(Module, syn::File)>,
) -> Result<(), Unreadable> {
    let wrong = |error: &dyn std::fmt::Display| Unreadable(format!("{}: {error}", path.display()));
    let text = fs::read_to_string(path).map_err(|e| wrong(&e))?;
    let file = syn::parse_file(&text).map_err(|e| wrong(&e))?;
    let is_root = path
        .file_stem()
        .is_some_and(|stem| stem == "mod" || module.is_empty());
    let children = match is_root {
        true => path.parent().unwrap_or(folder).to_owned(),
        false => path.with_extension(""),
    };
    for (name, declared_path) in uses::declared_modules(&file) {
        let mut inner = module.to_vec();
        inner.push(name.clone());
        let candidates = match declared_path {
            Some(declared) => vec![path.parent().unwrap_or(folder).join(declared)],
            None => vec![
                children.join(format!("{name}.rs")),
                children.join(&name).join("mod.rs"),
            ],
        };
        let found = candidates.iter().find(|candidate| candidate.exists());
        let found = found.ok_or_else(|| wrong(&format_args!("module {name} has no file")))?;
        collect(found, folder, &inner, sources)?;
    }
    let module = Module {
        path: module.to_vec(),
        file: path.strip_prefix(folder).unwrap_or(path).to_owned(),
    };
    sources.push((module, file));
    Ok(())
}
