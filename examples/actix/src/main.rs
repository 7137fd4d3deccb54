//! A small service with health checks, on actix-web.
//!
//! ```text
//! cargo run -p example-actix
//! curl http://127.0.0.1:8000/ht/?format=text
//! ```

use std::error::Error;
use std::net::TcpListener;

use actix_web::web::{Html, get};
use actix_web::{App, HttpServer};
use example_shop::{PAGE, Shop};

#[actix_web::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let shop = Shop::from_args().await?;
    let routes = health_actix::routes("/ht/", shop.health.clone());
    let app = move || {
        App::new()
            .route("/", get().to(|| async { Html::new(PAGE) }))
            .configure(routes.clone())
    };

    // After SIGTERM, /ht/ready/ fails, and the service keeps serving until the load balancers have
    // noticed.
    let drained = shop.health.drain_on_sigterm();
    let listener = TcpListener::bind(shop.listen)?;
    Shop::listens_at(listener.local_addr()?);
    HttpServer::new(app)
        .shutdown_signal(drained)
        .listen(listener)?
        .run()
        .await?;
    Ok(())
}
