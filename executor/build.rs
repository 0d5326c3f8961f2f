//! Generates the messages and services of `proto/`, without `protoc`.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let files = protox::compile(["inference.proto", "worker.proto"], ["proto"])?;
    let mut config = tonic_prost_build::Config::new();
    // Contents of tensors and files are shared, not copied.
    config.bytes(["."]);
    tonic_prost_build::configure()
        .emit_rerun_if_changed(false)
        .compile_fds_with_config(files, config)?;
    Ok(())
}
