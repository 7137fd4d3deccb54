use std::net::TcpListener;
use std::sync::Arc;

use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::web::{self, ServiceConfig};
use actix_web::{App, HttpResponse, HttpServer};
use bytes::Bytes;
use health_bench::Outcome;
use http::Response;
use http::header::CONTENT_LENGTH;

use super::{ADDRESS, Content, listens_at};

pub(super) async fn serve(content: Content) -> Outcome {
    match content {
        Content::Bare(answer) => listen(bare(&answer)?).await,
        Content::Health(health) => listen(health_actix::routes("/ht/", health)).await,
    }
}

/// Returns the plain handler. actix-web has its own header types, and sets the length by itself.
fn bare(
    answer: &Response<Bytes>,
) -> Outcome<impl FnOnce(&mut ServiceConfig) + Clone + Send + use<>> {
    let headers = answer
        .headers()
        .iter()
        .filter(|(name, _)| *name != CONTENT_LENGTH)
        .map(|(name, value)| {
            Ok((
                HeaderName::try_from(name.as_str())?,
                HeaderValue::from_bytes(value.as_bytes())?,
            ))
        });
    // actix-web clones the handler for each request.
    let answer = Arc::new((headers.collect::<Outcome<Vec<_>>>()?, answer.body().clone()));
    Ok(move |config: &mut ServiceConfig| {
        let handler = move || {
            let (headers, body) = answer.as_ref();
            let mut response = HttpResponse::Ok();
            for header in headers {
                response.insert_header(header.clone());
            }
            std::future::ready(response.body(body.clone()))
        };
        config.route("/ht/", web::get().to(handler));
    })
}

async fn listen(routes: impl FnOnce(&mut ServiceConfig) + Clone + Send + 'static) -> Outcome {
    let listener = TcpListener::bind(ADDRESS)?;
    listens_at(listener.local_addr()?);
    let server =
        HttpServer::new(move || App::new().configure(routes.clone())).workers(crate::workers());
    Ok(server.disable_signals().listen(listener)?.run().await?)
}
