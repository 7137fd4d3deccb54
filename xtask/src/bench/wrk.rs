//! wrk, which asks as fast as it is answered.

use std::process::Command;

use crate::Outcome;

const INSTALL: &str = "wrk is not installed; as root: apt-get install -y wrk";

pub(super) fn is_there() -> Outcome {
    version().map(drop)
}

/// Its name and version: the first two words of its help, which it ends with an error.
pub(super) fn version() -> Result<String, String> {
    let output = Command::new("wrk").arg("--version").output().map_err(|error| format!("{INSTALL} ({error})"))?;
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    Ok(text.split_whitespace().take(2).collect::<Vec<_>>().join(" "))
}

/// Requests per second, of 16 connections. No answer, one that is not a 200 and a broken connection are errors.
pub(super) fn requests_per_second(url: &str, seconds: u32) -> Result<f64, String> {
    let mut command = Command::new("wrk");
    command.args(["--threads", "1", "--connections", "16", "--duration", &format!("{seconds}s"), url]);
    let output = command.output().map_err(|error| format!("{INSTALL} ({error})"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let rate = text.lines().find_map(|line| line.trim().strip_prefix("Requests/sec:")?.trim().parse().ok());
    match rate {
        Some(rate) if rate > 0.0 && !text.contains("Non-2xx") && !text.contains("Socket errors") => Ok(rate),
        _ => Err(format!("wrk {url}: {}\n{text}{}", output.status, String::from_utf8_lossy(&output.stderr))),
    }
}
