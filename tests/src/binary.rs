//! The `predictsql` binary under test: a command that runs it, and `predictsql init`.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::checkout;

/// Password of the service accounts.
pub(crate) const SERVICE_PASSWORD: &str = "it's a \\ secret";

/// A command that runs the binary under test, without settings from the environment.
///
/// # Panics
/// It was not built.
pub fn binary_command() -> Command {
    let binary = std::env::var_os("PREDICTSQL_BIN").map_or_else(built_binary, PathBuf::from);
    assert!(
        binary.exists(),
        "{} is missing: cargo build -p predictsql-proxy",
        binary.display()
    );
    let mut command = Command::new(binary);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PREDICTSQL_") {
            command.env_remove(name);
        }
    }
    command
}

/// Beside the test binary: `target/<profile>/deps/e2e-...` and `target/<profile>/predictsql`.
fn built_binary() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    own.parent()
        .and_then(Path::parent)
        .unwrap()
        .join("predictsql")
}

/// Runs `predictsql init` on the store at the URL `store`.
pub(crate) fn init(store: &str, schema: &str, service_user: &str) {
    let output = binary_command()
        .args(["init", "--store", store, "--schema", schema])
        .args(["--service-user", service_user])
        .env("PREDICTSQL_SERVICE_PASSWORD", SERVICE_PASSWORD)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "predictsql init: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// The ONNX Runtime library that the tests use.
pub(crate) fn ort_library() -> PathBuf {
    std::env::var_os("PREDICTSQL_ORT_LIB").map_or_else(
        || checkout().join(".cache/onnxruntime/libonnxruntime.so"),
        PathBuf::from,
    )
}
