//! Parses a request. An invalid one is refused here, before any check runs.

use std::borrow::Cow;
use std::collections::BTreeSet;
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
use crate::selection::Choice;
use crate::snapshot::{Detail, View};
use crate::{Anonymous, Secret};

/// The header in which Prometheus sends its scrape timeout.
pub(super) const SCRAPE_TIMEOUT: &str = "x-prometheus-scrape-timeout-seconds";

/// A parsed request.
#[derive(Debug)]
pub(super) struct Query {
    pub(super) method: Method,
    pub(super) view: View,
    /// The checks that are read.
    pub(super) choice: Choice,
    /// The seconds of `?refresh=`, after which a browser reloads the page.
    pub(super) refresh: Option<u16>,
}

impl Endpoint {
    pub(super) fn parse(&self, request: RequestHead<'_>) -> Result<Query, Refusal> {
        let (plan, redacted) = self.find(request.path, request.headers)?;
        if ![Method::GET, Method::HEAD, Method::OPTIONS].contains(request.method) {
            return Err(Refusal::UnknownMethod);
        }
        let mut params = QueryParams::read(request.query);
        // A redacted answer must not reveal the names of checks, and start-up is only meaningful as
        // a whole.
        if redacted || self.0.health.plans()[plan].kind == Kind::Startup {
            params.only.clear();
        }
        if !params
            .only
            .iter()
            .all(|name| self.0.health.has_member(name, plan))
        {
            return Err(Refusal::UnknownCheck(plan));
        }
        let renderer = match params.format.filter(|name| !name.is_empty()) {
            Some(name) => self.renderer(&name).ok_or(Refusal::UnknownFormat)?,
            None => accept::choose(request.headers.get_all(ACCEPT), &self.0.offers)
                .ok_or(Refusal::NotAcceptable)?,
        };
        let view = View {
            policy: self.0.policy_id,
            renderer,
            detail: match self.0.group {
                _ if redacted => Detail::Verdict,
                Some(_) => Detail::Group,
                None => Detail::Whole,
            },
            verbose: params.verbose,
        };
        let mut exclude = if redacted {
            BTreeSet::new()
        } else {
            params.exclude
        };
        if !params.verbose {
            exclude.retain(|name| self.0.health.has_member(name, plan)); // only the verbose view lists unknown names
        }
        let choice = Choice {
            plan,
            with_groups: view.detail == Detail::Whole,
            only: params.only,
            exclude,
        };
        Ok(Query {
            method: request.method.clone(),
            choice,
            view,
            refresh: params.refresh,
        })
    }

    /// Returns the position of an offered format.
    fn renderer(&self, name: &str) -> Option<usize> {
        let is_named =
            |&&position: &&usize| self.0.health.renderers().at(position).format() == name;
        self.0.renderers.iter().find(is_named).copied()
    }

    /// Finds the plan that a path names. The flag is `true` if the answer has to be redacted.
    fn find(&self, path: &str, headers: &HeaderMap) -> Result<(usize, bool), Refusal> {
        if !self.covers(path) {
            return Err(Refusal::NotFound);
        }
        let mut segments = segments(&path[self.0.base.len()..]);
        let presented = self
            .0
            .token
            .as_ref()
            .map(|token| check_token(token, &mut segments, headers));
        let plan = self.plan(&segments);
        let may_see = |plan: usize| self.anonymous(plan) == Anonymous::Status;
        match (presented, plan) {
            (None | Some(TokenPresented::Right), Some(plan)) => {
                Ok((plan, presented.is_none() && may_see(plan)))
            }
            (Some(TokenPresented::Nothing), Some(plan)) if may_see(plan) => Ok((plan, true)),
            (None | Some(TokenPresented::Right), None) if self.0.group.is_some() => {
                Err(Refusal::NotFound)
            }
            (None | Some(TokenPresented::Right), None) => Err(Refusal::UnknownGroup),
            (Some(presented), _) => {
                self.warn_of_refusal(if plan.is_some() {
                    presented
                } else {
                    TokenPresented::Wrong
                });
                Err(Refusal::NotFound)
            }
        }
    }

    /// Returns the position of the plan that the segments below the base name.
    fn plan(&self, segments: &[Cow<'_, str>]) -> Option<usize> {
        let group = match segments {
            [] if self.0.group.is_some() => return self.0.group,
            [] => None,
            [group] if self.0.group.is_none() => Some(&**group),
            _ => return None,
        };
        self.0
            .health
            .plans()
            .iter()
            .position(|plan| plan.name.as_deref() == group)
    }

    /// Returns the setting for readers without the token.
    fn anonymous(&self, plan: usize) -> Anonymous {
        self.0
            .anonymous
            .unwrap_or(self.0.health.plans()[plan].anonymous)
    }

    /// Logs a refused token, at most once a minute.
    #[cold]
    fn warn_of_refusal(&self, presented: TokenPresented) {
        let now = self
            .0
            .health
            .clock()
            .time()
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        let last = self.0.last_refusal.load(Ordering::Relaxed);
        let is_due = last == 0 || now >= last.saturating_add(60);
        if is_due
            && self
                .0
                .last_refusal
                .compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
        {
            let token = if presented == TokenPresented::Nothing {
                "missing"
            } else {
                "wrong"
            };
            tracing::warn!(token, "a reader of the health endpoint was refused");
        }
    }
}

/// Decodes the segments below the base path; one slash at the end is optional.
fn segments(rest: &str) -> Vec<Cow<'_, str>> {
    match rest.strip_prefix('/') {
        None | Some("") => Vec::new(),
        Some(rest) => {
            let rest = rest.strip_suffix('/').unwrap_or(rest);
            rest.split('/')
                .map(|segment| percent_decode_str(segment).decode_utf8_lossy())
                .collect()
        }
    }
}

/// The token that a request presents, compared with that of the endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TokenPresented {
    Right,
    Wrong,
    Nothing,
}

/// Looks for the token in the path, from which it is removed, and in the `Authorization` header.
fn check_token(
    token: &Secret,
    segments: &mut Vec<Cow<'_, str>>,
    headers: &HeaderMap,
) -> TokenPresented {
    let is_right = |text: &[u8]| bool::from(text.ct_eq(token.expose().as_bytes()));
    if segments
        .first()
        .is_some_and(|first| is_right(first.as_bytes()))
    {
        segments.remove(0);
        return TokenPresented::Right;
    }
    let Some(header) = headers.get(AUTHORIZATION) else {
        return TokenPresented::Nothing;
    };
    let bearer = header
        .as_bytes()
        .split_at_checked(7)
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"bearer "));
    match bearer {
        None => TokenPresented::Nothing, // another scheme, which is not for this endpoint
        Some((_, text)) if is_right(text.trim_ascii()) => TokenPresented::Right,
        Some(_) => TokenPresented::Wrong,
    }
}

/// The parameters of a query string.
#[derive(Default)]
struct QueryParams<'a> {
    /// The last value wins, as in Django; an empty value counts as absent.
    format: Option<Cow<'a, str>>,
    verbose: bool,
    only: BTreeSet<String>,
    exclude: BTreeSet<String>,
    /// The seconds of `?refresh=`, after which a browser reloads the page.
    refresh: Option<u16>,
}

impl<'a> QueryParams<'a> {
    fn read(query: &'a str) -> Self {
        let mut params = Self::default();
        if query.bytes().any(|byte| matches!(byte, b'%' | b'+')) {
            form_urlencoded::parse(query.as_bytes())
                .for_each(|(name, value)| params.take(&name, value));
        } else {
            // Most queries need no decoding, and the general parser takes half the time of a cached
            // answer.
            let mut rest = query;
            while !rest.is_empty() {
                let (pair, others) = cut(rest, b'&');
                let (name, value) = cut(pair, b'=');
                params.take(name, value.into());
                rest = others;
            }
        }
        params
    }

    fn take(&mut self, name: &str, value: Cow<'a, str>) {
        match name {
            "format" => self.format = Some(value),
            "verbose" => self.verbose = true,
            "only" => self.only.extend([value.into_owned()]),
            "exclude" if !value.is_empty() => self.exclude.extend([value.into_owned()]),
            "refresh" => self.refresh = value.parse().ok().filter(|seconds| *seconds > 0),
            _ => {}
        }
    }
}

/// Splits at a byte. In such a short text this is faster than the search of `str`.
fn cut(text: &str, at: u8) -> (&str, &str) {
    match text.bytes().position(|byte| byte == at) {
        Some(position) => (&text[..position], &text[position + 1..]),
        None => (text, ""),
    }
}

/// Returns the scraper's timeout less half a second, if it sent one.
pub(super) fn budget(headers: &HeaderMap) -> Option<Duration> {
    let seconds: f64 = headers
        .get(SCRAPE_TIMEOUT)?
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()?;
    let timeout = Duration::try_from_secs_f64(seconds).ok()?;
    Some(timeout.saturating_sub(Duration::from_millis(500)))
}
