//! Parses a query block with sqlparser: every stream plan requires this parse.

use std::ops::Range;

use sqlparser::ast::{SelectItem, SetExpr, Statement};
use sqlparser::parser::Parser;

use crate::refusal::Refusal;
use crate::sql::text::{Lexed, StoreDialect};
use crate::sql::{boolean, expression};

/// Maximum nesting depth of the parser.
const RECURSION_MAX: usize = 64;

/// The parsed shape of the block.
#[derive(Debug)]
pub(crate) struct Structure {
    /// One per element of the select list.
    pub(crate) items: Vec<ItemShape>,
    /// Whether the parser's AND, OR and NOT structure of WHERE agrees with the split by lexemes.
    pub(crate) is_condition_clear: bool,
}

#[derive(Debug)]
pub(crate) enum ItemShape {
    Wildcard,
    Expression,
    /// Its last lexeme is the alias.
    Aliased,
}

/// Parses the lexemes `body`, whose WHERE condition is `condition`; refuses anything but a single
/// SELECT block.
pub(crate) fn parse(
    lexed: &Lexed<'_>,
    body: Range<usize>,
    condition: &Range<usize>,
) -> Result<Structure, Refusal> {
    expression::check_length(lexed, body.clone())?;
    let dialect = StoreDialect::new(lexed.mode);
    let parsed = Parser::new(&dialect)
        .with_recursion_limit(RECURSION_MAX)
        .with_tokens_with_locations(lexed.parser_tokens(body))
        .parse_statements()
        .map_err(|e| {
            Refusal::unsupported(format_args!(
                "this syntax in a statement with predictions ({e})"
            ))
        })?;
    let [Statement::Query(query)] = parsed.as_slice() else {
        return Err(Refusal::unsupported(
            "predictions in this kind of statement",
        ));
    };
    let SetExpr::Select(select) = query.body.as_ref() else {
        return Err(Refusal::unsupported(
            "predictions in UNION, INTERSECT, EXCEPT or VALUES",
        ));
    };
    let items = select
        .projection
        .iter()
        .map(shape)
        .collect::<Result<_, _>>()?;
    let is_condition_clear = match &select.selection {
        Some(parsed) => boolean::is_parsed_so(lexed, condition, parsed),
        None => condition.is_empty(),
    };
    Ok(Structure {
        items,
        is_condition_clear,
    })
}

fn shape(item: &SelectItem) -> Result<ItemShape, Refusal> {
    match item {
        SelectItem::UnnamedExpr(_) => Ok(ItemShape::Expression),
        SelectItem::ExprWithAlias { .. } => Ok(ItemShape::Aliased),
        SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..) => Ok(ItemShape::Wildcard),
        SelectItem::ExprWithAliases { .. } => {
            Err(Refusal::unsupported("several aliases of one column"))
        }
    }
}
