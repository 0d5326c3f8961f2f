//! The views of a store that contain predictions, by name.

use std::collections::BTreeMap;

use aho_corasick::AhoCorasick;

use super::view::View;

/// The views of a store that contain predictions.
#[derive(Debug, Default)]
pub struct Views {
    /// Keyed by (schema, name).
    pub(super) by_name: BTreeMap<(String, String), View>,
    /// Whether table names compare case-insensitively.
    pub(super) fold_case: bool,
    pub(super) finder: Option<AhoCorasick>,
}

impl Views {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// Number of views.
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Whether a statement's text may name one of them; this check runs for every plain statement.
    pub fn may_name(&self, sql: &[u8]) -> bool {
        let Some(finder) = &self.finder else {
            return false;
        };
        let is_word = |byte: Option<&u8>| {
            byte.is_some_and(|b| {
                b.is_ascii_alphanumeric() || matches!(b, b'_' | b'$') || *b >= 0x80
            })
        };
        finder.find_overlapping_iter(sql).any(|found| {
            let before = found.start().checked_sub(1).and_then(|at| sql.get(at));
            !is_word(before) && !is_word(sql.get(found.end()))
        })
    }

    /// Whether a view of any schema has this name.
    pub(super) fn has_name(&self, name: &str) -> bool {
        let (_, name) = self.key("", name);
        self.by_name.keys().any(|(_, known)| *known == name)
    }

    /// Schema and name in comparable form.
    pub(super) fn key(&self, schema: &str, name: &str) -> (String, String) {
        match self.fold_case {
            true => (schema.to_lowercase(), name.to_lowercase()),
            false => (schema.to_owned(), name.to_owned()),
        }
    }

    /// The view of this name.
    pub(super) fn get(&self, schema: &str, name: &str) -> Option<&View> {
        self.by_name.get(&self.key(schema, name))
    }

    /// Rebuilds the name search of [`Self::may_name`].
    pub(super) fn find_names(&mut self) {
        let names = self.by_name.keys().map(|(_, name)| name);
        let quoted = names.map(|name| name.replace('`', "``"));
        // Names are few and short, so building cannot fail for size.
        self.finder = AhoCorasick::builder()
            .ascii_case_insensitive(self.fold_case)
            .build(quoted)
            .ok();
    }
}
