//! Settings of the device that models run on.

use std::fmt;
use std::str::FromStr;

/// The device that models run on, as set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// `cpu`: threads of this process.
    #[default]
    Cpu,
    /// `cuda:N`: an NVIDIA GPU.
    Cuda {
        /// Its number in CUDA's order, from 0.
        ordinal: u16,
    },
}

impl FromStr for DeviceChoice {
    type Err = String;

    /// `cpu`, `cuda` (the first GPU) or `cuda:N`.
    fn from_str(given: &str) -> Result<Self, Self::Err> {
        let ordinal = match given {
            "cpu" => return Ok(Self::Cpu),
            "cuda" => Some(0),
            other => other
                .strip_prefix("cuda:")
                .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
                .and_then(|digits| digits.parse().ok()),
        };
        match ordinal {
            Some(ordinal) => Ok(Self::Cuda { ordinal }),
            None => Err(format!(
                "'{given}' is none that models can run on; there are cpu and cuda:N"
            )),
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda { ordinal } => write!(f, "cuda:{ordinal}"),
        }
    }
}

/// What happens at start if the device cannot be used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum MissingDevice {
    /// `refuse`: the program does not start.
    #[default]
    Refuse,
    /// `cpu`: models run on the CPU, and the log has a warning.
    Cpu,
}

impl FromStr for MissingDevice {
    type Err = String;

    fn from_str(given: &str) -> Result<Self, Self::Err> {
        match given {
            "refuse" => Ok(Self::Refuse),
            "cpu" => Ok(Self::Cpu),
            _ => Err(format!("'{given}' is neither refuse nor cpu")),
        }
    }
}

impl fmt::Display for MissingDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refuse => "refuse",
            Self::Cpu => "cpu",
        })
    }
}

/// Where models of this process run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderConfig {
    /// The device.
    pub device: DeviceChoice,
    /// What happens if it cannot be used.
    pub device_missing: MissingDevice,
    /// Maximum memory that one session of a model takes of a GPU, in bytes. `None`: no limit.
    pub device_memory_bytes_max: Option<u64>,
    /// Maximum concurrent runs on a GPU: while one computes, another copies.
    pub device_runs_max: usize,
}

impl Default for ProviderConfig {
    fn default() -> Self {
        Self {
            device: DeviceChoice::default(),
            device_missing: MissingDevice::default(),
            device_memory_bytes_max: None,
            device_runs_max: 2,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_read_as_they_are_written() {
        for (given, written) in [("cpu", "cpu"), ("cuda", "cuda:0"), ("cuda:12", "cuda:12")] {
            let device = given.parse::<DeviceChoice>().map(|d| d.to_string());
            assert_eq!(device.as_deref(), Ok(written));
        }
        for given in [
            "",
            "gpu",
            "cuda:",
            "cuda:-1",
            "cuda:+1",
            "cuda:65536",
            "CPU",
            "cuda:0 ",
        ] {
            assert!(given.parse::<DeviceChoice>().is_err(), "{given}");
        }
    }
}
