//! Devices that models run on.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Device that a model runs on. Measured costs are stored per device, and used to price plans.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Device {
    /// CPU threads that also decode images and prepare tensors.
    #[default]
    Cpu,
    /// An accelerator in addition to those threads, with the name under which its costs are
    /// stored.
    Accelerator(String),
}

impl Device {
    /// The name of [`Device::Cpu`].
    const CPU: &'static str = "cpu";

    /// Name in the catalog, in metrics and in plans.
    pub fn name(&self) -> &str {
        match self {
            Self::Cpu => Self::CPU,
            Self::Accelerator(name) => name,
        }
    }
}

impl From<String> for Device {
    fn from(name: String) -> Self {
        match name.as_str() {
            Self::CPU => Self::Cpu,
            _ => Self::Accelerator(name),
        }
    }
}

impl From<Device> for String {
    fn from(device: Device) -> Self {
        device.name().to_owned()
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_its_name_in_json() {
        for name in ["cpu", "cuda:NVIDIA H200"] {
            let device = Device::from(name.to_owned());
            assert_eq!(device == Device::Cpu, name == "cpu");
            let json = serde_json::to_string(&device).unwrap_or_default();
            assert_eq!(json, format!("\"{name}\""));
            assert_eq!(serde_json::from_str::<Device>(&json).ok(), Some(device));
        }
    }
}
