//! The HTTP policy, in one place. Adapters convert requests and responses, and decide nothing.
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
mod builder;
mod endpoints;
mod future;
mod head;
mod policy;
mod query;
mod refusal;
mod response;
#[cfg(feature = "tower")]
mod tower;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use bytes::Bytes;
use http::{Request, Response};

use self::accept::Offer;
use crate::render::Renderer;
use crate::{Anonymous, Health, Secret};

pub use self::builder::EndpointBuilder;
pub use self::endpoints::Endpoints;
pub use self::head::RequestHead;
pub(crate) use self::policy::Policy;
pub use self::response::SharedResponse;
#[cfg(feature = "tower")]
pub use self::tower::{Body, ResponseFuture};

/// The health of a service at a URL. Every adapter answers with the same bytes.
///
/// | request | answer |
/// |---|---|
/// | `GET /ht/`, `GET /ht` | all checks; the final slash is optional everywhere |
/// | `GET /ht/<group>/` | that group; 404 for an unknown one |
/// | `HEAD` | the same status and headers, no body |
/// | `OPTIONS` | as `HEAD`, with `Allow` and zero length, for HAProxy's `option httpchk`. A CORS middleware may answer it first, with 200 |
/// | any other method | 405 with `Allow` |
/// | `?format=<name>` | that format, whatever `Accept` says; 400 for an unknown one |
/// | `?refresh=<seconds>` | the same, and a browser reloads the page after that time, without a script |
/// | nothing acceptable | 406, before any check runs |
/// | `?only=<name>`, any number of them | only these checks; 404 for one that the group does not have. `startup` ignores it |
/// | `?exclude=<name>`, any number of them | without these checks, and without them in the verdict |
/// | `?verbose` | more detail, if the format has it: [`Renderer::render_verbose`] |
///
/// A healthy answer is 200, or [`Settings::degraded_status`](crate::Settings::degraded_status) if
/// some row warns or fails. An unhealthy one is
/// [`Settings::unhealthy_status`](crate::Settings::unhealthy_status). Content negotiation follows
/// [RFC 9110, section 12](https://www.rfc-editor.org/rfc/rfc9110#section-12).
///
/// One `Health` can have several endpoints. They share its checks and their verdicts, and each has
/// a policy of its own. For instance, one shows everything on a management port, and another only
/// the verdict in public.
///
/// ```
/// use health_core::{Anonymous, Endpoint, Health};
///
/// let health = Health::builder().build()?;
/// let management = Endpoint::builder(health.clone()).path("/ht/").build()?;
/// let public = Endpoint::builder(health)
///     .path("/status/")
///     .anonymous(Anonymous::Status)
///     .formats(["json"])
///     .build()?;
/// # let _ = (management, public);
/// # Ok::<(), health_core::BuildError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Endpoint(Arc<Shared>); // a single reference count, as some frameworks clone it for each request

#[derive(Debug)]
struct Shared {
    health: Health,
    base: String,
    /// The position of the plan of the only group that this endpoint shows.
    group: Option<usize>,
    token: Option<Secret>,
    /// The setting of this endpoint, in place of that of the group.
    anonymous: Option<Anonymous>,
    policy: Policy,
    /// The number under which snapshots keep the answers of this policy.
    policy_id: usize,
    /// The positions of the renderers that this endpoint offers, the default first.
    renderers: Vec<usize>,
    offers: Vec<Offer>,
    /// The time at which a refused token was last logged, in seconds of the Unix epoch.
    last_refusal: AtomicU64,
}

impl Endpoint {
    /// The request headers that the endpoint reads, in lower case. An adapter whose framework has
    /// header types of its own needs to convert no others.
    pub const REQUEST_HEADERS: &'static [&'static str] =
        &["accept", "authorization", query::SCRAPE_TIMEOUT];

    /// Creates an endpoint at this path, such as `/ht/`, with the policy of the
    /// [`Settings`](crate::Settings).
    pub fn new(path: &str, health: Health) -> Self {
        // The settings were validated when the health was built, so the faults are ignored.
        Self::builder(health).path(path).assemble().0
    }

    /// Returns a builder for an endpoint with a policy of its own.
    pub fn builder(health: Health) -> EndpointBuilder {
        EndpointBuilder::new(health)
    }

    /// Returns the endpoints `/livez` and `/readyz`, for the probes of Kubernetes: the groups
    /// `live` and `ready`.
    ///
    /// A request without the token gets only the verdict. A request with it gets the rows, and so
    /// does every request if there is no token. A client without a preference, such as the kubelet,
    /// gets the format [`Probe`](crate::Probe).
    pub fn probes(health: &Health) -> [Self; 2] {
        [("/livez", "live"), ("/readyz", "ready")].map(|(path, group)| {
            let endpoint = Self::builder(health.clone()).path(path).group(group);
            let endpoint = endpoint.for_probes();
            let has_token = health.settings().token.is_some();
            let endpoint = if has_token {
                endpoint.anonymous(Anonymous::Status)
            } else {
                endpoint
            };
            endpoint.assemble().0
        })
    }

    /// Returns the only group that this endpoint shows; `None` if it shows all checks, and each
    /// group below its path.
    pub fn group(&self) -> Option<&str> {
        self.0.health.plans()[self.0.group?].name.as_deref()
    }

    /// Returns the path without the final slash: `/ht`; empty at the root.
    pub fn base(&self) -> &str {
        &self.0.base
    }

    /// Returns `true` if a path is the base of this endpoint or below it.
    pub fn covers(&self, path: &str) -> bool {
        path.strip_prefix(&*self.0.base)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Returns the health that this endpoint shows.
    pub fn health(&self) -> &Health {
        &self.0.health
    }

    /// Answers a request. The method, the path, the query and the headers are read before this
    /// returns, and the future does not borrow the request.
    ///
    /// Never fails: an invalid request and a failing check are answered, too.
    pub fn respond<B>(
        &self,
        request: &Request<B>,
    ) -> impl Future<Output = Response<Bytes>> + Send + 'static + use<B> {
        self.respond_with(RequestHead::from(request), SharedResponse::to_response)
    }

    /// Answers a request as [`respond`](Self::respond) does, for an adapter whose framework has
    /// types of its own. `convert` creates the response of the framework.
    pub fn respond_with<T: Send + 'static>(
        &self,
        request: RequestHead<'_>,
        convert: fn(&SharedResponse) -> T,
    ) -> impl Future<Output = T> + Send + 'static + use<T> {
        self.answer(request, convert)
    }

    /// Returns the renderers that this endpoint offers, the default first.
    fn renderers(&self) -> impl Iterator<Item = &dyn Renderer> {
        self.0
            .renderers
            .iter()
            .map(|&position| self.0.health.renderers().at(position))
    }

    fn answer<T: Send + 'static>(
        &self,
        request: RequestHead<'_>,
        convert: fn(&SharedResponse) -> T,
    ) -> future::Answer<T> {
        let query = match self.parse(request) {
            Ok(query) => query,
            Err(refusal) => {
                return future::now(answer::refuse(self, refusal, request.method, convert));
            }
        };
        if let Some(answer) = answer::cached(self, &query, convert) {
            return future::now(answer);
        }
        let endpoint = self.clone();
        let budget = query::budget(request.headers);
        future::later(async move { answer::run(&endpoint, &query, budget, convert).await })
    }
}
