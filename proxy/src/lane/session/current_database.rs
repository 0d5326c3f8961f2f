//! Sessions whose current database is the catalog's schema: calls may be unqualified there.

use predictsql_optimizer::bare::{bare_calls, has_bare_call, is_generic, may_call_bare, may_use};

use crate::lane::session::lane::Lane;
use crate::lane::session::settings::SessionSettings;
use crate::lane::store::bounds::is_interruption;
use crate::lane::store::error::LinkError;
use crate::lane::turn::Turn;
use crate::wire::command;

/// ER_WRONG_PARAMETERS_TO_STORED_FCT: the store's parser returns it for any stored function
/// called with a named parameter.
const IS_STORED_FUNCTION: u16 = 1584;

impl Lane {
    /// Sets `may_be_in_schema` if a command may make the schema the current database. The flag is
    /// never cleared when another database is chosen: the code that meets an unqualified call asks
    /// the store for the current database.
    pub(in crate::lane) fn note_database(&mut self, command: u8, body: &[u8]) {
        let schema = self.context.schema.as_str();
        let is_named = |name: &[u8]| name.eq_ignore_ascii_case(schema.as_bytes());
        let may_choose = match command {
            command::QUERY | command::STMT_PREPARE => {
                !self.may_be_in_schema && may_use(body, schema)
            }
            command::INIT_DB => is_named(body),
            // The body holds user, password, database and attributes.
            command::CHANGE_USER => body.windows(schema.len()).any(is_named),
            _ => false,
        };
        self.may_be_in_schema |= may_choose;
    }

    /// Whether a text may contain an unqualified call to a function of the schema; looks inside
    /// string literals too.
    pub(in crate::lane) fn may_hold_bare_call(&self, body: &[u8]) -> bool {
        let account = &self.context.account;
        self.may_be_in_schema && may_call_bare(body, |name| account.may_be_function(name))
    }

    /// Whether a text may contain an unqualified call to a function of the schema, outside string
    /// literals.
    pub(in crate::lane) fn may_call_bare(&self, body: &[u8]) -> bool {
        let account = &self.context.account;
        self.may_hold_bare_call(body)
            && has_bare_call(&String::from_utf8_lossy(body), |name| {
                account.may_be_function(name)
            })
    }

    /// Finds which unqualified calls resolve to functions of the schema. Built-in functions of the
    /// store take precedence.
    pub(in crate::lane) async fn find_bare_calls(
        &self,
        turn: &mut Turn<'_>,
        settings: &mut SessionSettings,
        text: &str,
    ) -> Result<(), LinkError> {
        if !settings.meaning.is_in(self.context.schema.as_str()) {
            return Ok(());
        }
        let Ok(catalog) = self.context.account.snapshot().await else {
            return Ok(()); // a qualified call reports this error
        };
        let is_function = |name: &str| is_generic(name) || catalog.task(name).is_some();
        for call in bare_calls(text, settings.lex, is_function) {
            let named_parameter = format!("SELECT {}1 AS x)", call.head);
            match turn.store.describe(&named_parameter).await {
                Err(LinkError::Refused(error)) if error.code == IS_STORED_FUNCTION => {
                    settings.bare.0.insert(call.name);
                }
                Err(LinkError::Refused(error)) if !is_interruption(error.code) => {}
                Ok(_) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
