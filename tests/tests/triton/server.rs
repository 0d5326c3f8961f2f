//! A Triton inference server of `.cache/triton` on a free loopback port, with models of
//! `tests/triton/`.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use predictsql_tests::eventually;
use predictsql_tests::process::{Process, checkout, new_dir};

/// How long a server may take to stop in order before it is killed.
const STOP_PATIENCE: Duration = Duration::from_secs(40);
/// What a server logs once clients may come.
const STARTED: &str = "Started GRPCInferenceService";

/// A running server. It is stopped when dropped.
pub struct Triton {
    address: SocketAddr,
    dir: PathBuf,
    process: Process,
}

/// A model of a server's repository.
pub struct Served {
    name: String,
    config: String,
    /// Files of its only version.
    files: Vec<(&'static str, PathBuf)>,
}

/// The models of `tests/triton/`.
pub mod models {
    use predictsql_tests::apparel;

    use super::{Served, script};

    fn served(name: &str, batch_max: u32, inputs: &str, output: &str, file: &str) -> Served {
        Served {
            name: name.to_owned(),
            config: format!(
                "backend: \"python\"\nmax_batch_size: {batch_max}\ninput [ {inputs} ]\noutput [ {output} ]\n\
                 instance_group [ {{ kind: KIND_CPU }} ]\n"
            ),
            files: vec![("model.py", script(file))],
        }
    }

    /// An ONNX file of the zoo over grey images of 28 x 28 pixels, with ten classes.
    pub fn onnx(name: &str, file: &str) -> Served {
        let input = "{ name: \"image\", data_type: TYPE_FP32, dims: [ 1, 28, 28 ] }";
        let output = "{ name: \"logits\", data_type: TYPE_FP32, dims: [ 10 ] }";
        let mut served = served(name, 8, input, output, "onnx.py");
        let file = apparel::model_root().join(file);
        served.files.push(("model.onnx", file));
        served
    }

    /// Means of channels of images of 8 x 8 pixels of this type.
    pub fn colour(name: &str, datatype: &str, batch_max: u32) -> Served {
        let of_output = if datatype == "FP16" { "FP16" } else { "FP32" };
        let input =
            format!("{{ name: \"pixels\", data_type: TYPE_{datatype}, dims: [ 3, 8, 8 ] }}");
        let output = format!("{{ name: \"logits\", data_type: TYPE_{of_output}, dims: [ 3 ] }}");
        served(name, batch_max, &input, &output, "colour.py")
    }

    /// A regression over columns.
    pub fn sums(name: &str) -> Served {
        let column = |name: &str, datatype: &str| {
            format!("{{ name: \"{name}\", data_type: TYPE_{datatype}, dims: [ 1 ] }}")
        };
        let inputs = [
            column("price", "FP64"),
            column("pieces", "INT64"),
            column("name", "STRING"),
        ];
        served(
            name,
            64,
            &inputs.join(", "),
            &column("value", "FP64"),
            "sums.py",
        )
    }
}

fn script(file: &str) -> PathBuf {
    checkout().join("tests/triton").join(file)
}

impl Triton {
    /// Starts a server with these models.
    pub fn start(models: &[Served]) -> Self {
        let dir = new_dir("triton");
        for model in models {
            let folder = dir.join("models").join(&model.name);
            fs::create_dir_all(folder.join("1")).unwrap();
            fs::write(folder.join("config.pbtxt"), &model.config).unwrap();
            for (name, file) in &model.files {
                fs::copy(file, folder.join("1").join(name)).unwrap();
            }
        }
        // Triton does not choose a port itself.
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let process = spawn(address, &dir);
        Self {
            address,
            dir,
            process,
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URI of a model as a literal of SQL.
    pub fn literal(&self, model: &str) -> String {
        format!("'external-oip://{}/{model}'", self.address)
    }

    /// Stops it.
    pub fn stop(&mut self) {
        self.process.terminate(STOP_PATIENCE);
    }

    /// Starts it again at its address, after a stop.
    pub fn restart(&mut self) {
        self.process = spawn(self.address, &self.dir);
    }
}

impl Drop for Triton {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The folder of the server's Python environment.
fn environment() -> PathBuf {
    let given = std::env::var_os("PREDICTSQL_TEST_TRITON").map(PathBuf::from);
    let folder = given.unwrap_or_else(|| checkout().join(".cache/triton"));
    let is_there = folder.join("bin/python").exists();
    assert!(
        is_there,
        "{} is missing: make test-triton",
        folder.display()
    );
    folder
}

/// What its Python says of its folders: packages, and the interpreter's library.
fn python_folders(environment: &Path) -> (PathBuf, String) {
    let asked =
        "import sysconfig as s; print(s.get_paths()['purelib']); print(s.get_config_var('LIBDIR'))";
    let output = Command::new(environment.join("bin/python"))
        .args(["-c", asked])
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let (packages, library) = said.trim().split_once('\n').unwrap();
    (packages.into(), library.to_owned())
}

fn spawn(address: SocketAddr, dir: &Path) -> Process {
    let environment = environment();
    let (packages, library) = python_folders(&environment);
    let server = packages.join("pytriton/tritonserver");
    let libraries = packages.join("nvidia_pytriton.libs");
    let mut command = Command::new(server.join("bin/tritonserver"));
    command
        .arg(format!(
            "--model-repository={}",
            dir.join("models").display()
        ))
        .arg(format!(
            "--backend-directory={}",
            server.join("backends").display()
        ))
        .arg(format!("--grpc-port={}", address.port()))
        .args([
            "--grpc-address=127.0.0.1",
            "--allow-http=false",
            "--allow-metrics=false",
        ])
        .env(
            "LD_LIBRARY_PATH",
            format!("{}:{library}", libraries.display()),
        )
        // By the first Python of PATH its models find their packages.
        .env(
            "PATH",
            format!("{}:/usr/bin:/bin", environment.join("bin").display()),
        );
    // What an earlier process has logged says nothing of this one.
    let log = dir.join("log");
    let _ = fs::remove_file(&log);
    let mut process = Process::spawn("triton", command, &log).unwrap();
    eventually("Triton is ready", || {
        if let Some(status) = process.try_wait() {
            panic!("Triton ended: {status}: {}", process.log());
        }
        process.log().contains(STARTED).then_some(())
    });
    process
}
