//! From a report to text: one renderer a format.
//!
//! Registering a renderer under a name that is taken replaces that format. A closure is enough:
//!
//! ```
//! use health_core::{check_fn, render_fn, Health, Status};
//!
//! let health = Health::builder()
//!     .check(check_fn("engine", || async { Ok(()) }))
//!     .renderer(render_fn("json", "application/json", |report| {
//!         let words = |status| if status == Status::Working { "COOL" } else { "SWEATY" };
//!         let rows = report.checks.iter().map(|check| format!("{:?}: {:?}", check.identifier, words(check.status)));
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
#[cfg(feature = "metrics-formats")]
pub use prometheus::Prometheus;
pub use report::ReportFormat;
#[cfg(feature = "feeds")]
pub use rss::Rss;
pub use text::Text;

use crate::Report;

/// One output format.
pub trait Renderer: Send + Sync + 'static {
    /// Its name, for `?format=` and `--format`: lower case, without spaces.
    fn format(&self) -> &str;

    /// What it answers to in `Accept`. The first one is also its `Content-Type` and what a wildcard means; text types
    /// get `charset=utf-8`. At least one.
    fn media_types(&self) -> &[&str];

    /// Writes the report. Where it fails or panics, the answer is the text format with the same status code.
    ///
    /// # Errors
    /// Those of the writer, and its own.
    #[doc(alias = "render_to_response_json")]
    fn render(&self, report: &Report, out: &mut dyn fmt::Write) -> fmt::Result;

    /// Writes the report for a reader who wants to know more, by `?verbose`. *Default*: as [`render`](Self::render) does.
    ///
    /// # Errors
    /// Those of the writer, and its own.
    fn render_verbose(&self, report: &Report, out: &mut dyn fmt::Write) -> fmt::Result {
        self.render(report, out)
    }

    /// Tells the engine that the format shows how long ago things were, measured from [`Report::generated_at`](crate::Report::generated_at): then an
    /// answer is made anew once a second. *Default*: `false`.
    fn shows_ages(&self) -> bool {
        false
    }

    /// Whether the answer is 200 however the service is, for scrapers and readers of feeds, which throw away everything
    /// else. *Default*: `false`.
    fn always_ok(&self) -> bool {
        false
    }
}

/// A renderer from a closure that returns what is to be shown.
pub fn render_fn<F, O>(format: impl Into<String>, media_type: &'static str, render: F) -> impl Renderer
where
    F: Fn(&Report) -> O + Send + Sync + 'static,
    O: fmt::Display,
{
    Function { format: format.into(), media_types: [media_type], render }
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

/// The formats of a service, by name and by media type. *Default*: `html`, `json`, `text`, `health`, `openmetrics`,
/// `prometheus`, `atom`, `rss`, `report`; the first one is the answer to a reader without wishes.
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
    /// Adds a format, or replaces the one of the same name in its place.
    pub fn register(&mut self, renderer: impl Renderer) {
        match self.position(renderer.format()) {
            Some(position) => self.0[position] = Arc::new(renderer),
            None => self.0.push(Arc::new(renderer)),
        }
    }

    /// Removes the format of this name. Returns `false` if there is none.
    pub fn remove(&mut self, format: &str) -> bool {
        let position = self.position(format);
        position.map(|position| self.0.remove(position)).is_some()
    }

    /// Returns the format of this name.
    pub fn get(&self, format: &str) -> Option<&dyn Renderer> {
        self.position(format).map(|position| self.at(position))
    }

    /// The names of all formats, in order.
    pub fn formats(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|renderer| renderer.format())
    }

    /// All formats, in order.
    pub fn iter(&self) -> impl Iterator<Item = &dyn Renderer> {
        self.0.iter().map(|renderer| &**renderer)
    }

    pub(crate) fn position(&self, format: &str) -> Option<usize> {
        self.formats().position(|name| name == format)
    }

    pub(crate) fn at(&self, position: usize) -> &dyn Renderer {
        &*self.0[position]
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

impl fmt::Debug for Renderers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.formats()).finish()
    }
}
