//! One health at two endpoints: everything on a management port, and only the verdict in public.
//!
//! ```text
//! cargo run -p example-public-status
//! curl http://127.0.0.1:8000/status/
//! curl http://127.0.0.1:9000/ht/?format=text
//! ```

#![allow(clippy::print_stdout, reason = "it says where it listens")]

use std::error::Error;

use axum::Router;
use health_checks::{DiskUsage, MemoryUsage};
use health_core::{Anonymous, BuildError, Endpoint, Health};

/// The application, with the public status and the probes of Kubernetes.
fn app(health: &Health) -> Result<Router, BuildError> {
    let public = Endpoint::builder(health.clone())
        .path("/status/")
        .anonymous(Anonymous::Status) // without a token, everyone sees only the verdict
        .formats(["json", "html"])
        .unhealthy_status(503)
        .build()?;
    Ok(Router::new()
        .merge(health_axum::mount(public))
        .merge(health_axum::probes(health)))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let health = Health::builder()
        .check(DiskUsage::default())
        .check(MemoryUsage::default())
        .build()?;
    let app = app(&health)?;
    // The firewall keeps this port closed to the outside.
    let management = health_axum::listen("127.0.0.1:9000", "/ht/", health.clone())?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:8000").await?;
    println!(
        "http://{}/status/ and http://{}/ht/",
        listener.local_addr()?,
        management.address()
    );
    axum::serve(listener, app)
        .with_graceful_shutdown(health.drain_on_sigterm())
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use axum::body::Body;
    use health_core::{ServiceUnavailable, check_fn};
    use http::Request;
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    use super::*;

    async fn get(app: &Router, target: &str) -> (u16, String) {
        let request = Request::get(target).body(Body::empty()).expect("a request");
        let answer = app
            .clone()
            .oneshot(request)
            .await
            .expect("a router does not fail");
        let status = answer.status().as_u16();
        let body = answer
            .into_body()
            .collect()
            .await
            .expect("a body")
            .to_bytes();
        (status, String::from_utf8_lossy(&body).into_owned())
    }

    #[tokio::test]
    async fn both_endpoints_show_the_same_run() {
        let runs = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&runs);
        let orders = check_fn("orders", move || {
            counted.fetch_add(1, Ordering::SeqCst);
            async { Err(ServiceUnavailable::new("connection refused").into()) }
        });
        let health = Health::builder().check(orders).build().expect("a health");
        let app = app(&health).expect("an endpoint");
        assert_eq!(
            get(&app, "/status/").await,
            (503, r#"{"status": "unavailable"}"#.to_owned())
        );
        assert_eq!(
            get(&app, "/livez?format=json").await,
            (200, "{}".to_owned())
        );
        let management: Router = health_axum::routes("/ht/", health);
        let full = r#"{"orders": "unavailable: connection refused"}"#.to_owned();
        assert_eq!(get(&management, "/ht/?format=json").await, (500, full));
        assert_eq!(runs.load(Ordering::SeqCst), 1);
    }
}
