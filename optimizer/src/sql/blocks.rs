//! Splits a statement of any kind into its query blocks, by tokens alone, so that syntax unknown
//! to the parser is supported. A wrong split costs a refusal or a retry, never a wrong result,
//! since rows missing from a harvest cannot change the result of the statement itself.

use std::ops::Range;

use sqlparser::tokenizer::Token;

use super::text::Lexed;

/// A query block, or an UPDATE or DELETE, as lexeme ranges. An absent clause is an empty range.
#[derive(Debug, Clone, Default)]
pub(crate) struct Block {
    /// From its first word to its end.
    pub(crate) range: Range<usize>,
    /// The enclosing block.
    pub(crate) parent: Option<usize>,
    /// The select list; empty for UPDATE and DELETE.
    pub(crate) items: Range<usize>,
    /// The table references, without the word FROM.
    pub(crate) from: Range<usize>,
    /// The condition after WHERE.
    pub(crate) condition: Range<usize>,
    /// `GROUP BY ...`, the words included.
    pub(crate) group: Range<usize>,
    /// The lexemes after LIMIT.
    pub(crate) limit: Range<usize>,
    /// Common table expressions visible here, in order.
    pub(crate) ctes: Vec<usize>,
}

/// An element of a WITH clause.
#[derive(Debug, Clone)]
pub(crate) struct Cte {
    /// From its name to the parenthesis after its query.
    pub(crate) range: Range<usize>,
    /// Whether its WITH is RECURSIVE.
    pub(crate) recursive: bool,
}

/// The blocks of a statement, ordered by their first lexemes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Blocks {
    pub(crate) blocks: Vec<Block>,
    pub(crate) ctes: Vec<Cte>,
}

impl Blocks {
    /// Splits the lexemes `body`.
    pub(crate) fn cut(lexed: &Lexed<'_>, body: Range<usize>) -> Self {
        let mut scanner = Scanner {
            lexed,
            found: Self::default(),
            levels: vec![Level::default()],
            end: body.end,
        };
        if lexed.is_keyword(body.start, "UPDATE") || lexed.is_keyword(body.start, "DELETE") {
            scanner.open(body.start);
        }
        for at in body {
            scanner.step(at);
        }
        while let Some(level) = scanner.levels.pop() {
            scanner.close(level.block, &level.marks, scanner.end);
        }
        scanner.found
    }

    /// The innermost block around lexeme `at`.
    pub(crate) fn around(&self, at: usize) -> Option<usize> {
        let within = self.blocks.iter().enumerate();
        within
            .filter(|(_, b)| b.range.contains(&at))
            .min_by_key(|(_, b)| b.range.len())
            .map(|(i, _)| i)
    }

    /// The conditions after ON in a block's table references, except those in sub-queries.
    pub(crate) fn on_conditions(&self, lexed: &Lexed<'_>, block: &Block) -> Vec<Range<usize>> {
        let within = |at: usize| {
            let mut inner = self
                .blocks
                .iter()
                .filter(|b| b.range.start > block.range.start);
            inner.any(|b| b.range.end <= block.range.end && b.range.contains(&at))
        };
        let on = |at: &usize| {
            lexed.is_keyword(*at, "ON")
                && !lexed.is_keyword(*at + 1, "EMPTY")
                && !lexed.is_keyword(*at + 1, "ERROR")
                && !within(*at)
        };
        let conditions = block.from.clone().filter(on);
        conditions
            .map(|at| at + 1..condition_end(lexed, at + 1..block.from.end))
            .collect()
    }
}

/// The single tables of a join, without the join conditions.
pub(crate) fn factors(lexed: &Lexed<'_>, from: &Range<usize>) -> Vec<Range<usize>> {
    let mut factors = Vec::new();
    let mut start = Some(from.start);
    for at in lexed.outside_parentheses(from.clone()) {
        let comma = matches!(lexed.token(at), Some(Token::Comma));
        let condition = lexed.is_keyword(at, "ON") || lexed.is_keyword(at, "USING");
        if comma || condition || starts_join(lexed, at) {
            factors.extend(
                start
                    .take()
                    .map(|start| start..at)
                    .filter(|f| !f.is_empty()),
            );
        }
        let joins = ["JOIN", "STRAIGHT_JOIN"]
            .iter()
            .any(|w| lexed.is_keyword(at, w));
        if comma || joins {
            start = Some(at + 1);
        }
    }
    factors.extend(start.map(|start| start..from.end).filter(|f| !f.is_empty()));
    factors
}

/// End of the ORDER BY of a block with HAVING; `None` if it may sort a union.
pub(crate) fn end_of_order_after_having(lexed: &Lexed<'_>, block: &Block) -> Option<usize> {
    let is = |at: usize, words: &[&str]| words.iter().any(|w| lexed.is_keyword(at, w));
    let joined = ["UNION", "EXCEPT", "INTERSECT", "ALL", "DISTINCT"];
    if block.range.start > 0 && is(block.range.start - 1, &joined) {
        return None;
    }
    let mut clauses = lexed.outside_parentheses(block.range.clone());
    clauses.find(|at| is(*at, &["HAVING"]))?;
    let order = clauses.find(|at| is(*at, &["ORDER"]) && is(*at + 1, &["BY"]))?;
    let after = [
        "LIMIT",
        "OFFSET",
        "FETCH",
        "FOR",
        "LOCK",
        "INTO",
        "PROCEDURE",
    ];
    let mut rest = lexed.outside_parentheses(order..block.range.end);
    let end = rest.find(|at| is(*at, &after) || matches!(lexed.token(*at), Some(Token::SemiColon)));
    Some(end.unwrap_or(block.range.end))
}

/// End of an ON condition: before the next join, comma or closing parenthesis.
fn condition_end(lexed: &Lexed<'_>, range: Range<usize>) -> usize {
    let mut depth = 0_usize;
    for at in range.clone() {
        match lexed.token(at) {
            Some(Token::LParen) => depth += 1,
            Some(Token::RParen) if depth == 0 => return at,
            Some(Token::RParen) => depth -= 1,
            Some(Token::Comma) if depth == 0 => return at,
            _ if depth == 0 && starts_join(lexed, at) => return at,
            _ => {}
        }
    }
    range.end
}

fn starts_join(lexed: &Lexed<'_>, at: usize) -> bool {
    let is = |words: &[&str], at: usize| words.iter().any(|w| lexed.is_keyword(at, w));
    is(
        &["JOIN", "INNER", "CROSS", "STRAIGHT_JOIN", "NATURAL", "ON"],
        at,
    ) || (is(&["LEFT", "RIGHT"], at) && is(&["JOIN", "OUTER"], at + 1))
}

/// Keywords that start a clause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    From,
    Using,
    Set,
    Where,
    Group,
    Limit,
    /// Any other clause.
    Other,
}

/// A nesting level of parentheses.
#[derive(Debug, Default)]
struct Level {
    block: Option<usize>,
    parent: Option<usize>,
    marks: Vec<(usize, Mark)>,
    ctes: Vec<usize>,
    /// For a WITH clause parsed ahead: the opening parenthesis of each query, and the common table
    /// expressions visible in it.
    bodies: Vec<(usize, Vec<usize>)>,
}

struct Scanner<'l, 'a> {
    lexed: &'l Lexed<'a>,
    found: Blocks,
    levels: Vec<Level>,
    end: usize,
}

impl Scanner<'_, '_> {
    fn step(&mut self, at: usize) {
        match self.lexed.token(at) {
            Some(Token::LParen) => self.enter(at),
            Some(Token::RParen) if self.levels.len() > 1 => {
                if let Some(level) = self.levels.pop() {
                    self.close(level.block, &level.marks, at);
                }
            }
            Some(Token::Word(_)) => self.word(at),
            _ => {}
        }
    }

    fn enter(&mut self, at: usize) {
        let Some(level) = self.levels.last() else {
            return;
        };
        let body = level.bodies.iter().find(|(open, _)| *open == at);
        let ctes = body.map_or(&level.ctes, |(_, visible)| visible).clone();
        let parent = level.block.or(level.parent);
        self.levels.push(Level {
            parent,
            ctes,
            ..Level::default()
        });
    }

    fn word(&mut self, at: usize) {
        let is = |word: &str| self.lexed.is_keyword(at, word);
        let next = |words: &[&str]| words.iter().any(|w| self.lexed.is_keyword(at + 1, w));
        let after_for = at > 0 && self.lexed.is_keyword(at - 1, "FOR");
        let opens_query = || {
            next(&["SELECT", "ALL", "DISTINCT", "WITH", "VALUES"])
                || matches!(self.lexed.token(at + 1), Some(Token::LParen))
        };
        let set_operation = is("UNION") || is("INTERSECT") || is("EXCEPT") || is("MINUS");
        let mark = match () {
            () if is("SELECT") => return self.open(at),
            () if is("WITH") && !next(&["ROLLUP"]) => return self.with(at),
            () if set_operation && opens_query() => return self.close_level(at),
            () if is("ON") && next(&["DUPLICATE"]) => return self.close_level(at),
            () if is("FROM") => Mark::From,
            () if is("USING") && !matches!(self.lexed.token(at + 1), Some(Token::LParen)) => {
                Mark::Using
            }
            () if is("SET") => Mark::Set,
            () if is("WHERE") => Mark::Where,
            () if is("GROUP") && next(&["BY"]) && !after_for => Mark::Group,
            () if is("LIMIT") => Mark::Limit,
            () if is("ORDER") && next(&["BY"]) && !after_for => Mark::Other,
            () if is("FOR") && next(&["UPDATE", "SHARE"]) => Mark::Other,
            () if is("LOCK") && next(&["IN"]) => Mark::Other,
            () if is("HAVING") || is("INTO") || is("PROCEDURE") || is("RETURNING") => Mark::Other,
            () if is("WINDOW") && self.lexed.is_keyword(at + 2, "AS") => Mark::Other,
            () if is("FETCH") && next(&["FIRST", "NEXT"]) => Mark::Other,
            () => return,
        };
        if let Some(level) = self.levels.last_mut()
            && level.block.is_some()
        {
            level.marks.push((at, mark));
        }
    }

    fn open(&mut self, at: usize) {
        self.close_level(at);
        let number = self.found.blocks.len();
        if let Some(level) = self.levels.last_mut() {
            self.found.blocks.push(Block {
                range: at..self.end,
                parent: level.parent,
                ctes: level.ctes.clone(),
                ..Block::default()
            });
            level.block = Some(number);
            level.marks.clear();
        }
    }

    fn close_level(&mut self, at: usize) {
        if let Some(level) = self.levels.last_mut() {
            let (block, marks) = (level.block.take(), std::mem::take(&mut level.marks));
            self.close(block, &marks, at);
        }
    }

    /// Ends a block before lexeme `end`, and finds its clauses.
    fn close(&mut self, block: Option<usize>, marks: &[(usize, Mark)], end: usize) {
        let lexed = self.lexed;
        let Some(block) = block.and_then(|b| self.found.blocks.get_mut(b)) else {
            return;
        };
        let clause = |wanted: Mark, skip: usize| {
            let place = marks.iter().position(|(_, mark)| *mark == wanted)?;
            let start = marks.get(place)?.0 + skip;
            Some(start..marks.get(place + 1).map_or(end, |m| m.0).max(start))
        };
        let first = marks.first().map_or(end, |m| m.0);
        let start = block.range.start;
        block.range.end = end;
        block.from = clause(Mark::From, 1).unwrap_or(end..end);
        if lexed.is_keyword(start, "UPDATE") {
            let modifiers = ["LOW_PRIORITY", "IGNORE"];
            let is_modifier = |at: &usize| modifiers.iter().any(|m| lexed.is_keyword(*at, m));
            let refs = (start + 1..first).find(|at| !is_modifier(at));
            block.from = refs.unwrap_or(first)..first;
        } else if lexed.is_keyword(start, "DELETE") {
            block.from = clause(Mark::Using, 1).unwrap_or(block.from.clone());
        } else {
            block.items = start + 1..first;
        }
        let absent = || end..end;
        block.condition = clause(Mark::Where, 1).unwrap_or_else(absent);
        block.group = clause(Mark::Group, 0).unwrap_or_else(absent);
        block.limit = clause(Mark::Limit, 1).unwrap_or_else(absent);
    }

    /// Parses a WITH clause ahead, so that its names are visible in its queries and after it.
    fn with(&mut self, at: usize) {
        let lexed = self.lexed;
        let recursive = lexed.is_keyword(at + 1, "RECURSIVE");
        let mut next = at + 1 + usize::from(recursive);
        let Some(level) = self.levels.last_mut() else {
            return;
        };
        if level.block.is_some() {
            return; // WITH ROLLUP, WITH CONSISTENT SNAPSHOT and the like
        }
        while let Some((open, end)) = element(lexed, next) {
            let number = self.found.ctes.len();
            let mut visible = level.ctes.clone();
            visible.extend(recursive.then_some(number));
            level.bodies.push((open, visible));
            level.ctes.push(number);
            self.found.ctes.push(Cte {
                range: next..end,
                recursive,
            });
            if !matches!(lexed.token(end), Some(Token::Comma)) {
                return;
            }
            next = end + 1;
        }
    }
}

/// Parses `name [(columns)] AS (query)` at `at`: the opening parenthesis of the query, and the
/// lexeme after its end.
fn element(lexed: &Lexed<'_>, at: usize) -> Option<(usize, usize)> {
    lexed.name(at)?;
    let mut next = at + 1;
    if matches!(lexed.token(next), Some(Token::LParen)) {
        next = lexed.after_closing(next)?;
    }
    let open = next + 1;
    if !lexed.is_keyword(next, "AS") || !matches!(lexed.token(open), Some(Token::LParen)) {
        return None;
    }
    Some((open, lexed.after_closing(open)?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::sql::text::LexMode;

    /// Each block as `from|condition|group|limit`.
    fn cut(text: &str) -> Vec<String> {
        let lexed = Lexed::new(text, LexMode::default()).unwrap();
        let blocks = Blocks::cut(&lexed, 0..lexed.lexemes.len());
        let shown = |b: &Block| {
            let parts = [&b.from, &b.condition, &b.group, &b.limit];
            let parts: Vec<&str> = parts
                .iter()
                .map(|r| if r.is_empty() { "" } else { lexed.text_of(r) })
                .collect();
            parts.join("|")
        };
        blocks.blocks.iter().map(shown).collect()
    }

    #[test]
    fn clauses_of_a_select_are_found() {
        assert_eq!(
            cut(
                "SELECT EXTRACT(YEAR FROM d), COUNT(*) FROM p USE INDEX FOR ORDER BY (x) \
                 WHERE a > 1 GROUP BY 1 WITH ROLLUP HAVING b ORDER BY c LIMIT 3 FOR UPDATE"
            ),
            ["p USE INDEX FOR ORDER BY (x)|a > 1|GROUP BY 1 WITH ROLLUP|3"]
        );
        assert_eq!(cut("SELECT a INTO @v FROM p"), ["p|||"]);
    }

    #[test]
    fn set_operations_and_sub_queries_are_blocks() {
        assert_eq!(
            cut("SELECT a FROM p WHERE b IN (SELECT k FROM q WHERE k = p.a) UNION ALL SELECT 1"),
            [
                "p|b IN (SELECT k FROM q WHERE k = p.a)||",
                "q|k = p.a||",
                "|||"
            ]
        );
        assert_eq!(
            cut("(SELECT a FROM p LIMIT 1) EXCEPT (SELECT b FROM q)"),
            ["p|||1", "q|||"]
        );
    }

    #[test]
    fn changes_are_blocks_too() {
        assert_eq!(
            cut("UPDATE LOW_PRIORITY p JOIN q ON p.a = q.b SET p.c = 1 WHERE p.d LIMIT 2"),
            ["p JOIN q ON p.a = q.b|p.d||2"]
        );
        assert_eq!(cut("DELETE FROM p WHERE a"), ["p|a||"]);
        assert_eq!(
            cut("DELETE FROM a USING p AS a JOIN q USING (id) WHERE x"),
            ["p AS a JOIN q USING (id)|x||"]
        );
        assert_eq!(
            cut("INSERT INTO t SELECT a FROM p WHERE b ON DUPLICATE KEY UPDATE c = VALUES(c)"),
            ["p|b||"]
        );
        assert_eq!(cut("INSERT INTO t VALUES (1)"), Vec::<String>::new());
    }

    #[test]
    fn with_clauses_tell_what_can_be_named() {
        let text = "WITH a AS (SELECT 1 FROM p), b (x) AS (SELECT 2 FROM a) SELECT * FROM b";
        let lexed = Lexed::new(text, LexMode::default()).unwrap();
        let blocks = Blocks::cut(&lexed, 0..lexed.lexemes.len());
        let visible: Vec<&[usize]> = blocks.blocks.iter().map(|b| &b.ctes[..]).collect();
        assert_eq!(visible, [&[][..], &[0], &[0, 1]]);
        assert_eq!(
            lexed.text_of(&blocks.ctes[1].range),
            "b (x) AS (SELECT 2 FROM a)"
        );
    }

    #[test]
    fn conditions_of_joins_end_where_the_next_begins() {
        let text =
            "SELECT 1 FROM a LEFT JOIN b ON a.x = LEFT(b.y, 2) JOIN (c, d) ON c.z, e WHERE 1";
        let lexed = Lexed::new(text, LexMode::default()).unwrap();
        let blocks = Blocks::cut(&lexed, 0..lexed.lexemes.len());
        let on = blocks.on_conditions(&lexed, &blocks.blocks[0]);
        let on: Vec<&str> = on.iter().map(|r| lexed.text_of(r)).collect();
        assert_eq!(on, ["a.x = LEFT(b.y, 2)", "c.z"]);
        let factors = factors(&lexed, &blocks.blocks[0].from);
        let factors: Vec<&str> = factors.iter().map(|r| lexed.text_of(r)).collect();
        assert_eq!(factors, ["a", "b", "(c, d)", "e"]);
    }
}
