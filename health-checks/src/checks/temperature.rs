//! Checks the temperatures of the machine.
//!
//! ```
//! use health_checks::Temperature;
//! use health_core::Health;
//!
//! let health = Health::builder()
//!     .check(Temperature::default().max(80))
//!     .build()?;
//! # Ok::<(), health_core::BuildError>(())
//! ```

use std::borrow::Cow;

use health_core::{
    Blocking, BoxCheck, FailureKind, Findings, HealthCheck, Result, Scope, ServiceWarning, Unit,
};
use serde::Deserialize;

use crate::kind::{CheckSettings, Misconfigured};
use crate::support::limit::{Limit, host};

/// The highest temperature at which any part of a machine works, in degrees Celsius.
const HOTTEST: f64 = 150.0;

/// Warns when a sensor of the machine shows a temperature that is too high.
#[derive(Debug, Clone, Default)]
pub struct Temperature {
    max: Limit,
    thread: Blocking,
}

/// The keys of kind `temperature`.
#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(feature = "config", derive(serde::Serialize, schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct TemperatureSettings {
    /// The temperature in degrees Celsius at which the check warns. Without it, each sensor's own
    /// critical temperature applies.
    pub max: Limit,
}

impl CheckSettings for TemperatureSettings {
    const KIND: &'static str = "temperature";
    const SUMMARY: &'static str = "the sensors of the machine";

    fn checks(self) -> Result<Vec<BoxCheck>, Misconfigured> {
        if self.max.value().is_some_and(|max| max > HOTTEST) {
            return Err(Misconfigured::new(
                "max",
                "expected at most 150 °C: no machine runs at more",
            ));
        }
        Ok(vec![BoxCheck::new(Temperature {
            max: self.max,
            thread: Blocking::default(),
        })])
    }
}

impl Temperature {
    /// Warns at this temperature in degrees Celsius. *Default*: each sensor's own critical
    /// temperature.
    #[must_use]
    pub fn max(mut self, celsius: impl Into<Limit>) -> Self {
        self.max = celsius.into();
        self
    }
}

impl HealthCheck for Temperature {
    async fn check_status(&self, findings: &Findings) -> Result {
        let sensors = self.thread.run(|| Ok(sensors())).await?;
        let Some(hottest) = sensors
            .iter()
            .map(|sensor| sensor.celsius)
            .max_by(f64::total_cmp)
        else {
            let text = "the machine has no sensor that can be read";
            return Err(ServiceWarning::new(text)
                .with_kind(FailureKind::Misconfigured)
                .into());
        };
        findings.observe_within("hottest_celsius", hottest, Unit::Count, self.max.value());
        for Sensor {
            name,
            celsius,
            critical,
        } in sensors
        {
            if let Some(max) = self.max.value().or(critical).filter(|max| celsius >= *max) {
                findings.add_error(ServiceWarning::new(format!(
                    "{} {name} {celsius:.0} °C exceeds {max:.0} °C",
                    host()
                )));
            }
        }
        Ok(())
    }

    fn identifier(&self) -> Cow<'_, str> {
        "Temperature".into()
    }

    fn scope(&self) -> Scope {
        Scope::Instance
    }

    fn measures(&self) -> bool {
        true
    }

    fn only_warns(&self) -> bool {
        true
    }
}

struct Sensor {
    name: String,
    celsius: f64,
    critical: Option<f64>,
}

fn sensors() -> Vec<Sensor> {
    let Ok(components) = sysinfo::Components::new_with_refreshed_list() else {
        return Vec::new();
    };
    let sensor = |component: &sysinfo::Component| {
        Some(Sensor {
            name: component.label().to_owned(),
            celsius: component.temperature()?.into(),
            critical: component.critical().map(f64::from),
        })
    };
    components.iter().filter_map(sensor).collect()
}
