use std::borrow::Cow;

use bytes::Bytes;
use health_core::Endpoint;
use http::{HeaderName, HeaderValue, Request, Response};

use super::{Setting, Site};

/// A named request with the response that is expected to it.
#[derive(Debug, Clone)]
pub struct Case {
    /// The name in the output of the tests.
    pub name: &'static str,
    /// The setting of the site that receives the request.
    pub setting: Setting,
    /// The expected response.
    pub expected: Expected,
    /// `true` for a method that a framework may not know: its test client can't send it, and its
    /// middleware may not see it.
    pub only_over_a_socket: bool,
    pub(super) method: &'static str,
    pub(super) target: Cow<'static, str>,
    pub(super) headers: Vec<(&'static str, &'static [u8])>,
    pub(super) body: Bytes,
}

/// The expected response to a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Expected {
    /// The response of the endpoint of [`Site::first`] at this path. The prefix is removed from the
    /// target before.
    First {
        /// The path at which the endpoint is mounted.
        path: &'static str,
        /// The prefix of the target before that path.
        below: &'static str,
    },
    /// The response of the endpoint of [`Site::second`] at `/other/`.
    Second,
    /// The response of [`Site::public`].
    Public,
    /// The response of the probes of [`Site::first`].
    Probes,
    /// A response of the application itself: its status and its text.
    Own(u16, &'static str),
    /// The framework's own 404, with any headers and body.
    NotFound,
}

impl Case {
    pub(super) fn new(name: &'static str, target: impl Into<Cow<'static, str>>) -> Self {
        Self {
            name,
            setting: Setting::Unhealthy,
            expected: Expected::First {
                path: "/ht/",
                below: "",
            },
            only_over_a_socket: false,
            method: "GET",
            target: target.into(),
            headers: Vec::new(),
            body: Bytes::new(),
        }
    }

    pub(super) fn of(self, setting: Setting) -> Self {
        Self { setting, ..self }
    }

    pub(super) fn expect(self, expected: Expected) -> Self {
        Self { expected, ..self }
    }

    pub(super) fn method(self, method: &'static str) -> Self {
        Self { method, ..self }
    }

    pub(super) fn over_a_socket(self) -> Self {
        Self {
            only_over_a_socket: true,
            ..self
        }
    }

    pub(super) fn header(mut self, name: &'static str, value: &'static [u8]) -> Self {
        self.headers.push((name, value));
        self
    }

    pub(super) fn body(self, length: usize) -> Self {
        Self {
            body: vec![b'.'; length].into(),
            ..self
        }
    }

    pub(super) fn accept(self, value: &'static str) -> Self {
        self.header("accept", value.as_bytes())
    }

    /// Returns the request.
    ///
    /// # Panics
    /// Never panics, because all cases of the suite are valid.
    pub fn request(&self) -> Request<Bytes> {
        self.request_to(&self.target)
    }

    fn request_to(&self, target: &str) -> Request<Bytes> {
        let mut request = Request::builder().method(self.method).uri(target);
        for (name, value) in &self.headers {
            let value = HeaderValue::from_bytes(value).expect("the suite's headers are valid");
            request = request.header(HeaderName::from_static(name), value);
        }
        request
            .body(self.body.clone())
            .expect("the suite's requests are valid")
    }

    /// Returns the response of the endpoint, or `None` if the case does not expect a response of an
    /// endpoint.
    ///
    /// # Panics
    /// Panics if no runtime can be built, or if it is called within a runtime.
    pub fn reference(&self, site: &Site) -> Option<Response<Bytes>> {
        let (endpoint, below) = match self.expected {
            Expected::First { path, below } => (Endpoint::new(path, site.first.clone()), below),
            Expected::Second => (Endpoint::new("/other/", site.second.clone()), ""),
            Expected::Public => (site.public.clone(), ""),
            Expected::Probes => {
                let probes = Endpoint::probes(&site.first);
                (
                    probes
                        .into_iter()
                        .find(|probe| probe.covers(self.request().uri().path()))?,
                    "",
                )
            }
            Expected::Own(..) | Expected::NotFound => return None,
        };
        let request = self.request_to(self.target.strip_prefix(below).unwrap_or(&self.target));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        Some(
            runtime
                .expect("a runtime can be built")
                .block_on(endpoint.respond(&request)),
        )
    }
}
