use std::time::{Duration, Instant};

use health_core::{ReportFormat, Secret};
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::{Attempt, Policy};
use reqwest::{Response, Url};

use super::target::Target;
use super::{Answer, Expected, Failure};

/// The maximum size of a response, in bytes.
const MAX_LEN: usize = 8 * 1024 * 1024;

/// The maximum number of redirects.
const REDIRECTS: usize = 5;

/// A client of one endpoint.
pub(crate) struct HttpClient {
    target: Target,
    headers: HeaderMap,
    client: reqwest::Client,
    expected: Expected,
}

/// The format `report` is complete. The JSON of other programs, and of older versions, has only a
/// text for each check.
const ACCEPT_REPORT: &str = "application/json;q=0.9, application/vnd.health-report+json, */*;q=0.1";

impl HttpClient {
    pub(super) fn new(
        url: &str,
        group: Option<&str>,
        headers: &[(String, Secret)],
        expected: Expected,
    ) -> Result<Self, String> {
        let mut target = Target::parse(url)?;
        if let Some(group) = group {
            target = target.group(group);
        }
        let mut all = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(ACCEPT_REPORT))]);
        for (name, value) in headers {
            let (name, value) = parse(name, value).ok_or("--header: expected NAME: VALUE")?;
            all.insert(name, value);
        }
        let trust = if target.is_plain() {
            Trust::Nobody
        } else {
            Trust::Machine
        };
        let client = build(&target, &all, trust).map_err(|_| "the HTTP client can't be set up")?;
        Ok(Self {
            target,
            headers: all,
            client,
            expected,
        })
    }

    /// Returns the host and port, or the socket, of the endpoint, without its secret parts.
    pub(super) fn address(&self) -> &str {
        &self.target.address
    }

    /// Requests the report as JSON, or in the format of this name.
    pub(super) async fn ask(
        &self,
        format: Option<&str>,
        max_wait: Duration,
    ) -> Result<Answer, Failure> {
        let mut url = self.target.url.clone();
        if let Some(format) = format {
            url.query_pairs_mut().append_pair("format", format);
        }
        let began = Instant::now();
        let failed = |error: reqwest::Error| Failure::of(self.address(), &error, max_wait);
        let mut response = self
            .client
            .get(url.clone())
            .timeout(max_wait)
            .send()
            .await
            .map_err(failed)?;
        if response.status().is_redirection() && self.target.is_plain() {
            let client = build(&self.target, &self.headers, Trust::Machine).map_err(failed)?; // it may lead to TLS
            let left = max_wait.saturating_sub(began.elapsed());
            response = client.get(url).timeout(left).send().await.map_err(failed)?;
        }
        let status = response.status().as_u16();
        let content_type = response.headers().get(CONTENT_TYPE);
        let is = |media_type: &str| {
            content_type.is_some_and(|value| {
                value
                    .as_bytes()
                    .to_ascii_lowercase()
                    .starts_with(media_type.as_bytes())
            })
        };
        let is_report = is(ReportFormat::MEDIA_TYPE);
        let is_page = is("text/html") && format != Some("html");
        let body = read(response).await.map_err(failed)?;
        let body = body
            .ok_or_else(|| Failure::answered(self.address(), "the answer is longer than 8 MiB"))?;
        Ok(Answer {
            status,
            address: self.target.address.clone(),
            is_report,
            is_page,
            body,
            expected: self.expected.clone(),
            took: began.elapsed(),
        })
    }
}

fn parse(name: &str, value: &Secret) -> Option<(HeaderName, HeaderValue)> {
    let mut value = HeaderValue::from_str(value.expose()).ok()?;
    value.set_sensitive(true);
    Some((name.parse().ok()?, value))
}

/// The certificates that a client trusts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trust {
    /// Those of this machine. Reading them takes longer than a request.
    Machine,
    /// None: the client does not follow redirects to TLS.
    Nobody,
}

fn build(target: &Target, headers: &HeaderMap, trust: Trust) -> reqwest::Result<reqwest::Client> {
    let _ = rustls::crypto::ring::default_provider().install_default(); // fails if it is installed already
    let builder = || {
        let home = target.url.clone();
        let mut builder = reqwest::Client::builder()
            .default_headers(headers.clone())
            .pool_max_idle_per_host(0) // each request also tests that a connection can be opened
            .redirect(Policy::custom(move |attempt| {
                let may_follow = trust == Trust::Machine || attempt.url().scheme() == "http";
                if may_follow && stays(&attempt, &home) {
                    attempt.follow()
                } else {
                    attempt.stop()
                }
            }))
            .referer(false)
            .user_agent(concat!("health/", env!("CARGO_PKG_VERSION")));
        if target.is_local() {
            builder = builder.no_proxy();
        }
        #[cfg(unix)]
        if let Some(socket) = &target.socket {
            builder = builder.unix_socket(socket.clone());
        }
        builder
    };
    let without = || builder().tls_certs_only([]).build();
    // An image without any certificates can still query endpoints without TLS.
    if trust == Trust::Machine {
        builder().build().or_else(|_| without())
    } else {
        without()
    }
}

/// Returns `true` if a redirect leads to the same server, or to the same host with TLS. Only these
/// may see the headers and paths.
fn stays(attempt: &Attempt<'_>, home: &Url) -> bool {
    let next = attempt.url();
    let is_same = (next.scheme(), next.port_or_known_default())
        == (home.scheme(), home.port_or_known_default());
    let is_upgrade = home.scheme() == "http" && next.scheme() == "https";
    next.host_str() == home.host_str()
        && (is_same || is_upgrade)
        && attempt.previous().len() <= REDIRECTS
}

/// Reads the body. Returns `None` if it is too long.
async fn read(mut response: Response) -> reqwest::Result<Option<Vec<u8>>> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_LEN {
            return Ok(None);
        }
    }
    Ok(Some(body))
}
