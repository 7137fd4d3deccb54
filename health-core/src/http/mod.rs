//! All HTTP policy, in one place; adapters translate and decide nothing.
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! use health_core::{check_fn, Endpoint, Health};
//!
//! let health = Health::builder().check(check_fn("cache", || async { Ok(()) })).build().unwrap();
//! let endpoint = Endpoint::new("/ht/", health);
//!
//! let request = http::Request::get("/ht/?format=json").body(()).unwrap();
//! let response = endpoint.respond(&request).await;
//! assert_eq!(response.status(), 200);
//! assert_eq!(response.body(), r#"{"cache": "working"}"#);
//! # });
//! ```

mod accept;
mod answer;
mod head;
mod query;
mod refusal;
#[cfg(feature = "tower")]
mod tower;

use std::future::{Future, ready};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::Either;
use http::{Request, Response};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use self::accept::Offer;
use crate::Health;

pub use self::head::RequestHead;

/// The characters that RFC 3986 does not allow in a path. `%` is left alone, as the path may be encoded already.
const NOT_IN_A_PATH: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// A service's health at a URL: the same bytes from every adapter.
///
/// | request | answer |
/// |---|---|
/// | `GET /ht/`, `GET /ht` | all checks; the final slash is optional everywhere |
/// | `GET /ht/<group>/` | that group; 404 for an unknown one |
/// | `HEAD` | the same status and headers, no body |
/// | `OPTIONS` | as `HEAD`, with `Allow` and a length of zero; HAProxy's `option httpchk` asks so. A CORS middleware around the endpoint may answer it first, with 200 |
/// | any other method | 405 with `Allow` |
/// | `?format=<name>` | that format, whatever `Accept` says; 400 for an unknown one |
/// | `?refresh=<seconds>` | the same, and a browser asks again after that time, without a script |
/// | nothing acceptable | 406, before any check runs |
/// | `?only=<name>`, any number of them | these checks alone; 404 for one that the group does not have. `startup` ignores it |
/// | `?exclude=<name>`, any number of them | without these checks, and without them in the verdict |
/// | `?verbose` | more, where the format has it: [`Renderer::render_verbose`](crate::Renderer::render_verbose) |
///
/// 200 is healthy, [`Settings::unhealthy_status`](crate::Settings::unhealthy_status) is not. Content negotiation
/// follows [RFC 9110, section 12](https://www.rfc-editor.org/rfc/rfc9110#section-12).
#[derive(Debug, Clone)]
pub struct Endpoint(Arc<Shared>); // one counter: some frameworks clone it for each request

#[derive(Debug)]
struct Shared {
    health: Health,
    base: String,
    offers: Vec<Offer>,
    /// When a refused token was last logged, in seconds of the Unix epoch.
    last_refusal: AtomicU64,
}

impl Endpoint {
    /// The request headers that it reads, in lower case: an adapter whose framework has header types of its own needs to
    /// convert no others.
    pub const REQUEST_HEADERS: &'static [&'static str] = &["accept", "authorization", query::SCRAPE_TIMEOUT];

    /// The health at a path, such as `/ht/`; it starts and ends with a slash, which may be left out. What can't be in a
    /// URL is percent-encoded, empty segments are left out.
    pub fn new(path: &str, health: Health) -> Self {
        let segments = path.split('/').filter(|segment| !segment.is_empty());
        let base: String = segments.flat_map(|segment| ["/", segment]).collect();
        let base = utf8_percent_encode(&base, NOT_IN_A_PATH).to_string();
        let offers = accept::offers(health.renderers());
        Self(Arc::new(Shared { health, base, offers, last_refusal: AtomicU64::default() }))
    }

    /// Its path without the final slash: `/ht`; empty at the root.
    pub fn base(&self) -> &str {
        &self.0.base
    }

    /// Returns `true` if a path is the base of this endpoint or below it.
    pub fn covers(&self, path: &str) -> bool {
        path.strip_prefix(&*self.0.base).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// The health it shows.
    pub fn health(&self) -> &Health {
        &self.0.health
    }

    /// Answers a request: reads its method, path, query and headers before it returns, and holds nothing of it.
    ///
    /// Never fails: whatever is wrong with the request or with a check is an answer, too.
    pub fn respond<B>(&self, request: &Request<B>) -> impl Future<Output = Response<Bytes>> + Send + 'static + use<B> {
        self.respond_with(RequestHead::from(request), |answer| Response::clone(answer))
    }

    /// As [`respond`](Self::respond), for an adapter whose framework has types of its own. The answer may be told to others,
    /// too: `convert` makes of it what the framework needs, or keeps it, with `Arc::clone`.
    pub fn respond_with<T: Send + 'static>(
        &self,
        request: RequestHead<'_>,
        convert: fn(&Arc<Response<Bytes>>) -> T,
    ) -> impl Future<Output = T> + Send + 'static + use<T> {
        // A cached answer is returned at once, as a future that can wait for checks is expensive to move.
        let health = &self.0.health;
        let query = match self.parse(request) {
            Ok(query) => query,
            Err(refusal) => return Either::Left(ready(answer::refuse(health, refusal, request.method, convert))),
        };
        if let Some(answer) = answer::kept(health, &query, convert) {
            return Either::Left(ready(answer));
        }
        let (health, budget) = (health.clone(), query::budget(request.headers));
        Either::Right(async move { answer::run(&health, &query, budget, convert).await }.boxed())
    }
}
