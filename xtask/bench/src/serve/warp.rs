use std::sync::Arc;

use health_bench::Outcome;
use tokio::net::TcpListener;
use warp::{Filter, Rejection, Reply};

use super::{ADDRESS, Content, listens_at};

pub(super) async fn serve(content: Content) -> Outcome {
    match content {
        Content::Bare(answer) => {
            let answer = Arc::new(answer); // warp may clone the closure
            listen(
                warp::path!("ht")
                    .and(warp::get())
                    .map(move || answer.as_ref().clone()),
            )
            .await
        }
        Content::Health(health) => listen(health_warp::routes("/ht/", health)).await,
    }
}

async fn listen<F>(routes: F) -> Outcome
where
    F: Filter<Error = Rejection> + Clone + Send + Sync + 'static,
    F::Extract: Reply,
{
    let listener = TcpListener::bind(ADDRESS).await?;
    listens_at(listener.local_addr()?);
    warp::serve(routes).incoming(listener).run().await;
    Ok(())
}
