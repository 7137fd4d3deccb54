//! Answers a query: renders the report, and adds the status code and the headers.

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, EXPIRES, REFRESH,
    VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Method, Response};

use super::query::Query;
use super::refusal::Refusal;
use super::{Endpoint, SharedResponse};
use crate::Report;
use crate::render::{Renderer, Text};
use crate::snapshot::{Snapshot, View};

/// The methods that the endpoint supports.
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, OPTIONS");

/// Converts a shared answer into the type of a framework.
pub(super) type Convert<T> = fn(&SharedResponse) -> T;

/// Returns the cached answer, if the last report is still fresh.
pub(super) fn cached<T>(endpoint: &Endpoint, query: &Query, convert: Convert<T>) -> Option<T> {
    endpoint.health().kept(&query.choice, |snapshot| {
        show(endpoint, query, snapshot, convert)
    })
}

/// Runs the checks that have to run, and answers within the budget.
pub(super) async fn run<T>(
    endpoint: &Endpoint,
    query: &Query,
    budget: Option<Duration>,
    convert: Convert<T>,
) -> T {
    let snapshot = endpoint.health().snapshot_of(&query.choice, budget).await;
    show(endpoint, query, &snapshot, convert)
}

/// Answers a refused request, without a report.
#[cold]
pub(super) fn refuse<T>(
    endpoint: &Endpoint,
    refusal: Refusal,
    method: &Method,
    convert: Convert<T>,
) -> T {
    let message = refusal.message(endpoint);
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = refusal.status();
    *response.headers_mut() = headers("text/plain", &message, endpoint.health().clock().time());
    response
        .headers_mut()
        .extend(endpoint.0.policy.headers.clone());
    if refusal == Refusal::UnknownMethod {
        response.headers_mut().insert(ALLOW, METHODS);
    }
    *response.body_mut() = message.into();
    convert(&SharedResponse::new(trim(response, method)))
}

fn show<T>(endpoint: &Endpoint, query: &Query, snapshot: &Snapshot, convert: Convert<T>) -> T {
    let health = endpoint.health();
    let make = |shown: &Report| make(endpoint, query.view, &snapshot.report, shown);
    let is_plain = query.method == Method::GET && query.refresh.is_none();
    let finish = |answer: &SharedResponse| {
        if is_plain {
            convert(answer)
        } else {
            convert(&adapted(answer, query))
        }
    };
    if health.renderers().at(query.view.renderer).shows_ages() {
        finish(&snapshot.answer_now(query.view, health.clock().time(), make))
    } else {
        snapshot.answer(query.view, make, finish)
    }
}

/// Adapts an answer to a query that is not a plain GET.
fn adapted(answer: &SharedResponse, query: &Query) -> SharedResponse {
    let mut response = answer.to_response();
    if let Some(seconds) = query.refresh {
        response
            .headers_mut()
            .insert(REFRESH, HeaderValue::from(seconds));
    }
    SharedResponse::new(trim(response, &query.method))
}

/// Renders the report that the reader may see. The status code is that of the whole report.
fn make(endpoint: &Endpoint, view: View, whole: &Report, shown: &Report) -> SharedResponse {
    let health = endpoint.health();
    let renderer = health.renderers().at(view.renderer);
    let (body, content_type) = match write(renderer, view.verbose, shown) {
        Some(body) => (
            body,
            renderer
                .media_types()
                .first()
                .copied()
                .unwrap_or("text/plain"),
        ),
        None => (write(&Text, false, shown).unwrap_or_default(), "text/plain"),
    };
    let mut headers = headers(content_type, &body, shown.generated_at);
    if content_type.starts_with("text/html")
        && let Ok(policy) = HeaderValue::from_str(&health.settings().content_security_policy)
    {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    headers.extend(endpoint.0.policy.headers.clone());
    let mut response = Response::new(Bytes::from(body));
    *response.headers_mut() = headers;
    if !renderer.always_ok() {
        *response.status_mut() = endpoint.0.policy.status(whole);
    }
    SharedResponse::new(response)
}

/// Renders a report. Returns `None` if the renderer fails or panics: a broken page must not look
/// like a broken service.
fn write(renderer: &dyn Renderer, verbose: bool, report: &Report) -> Option<String> {
    let mut body = String::new();
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        if verbose {
            renderer.render_verbose(report, &mut body)
        } else {
            renderer.render(report, &mut body)
        }
    }));
    if !matches!(outcome, Ok(Ok(()))) {
        tracing::error!(
            format = renderer.format(),
            "the renderer failed: answered in the text format instead"
        );
        return None;
    }
    Some(body)
}

/// Returns the headers that every answer has. `Expires` is the time of the report, which has passed
/// when it is read.
fn headers(content_type: &str, body: &str, time: SystemTime) -> HeaderMap {
    let content_type = match content_type {
        text if text.starts_with("text/") && !text.contains(';') => {
            Cow::Owned(format!("{text}; charset=utf-8"))
        }
        other => Cow::Borrowed(other),
    };
    let never = HeaderValue::from_static("max-age=0, no-cache, no-store, must-revalidate, private");
    let plain = HeaderValue::from_static("application/octet-stream");
    HeaderMap::from_iter([
        (
            CONTENT_TYPE,
            HeaderValue::from_str(&content_type).unwrap_or(plain),
        ),
        (CONTENT_LENGTH, HeaderValue::from(body.len())),
        (CACHE_CONTROL, never),
        (
            EXPIRES,
            HeaderValue::from_str(&httpdate::fmt_http_date(time))
                .unwrap_or(HeaderValue::from_static("0")),
        ),
        (VARY, HeaderValue::from_static("Accept")),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ])
}

/// Adapts an answer to its method. For HEAD, the length is still that of the body of a GET. For
/// OPTIONS it is zero, because its client would wait for that body.
fn trim(mut response: Response<Bytes>, method: &Method) -> Response<Bytes> {
    if *method == Method::OPTIONS {
        response.headers_mut().insert(ALLOW, METHODS);
        response
            .headers_mut()
            .insert(CONTENT_LENGTH, HeaderValue::from(0));
    }
    if *method == Method::HEAD || *method == Method::OPTIONS {
        *response.body_mut() = Bytes::new();
    }
    response
}
