//! `EVALUATE MODEL m[@version] ON (SELECT input, label FROM ...)` and `EVALUATE TASK t ON (...)`.

use std::ops::Range;

use sqlparser::tokenizer::Token;

use super::{CatalogStatement, Parser};
use crate::Refusal;
use crate::ddl::{Evaluate, Evaluated};

impl Parser<'_> {
    /// After `EVALUATE`.
    pub(super) fn evaluate(&mut self) -> Result<CatalogStatement, Refusal> {
        let target = if self.accept("TASK") {
            Evaluated::Task(self.name("a task's name")?)
        } else if self.accept("MODEL") {
            self.evaluated_model()?
        } else {
            return Err(self.syntax("TASK or MODEL"));
        };
        self.expect("ON")?;
        let query = self.labelled_rows()?;
        Ok(CatalogStatement::Evaluate(Evaluate { target, query }))
    }

    /// `m`, `m VERSION 'v'`, or `m@v`, whose version may hold more than a word does.
    fn evaluated_model(&mut self) -> Result<Evaluated, Refusal> {
        let whole = self.unbroken();
        let text = self.lexed.text_of(&whole);
        if let Some((name, version)) = text.split_once('@')
            && !text.starts_with(['`', '"'])
        {
            if name.is_empty() || version.is_empty() {
                return Err(self.syntax("model@version"));
            }
            self.at = whole.end;
            return Ok(Evaluated::Model {
                name: name.to_owned(),
                version: Some(version.to_owned()),
            });
        }
        let name = self.name("a model's name")?;
        let version = self.version()?;
        Ok(Evaluated::Model { name, version })
    }

    /// The tokens from here on between which nothing stands.
    fn unbroken(&self) -> Range<usize> {
        let from = self.at;
        let rest = self.lexed.lexemes.get(from..).unwrap_or_default();
        let next = rest.iter().skip(1);
        let touching = rest.iter().zip(next);
        let more = touching
            .take_while(|(one, two)| one.range.end == two.range.start)
            .count();
        from..from + rest.len().min(1 + more)
    }

    /// The text of `( SELECT ... )` without its parentheses.
    fn labelled_rows(&mut self) -> Result<String, Refusal> {
        const EXPECTED: &str = "(SELECT input, label FROM ...)";
        let open = self.at;
        if self.lexed.token(open) != Some(&Token::LParen) {
            return Err(self.syntax(EXPECTED));
        }
        let end = self.lexed.after_closing(open);
        let end = end.ok_or_else(|| self.syntax("a closing ')'"))?;
        let inside = open + 1..end - 1;
        let is_query = ["SELECT", "WITH"]
            .iter()
            .any(|word| self.lexed.is_keyword(inside.start, word));
        let mut tokens = inside.clone().map(|at| self.lexed.token(at));
        if !is_query || tokens.any(|token| token == Some(&Token::SemiColon)) {
            self.at = inside.start;
            return Err(self.syntax(EXPECTED));
        }
        self.at = end;
        Ok(self.lexed.text_of(&inside).to_owned())
    }
}
