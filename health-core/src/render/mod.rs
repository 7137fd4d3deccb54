//! Renderers, which write a report in a format.
//!
//! A renderer replaces the format of the same name. A closure is enough to create one:
//!
//! ```
//! use health_core::{Health, Status, check_fn, render_fn};
//!
//! let health = Health::builder()
//!     .check(check_fn("engine", || async { Ok(()) }))
//!     .renderer(render_fn("json", "application/json", |report| {
//!         let words = |status| {
//!             if status == Status::Working {
//!                 "COOL"
//!             } else {
//!                 "SWEATY"
//!             }
//!         };
//!         let rows = report
//!             .checks
//!             .iter()
//!             .map(|check| format!("{:?}: {:?}", check.identifier, words(check.status)));
//!         format!("{{{}}}", rows.collect::<Vec<_>>().join(", "))
//!     }))
//!     .build()
//!     .unwrap();
//! # let _ = health;
//! ```

#[cfg(feature = "feeds")]
mod atom;
#[cfg(feature = "feeds")]
mod feed;
mod health_json;
#[cfg(feature = "html")]
mod html;
mod json;
#[cfg(feature = "metrics-formats")]
mod metrics;
#[cfg(feature = "metrics-formats")]
mod openmetrics;
mod outcome;
#[cfg(feature = "html")]
mod plot;
mod probe;
#[cfg(feature = "metrics-formats")]
mod prometheus;
mod report;
#[cfg(feature = "feeds")]
mod rss;
#[cfg(feature = "html")]
mod strip;
mod text;
#[cfg(feature = "html")]
mod words;

use std::fmt;
use std::sync::Arc;

#[cfg(feature = "feeds")]
pub use atom::Atom;
pub use health_json::HealthJson;
#[cfg(feature = "html")]
pub use html::{Html, TemplateError};
pub use json::Json;
#[cfg(feature = "metrics-formats")]
pub use openmetrics::OpenMetrics;
pub use probe::Probe;
#[cfg(feature = "metrics-formats")]
pub use prometheus::Prometheus;
pub use report::ReportFormat;
#[cfg(feature = "feeds")]
pub use rss::Rss;
pub use text::Text;

use crate::Report;

/// One output format.
pub trait Renderer: Send + Sync + 'static {
    /// Returns the name of the format for `?format=` and `--format`: lower case, without spaces.
    fn format(&self) -> &str;

    /// Returns the media types that select the format in `Accept`; at least one. The first one is
    /// also its `Content-Type`, and the one that wildcards match first. Text types without
    /// parameters get `charset=utf-8`.
    fn media_types(&self) -> &[&str];

    /// Writes the report. If it fails or panics, the answer is in the text format, with the same
    /// status code.
    ///
    /// # Errors
    /// Returns the errors of the writer and its own.
    #[doc(alias = "render_to_response_json")]
    fn render(&self, report: &Report, out: &mut dyn fmt::Write) -> fmt::Result;

    /// Writes the report in more detail, for `?verbose`. *Default*: the same as
    /// [`render`](Self::render).
    ///
    /// # Errors
    /// Returns the errors of the writer and its own.
    fn render_verbose(&self, report: &Report, out: &mut dyn fmt::Write) -> fmt::Result {
        self.render(report, out)
    }

    /// Returns `true` if the format shows ages, measured from
    /// [`Report::generated_at`](crate::Report::generated_at). Its answers are then rendered again
    /// once a second. *Default*: `false`.
    fn shows_ages(&self) -> bool {
        false
    }

    /// Returns `true` if the status code is always 200, for scrapers and feed readers, which
    /// discard any other answer. *Default*: `false`.
    fn always_ok(&self) -> bool {
        false
    }
}

/// Creates a renderer from a closure that returns the text.
pub fn render_fn<F, O>(
    format: impl Into<String>,
    media_type: &'static str,
    render: F,
) -> impl Renderer
where
    F: Fn(&Report) -> O + Send + Sync + 'static,
    O: fmt::Display,
{
    Function {
        format: format.into(),
        media_types: [media_type],
        render,
    }
}

struct Function<F> {
    format: String,
    media_types: [&'static str; 1],
    render: F,
}

impl<F: Fn(&Report) -> O + Send + Sync + 'static, O: fmt::Display> Renderer for Function<F> {
    fn format(&self) -> &str {
        &self.format
    }

    fn media_types(&self) -> &[&str] {
        &self.media_types
    }

    fn render(&self, report: &Report, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "{}", (self.render)(report))
    }
}

/// The formats of a service, by name and by media type. *Default*: `html`, `json`, `text`,
/// `health`, `openmetrics`, `prometheus`, `atom`, `rss`, `report`; the first one answers a request
/// without preference.
#[derive(Clone)]
pub struct Renderers(Vec<Arc<dyn Renderer>>);

impl Default for Renderers {
    fn default() -> Self {
        let mut renderers = Self(Vec::new());
        #[cfg(feature = "html")]
        renderers.register(Html::default());
        renderers.register(Json);
        renderers.register(Text);
        renderers.register(HealthJson);
        #[cfg(feature = "metrics-formats")]
        renderers.register(OpenMetrics);
        #[cfg(feature = "metrics-formats")]
        renderers.register(Prometheus);
        #[cfg(feature = "feeds")]
        renderers.register(Atom::default());
        #[cfg(feature = "feeds")]
        renderers.register(Rss::default());
        renderers.register(ReportFormat);
        renderers
    }
}

impl Renderers {
    /// Adds a format, or replaces the one of the same name, which keeps its position.
    pub fn register(&mut self, renderer: impl Renderer) {
        match self.position(renderer.format()) {
            Some(position) => self.0[position] = Arc::new(renderer),
            None => self.0.push(Arc::new(renderer)),
        }
    }

    /// Removes the format of this name. Returns `false` if there is no such format.
    pub fn remove(&mut self, format: &str) -> bool {
        let position = self.position(format);
        position.map(|position| self.0.remove(position)).is_some()
    }

    /// Returns the format of this name.
    pub fn get(&self, format: &str) -> Option<&dyn Renderer> {
        self.position(format).map(|position| self.at(position))
    }

    /// Returns the names of all formats, in order.
    pub fn formats(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|renderer| renderer.format())
    }

    /// Returns all formats, in order.
    pub fn iter(&self) -> impl Iterator<Item = &dyn Renderer> {
        self.0.iter().map(|renderer| &**renderer)
    }

    pub(crate) fn position(&self, format: &str) -> Option<usize> {
        self.formats().position(|name| name == format)
    }

    /// Returns the position of the format [`Probe`], which is none of the list unless somebody
    /// registers a format of that name.
    pub(crate) fn probe(&self) -> usize {
        self.position(Probe::FORMAT).unwrap_or(self.0.len())
    }

    pub(crate) fn at(&self, position: usize) -> &dyn Renderer {
        self.0.get(position).map_or(&Probe, |renderer| &**renderer)
    }

    /// Returns the positions of the list.
    pub(crate) fn positions(&self) -> std::ops::Range<usize> {
        0..self.0.len()
    }
}

impl fmt::Debug for Renderers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.formats()).finish()
    }
}
