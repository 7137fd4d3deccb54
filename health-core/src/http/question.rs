//! From a request to what it asks for: everything that can be refused is refused here, before any check runs.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use http::header::{ACCEPT, AUTHORIZATION};
use http::{HeaderMap, Method, Request, StatusCode};
use percent_encoding::percent_decode_str;
use subtle::ConstantTimeEq as _;

use super::Endpoint;
use super::accept::{self, Offer};
use super::answer::Refusal;
use crate::health::View;
use crate::render::Renderers;
use crate::{Anonymous, Secret};

/// Prometheus says by this header how long it waits.
const SCRAPE_TIMEOUT: &str = "x-prometheus-scrape-timeout-seconds";

/// What a request asks for.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) plan: usize,
    pub(super) view: View,
    /// The checks that the reader leaves out.
    pub(super) exclude: BTreeSet<String>,
    /// How long the reader waits, if it says so.
    pub(super) budget: Option<Duration>,
}

impl Endpoint {
    pub(super) fn understand<B>(&self, request: &Request<B>) -> Result<Question, Refusal> {
        let (plan, bare) = self.find(request.uri().path(), request.headers())?;
        if ![Method::GET, Method::HEAD, Method::OPTIONS].contains(request.method()) {
            return Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed: use GET, HEAD or OPTIONS"));
        }
        let renderer = format(self.health.renderers(), request)?;
        let query = request.uri().query().unwrap_or_default();
        let view = View { renderer, bare, verbose: values(query, "verbose").next().is_some() };
        // Who may see the verdict only must not find out what makes it.
        let exclude = values(query, "exclude").filter(|name| !bare && !name.is_empty()).map(Cow::into_owned);
        Ok(Question { plan, view, exclude: exclude.collect(), budget: scrape_budget(request.headers()) })
    }

    /// The plan that a path names, and whether the reader may see its verdict only.
    fn find(&self, path: &str, headers: &HeaderMap) -> Result<(usize, bool), Refusal> {
        let nothing = || Refusal::new(StatusCode::NOT_FOUND, "Not Found");
        if !self.covers(path) {
            return Err(nothing());
        }
        let mut segments = segments(&path[self.base.len()..]);
        let shown = self.health.settings().token.as_ref().map(|token| show(token, &mut segments, headers));
        let plans = self.health.plans();
        let group = match &segments[..] {
            [] => Some(None),
            [group] => Some(Some(&**group)),
            _ => None,
        };
        let plan = group.and_then(|group| plans.iter().position(|plan| plan.name.as_deref() == group));
        let may_see = |plan: usize| plans[plan].anonymous == Anonymous::Status;
        match (shown, plan) {
            (None | Some(Shown::Right), Some(plan)) => Ok((plan, shown.is_none() && may_see(plan))),
            (Some(Shown::Nothing), Some(plan)) if may_see(plan) => Ok((plan, true)),
            (None | Some(Shown::Right), None) => {
                let groups: Vec<_> = self.health.groups().collect();
                Err(Refusal::new(StatusCode::NOT_FOUND, format!("Not Found: the groups are {}", groups.join(", "))))
            }
            (Some(shown), _) => {
                self.warn_of_refusal(if plan.is_some() { shown } else { Shown::Wrong });
                Err(nothing())
            }
        }
    }

    /// At most once a minute, whoever asks how often.
    fn warn_of_refusal(&self, shown: Shown) {
        let now = self.health.clock().time().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let last = self.last_refusal.load(Ordering::Relaxed);
        let is_due = last == 0 || now >= last.saturating_add(60);
        if is_due && self.last_refusal.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            let token = if shown == Shown::Nothing { "missing" } else { "wrong" };
            tracing::warn!(token, "a reader of the health endpoint was refused");
        }
    }
}

/// The decoded segments of what follows the base; one slash at the end is optional.
fn segments(rest: &str) -> Vec<Cow<'_, str>> {
    match rest.strip_prefix('/') {
        None | Some("") => Vec::new(),
        Some(rest) => {
            let rest = rest.strip_suffix('/').unwrap_or(rest);
            rest.split('/').map(|segment| percent_decode_str(segment).decode_utf8_lossy()).collect()
        }
    }
}

/// Which token a reader has shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    Right,
    Wrong,
    Nothing,
}

/// Looks for the token in the path, and takes it out of there, and in the `Authorization` header.
fn show(token: &Secret, segments: &mut Vec<Cow<'_, str>>, headers: &HeaderMap) -> Shown {
    let is_right = |text: &[u8]| bool::from(text.ct_eq(token.expose().as_bytes()));
    if segments.first().is_some_and(|first| is_right(first.as_bytes())) {
        segments.remove(0);
        return Shown::Right;
    }
    let Some(header) = headers.get(AUTHORIZATION) else { return Shown::Nothing };
    let bearer = header.as_bytes().split_at_checked(7).filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"bearer "));
    match bearer {
        None => Shown::Nothing, // another scheme, which is somebody else's
        Some((_, text)) if is_right(text.trim_ascii()) => Shown::Right,
        Some(_) => Shown::Wrong,
    }
}

fn format<B>(renderers: &Renderers, request: &Request<B>) -> Result<usize, Refusal> {
    // The last one, as Django takes it; an empty one is none.
    let name = values(request.uri().query().unwrap_or_default(), "format").last();
    if let Some(name) = name.filter(|name| !name.is_empty()) {
        return renderers.position(&name).ok_or_else(|| {
            let names: Vec<_> = renderers.formats().collect();
            Refusal::new(StatusCode::BAD_REQUEST, format!("Bad Request: the formats are {}", names.join(", ")))
        });
    }
    let offers = offers(renderers);
    accept::choose(request.headers().get_all(ACCEPT).iter(), &offers).ok_or_else(|| {
        let message = format!("Not Acceptable: Supported content types: {}", content_types(renderers).join(", "));
        Refusal::new(StatusCode::NOT_ACCEPTABLE, message)
    })
}

/// What each format is known for, without parameters; each once.
fn content_types(renderers: &Renderers) -> Vec<&str> {
    let main = renderers.iter().filter_map(|renderer| renderer.media_types().first()?.split(';').next());
    main.fold(Vec::new(), |mut types, media_type| {
        if !types.contains(&media_type) {
            types.push(media_type);
        }
        types
    })
}

/// The first media type of each renderer, then the others, so that a wildcard finds what a renderer is known for.
fn offers(renderers: &Renderers) -> Vec<Offer<'_>> {
    let main = renderers.iter().map(|renderer| renderer.media_types().get(..1).unwrap_or_default());
    let others = renderers.iter().map(|renderer| renderer.media_types().get(1..).unwrap_or_default());
    let types = main.enumerate().chain(others.enumerate());
    types.flat_map(|(renderer, types)| types.iter().map(move |media_type| Offer { media_type, renderer })).collect()
}

/// The values of this name in a query.
fn values<'a>(query: &'a str, name: &str) -> impl Iterator<Item = Cow<'a, str>> {
    form_urlencoded::parse(query.as_bytes()).filter(move |(key, _)| key == name).map(|(_, value)| value)
}

/// Half a second less than the scraper waits.
fn scrape_budget(headers: &HeaderMap) -> Option<Duration> {
    let seconds: f64 = headers.get(SCRAPE_TIMEOUT)?.to_str().ok()?.trim().parse().ok()?;
    let timeout = Duration::try_from_secs_f64(seconds).ok()?;
    Some(timeout.saturating_sub(Duration::from_millis(500)))
}
