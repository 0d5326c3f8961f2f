//! `ALTER TASK t SET option = value, ...` and `ALTER MODEL m [VERSION 'v'] SET accuracy = value`.

use predictsql_catalog::OptionValue;
use sqlparser::tokenizer::Token;

use super::{CatalogStatement, Parser};
use crate::Refusal;

impl Parser<'_> {
    /// After `ALTER`.
    pub(super) fn alter(&mut self) -> Result<CatalogStatement, Refusal> {
        if self.accept("TASK") {
            let name = self.name("a task's name")?;
            let options = self.settings()?;
            return Ok(CatalogStatement::AlterTask { name, options });
        }
        self.expect("MODEL")?;
        let name = self.name("a model's name")?;
        let version = self.version()?;
        let options = self.settings()?;
        Ok(CatalogStatement::AlterModel {
            name,
            version,
            options,
        })
    }

    /// `SET option = value, ...`
    fn settings(&mut self) -> Result<Vec<(String, OptionValue)>, Refusal> {
        self.expect("SET")?;
        let mut settings = Vec::new();
        loop {
            let setting = self.option(&settings)?;
            settings.push(setting);
            if !self.accept_token(&Token::Comma) {
                return Ok(settings);
            }
        }
    }
}
