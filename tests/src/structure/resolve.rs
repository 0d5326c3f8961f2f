//! From a path in the code to the file that defines the item which it names.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// A module with a file of its own.
#[derive(Debug, Clone)]
pub struct Module {
    /// Names from the crate's root, which has none.
    pub path: Vec<String>,
    /// Relative to the folder of sources.
    pub file: PathBuf,
}

/// All modules of a crate.
#[derive(Debug)]
pub struct Modules {
    files: BTreeMap<Vec<String>, PathBuf>,
    /// By module and name: the path that a `use` of the module gives this name.
    imported: BTreeMap<(Vec<String>, String), Vec<String>>,
}

/// Imports that are followed from one name; more would be a cycle of imports.
const IMPORTS_FOLLOWED_MAX: usize = 16;

impl Modules {
    /// The modules with what they import.
    pub fn new<'s>(sources: impl Iterator<Item = (&'s Module, &'s syn::File)> + Clone) -> Self {
        let files = sources
            .clone()
            .map(|(m, _)| (m.path.clone(), m.file.clone()));
        let mut modules = Self {
            files: files.collect(),
            imported: BTreeMap::new(),
        };
        for (module, file) in sources {
            for item in &file.items {
                if let syn::Item::Use(item) = item {
                    modules.import(&module.path, &[], &item.tree);
                }
            }
        }
        modules
    }

    fn import(&mut self, module: &[String], prefix: &[String], tree: &syn::UseTree) {
        let mut name_as = |name: String, shown: String| {
            let mut path = prefix.to_vec();
            let shown = match (&*name, path.last()) {
                ("self", Some(last)) if shown == "self" => last.clone(),
                _ => shown,
            };
            if name != "self" {
                path.push(name);
            }
            self.imported.insert((module.to_vec(), shown), path);
        };
        match tree {
            syn::UseTree::Name(name) => name_as(name.ident.to_string(), name.ident.to_string()),
            syn::UseTree::Rename(to) => name_as(to.ident.to_string(), to.rename.to_string()),
            syn::UseTree::Path(path) => {
                let mut longer = prefix.to_vec();
                longer.push(path.ident.to_string());
                self.import(module, &longer, &path.tree);
            }
            // The names are not known; the use itself is one of the file's paths.
            syn::UseTree::Glob(_) => {}
            syn::UseTree::Group(group) => {
                for item in &group.items {
                    self.import(module, prefix, item);
                }
            }
        }
    }

    /// The file that defines what `path` names in module `from`, and the item's name; `None` for
    /// other crates' items, and for names that are not paths to modules of this crate.
    pub fn target(&self, from: &[String], path: &[String]) -> Option<(PathBuf, String)> {
        let (module, item) = self.find(from, path, 0)?;
        let file = self.files.get(&module)?.clone();
        Some((file, item.unwrap_or_else(|| "self".to_owned())))
    }

    /// The module in which the item is defined, and its name;
    /// no name where the path is that of the module.
    fn find(
        &self,
        from: &[String],
        path: &[String],
        depth: usize,
    ) -> Option<(Vec<String>, Option<String>)> {
        if depth > IMPORTS_FOLLOWED_MAX {
            return None;
        }
        let mut at = from.to_vec();
        let mut rest = path;
        match rest.first().map(String::as_str)? {
            "crate" => {
                at.clear();
                rest = rest.get(1..)?;
            }
            "self" => rest = rest.get(1..)?,
            "super" => {
                while rest.first().is_some_and(|name| name == "super") {
                    at.pop()?;
                    rest = rest.get(1..)?;
                }
            }
            // Another crate's, unless a module or an import here has that name.
            first if !self.has(&at, first) => return None,
            _ => {}
        }
        loop {
            let Some(name) = rest.first() else {
                return Some((at, None));
            };
            let mut inner = at.clone();
            inner.push(name.clone());
            if self.files.contains_key(&inner) {
                at = inner;
                rest = rest.get(1..)?;
                continue;
            }
            let place = (at.clone(), name.clone());
            if let Some(imported) = self.imported.get(&place) {
                let mut longer = imported.clone();
                longer.extend(rest.get(1..)?.iter().cloned());
                // What another crate defines and this module passes on is this module's.
                return self
                    .find(&at, &longer, depth + 1)
                    .or(Some((at, Some(name.clone()))));
            }
            return Some((at, Some(name.clone())));
        }
    }

    fn has(&self, module: &[String], name: &str) -> bool {
        let mut inner = module.to_vec();
        inner.push(name.to_owned());
        let place = (module.to_vec(), name.to_owned());
        self.files.contains_key(&inner) || self.imported.contains_key(&place)
    }
}
