//! Tests of the settings.
#![allow(clippy::unwrap_used)]

use super::args::DATA_DIR_DEFAULT;
use super::file::ConfigFile;
use super::*;
use crate::tls::{CertificateSource, StoreTlsMode, Verify};

fn resolve(toml: &str, args: &ServeArgs, variables: &[(&str, &str)]) -> Result<Config, String> {
    let file: ConfigFile = toml::from_str(toml).map_err(|error| error.to_string())?;
    Config::resolve(args, file, |wanted| {
        let found = variables.iter().find(|(name, _)| *name == wanted);
        found.map(|(_, value)| (*value).to_owned())
    })
    .map_err(|error| error.to_string())
}

fn error(toml: &str) -> String {
    resolve(toml, &ServeArgs::default(), &[]).err().unwrap()
}

#[test]
fn flags_win_over_the_file() {
    let toml = "listen = '127.0.0.1:1'\nembedded = '/data'\nschema = 'a'\nruntimes = 7\n[service]\nuser = 'x'";
    let args = ServeArgs {
        listen: Some("127.0.0.1:2".parse().unwrap()),
        store: Some("mysql://db:3306".parse().unwrap()),
        ..ServeArgs::default()
    };
    let config = resolve(toml, &args, &[("PREDICTSQL_SERVICE_PASSWORD", "p")]).unwrap();
    assert_eq!(config.listen.port(), 2);
    assert!(matches!(config.store, StoreConfig::External(_)));
    assert_eq!(config.schema.as_str(), "a");
    assert_eq!(config.runtimes, 7);
    let login = config.service.unwrap();
    assert_eq!(login.password.as_deref(), Some("p"));
    assert!(!format!("{login:?}").contains("\"p\""));
}

#[test]
fn unknown_keys_are_refused_by_name() {
    for toml in [
        "stroe = 'x'",
        "[lane]\nspool_bytes = 1",
        "[executor]\nthread = 1",
    ] {
        assert!(error(toml).contains("unknown field"), "{toml}");
    }
}

#[test]
fn one_store_is_needed() {
    assert!(error("").contains("--embedded"));
    assert!(error("store = 'mysql://a'\nembedded = 'b'").contains("exclude each other"));
    assert!(error("store = 'a:3306'").contains("mysql://HOST:PORT"));
}

#[test]
fn an_embedded_store_is_not_opened_to_the_network() {
    let toml = "embedded = 'x'\nlisten = '0.0.0.0:3307'";
    assert!(error(toml).contains("as root"));
    let password = [("PREDICTSQL_ROOT_PASSWORD", "s")];
    assert!(resolve(toml, &ServeArgs::default(), &password).is_ok());
    assert!(
        resolve(
            "embedded = 'x'\nlisten = '[::1]:3307'",
            &ServeArgs::default(),
            &[]
        )
        .is_ok()
    );
}

#[test]
fn tls_settings_that_cannot_work_are_refused() {
    for (toml, named) in [
        ("[tls]\ncertificate = 'c'", "tls.key"),
        ("[tls]\nkey = 'k'", "tls.certificate"),
        (
            "[tls]\ncertificate = 'c'\nkey = 'k'\nself_signed = true",
            "tls.self_signed",
        ),
        ("[tls]\nrequired = true", "tls.required"),
        ("[store_tls]\nverify = 'ca'", "store_tls.verify"),
        ("[store_tls]\nmode = 'required'", "embedded store"),
        ("[store_tls]\nmode = 'maybe'", "as_client"),
    ] {
        let error = error(&format!("embedded = 'x'\n{toml}"));
        assert!(error.contains(named), "{toml}: {error}");
    }
}

#[test]
fn a_certificate_named_by_flags_replaces_that_of_the_file() {
    let toml =
        "store = 'mysql://db'\n[tls]\nself_signed = true\nrequired = true\n[store_tls]\nca = 'a'";
    let mut args = ServeArgs::default();
    let config = resolve(toml, &args, &[]).unwrap();
    assert_eq!(config.tls.certificate, Some(CertificateSource::SelfSigned));
    assert_eq!(config.store_tls.verify(), Verify::Identity);
    args.tls.tls_certificate = Some("c".into());
    args.tls.tls_key = Some("k".into());
    args.store_tls.store_tls = Some(StoreTlsMode::Required);
    let config = resolve(toml, &args, &[]).unwrap();
    let (certificate, key) = ("c".into(), "k".into());
    assert_eq!(
        config.tls.certificate,
        Some(CertificateSource::Files { certificate, key })
    );
    assert!(config.tls.required);
    assert_eq!(config.store_tls.mode, StoreTlsMode::Required);
}

#[test]
fn no_external_server_is_allowed_unless_it_is_named() {
    let external = |toml: &str| {
        let toml = format!("embedded = 'x'\n{toml}");
        let config = resolve(&toml, &ServeArgs::default(), &[]).unwrap();
        config.executor.external
    };
    assert!(external("").external_oip_hosts.is_empty());
    let named = external(
        "[executor]\nexternal_oip_hosts = ['a:1', '[::1]:2']\nexternal_oip_request_seconds_max = 7\n\
         external_oip_metadata_seconds_max = 0",
    );
    assert_eq!(named.external_oip_hosts, ["a:1", "[::1]:2"]);
    assert_eq!(named.external_oip_request_seconds_max, 7);
    assert_eq!(named.external_oip_metadata_seconds_max, 0);
}

#[test]
fn limits_of_zero_are_refused() {
    for name in [
        "runtimes",
        "connections_max",
        "connect_timeout_ms",
        "login_seconds_max",
        "inspect_bytes_max",
    ] {
        assert!(error(&format!("embedded = 'x'\n{name} = 0")).contains(name));
    }
}

const EXAMPLE: &str = include_str!("../../../predictsql.toml");

/// `table.key` of every setting in the example (just `key` at the top level), commented out or
/// not.
fn keys_in_example() -> Vec<String> {
    let mut table = String::new();
    let mut keys = Vec::new();
    for line in EXAMPLE.lines() {
        if let Some(name) = line.strip_prefix('[') {
            table = format!("{}.", name.trim_end_matches(']'));
        }
        // Lines of text have a space after `#`.
        let setting = line.strip_prefix('#').unwrap_or(line);
        if let Some((key, _)) = setting.split_once(" = ")
            && key.chars().all(|c| c.is_ascii_lowercase() || c == '_')
        {
            keys.push(format!("{table}{key}"));
        }
    }
    keys
}

/// The valid keys of a table of the settings file, as listed in its parse error.
fn keys_understood(table: &str) -> Vec<String> {
    let toml = if table.is_empty() {
        "no_such_key = 1".to_owned()
    } else {
        format!("[{table}]\nno_such_key = 1")
    };
    let error = error(&toml);
    let (_, expected) = error.split_once("expected ").unwrap();
    let names = expected.split('`').skip(1).step_by(2);
    names.map(str::to_owned).collect()
}

#[test]
fn the_example_holds_every_setting() {
    let tables = [
        "tls",
        "store_tls",
        "service",
        "admin",
        "executor",
        "lane",
        "cache",
        "limits",
        "planner",
        "workers",
    ];
    let mut understood = Vec::new();
    for key in keys_understood("") {
        if tables.contains(&key.as_str()) {
            let inner = keys_understood(&key);
            understood.extend(inner.into_iter().map(|inner| format!("{key}.{inner}")));
        } else {
            understood.push(key);
        }
    }
    let mut shown = keys_in_example();
    understood.sort();
    shown.sort();
    assert!(understood.len() > 25, "{understood:?}");
    assert_eq!(shown, understood);
}

#[test]
fn the_example_is_the_defaults() {
    let data_dir = DATA_DIR_DEFAULT.into();
    let default = Config::new(StoreConfig::Embedded { data_dir });
    let example = resolve(EXAMPLE, &ServeArgs::default(), &[]).unwrap();
    assert_eq!(example.settings(), default.settings());
}

#[test]
fn what_the_example_comments_out_can_be_set() {
    let set: String = EXAMPLE
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(setting) if !setting.starts_with(' ') => setting,
            _ => line,
        })
        .filter(|line| !line.starts_with("embedded") && !line.starts_with("password_file"))
        .map(|line| format!("{line}\n"))
        .collect();
    let password = [("PREDICTSQL_ADMIN_PASSWORD", "p")];
    let config = resolve(&set, &ServeArgs::default(), &password).unwrap();
    assert_eq!(config.admin.listen, "127.0.0.1:6307".parse().unwrap());
    let mut shown: Vec<String> = config.settings().into_iter().map(|(key, _)| key).collect();
    // `password` is shown in place of `password_file`; the root password has no file.
    let mut expected: Vec<String> = keys_in_example()
        .iter()
        .map(|key| key.replace("password_file", "password"))
        .chain(["root_password".to_owned()])
        .collect();
    shown.sort();
    expected.sort();
    assert_eq!(shown, expected);
}

#[test]
fn what_is_shown_makes_the_same_configuration_again() {
    let toml = "embedded = '/data'\nruntimes = 7\nidle_seconds_max = 3\nslow_query_ms = 0\n\
                http = 'off'\n[tls]\ncertificate = 'c'\nkey = 'k'\n[store_tls]\nca = 'a'\n\
                [executor]\nimage_roots = ['/a', '/b']\nthreads = 3\n[limits]\n\
                inferences_max_by_user = { bi = 10, etl = 0 }\n[planner]\nprice_per_device_hour = 7.5";
    let config = resolve(toml, &ServeArgs::default(), &[]).unwrap();
    let again = Config::resolve(&ServeArgs::default(), config.as_typed(), |_| None);
    assert_eq!(again.unwrap().settings(), config.settings());
    let settings = config.settings();
    let shown = |key: &str| {
        let found = settings.iter().find(|(name, _)| name == key);
        found.unwrap().1.as_deref()
    };
    assert_eq!(shown("executor.image_roots"), Some("/a, /b"));
    assert_eq!(shown("executor.model_roots"), None);
    assert_eq!(
        shown("limits.inferences_max_by_user"),
        Some("bi = 10, etl = 0")
    );
    assert_eq!(shown("planner.price_per_device_hour"), Some("7.5"));
    assert_eq!(shown("store_tls.verify"), Some("identity"));
    assert_eq!(shown("tls.required"), Some("false"));
    assert_eq!((shown("http"), shown("store")), (Some("off"), None));
}

#[test]
fn settings_are_shown_without_passwords() {
    let toml = "store = 'mysql://db:1'\n[service]\nuser = 'u'";
    let passwords = [
        ("PREDICTSQL_SERVICE_PASSWORD", "hidden1"),
        ("PREDICTSQL_ROOT_PASSWORD", "hidden2"),
        ("PREDICTSQL_ADMIN_PASSWORD", "hidden3"),
    ];
    let config = resolve(toml, &ServeArgs::default(), &passwords).unwrap();
    let shown = format!("{:?}", config.settings());
    assert!(!shown.contains("hidden"), "{shown}");
    assert_eq!(shown.matches("(set)").count(), 3, "{shown}");
}

#[test]
fn the_admin_endpoint_is_on_where_somebody_can_log_in() {
    let toml = "embedded = 'x'";
    let password = [("PREDICTSQL_ADMIN_PASSWORD", "p")];
    let off = resolve(toml, &ServeArgs::default(), &[]).unwrap();
    assert_eq!(off.admin.listen, Endpoint::Off);
    let on = resolve(toml, &ServeArgs::default(), &password).unwrap();
    assert_eq!(on.admin.listen.to_string(), "127.0.0.1:6307");
    assert_eq!(on.admin.login.unwrap().user(), "admin");
    let args = ServeArgs {
        admin: Some("127.0.0.1:0".parse().unwrap()),
        http: Some("off".parse().unwrap()),
        ..ServeArgs::default()
    };
    let error = resolve(toml, &args, &[]).err().unwrap();
    assert!(error.contains("PREDICTSQL_ADMIN_PASSWORD"), "{error}");
    let named = resolve(toml, &args, &password).unwrap();
    assert_eq!(named.admin.listen, args.admin.unwrap());
    assert_eq!(named.http, Endpoint::Off);
}
