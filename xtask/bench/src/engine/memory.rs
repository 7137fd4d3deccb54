//! Measures the memory of a check.

use std::fs;
use std::time::Duration;

use health_bench::{Outcome, instant};
use health_core::Health;
use tokio::runtime::Runtime;

use super::{Numbers, within};

const CHECKS: u16 = 10_000;

/// Measures by how many bytes per check this process grows when it builds a health with many checks
/// and reads its first report.
pub(super) fn measure(runtime: &Runtime, numbers: &mut Numbers) -> Outcome {
    let _warm = report(runtime, 1)?;
    let before = resident()?;
    let _health = report(runtime, CHECKS.into())?;
    let growth = resident()? - before;
    numbers.insert("memory".into(), [growth / f64::from(CHECKS), 0.0]);
    Ok(())
}

fn report(runtime: &Runtime, checks: usize) -> Outcome<Health> {
    within(runtime, async move {
        let health = instant(checks, Duration::from_mins(1))?;
        let report = health.report().await;
        if report.healthy {
            Ok(health)
        } else {
            Err("a check that always works does not".into())
        }
    })?
}

/// The resident memory of this process in bytes.
fn resident() -> Outcome<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap_or_default();
    Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? * 1024.0)
}
