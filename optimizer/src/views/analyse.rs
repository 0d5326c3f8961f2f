//! Finds the views with predictions among a store's views.

use super::definition::{DEFINITIONS_BYTES_MAX, analyse};
use super::known::Views;
use super::source::ViewSource;
use crate::sql::fragment::quote_name;

impl Views {
    /// Finds those of `sources` that call functions of `schema`, directly or through other views.
    /// `fold_case`: the store compares table names case-insensitively.
    pub fn analyse(sources: &[ViewSource], schema: &str, fold_case: bool) -> Self {
        let mut views = Self {
            fold_case,
            ..Self::default()
        };
        let mut left = candidates(sources, schema);
        let mut bytes_left = DEFINITIONS_BYTES_MAX;
        // A view is analysed after all views it reads.
        while let Some(place) = left
            .iter()
            .position(|s| !left.iter().any(|other| s.is_over(other)))
        {
            let source = left.swap_remove(place);
            if let Some(view) = analyse(source, schema, &views, &mut bytes_left) {
                let key = views.key(&source.schema, &source.name);
                views.by_name.insert(key, view);
                views.find_names();
            }
        }
        views
    }
}

impl ViewSource {
    /// Whether its definition reads another view.
    fn is_over(&self, other: &Self) -> bool {
        let named = format!("{}.{}", quote_name(&other.schema), quote_name(&other.name));
        !std::ptr::eq(self, other) && self.definition.contains(&named)
    }
}

/// The views that mention functions of `schema`, and those that mention such views.
fn candidates<'s>(sources: &'s [ViewSource], schema: &str) -> Vec<&'s ViewSource> {
    let mark = format!("{}.`", quote_name(schema));
    let (mut found, mut others): (Vec<_>, Vec<_>) = sources
        .iter()
        .partition(|source| source.definition.contains(&mark));
    let mut looked_at = 0;
    while let Some(known) = found.get(looked_at).copied() {
        let (over, rest): (Vec<_>, Vec<_>) =
            others.into_iter().partition(|source| source.is_over(known));
        found.extend(over);
        others = rest;
        looked_at += 1;
    }
    found
}
