//! Custom output: JSON of another shape, and an extended page.
//!
//! ```text
//! cargo run -p example-custom-output
//! curl http://127.0.0.1:8000/ht/?format=json
//! ```

#![allow(clippy::print_stdout, reason = "it says where it listens")]

use std::error::Error;
use std::fmt::{self, Write};

use axum::Router;
use health_checks::{DiskUsage, MemoryUsage};
use health_core::{Health, Html, Renderer, Report};
use serde_json::json;

/// The custom view of django-health-check's documentation.
struct Cool;

impl Renderer for Cool {
    fn format(&self) -> &'static str {
        "json" // replaces the format of this name
    }

    fn media_types(&self) -> &[&str] {
        &["application/json"]
    }

    fn render(&self, report: &Report, out: &mut dyn Write) -> fmt::Result {
        let word = if report.healthy { "COOL" } else { "SWEATY" };
        let rows = report
            .checks
            .iter()
            .map(|check| (check.identifier.clone(), json!(word)));
        write!(out, "{}", serde_json::Value::Object(rows.collect()))
    }
}

/// The default page, with its own title, and with an additional style and line.
const PAGE: &str = r#"
{% extends "health_check/index.html" %}
{% block title %}The shop's health{% endblock title %}
{% block extra_head %}<style>h1 { letter-spacing: .2em }</style>{% endblock extra_head %}
{% block content %}
<p>On call today: the person who wrote this.</p>
{{ super() }}
{% endblock content %}
"#;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let health = Health::builder()
        .check(DiskUsage::default())
        .check(MemoryUsage::default())
        .renderer(Cool)
        .renderer(Html::from_string(PAGE)?)
        .build()?;
    let app: Router = health_axum::routes("/ht/", health.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:8000").await?;
    println!("http://{}/ht/", listener.local_addr()?);
    axum::serve(listener, app)
        .with_graceful_shutdown(health.drain_on_sigterm())
        .await?;
    Ok(())
}
