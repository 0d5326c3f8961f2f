//! The settings as listed by `SHOW CONFIG`: those of the settings file with the values in force,
//! without passwords.

use super::checked::Config;
use super::file::ConfigFile;
use super::paths::shown_path;
use super::store::StoreConfig;
use super::{accounts, executor, tls};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use std::fmt;
use std::time::Duration;

impl Config {
    /// The equivalent settings file; passwords are replaced by whether they are set.
    pub(super) fn as_typed(&self) -> ConfigFile {
        let (store, embedded) = match &self.store {
            StoreConfig::External(address) => (Some(address.to_string()), None),
            StoreConfig::Embedded { data_dir } => (None, Some(shown_path(data_dir))),
        };
        let seconds = |time: Duration| Some(time.as_secs());
        let millis = |time: Duration| u64::try_from(time.as_millis()).ok();
        ConfigFile {
            listen: Some(self.listen),
            store,
            embedded,
            http: Some(self.http),
            schema: Some(self.schema.as_str().to_owned()),
            runtimes: Some(self.runtimes),
            connections_max: Some(self.connections_max),
            connect_timeout_ms: millis(self.connect_timeout),
            login_seconds_max: seconds(self.logins.login_time_max),
            logins_max_by_address: Some(self.logins.logins_max_by_address),
            command_stall_seconds_max: seconds(self.logins.command_stall_time_max),
            idle_seconds_max: seconds(self.idle_time_max.unwrap_or_default()),
            stop_seconds_max: seconds(self.stop_time_max),
            store_stop_seconds_max: seconds(self.store_stop_time_max),
            inspect_bytes_max: Some(self.inspect_bytes_max),
            inspect_memory_bytes_max: Some(self.inspect_memory_bytes_max),
            inspect_disk_bytes_max: Some(self.inspect_disk_bytes_max),
            slow_query_ms: millis(self.slow_log.threshold.unwrap_or_default()),
            slow_query_literals: Some(self.slow_log.literals),
            root_password: self.root_password.as_ref().map(|_| ()),
            tls: self.tls.as_typed(),
            store_tls: tls::store_as_typed(&self.store_tls),
            service: accounts::service_as_typed(self.service.as_ref()),
            admin: self.admin.as_typed(),
            executor: executor::as_typed(&self.executor),
            lane: self.lane.as_typed(),
            cache: self.cache.as_typed(),
            limits: self.limits.as_typed(),
            planner: self.planner.as_typed(),
            workers: self.workers.as_typed(),
        }
    }

    /// Every setting with its value; `None` if it has none. Names are those of the settings file,
    /// except that `password` replaces `password_file`.
    #[must_use]
    pub fn settings(&self) -> Vec<(String, Option<String>)> {
        let typed = serde_json::to_string(&self.as_typed());
        let shown = typed.and_then(|text| serde_json::from_str(&text));
        let Ok(Shown::Table(all)) = shown else {
            return Vec::new();
        };
        let mut settings = Vec::new();
        for (name, value) in all {
            match value {
                Shown::Table(table) => {
                    let of_table = table.into_iter();
                    settings.extend(of_table.map(|(key, v)| (format!("{name}.{key}"), v.text())));
                }
                value => settings.push((name, value.text())),
            }
        }
        settings
    }
}

/// A value to display; tables keep the order of their keys.
enum Shown {
    Nothing,
    Value(String),
    List(Vec<Shown>),
    Table(Vec<(String, Shown)>),
}

impl Shown {
    /// As one line; none for empty values.
    fn text(self) -> Option<String> {
        let joined = |parts: Vec<String>| (!parts.is_empty()).then(|| parts.join(", "));
        match self {
            Self::Nothing => None,
            Self::Value(text) => Some(text),
            Self::List(values) => joined(values.into_iter().filter_map(Self::text).collect()),
            Self::Table(values) => joined(
                values
                    .into_iter()
                    .map(|(key, value)| format!("{key} = {}", value.text().unwrap_or_default()))
                    .collect(),
            ),
        }
    }
}

impl<'de> Deserialize<'de> for Shown {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ShownVisitor)
    }
}

struct ShownVisitor;

impl<'de> Visitor<'de> for ShownVisitor {
    type Value = Shown;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value of a setting")
    }

    fn visit_unit<E>(self) -> Result<Shown, E> {
        Ok(Shown::Nothing)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Shown, E> {
        Ok(Shown::Value(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Shown, E> {
        Ok(Shown::Value(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Shown, E> {
        Ok(Shown::Value(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Shown, E> {
        Ok(Shown::Value(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Shown, A::Error> {
        let mut list = Vec::new();
        while let Some(value) = values.next_element()? {
            list.push(value);
        }
        Ok(Shown::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut values: A) -> Result<Shown, A::Error> {
        let mut table = Vec::new();
        while let Some(entry) = values.next_entry()? {
            table.push(entry);
        }
        Ok(Shown::Table(table))
    }
}
