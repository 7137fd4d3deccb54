#![doc = include_str!("../README.md")]

mod builder;
pub mod check;
mod cleanup;
mod clock;
mod conceal;
mod drain;
mod engine;
pub mod error;
mod failure;
mod findings;
mod health;
mod history;
mod hold;
pub mod http;
mod interceptor;
mod listener;
#[cfg(feature = "metrics")]
mod metrics;
mod named;
mod registry;
pub mod render;
pub mod report;
pub mod reported;
mod runner;
mod runtime;
mod secret;
mod selection;
#[doc(hidden)]
pub mod serde_duration;
mod serde_time;
pub mod settings;
mod signal;
mod snapshot;
mod status;
mod subscription;
mod sync;
mod verdict;

pub use builder::HealthBuilder;
pub use check::{
    Blocking, BoxCheck, CheckExt, Configured, HealthCheck, Scope, check_blocking, check_fn,
    check_fn_with,
};
pub use cleanup::cleanup;
pub use clock::Clock;
pub use error::{
    ErrorType, HealthCheckException, Result, ResultExt, ServiceReturnedUnexpectedResult,
    ServiceUnavailable, ServiceWarning, UnknownError,
};
pub use failure::FailureKind;
pub use findings::{Findings, Observation, Unit};
pub use health::Health;
pub use history::{History, Latency, PastRun, SlowestRun, StatusChange};
pub use hold::Hold;
pub use http::{Endpoint, EndpointBuilder, Endpoints, RequestHead, SharedResponse};
pub use interceptor::{FinishedRun, Interceptor, RunFuture, RunInfo};
pub use listener::{Cause, GroupTransition, StatusListener, Transition};
pub use named::UnknownValue;
pub use registry::{BuildError, BuildFault, Registry};
#[cfg(feature = "feeds")]
pub use render::{Atom, Rss};
pub use render::{HealthJson, Json, Probe, Renderer, Renderers, ReportFormat, Text, render_fn};
#[cfg(feature = "html")]
pub use render::{Html, TemplateError};
#[cfg(feature = "metrics-formats")]
pub use render::{OpenMetrics, Prometheus};
pub use report::{CheckInfo, CheckReport, ErrorReport, GroupReport, Report};
pub use reported::{
    Gate, Heartbeat, HeartbeatGuard, Reported, ReportedCheck, WatchedTask, watch_task,
};
pub use runner::run;
pub use runtime::Runtime;
pub use secret::Secret;
pub use selection::{Selection, UnknownName};
pub use settings::{Anonymous, GroupSettings, Settings};
pub use signal::Drained;
#[doc(hidden)]
pub use signal::is_ignored;
pub use status::Status;
pub use subscription::Subscription;
pub use verdict::{Evidence, Shown, Verdict};
