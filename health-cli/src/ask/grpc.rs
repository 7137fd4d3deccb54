use std::time::{Duration, Instant};

use health_checks::GrpcHealthCheck;
use health_core::{BoxCheck, CheckExt as _, FailureKind, Health, Report, Secret, Selection};

use super::{Answer, Failure, late};

/// The name of the row of a server as a whole, whose service has no name.
const WHOLE: &str = "status";

/// A client of one service of the gRPC health protocol. Each request also tests that a connection
/// can be opened.
pub(crate) struct GrpcClient {
    check: GrpcHealthCheck,
    name: String,
    address: String,
}

impl GrpcClient {
    pub(super) fn new(
        url: &str,
        group: Option<&str>,
        metadata: &[(String, Secret)],
    ) -> Result<Self, String> {
        let mut check = GrpcHealthCheck::new(url).map_err(|wrong| {
            match wrong.to_string().strip_prefix("url: ") {
                Some(what) => format!("URL: {what}"),
                None => format!("URL: {wrong}"),
            }
        })?;
        if let Some(group) = group {
            if !check.service_name().is_empty() {
                return Err("--group: the URL names a service already".into());
            }
            check = check.service(group);
        }
        for (name, value) in metadata {
            // A client sends the header Host of HTTP as this one.
            let is_host = ["host", ":authority"].contains(&name.to_ascii_lowercase().as_str());
            check = if is_host {
                check.authority(value.expose())
            } else {
                check.metadata(name, value.clone())
            }
            .map_err(|wrong| format!("--header: {wrong}"))?;
        }
        let name = Some(check.service_name())
            .filter(|name| !name.is_empty())
            .unwrap_or(WHOLE)
            .to_owned();
        Ok(Self {
            address: check.address(),
            name,
            check,
        })
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    pub(super) async fn ask(&self, max_wait: Duration) -> Result<Answer, Failure> {
        let began = Instant::now();
        let report = self.read(max_wait).await?;
        let Some(error) = report.checks.first().and_then(|row| row.errors.first()) else {
            return Ok(Answer::of_report(&report, self.address(), began.elapsed()));
        };
        match error.kind {
            FailureKind::UnexpectedAnswer => {
                Ok(Answer::of_report(&report, self.address(), began.elapsed()))
            }
            FailureKind::TimedOut => Err(Failure::unanswered(self.address(), late(max_wait))),
            FailureKind::Refused | FailureKind::Lost | FailureKind::Dns | FailureKind::Tls => {
                Err(Failure::unanswered(self.address(), &error.message))
            }
            _ => Err(Failure::answered(self.address(), &error.message)),
        }
    }

    /// Runs the check once.
    async fn read(&self, max_wait: Duration) -> Result<Report, Failure> {
        let failed =
            |error: &dyn std::error::Error| Failure::answered(self.address(), error.to_string());
        let check = BoxCheck::new(self.check.clone())
            .named(self.name.clone())
            .timeout(max_wait);
        let health = Health::builder()
            .check(check)
            .build()
            .map_err(|error| failed(&error))?;
        health
            .read(&Selection::default())
            .await
            .map_err(|error| failed(&error))
    }
}
