//! The settings as `SHOW CONFIG` lists them: names as in the settings file, and no passwords.

use super::{Config, StoreConfig};
use crate::tls::CertificateSource;
use clap::ValueEnum;
use std::path::PathBuf;

impl Config {
    /// Every setting with its value; `None` where there is none.
    #[must_use]
    pub fn settings(&self) -> Vec<(&'static str, Option<String>)> {
        let (store, embedded) = match &self.store {
            StoreConfig::External(address) => (Some(address.to_string()), None),
            StoreConfig::Embedded { data_dir } => (None, Some(data_dir.display().to_string())),
        };
        let (certificate, key, self_signed) = match &self.tls.certificate {
            Some(CertificateSource::Files { certificate, key }) => {
                let shown = |path: &PathBuf| Some(path.display().to_string());
                (shown(certificate), shown(key), false)
            }
            Some(CertificateSource::SelfSigned) => (None, None, true),
            None => (None, None, false),
        };
        let executor = &self.executor;
        let is_set = |set: bool| set.then(|| "(set)".to_owned());
        let mut settings = vec![
            ("listen", Some(self.listen.to_string())),
            ("http", Some(self.http.to_string())),
            ("store", store),
            ("embedded", embedded),
            ("schema", Some(self.schema.as_str().to_owned())),
            ("runtimes", number(self.runtimes)),
            ("connections_max", number(self.connections_max)),
            (
                "connect_timeout_ms",
                Some(self.connect_timeout.as_millis().to_string()),
            ),
            (
                "idle_seconds_max",
                number(self.idle_time_max.unwrap_or_default().as_secs()),
            ),
            (
                "stop_seconds_max",
                Some(self.stop_time_max.as_secs().to_string()),
            ),
            (
                "store_stop_seconds_max",
                Some(self.store_stop_time_max.as_secs().to_string()),
            ),
            ("inspect_bytes_max", number(self.inspect_bytes_max)),
            ("tls.certificate", certificate),
            ("tls.key", key),
            ("tls.self_signed", number(self_signed)),
            ("tls.required", number(self.tls.required)),
            ("store_tls.mode", name(self.store_tls.mode)),
            (
                "store_tls.ca",
                self.store_tls.ca.as_ref().map(|p| p.display().to_string()),
            ),
            ("store_tls.verify", name(self.store_tls.verify())),
            (
                "service.user",
                self.service.as_ref().map(|login| login.user.clone()),
            ),
            (
                "service.password",
                is_set(self.service.as_ref().is_some_and(|l| l.password.is_some())),
            ),
            ("root_password", is_set(self.root_password.is_some())),
            ("admin.listen", Some(self.admin.listen.to_string())),
            (
                "admin.user",
                self.admin.login.as_ref().map(|l| l.user().to_owned()),
            ),
            ("admin.password", is_set(self.admin.login.is_some())),
            (
                "admin.wrong_login_delay_seconds_max",
                number(self.admin.wrong_login_delay_max.as_secs()),
            ),
            (
                "executor.ort_library",
                executor
                    .ort_library
                    .as_ref()
                    .map(|p| p.display().to_string()),
            ),
            ("executor.image_roots", paths(&executor.image_roots)),
            ("executor.model_roots", paths(&executor.model_roots)),
            ("executor.threads", number(executor.threads)),
            ("executor.fetch_threads", number(executor.fetch_threads)),
            (
                "executor.fetched_bytes_max",
                number(executor.fetched_bytes_max),
            ),
            ("executor.model_bytes_max", number(executor.model_bytes_max)),
            (
                "executor.tensor_bytes_max",
                number(executor.tensor_bytes_max),
            ),
            (
                "executor.batch_images_max",
                number(executor.batch_images_max),
            ),
            (
                "executor.queue_chunks_max",
                number(executor.queue_chunks_max),
            ),
            (
                "executor.models_loaded_max",
                number(executor.models_loaded_max),
            ),
            (
                "executor.models_bytes_max",
                number(executor.models_bytes_max),
            ),
            (
                "executor.model_output_bytes_max",
                number(executor.model_output_bytes_max),
            ),
            ("executor.run_ms_max", number(executor.run_ms_max)),
        ];
        settings.extend(super::images::settings(executor));
        settings.extend(self.logins.settings());
        settings.extend(self.lane.settings());
        settings.extend(super::slow::settings(self.slow_log));
        settings.extend(self.cache.settings());
        settings.extend(self.limits.settings());
        settings.extend(self.planner.settings());
        settings
    }
}

fn number(value: impl ToString) -> Option<String> {
    Some(value.to_string())
}

/// As the settings file spells it.
fn name(value: impl ValueEnum) -> Option<String> {
    let value = value.to_possible_value()?;
    Some(value.get_name().to_owned())
}

fn paths(paths: &[PathBuf]) -> Option<String> {
    let shown: Vec<_> = paths
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    (!shown.is_empty()).then(|| shown.join(", "))
}
