//! A small service with health checks, on warp.
//!
//! ```text
//! cargo run -p example-warp
//! curl http://127.0.0.1:8000/ht/?format=text
//! ```

use std::error::Error;
use std::time::Duration;

use example_shop::{PAGE, Shop};
use tokio::net::TcpListener;
use warp::Filter;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let shop = Shop::from_args().await?;
    let page = warp::path::end()
        .and(warp::get())
        .map(|| warp::reply::html(PAGE));
    let app = page.or(health_warp::routes("/ht/", shop.health.clone()));

    // After SIGTERM, /ht/ready/ fails, and the service keeps serving until the load balancers have
    // noticed.
    let drained = shop.health.drain_on_sigterm();
    let listener = TcpListener::bind(shop.listen).await?;
    Shop::listens_at(listener.local_addr()?);
    let server = warp::serve(app)
        .incoming(listener)
        .graceful(drained.clone())
        .run();
    // warp waits for open connections, but no longer than this.
    drained.limit(Duration::from_secs(20), server).await;
    Ok(())
}
