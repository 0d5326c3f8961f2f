//! Lookups that replace a statement's predict calls.

use predictsql_optimizer::materialise::{Lookup, Members};
use predictsql_optimizer::plan::Relate;

use crate::lane::plans::materialise::relation::Relation;
use crate::lane::plans::ready::Materialisation;

/// The lookup for the calls of each harvest.
pub fn lookups(
    plan: &Materialisation<'_, '_, '_>,
    relations: &[Relation<'_>],
    members: &[Option<Members>],
) -> Vec<Lookup> {
    let lookup = |(number, relate): (usize, &&Relate)| {
        let relation = relations.get(relate.relation).map(Relation::source);
        Lookup {
            missing_is_none: false,
            members: members.get(number).cloned().flatten(),
            ..relate.lookup(relation.unwrap_or_default())
        }
    };
    plan.relates.iter().enumerate().map(lookup).collect()
}
