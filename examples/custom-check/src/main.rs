//! Checks of your own: a type, closures, and code that blocks.
//!
//! ```text
//! cargo run -p example-custom-check
//! ```

#![allow(clippy::print_stdout, reason = "it shows the report")]
#![allow(clippy::disallowed_methods, reason = "it shows that a check may block")]

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use health_core::{
    CheckExt, Findings, Health, HealthCheck, Renderer, Result, ResultExt, Scope,
    ServiceUnavailable, ServiceWarning, Text, Unit, check_blocking, check_fn, check_fn_with,
};

/// Letters that wait to be sent.
struct Mailroom {
    spool: PathBuf,
    most: u32,
}

impl HealthCheck for Mailroom {
    // A restart does not fix a full folder, so the check must not decide on liveness.
    fn scope(&self) -> Scope {
        Scope::Instance
    }

    async fn check_status(&self, findings: &Findings) -> Result {
        // The message is public, the error goes to the log.
        let mut letters = tokio::fs::read_dir(&self.spool)
            .await
            .or_unavailable("spool folder is missing")?;
        let mut waiting = 0;
        while letters.next_entry().await.or_unknown()?.is_some() {
            waiting += 1;
        }
        findings.observe("waiting", waiting, Unit::Count);
        if waiting > self.most {
            return Err(ServiceWarning::new(format!(
                "more than {} letters are waiting",
                self.most
            ))
            .into());
        }
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let health = Health::builder()
        .check(
            Mailroom {
                spool: std::env::temp_dir(),
                most: 1000,
            }
            .named("mailroom")
            .timeout(Duration::from_secs(1)),
        )
        .check(
            Mailroom {
                spool: "/nowhere".into(),
                most: 1000,
            }
            .named("old-mailroom")
            .non_critical(),
        )
        // An async closure is enough, ...
        .check(check_fn("licence", || async { Ok(()) }).every(Duration::from_mins(1)))
        // ... with findings, if it reports several errors, ...
        .check(check_fn_with("workers", |findings| async move {
            for (name, is_alive) in [("red", true), ("green", false), ("blue", false)] {
                if !is_alive {
                    findings.add_error(ServiceUnavailable::new(format!("worker {name} is gone")));
                }
            }
            Ok(())
        }))
        // ... and code that blocks runs on its own thread, which nothing waits for if it is stuck.
        .check(
            check_blocking("sensor", || {
                std::thread::sleep(Duration::from_secs(10));
                Ok(())
            })
            .timeout(Duration::from_millis(300))
            .depends_on(["workers"]),
        )
        .build()?;

    let mut text = String::new();
    Text.render(&*health.report().await, &mut text)?;
    print!("{text}");
    Ok(())
}
