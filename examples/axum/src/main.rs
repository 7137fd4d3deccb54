//! A small service with health checks, on axum.
//!
//! ```text
//! cargo run -p example-axum
//! curl http://127.0.0.1:8000/ht/?format=text
//! ```

use std::error::Error;
use std::time::Duration;

use axum::Router;
use axum::response::Html;
use axum::routing::get;
use example_shop::{PAGE, Shop};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let shop = Shop::from_args().await?;
    let app = Router::new()
        .route("/", get(|| async { Html(PAGE) }))
        .merge(health_axum::routes("/ht/", shop.health.clone()));

    // After SIGTERM, /ht/ready/ fails, and the service keeps serving until the load balancers have
    // noticed.
    let drained = shop.health.drain_on_sigterm();
    let listener = TcpListener::bind(shop.listen).await?;
    Shop::listens_at(listener.local_addr()?);
    let server = axum::serve(listener, app).with_graceful_shutdown(drained.clone());
    // axum waits for open connections, but no longer than this.
    drained
        .limit(Duration::from_secs(20), server.into_future())
        .await
        .unwrap_or(Ok(()))?;
    Ok(())
}
