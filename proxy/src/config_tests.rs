//! Tests of the settings.
#![allow(clippy::unwrap_used)]

use super::*;

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
fn limits_of_zero_are_refused() {
    for name in [
        "runtimes",
        "connections_max",
        "connect_timeout_ms",
        "inspect_bytes_max",
    ] {
        assert!(error(&format!("embedded = 'x'\n{name} = 0")).contains(name));
    }
}
