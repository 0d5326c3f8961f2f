//! Names of NVIDIA GPUs, from the driver's files below `/proc`.

use std::path::Path;

/// Where the driver describes each GPU: a folder for each PCI address, with a file `information`.
const GPUS: &str = "/proc/driver/nvidia/gpus";

/// Name of a GPU under which its costs are stored: `cuda:` and the product name, so that measured
/// costs are those of all GPUs of one kind. With GPUs of several kinds, or without the driver's
/// files, the number takes the place of the name: the files are in the order of the PCI bus, which
/// need not be CUDA's.
pub(super) fn of_gpu(ordinal: u16) -> String {
    match kind(Path::new(GPUS)) {
        Some(kind) => format!("cuda:{kind}"),
        None => format!("cuda:{ordinal}"),
    }
}

/// Product name of the GPUs described in this folder, if it is one and the same.
fn kind(folder: &Path) -> Option<String> {
    let mut found: Option<String> = None;
    for gpu in std::fs::read_dir(folder).ok()? {
        let information = std::fs::read_to_string(gpu.ok()?.path().join("information")).ok()?;
        let name = model(&information)?;
        match &found {
            Some(other) if *other != name => return None,
            _ => found = Some(name),
        }
    }
    found
}

/// The product name in one description.
fn model(information: &str) -> Option<String> {
    let line = information.lines().find_map(|l| l.strip_prefix("Model:"))?;
    let name = line.trim();
    // A name is part of keys of the catalog.
    (!name.is_empty() && name.len() <= 50 && !name.contains(char::is_control))
        .then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_for_all_gpus_of_a_machine_only_where_they_are_of_one_kind() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(kind(folder.path()), None);
        assert_eq!(kind(Path::new("/nowhere")), None);
        let describe = |address: &str, name: &str| {
            let gpu = folder.path().join(address);
            std::fs::create_dir(&gpu).unwrap();
            let text = format!("Model: \t\t {name}\nIRQ:   \t\t 120\nDevice Minor: \t 0\n");
            std::fs::write(gpu.join("information"), text).unwrap();
        };
        describe("0000:18:00.0", "NVIDIA H200");
        assert_eq!(kind(folder.path()).as_deref(), Some("NVIDIA H200"));
        describe("0000:2a:00.0", "NVIDIA H200");
        assert_eq!(kind(folder.path()).as_deref(), Some("NVIDIA H200"));
        describe("0000:3a:00.0", "NVIDIA L4");
        assert_eq!(kind(folder.path()), None);
    }
}
