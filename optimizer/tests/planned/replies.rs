//! Recorded replies of the store: a file of one line a question,
//! whose reply is the same whichever statement asks.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use predictsql_optimizer::exchange::{Column, Layout, Method, Question, Reply, Rows, StoreRefusal};
use serde_json::{Value, json};

/// Replies by the keys of their questions.
#[derive(Debug, Default, PartialEq)]
pub struct Replies(BTreeMap<String, Value>);

/// Where they are kept.
pub fn path(optimizer: &Path) -> PathBuf {
    optimizer.join("tests/planned/replies.json")
}

impl Replies {
    /// Reads what was recorded.
    pub fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).unwrap_or_else(|_| "{}".to_owned());
        let Ok(Value::Object(replies)) = serde_json::from_str(&text) else {
            panic!("{} holds no object of JSON", path.display());
        };
        Self(replies.into_iter().collect())
    }

    /// All as text, one a line.
    pub fn text(&self) -> String {
        let line = |(key, reply): (&String, &Value)| format!("{}: {reply}", json!(key));
        let lines: Vec<String> = self.0.iter().map(line).collect();
        format!("{{\n{}\n}}\n", lines.join(",\n"))
    }

    /// Keeps a reply.
    pub fn record(&mut self, key: &str, reply: &Reply) {
        self.0.insert(key.to_owned(), encode(reply));
    }

    /// The keys of all.
    pub fn keys(&self) -> impl Iterator<Item = &String> {
        self.0.keys()
    }

    /// The reply to a question, if it was recorded.
    pub fn reply(&self, key: &str) -> Option<Reply> {
        self.0.get(key).map(decode)
    }
}

/// By which a question's reply is kept: its session, what is bound, and itself.
pub fn key(session: &str, question: &Question) -> String {
    let method = match question.method {
        Method::Describe => "describe",
        Method::Query => "query",
        Method::Execute => "execute",
    };
    let bound = match question.text.parameters.is_empty() || method == "describe" {
        true => String::new(),
        false => format!(" {:?}", question.text.parameters),
    };
    format!("{session}{method}{bound} {}", question.text.sql)
}

fn encode(reply: &Reply) -> Value {
    let column = |c: &Column| {
        let layout = match c.layout {
            Layout::Fixed(bytes) => json!(bytes),
            Layout::Short => json!("short"),
            Layout::String => json!("string"),
            Layout::Null => json!("null"),
        };
        json!([c.name, layout, c.is_string, c.is_binary, c.length])
    };
    let columns = |columns: &[Column]| columns.iter().map(column).collect::<Vec<_>>();
    let value = |value: &Option<Vec<u8>>| match value {
        None => Value::Null,
        Some(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => json!(text),
            Err(_) => json!(bytes),
        },
    };
    match reply {
        Reply::Described(described) => json!({"described": columns(described)}),
        Reply::Rows(rows) => {
            let values = rows.rows.iter();
            let values = values.map(|row| row.iter().map(value).collect::<Vec<_>>());
            json!({"columns": columns(&rows.columns), "rows": values.collect::<Vec<_>>()})
        }
        Reply::Refused(refusal) => {
            let sqlstate = String::from_utf8_lossy(&refusal.sqlstate);
            json!({"refused": [refusal.code, sqlstate, refusal.text()]})
        }
    }
}

fn decode(reply: &Value) -> Reply {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let number = |value: &Value| value.as_u64().unwrap_or_default();
    let column = |c: &Value| Column {
        name: text(&c[0]),
        layout: match c[1].as_str() {
            Some("short") => Layout::Short,
            Some("string") => Layout::String,
            Some("null") => Layout::Null,
            _ => Layout::Fixed(number(&c[1]) as usize),
        },
        is_string: c[2] == json!(true),
        is_binary: c[3] == json!(true),
        length: number(&c[4]) as u32,
    };
    let all = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let columns = |value: &Value| all(value).iter().map(column).collect();
    let value = |value: &Value| match value {
        Value::Null => None,
        Value::Array(bytes) => Some(bytes.iter().map(|b| number(b) as u8).collect()),
        other => Some(text(other).into_bytes()),
    };
    if !reply["refused"].is_null() {
        let refused = &reply["refused"];
        let mut sqlstate = *b"HY000";
        sqlstate.copy_from_slice(text(&refused[1]).as_bytes());
        return Reply::Refused(StoreRefusal {
            code: number(&refused[0]) as u16,
            sqlstate,
            message: text(&refused[2]).into_bytes(),
        });
    }
    if !reply["described"].is_null() {
        return Reply::Described(columns(&reply["described"]));
    }
    let rows = all(&reply["rows"]);
    Reply::Rows(Rows {
        columns: columns(&reply["columns"]),
        rows: rows
            .iter()
            .map(|row| all(row).iter().map(value).collect())
            .collect(),
    })
}
