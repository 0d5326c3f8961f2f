//! What one file uses: the paths that its code names, without what only tests compile.

use proc_macro2::{TokenStream, TokenTree};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

/// What a file's code holds.
#[derive(Debug, Default)]
pub struct Found {
    /// Paths that begin at the crate, the module itself, a parent, or any other name; in modules
    /// inside the file with one `super` less a level.
    pub paths: Vec<Vec<String>>,
    /// Functions and their lines.
    pub functions: Vec<(String, usize)>,
}

/// The modules that a file declares and that have files of their own,
/// with the path that an attribute gives.
pub fn declared_modules(file: &syn::File) -> Vec<(String, Option<String>)> {
    let declared = file.items.iter().filter_map(|item| match item {
        syn::Item::Mod(module) if module.content.is_none() && !only_tests(&module.attrs) => {
            Some((module.ident.to_string(), path_attribute(&module.attrs)))
        }
        _ => None,
    });
    declared.collect()
}

fn path_attribute(attributes: &[syn::Attribute]) -> Option<String> {
    attributes.iter().find_map(|attribute| {
        let syn::Meta::NameValue(pair) = &attribute.meta else {
            return None;
        };
        match (&pair.value, pair.path.is_ident("path")) {
            (
                syn::Expr::Lit(syn::ExprLit {
                    lit: syn::Lit::Str(path),
                    ..
                }),
                true,
            ) => Some(path.value()),
            _ => None,
        }
    })
}

/// Whether an item is compiled for tests or fuzzing only.
fn only_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let syn::Meta::List(list) = &attribute.meta else {
            return attribute.path().is_ident("test");
        };
        let condition = list.tokens.to_string();
        list.path.is_ident("cfg")
            && (condition == "test"
                || condition.starts_with("any (test")
                || condition.starts_with("any(test"))
    })
}

/// Finds the paths and functions of a file.
pub fn of_file(file: &syn::File) -> Found {
    let mut finder = Finder::default();
    finder.visit_file(file);
    finder.found
}

#[derive(Default)]
struct Finder {
    found: Found,
    /// Modules inside the file that enclose the place.
    inside: usize,
}

impl Finder {
    fn add(&mut self, mut path: Vec<String>) {
        for _ in 0..self.inside {
            match path.first().map(String::as_str) {
                Some("super") => {
                    path.remove(0);
                    if !matches!(path.first().map(String::as_str), Some("super" | "crate")) {
                        path.insert(0, "self".to_owned());
                    }
                }
                _ => break,
            }
        }
        self.found.paths.push(path);
    }

    fn tree(&mut self, prefix: &[String], tree: &syn::UseTree) {
        let with = |name: String| {
            let mut path = prefix.to_vec();
            if name != "self" || path.is_empty() {
                path.push(name);
            }
            path
        };
        match tree {
            syn::UseTree::Path(path) => self.tree(&with(path.ident.to_string()), &path.tree),
            syn::UseTree::Name(name) => self.add(with(name.ident.to_string())),
            syn::UseTree::Rename(renamed) => self.add(with(renamed.ident.to_string())),
            syn::UseTree::Glob(_) => self.add(with("*".to_owned())),
            syn::UseTree::Group(group) => {
                group.items.iter().for_each(|item| self.tree(prefix, item));
            }
        }
    }

    /// Paths in the arguments of a macro, which are not parsed.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        let mut paths = Vec::new();
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => {
                    if colons != 2 {
                        paths.push(std::mem::take(&mut path));
                    }
                    path.push(ident.to_string());
                    colons = 0;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' && !path.is_empty() => {
                    colons += 1
                }
                TokenTree::Group(group) => {
                    paths.push(std::mem::take(&mut path));
                    self.tokens(group.stream());
                }
                _ => paths.push(std::mem::take(&mut path)),
            }
        }
        paths.push(path);
        let several = paths.into_iter().filter(|path| path.len() > 1);
        several.for_each(|path| self.add(path));
    }

    fn function(&mut self, name: &syn::Ident, whole: proc_macro2::Span) {
        let lines = whole.end().line + 1 - whole.start().line;
        self.found.functions.push((name.to_string(), lines));
    }
}

impl<'ast> Visit<'ast> for Finder {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        let attributes = match item {
            syn::Item::Fn(item) => &item.attrs,
            syn::Item::Impl(item) => &item.attrs,
            syn::Item::Mod(item) => &item.attrs,
            syn::Item::Use(item) => &item.attrs,
            syn::Item::Struct(item) => &item.attrs,
            syn::Item::Const(item) => &item.attrs,
            _ => {
                visit::visit_item(self, item);
                return;
            }
        };
        if !only_tests(attributes) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        self.inside += usize::from(module.content.is_some());
        visit::visit_item_mod(self, module);
        self.inside -= usize::from(module.content.is_some());
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        // A name that is passed on is not used here.
        if matches!(item.vis, syn::Visibility::Inherited) {
            self.tree(&[], &item.tree);
        }
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.function(&item.sig.ident, item.span());
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        if !only_tests(&item.attrs) {
            self.function(&item.sig.ident, item.span());
            visit::visit_impl_item_fn(self, item);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Vec<String> = path.segments.iter().map(|s| s.ident.to_string()).collect();
        if names.len() > 1 {
            self.add(names);
        }
        visit::visit_path(self, path);
    }

    /// `pub(in path)` names a module and uses nothing of it.
    fn visit_visibility(&mut self, _visibility: &'ast syn::Visibility) {}

    fn visit_macro(&mut self, invocation: &'ast syn::Macro) {
        self.tokens(invocation.tokens.clone());
    }
}
