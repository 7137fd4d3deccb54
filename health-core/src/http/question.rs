//! From a request to what it asks for: everything that can be refused is refused here, before any check runs.

use std::borrow::Cow;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use http::header::{ACCEPT, AUTHORIZATION};
use http::{HeaderMap, Method};
use percent_encoding::percent_decode_str;
use subtle::ConstantTimeEq as _;

use super::accept;
use super::refusal::Refusal;
use super::{Endpoint, RequestHead};
use crate::runner::Kind;
use crate::snapshot::View;
use crate::{Anonymous, Secret};

/// Prometheus says by this header how long it waits.
pub(super) const SCRAPE_TIMEOUT: &str = "x-prometheus-scrape-timeout-seconds";

/// What a request asks for.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) method: Method,
    pub(super) plan: usize,
    pub(super) view: View,
    /// The only checks that the reader wants; none for all.
    pub(super) only: Vec<String>,
    /// The checks that the reader leaves out.
    pub(super) exclude: Vec<String>,
    /// After how many seconds a browser asks again.
    pub(super) refresh: Option<u16>,
}

impl Endpoint {
    pub(super) fn understand(&self, request: RequestHead<'_>) -> Result<Question, Refusal> {
        let (plan, bare) = self.find(request.path, request.headers)?;
        if ![Method::GET, Method::HEAD, Method::OPTIONS].contains(request.method) {
            return Err(Refusal::UnknownMethod);
        }
        let mut wishes = Wishes::read(request.query);
        // Who may see the verdict only must not find out what makes it, and what starts does so as a whole.
        if bare || self.0.health.plans()[plan].kind == Kind::Startup {
            wishes.only.clear();
        }
        if !self.0.health.has_members(&wishes.only, plan) {
            return Err(Refusal::UnknownCheck(plan));
        }
        let renderer = match wishes.format.filter(|name| !name.is_empty()) {
            Some(name) => self.0.health.renderers().position(&name).ok_or(Refusal::UnknownFormat)?,
            None => accept::choose(request.headers.get_all(ACCEPT), &self.0.offers).ok_or(Refusal::NotAcceptable)?,
        };
        let view = View { renderer, bare, verbose: wishes.verbose };
        let (only, exclude) = (wishes.only, if bare { Vec::new() } else { wishes.exclude });
        Ok(Question { method: request.method.clone(), plan, view, only, exclude, refresh: wishes.refresh })
    }

    /// The plan that a path names, and whether the reader may see its verdict only.
    fn find(&self, path: &str, headers: &HeaderMap) -> Result<(usize, bool), Refusal> {
        if !self.covers(path) {
            return Err(Refusal::NotFound);
        }
        let mut segments = segments(&path[self.0.base.len()..]);
        let shown = self.0.health.settings().token.as_ref().map(|token| show(token, &mut segments, headers));
        let plans = self.0.health.plans();
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
            (None | Some(Shown::Right), None) => Err(Refusal::UnknownGroup),
            (Some(shown), _) => {
                self.warn_of_refusal(if plan.is_some() { shown } else { Shown::Wrong });
                Err(Refusal::NotFound)
            }
        }
    }

    /// At most once a minute, whoever asks how often.
    #[cold]
    fn warn_of_refusal(&self, shown: Shown) {
        let now =
            self.0.health.clock().time().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let last = self.0.last_refusal.load(Ordering::Relaxed);
        let is_due = last == 0 || now >= last.saturating_add(60);
        if is_due && self.0.last_refusal.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
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

/// What a query asks for.
#[derive(Default)]
struct Wishes<'a> {
    /// The last one, as Django takes it; an empty one is none.
    format: Option<Cow<'a, str>>,
    verbose: bool,
    only: Vec<String>,
    exclude: Vec<String>,
    /// After how many seconds a browser asks again.
    refresh: Option<u16>,
}

impl<'a> Wishes<'a> {
    fn read(query: &'a str) -> Self {
        let mut wishes = Self::default();
        if query.bytes().any(|byte| matches!(byte, b'%' | b'+')) {
            form_urlencoded::parse(query.as_bytes()).for_each(|(name, value)| wishes.take(&name, value));
        } else {
            // Nothing to decode, which most queries are, takes half the time of a cached answer's decisions to find out.
            let mut rest = query;
            while !rest.is_empty() {
                let (pair, others) = cut(rest, b'&');
                let (name, value) = cut(pair, b'=');
                wishes.take(name, value.into());
                rest = others;
            }
        }
        wishes
    }

    fn take(&mut self, name: &str, value: Cow<'a, str>) {
        match name {
            "format" => self.format = Some(value),
            "verbose" => self.verbose = true,
            "only" => self.only.push(value.into_owned()),
            "exclude" if !value.is_empty() => self.exclude.push(value.into_owned()),
            "refresh" => self.refresh = value.parse().ok().filter(|seconds| *seconds > 0),
            _ => {}
        }
    }
}

/// What is before a byte, and what is after it. In so short a text that is found sooner than the search of `str` begins.
fn cut(text: &str, at: u8) -> (&str, &str) {
    match text.bytes().position(|byte| byte == at) {
        Some(place) => (&text[..place], &text[place + 1..]),
        None => (text, ""),
    }
}

/// Half a second less than the scraper waits, if it says how long.
pub(super) fn budget(headers: &HeaderMap) -> Option<Duration> {
    let seconds: f64 = headers.get(SCRAPE_TIMEOUT)?.to_str().ok()?.trim().parse().ok()?;
    let timeout = Duration::try_from_secs_f64(seconds).ok()?;
    Some(timeout.saturating_sub(Duration::from_millis(500)))
}
