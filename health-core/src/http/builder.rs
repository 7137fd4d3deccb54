use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use http::header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, StatusCode};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::policy::Policy;
use super::{Endpoint, Shared, accept};
use crate::registry::{BuildError, BuildFault};
use crate::settings::{self, DEGRADED, UNHEALTHY};
use crate::{Anonymous, Health, Report, Secret};

/// The characters that RFC 3986 does not allow in a path. `%` is left alone, as the path may be
/// encoded already.
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

/// Configures an endpoint: its path, its access and its answers. See [`Endpoint::builder`].
///
/// The [`Settings`](crate::Settings) of the health are the defaults.
#[must_use = "call build() at the end"]
pub struct EndpointBuilder {
    health: Health,
    path: String,
    group: Option<String>,
    token: Option<Secret>,
    anonymous: Option<Anonymous>,
    formats: Option<Vec<String>>,
    /// `true` if the format `probe` answers a client without a preference.
    is_probe: bool,
    policy: Policy,
    faults: Vec<BuildFault>,
}

impl EndpointBuilder {
    pub(super) fn new(health: Health) -> Self {
        let settings = health.settings();
        Self {
            path: settings.path.clone(),
            group: settings.group.clone(),
            token: settings.token.clone(),
            anonymous: None,
            formats: settings.formats.clone(),
            is_probe: false,
            policy: Policy::new(settings),
            faults: Vec::new(),
            health,
        }
    }

    /// Sets the path, such as `/ht/`. The slashes at the start and at the end are optional, empty
    /// segments are removed, and characters that no URL has are percent-encoded. *Default*:
    /// [`Settings::path`](crate::Settings::path).
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = path.into();
        self
    }

    /// Shows only this group, at the path itself, and names no other group. There are no paths
    /// below it. *Default*: all checks, and each group below the path.
    pub fn group(mut self, group: impl Into<String>) -> Self {
        self.group = Some(group.into());
        self
    }

    /// Requires this token: `<path>/<token>/` or `Authorization: Bearer <token>`. *Default*:
    /// [`Settings::token`](crate::Settings::token).
    pub fn token(mut self, token: impl Into<Secret>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// Requires no token, whatever the settings say, for a management port that is closed to the
    /// outside.
    pub fn without_token(mut self) -> Self {
        self.token = None;
        self
    }

    /// Sets the answer to a request without the token, for every group of this endpoint. If the
    /// endpoint has no token, this is the answer to every request. *Default*: that of the group or
    /// of the settings.
    pub fn anonymous(mut self, anonymous: Anonymous) -> Self {
        self.anonymous = Some(anonymous);
        self
    }

    /// Sets the status code of an unhealthy answer: 400 to 599, and not 429. *Default*:
    /// [`Settings::unhealthy_status`](crate::Settings::unhealthy_status).
    pub fn unhealthy_status(mut self, code: u16) -> Self {
        match StatusCode::from_u16(code)
            .ok()
            .filter(|_| settings::is_unhealthy_status(code))
        {
            Some(code) => self.policy.unhealthy = code,
            None => self
                .faults
                .push(BuildFault::setting("unhealthy_status", UNHEALTHY)),
        }
        self
    }

    /// Sets the status code of a healthy answer in which some row warns or fails: 200 to 299,
    /// except for 204 and 205, which have no body.
    /// *Default*: [`Settings::degraded_status`](crate::Settings::degraded_status).
    pub fn degraded_status(mut self, code: u16) -> Self {
        match StatusCode::from_u16(code)
            .ok()
            .filter(|_| settings::is_degraded_status(code))
        {
            Some(code) => self.policy.degraded = code,
            None => self
                .faults
                .push(BuildFault::setting("degraded_status", DEGRADED)),
        }
        self
    }

    /// Sets a function that returns the status code of a report, in place of the two codes above.
    /// Metrics and feeds are still answered with 200. If the function panics or returns 429, it is
    /// ignored for that answer, and the log says so.
    ///
    /// The function gets the whole report, even if the reader sees only the verdict.
    pub fn status_code(
        mut self,
        function: impl Fn(&Report) -> StatusCode + Send + Sync + 'static,
    ) -> Self {
        self.policy.function = Some(Arc::new(function));
        self
    }

    /// Offers only these formats, in this order. The first one whose status code is the verdict
    /// answers a request without preference, so an API service names `json` first; metrics and
    /// feeds, which are always 200, answer it only if there is nothing else. *Default*: all formats
    /// of the health, `html` first.
    pub fn formats<I: Into<String>>(mut self, formats: impl IntoIterator<Item = I>) -> Self {
        self.formats = Some(formats.into_iter().map(Into::into).collect());
        self
    }

    /// Answers a client without a preference in the format `probe`, whatever the other formats are.
    pub(super) fn for_probes(mut self) -> Self {
        self.is_probe = true;
        self
    }

    /// Adds a header to every answer. It replaces a header of that name that the engine sets.
    /// `Content-Type`, `Content-Length` and `Allow` belong to the answer itself and are refused.
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        if [CONTENT_TYPE, CONTENT_LENGTH, ALLOW].contains(&name) {
            let message = format!("{name} belongs to the answer itself: leave it out");
            self.faults.push(BuildFault::setting("header", message));
        } else {
            self.policy.headers.insert(name, value);
        }
        self
    }

    /// Builds the endpoint.
    ///
    /// # Errors
    /// Fails for unknown groups and formats, and for status codes, headers and tokens that are not
    /// allowed; the error lists all of them.
    pub fn build(self) -> Result<Endpoint, BuildError> {
        let (endpoint, faults) = self.assemble();
        BuildError::check(faults)?;
        Ok(endpoint)
    }

    /// Builds the endpoint, with a default in place of whatever is invalid, and returns the faults.
    pub(super) fn assemble(self) -> (Endpoint, Vec<BuildFault>) {
        let Self {
            health,
            path,
            group,
            token,
            anonymous,
            formats,
            is_probe,
            policy,
            mut faults,
        } = self;
        let group = group.and_then(|group| {
            let plan = health
                .plans()
                .iter()
                .position(|plan| plan.name.as_deref() == Some(&group));
            if plan.is_none() {
                let groups = health.groups().collect::<Vec<_>>().join(", ");
                faults.push(BuildFault::group(
                    &group,
                    format!("the endpoint shows it, but the groups are {groups}"),
                ));
            }
            plan
        });
        if let Some(message) = token
            .as_ref()
            .and_then(|token| settings::token_fault(token, health.groups()))
        {
            faults.push(BuildFault::setting("token", message));
        }
        faults.extend(settings::path_fault(&path));
        let mut renderers: Vec<usize> = match &formats {
            None => health.renderers().positions().collect(),
            Some(names) => {
                faults.extend(settings::formats_fault(names, health.renderers()));
                names
                    .iter()
                    .filter_map(|name| health.renderers().position(name))
                    .collect()
            }
        };
        let fallback = is_probe.then(|| health.renderers().probe());
        renderers.extend(fallback.filter(|position| !renderers.contains(position)));
        let segments = path.split('/').filter(|segment| !segment.is_empty());
        let base: String = segments.flat_map(|segment| ["/", segment]).collect();
        let shared = Shared {
            base: utf8_percent_encode(&base, NOT_IN_A_PATH).to_string(),
            offers: accept::offers(health.renderers(), &renderers, fallback),
            policy_id: health.policy_id(&policy),
            policy,
            renderers,
            group,
            token,
            anonymous,
            last_refusal: AtomicU64::default(),
            health,
        };
        (Endpoint(Arc::new(shared)), faults)
    }
}

impl fmt::Debug for EndpointBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EndpointBuilder")
            .field("group", &self.group)
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}
