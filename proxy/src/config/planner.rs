//! The table `[planner]`: cost parameters of plans besides the measurements of models.

use serde::{Deserialize, Serialize};

use super::error::{ConfigError, value};

const SECONDS_PER_HOUR: f64 = 3_600.0;

/// The table as read from the file.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct PlannerFile {
    price_per_device_hour: Option<f64>,
}

/// Cost parameters of plans.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PlannerConfig {
    /// Price of one hour of a CPU thread, in any unit of money, which is also the unit of
    /// `max_cost`. `None`: unknown.
    pub price_per_device_hour: Option<f64>,
}

impl PlannerConfig {
    /// Overrides these settings with the flag and the file.
    pub(super) fn take(&mut self, flag: Option<f64>, file: &PlannerFile) {
        self.price_per_device_hour = flag
            .or(file.price_per_device_hour)
            .or(self.price_per_device_hour);
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let is_price = |price: f64| price.is_finite() && price >= 0.0;
        match self.price_per_device_hour {
            Some(price) if !is_price(price) => Err(value(
                "planner.price_per_device_hour",
                "must be a number of 0 or more".to_owned(),
            )),
            _ => Ok(()),
        }
    }

    /// Price of one second.
    #[must_use]
    pub fn price_per_device_second(&self) -> Option<f64> {
        self.price_per_device_hour
            .map(|price| price / SECONDS_PER_HOUR)
    }

    /// The equivalent file table.
    pub(super) fn as_typed(&self) -> PlannerFile {
        PlannerFile {
            price_per_device_hour: self.price_per_device_hour,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_win_and_prices_are_numbers() {
        let mut planner = PlannerConfig::default();
        let file = PlannerFile {
            price_per_device_hour: Some(7.2),
        };
        planner.take(None, &file);
        assert_eq!(planner.price_per_device_second(), Some(0.002));
        planner.take(Some(0.0), &file);
        assert_eq!(planner.price_per_device_second(), Some(0.0));
        assert!(planner.check().is_ok());
        planner.take(Some(-1.0), &file);
        assert!(planner.check().is_err());
    }
}
