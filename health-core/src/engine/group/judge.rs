//! The one decision about a group: which of its checks fail it, and until when that is so.
//!
//! [`judge`] is a pure function of the plan of the group, of what is known of each check
//! ([`View`]), of the service and of the time. Rows, the reports of groups, metrics, the log,
//! listeners and subscriptions use its [`Judgement`]. Nothing else looks at a status or at an error
//! to find out whether a check fails a group.
//!
//! The first rule that applies decides the [`Outcome`] of a check:
//!
//! | # | the check | outcome |
//! |---|---|---|
//! | 1 | is not critical, or its status is good enough for the group | passes |
//! | 2 | is in `startup`, whose own row has the verdict | passes |
//! | 3 | is in `live`, and its task has ended while the service drains | passes |
//! | 4 | never had a verdict | fails; in `live` a reported one passes, and any other fails once it is overdue; elsewhere a reported one fails after its grace |
//! | 5 | its background verdict has expired | fails |
//! | 6 | fails by evidence from elsewhere alone, and the plan is not that of all checks | held without end |
//! | 7 | is not external, or its hold here is 0 | fails; held with a dependency that is held, if it has been good before and began to fail no earlier than that one could notice; a gate fails |
//! | 8 | fails here while it works in other replicas, unless its hold is without end | fails |
//! | 9 | was never good enough for this group in this process | fails |
//! | 10 | its account is over, or it awaits a run for longer than its hold | fails |
//! | 11 | any other | held |

use std::time::{Duration, Instant};

use super::Account;
use crate::runner::{Kind, Plan};
use crate::{Evidence, Status};

/// The age of the verdict that a view shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Age {
    /// The last verdict, which counts.
    Fresh,
    /// An older verdict in place of a run that is not over.
    Stale,
    /// No answer within the budget, and nothing recent.
    Late,
    /// Nothing has refreshed the verdict, or the report, for too long.
    Expired,
    /// There has been no verdict yet.
    Never,
}

/// All that is known of one check, for one group, at one moment.
#[derive(Debug, Clone)]
pub(crate) struct View<'a> {
    /// The effective status; `Unavailable` for a verdict that is late or expired, and `Unknown` if
    /// there is none.
    pub(crate) status: Status,
    pub(crate) age: Age,
    pub(crate) evidence: Evidence,
    pub(crate) critical: bool,
    /// The positions of the checks that it depends on, among all cells.
    pub(crate) depends_on: &'a [usize],
    /// The interval of its runs, with the time that one may take.
    pub(crate) notices_within: Duration,
    /// The account of the group's hold, if the group holds.
    pub(crate) account: Option<Account>,
    /// The time at which it began to fail.
    pub(crate) failing_since: Option<Instant>,
    /// The time at which the run that is awaited was asked for, whether it has begun or not.
    pub(crate) asked: Option<Instant>,
    /// `true` if the start of the service does not wait for it any more.
    pub(crate) has_started: bool,
    /// The time after which a check without a verdict fails `live`.
    pub(crate) overdue_at: Option<Instant>,
    /// The application reports it.
    pub(crate) reported: Option<Reported>,
    /// The time at which the verdict expires, or a stale one is no longer recent.
    pub(crate) turns_at: Option<Instant>,
}

impl View<'_> {
    /// Returns the time at which the run that is awaited has outlasted the hold.
    fn outlasts_hold_at(&self) -> Option<Instant> {
        let length = self.account.as_ref()?.length();
        self.asked?.checked_add(length)
    }
}

/// The properties of a check that the application reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reported {
    pub(crate) is_gate: bool,
    /// A task that the check watches has ended.
    pub(crate) has_ended: bool,
    /// The time until which the first report may be missing.
    pub(crate) grace_ends: Option<Instant>,
}

/// The state of the service itself.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Service {
    /// The time from which the drain fails groups; `None` without a drain.
    pub(crate) drains_at: Option<Instant>,
    /// `true` once it has shut down.
    pub(crate) is_stopped: bool,
}

impl Service {
    /// Returns `true` while it drains, and once it has shut down.
    pub(crate) fn is_ending(self) -> bool {
        self.drains_at.is_some() || self.is_stopped
    }
}

/// The effect of a check on a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Passes,
    /// It fails, and the group does not, until this time at the earliest; `None` means without end.
    Held(Option<Instant>),
    Fails,
}

/// The decision about a group.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Judgement {
    /// The outcome of each check of the closure, in its order.
    pub(crate) outcomes: Vec<Outcome>,
    /// The unavailable dependency at the root of each failure, by its position in the closure.
    pub(crate) blockers: Vec<Option<usize>>,
    /// The members of `startup` that the start waits for, by their positions in the closure.
    pub(crate) waiting: Vec<usize>,
    /// `true` if the group fails because the service drains.
    pub(crate) is_draining: bool,
    pub(crate) is_healthy: bool,
    /// The time until which all of this is true if nothing happens; `None` means without end.
    pub(crate) until: Option<Instant>,
}

/// Decides about a group. `views` are those of the plan's closure, in its order.
pub(crate) fn judge(plan: &Plan, views: &[View<'_>], service: Service, now: Instant) -> Judgement {
    let judge = Judge {
        plan,
        views,
        service,
        now,
    };
    let mut outcomes = vec![None; views.len()];
    for at in 0..views.len() {
        judge.decide(at, &mut outcomes);
    }
    let outcomes: Vec<Outcome> = outcomes.into_iter().flatten().collect();
    let drains_at = service.drains_at.filter(|_| plan.drains);
    let is_over = service.is_stopped && !matches!(plan.kind, Kind::Live | Kind::Startup);
    let is_draining = is_over || drains_at.is_some_and(|at| now >= at);
    let waiting: Vec<usize> = (0..views.len())
        .filter(|&at| plan.kind == Kind::Startup && judge.is_member(at))
        .filter(|&at| !views[at].has_started)
        .collect();
    let fails = |at: usize| judge.is_member(at) && outcomes[at] == Outcome::Fails;
    let is_healthy = !is_draining && waiting.is_empty() && !(0..views.len()).any(fails);
    let until = (0..views.len()).flat_map(|at| judge.turns(at, outcomes[at]));
    let until = until.chain(drains_at);
    Judgement {
        blockers: (0..views.len()).map(|at| judge.blocker(at)).collect(),
        waiting,
        is_draining,
        is_healthy,
        until: until.filter(|time| *time > now).min(),
        outcomes,
    }
}

struct Judge<'a> {
    plan: &'a Plan,
    views: &'a [View<'a>],
    service: Service,
    now: Instant,
}

impl Judge<'_> {
    /// Decides about a check, and first about the checks that it depends on.
    fn decide(&self, at: usize, outcomes: &mut [Option<Outcome>]) -> Outcome {
        if let Some(outcome) = outcomes[at] {
            return outcome;
        }
        for need in self.needs(at) {
            self.decide(need, outcomes);
        }
        let outcome = self.outcome(at, outcomes);
        outcomes[at] = Some(outcome);
        outcome
    }

    /// Applies the rules, of which each has its number in the table above.
    fn outcome(&self, at: usize, decided: &[Option<Outcome>]) -> Outcome {
        let view = &self.views[at];
        let is_live = self.plan.kind == Kind::Live;
        let is_critical = view.critical || !self.is_member(at); // a dependency is judged as if it were critical
        let is_good = !self.plan.fails(view.status);
        if !is_critical || is_good {
            return Outcome::Passes; // 1
        }
        if self.plan.kind == Kind::Startup {
            return Outcome::Passes; // 2
        }
        let has_ended = view.reported.is_some_and(|reported| reported.has_ended);
        if is_live && self.service.is_ending() && has_ended {
            return Outcome::Passes; // 3
        }
        if view.age == Age::Never {
            return self.without_verdict(view); // 4
        }
        if view.age == Age::Expired && view.reported.is_none() {
            return Outcome::Fails; // 5
        }
        if view.evidence == Evidence::Elsewhere && self.plan.kind != Kind::All {
            return Outcome::Held(None); // 6
        }
        let Some(account) = view.account.as_ref().filter(|account| account.holds()) else {
            return self.with_dependency(at, decided); // 7
        };
        let is_over = view.evidence == Evidence::Alone && !account.is_endless() // 8
            || !account.was_good() // 9
            || account.is_over() // 10
            || view.outlasts_hold_at().is_some_and(|end| self.now >= end); // 10
        if is_over {
            return Outcome::Fails;
        }
        let end = account.end(self.now);
        Outcome::Held(end.into_iter().chain(view.outlasts_hold_at()).min()) // 11
    }

    /// Rule 4: a check that never had a verdict.
    fn without_verdict(&self, view: &View<'_>) -> Outcome {
        let fails = match view.reported {
            Some(_) if self.plan.kind == Kind::Live => false,
            Some(reported) => reported.grace_ends.is_some_and(|end| self.now >= end),
            None if self.plan.kind == Kind::Live => view.overdue_at.is_some_and(|at| self.now > at),
            None => true,
        };
        if fails {
            Outcome::Fails
        } else {
            Outcome::Passes
        }
    }

    /// Rule 7: a check without a hold fails, unless it fails because of a dependency that is held.
    fn with_dependency(&self, at: usize, decided: &[Option<Outcome>]) -> Outcome {
        let view = &self.views[at];
        let is_gate = view.reported.is_some_and(|reported| reported.is_gate);
        let was_good = view.account.as_ref().is_some_and(Account::was_good);
        if is_gate || !was_good {
            return Outcome::Fails;
        }
        let is_later = |need: &usize| {
            let need = &self.views[*need];
            let noticed = |began: Instant| began.checked_add(need.notices_within);
            let latest = view.failing_since.and_then(noticed);
            need.failing_since
                .is_none_or(|root| latest.is_none_or(|latest| latest >= root))
        };
        let held = self.needs(at).into_iter().filter(is_later);
        let held = held.filter_map(|need| match decided[need] {
            Some(Outcome::Held(until)) => Some(Outcome::Held(until)),
            _ => None,
        });
        held.into_iter().next().unwrap_or(Outcome::Fails)
    }

    /// Returns the unavailable check at the end of the chain of dependencies, for a check that is
    /// unknown or unavailable. The chain has no cycle, because a cycle fails the build.
    fn blocker(&self, at: usize) -> Option<usize> {
        (self.views[at].status >= Status::Unknown).then(|| self.root(at))?
    }

    fn root(&self, at: usize) -> Option<usize> {
        let down = self.needs(at).into_iter().find(|&need| {
            let need = &self.views[need];
            let is_from_elsewhere = need.evidence == Evidence::Elsewhere;
            need.status == Status::Unavailable
                && (self.plan.kind == Kind::All || !is_from_elsewhere)
        })?;
        Some(self.root(down).unwrap_or(down))
    }

    /// Returns the dependencies of a check, by their positions in the closure.
    fn needs(&self, at: usize) -> Vec<usize> {
        let needs = self.views[at].depends_on.iter();
        let position = |need| self.plan.closure.binary_search(need).ok();
        needs.filter_map(position).collect()
    }

    fn is_member(&self, at: usize) -> bool {
        let position = self.plan.closure[at];
        self.plan.members.binary_search(&position).is_ok()
    }

    /// Returns the times at which the outcome of a check may change although nothing happens.
    fn turns(&self, at: usize, outcome: Outcome) -> impl Iterator<Item = Instant> {
        let view = &self.views[at];
        let is_never = view.age == Age::Never;
        let overdue = view
            .overdue_at
            .filter(|_| is_never && self.plan.kind == Kind::Live);
        let grace = view
            .reported
            .and_then(|reported| reported.grace_ends)
            .filter(|_| is_never);
        let is_held = matches!(outcome, Outcome::Held(_));
        let stuck = view.outlasts_hold_at().filter(|_| is_held);
        [view.turns_at, overdue, grace, stuck].into_iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{Anonymous, Hold};

    const SECOND: Duration = Duration::from_secs(1);
    const HOLD: Duration = Duration::from_secs(120);

    fn plan(kind: Kind, members: usize) -> Plan {
        let positions: Vec<usize> = (0..members).collect();
        Plan {
            name: Some("group".to_owned()),
            index: 0,
            kind,
            is_whole: true,
            members: positions.clone(),
            closure: positions,
            budget: SECOND,
            warnings_as_errors: false,
            hold: Some(0),
            holdable: Arc::default(),
            anonymous: Anonymous::Nothing,
            drains: matches!(kind, Kind::All | Kind::Ready),
        }
    }

    fn view(status: Status) -> View<'static> {
        View {
            status,
            age: Age::Fresh,
            evidence: Evidence::Own,
            critical: true,
            depends_on: &[],
            notices_within: 6 * SECOND,
            failing_since: None,
            account: None,
            asked: None,
            has_started: true,
            overdue_at: None,
            reported: None,
            turns_at: None,
        }
    }

    /// An account of which each run lasted for a second.
    fn account(length: Duration, start: Instant, runs: &[Status]) -> Account {
        let mut account = Account::new(length, false);
        for (second, status) in (0..).zip(runs) {
            let began = start + Duration::from_secs(second);
            account.take((began, Duration::ZERO), *status, *status);
        }
        account
    }

    /// The view of an external check that worked at the start, and has failed in each second since.
    fn failing(start: Instant, seconds: usize) -> View<'static> {
        let mut runs = vec![Status::Working];
        runs.extend(vec![Status::Unavailable; seconds]);
        let account = account(HOLD, start, &runs);
        View {
            failing_since: account.failing_since(),
            account: Some(account),
            ..view(Status::Unavailable)
        }
    }

    fn decide(kind: Kind, views: &[View<'_>], now: Instant) -> Judgement {
        judge(&plan(kind, views.len()), views, Service::default(), now)
    }

    fn outcome(kind: Kind, view: View<'_>, now: Instant) -> Outcome {
        decide(kind, &[view], now).outcomes[0]
    }

    #[test]
    fn rule_1_a_check_that_is_good_enough_or_not_critical_passes() {
        let now = Instant::now();
        for status in [Status::Working, Status::Warning] {
            assert_eq!(outcome(Kind::Ready, view(status), now), Outcome::Passes);
        }
        let other = View {
            critical: false,
            ..view(Status::Unavailable)
        };
        assert_eq!(outcome(Kind::Ready, other, now), Outcome::Passes);
        let strict = Plan {
            warnings_as_errors: true,
            ..plan(Kind::Ready, 1)
        };
        let service = Service::default();
        let judgement = judge(&strict, &[view(Status::Warning)], service, now);
        assert_eq!(judgement.outcomes, [Outcome::Fails]);
    }

    #[test]
    fn rule_2_the_start_waits_for_checks_that_have_not_started() {
        let now = Instant::now();
        let waiting = View {
            has_started: false,
            ..view(Status::Unavailable)
        };
        let judgement = decide(Kind::Startup, &[view(Status::Unavailable), waiting], now);
        assert_eq!(judgement.outcomes, [Outcome::Passes, Outcome::Passes]);
        assert_eq!(judgement.waiting, [1]);
        assert!(!judgement.is_healthy);
        assert!(decide(Kind::Startup, &[view(Status::Unavailable)], now).is_healthy);
    }

    #[test]
    fn rule_3_a_task_that_ends_while_the_service_drains_is_meant_to_end() {
        let now = Instant::now();
        let ended = View {
            reported: Some(Reported {
                is_gate: false,
                has_ended: true,
                grace_ends: None,
            }),
            ..view(Status::Unavailable)
        };
        let of = |kind, is_draining| {
            let service = Service {
                drains_at: Some(now).filter(|_| is_draining),
                is_stopped: false,
            };
            judge(&plan(kind, 1), std::slice::from_ref(&ended), service, now).outcomes[0]
        };
        assert_eq!(of(Kind::Live, true), Outcome::Passes);
        assert_eq!(of(Kind::Live, false), Outcome::Fails);
        assert_eq!(of(Kind::Ready, true), Outcome::Fails);
    }

    #[test]
    fn a_drain_fails_the_groups_that_drain_and_a_shutdown_all_but_live_and_startup() {
        let now = Instant::now();
        let healthy = |kind, drains, service| {
            let plan = Plan {
                drains,
                ..plan(kind, 1)
            };
            let judgement = judge(&plan, &[view(Status::Working)], service, now);
            (judgement.is_healthy, judgement.until)
        };
        let later = Service {
            drains_at: Some(now + SECOND),
            is_stopped: false,
        };
        assert_eq!(
            healthy(Kind::Ready, true, later),
            (true, Some(now + SECOND))
        );
        let drains = Service {
            drains_at: Some(now),
            ..later
        };
        assert!(!healthy(Kind::Ready, true, drains).0);
        assert!(healthy(Kind::Declared, false, drains).0);
        let stopped = Service {
            is_stopped: true,
            ..drains
        };
        assert!(!healthy(Kind::Declared, false, stopped).0);
        for kind in [Kind::Live, Kind::Startup] {
            assert!(healthy(kind, false, stopped).0);
        }
    }

    #[test]
    fn rule_4_a_check_without_a_verdict_fails_but_for_some_time_in_live_and_reported_ones() {
        let now = Instant::now();
        let never = View {
            age: Age::Never,
            overdue_at: Some(now + SECOND),
            ..view(Status::Unknown)
        };
        assert_eq!(outcome(Kind::Ready, never.clone(), now), Outcome::Fails);
        let judgement = decide(Kind::Live, std::slice::from_ref(&never), now);
        assert_eq!(judgement.outcomes, [Outcome::Passes]);
        assert_eq!(judgement.until, Some(now + SECOND));
        let late = now + 2 * SECOND;
        assert_eq!(outcome(Kind::Live, never.clone(), late), Outcome::Fails);
        let reported = View {
            reported: Some(Reported {
                is_gate: false,
                has_ended: false,
                grace_ends: Some(now + SECOND),
            }),
            ..never
        };
        let judgement = decide(Kind::Ready, std::slice::from_ref(&reported), now);
        assert_eq!(judgement.outcomes, [Outcome::Passes]);
        assert_eq!(judgement.until, Some(now + SECOND));
        assert_eq!(outcome(Kind::Ready, reported.clone(), late), Outcome::Fails);
        assert_eq!(outcome(Kind::Live, reported, late), Outcome::Passes);
    }

    #[test]
    fn rule_5_a_background_verdict_that_has_expired_fails() {
        let start = Instant::now();
        let expired = View {
            age: Age::Expired,
            ..failing(start, 1)
        };
        let now = start + SECOND;
        assert_eq!(outcome(Kind::Ready, expired, now), Outcome::Fails);
    }

    #[test]
    fn rule_6_a_failure_that_only_others_have_seen_makes_no_group_unhealthy() {
        let now = Instant::now();
        let elsewhere = View {
            evidence: Evidence::Elsewhere,
            ..view(Status::Unavailable)
        };
        for kind in [Kind::Ready, Kind::Declared, Kind::Live] {
            assert_eq!(outcome(kind, elsewhere.clone(), now), Outcome::Held(None));
        }
        assert_eq!(outcome(Kind::All, elsewhere, now), Outcome::Fails);
    }

    #[test]
    fn rule_7_a_check_without_a_hold_is_held_with_its_dependency_alone() {
        let start = Instant::now();
        let now = start + 3 * SECOND;
        let depends_on = [0];
        let own = account(
            Duration::ZERO,
            start,
            &[Status::Working, Status::Unavailable],
        );
        let worker = View {
            depends_on: &depends_on,
            failing_since: Some(start + SECOND),
            account: Some(own),
            ..view(Status::Unavailable)
        };
        let dns = failing(start, 2);
        let held = decide(Kind::Ready, &[dns.clone(), worker.clone()], now);
        assert!(matches!(held.outcomes[0], Outcome::Held(Some(_))));
        assert_eq!(held.outcomes[0], held.outcomes[1], "until the same time");
        assert_eq!(held.blockers, [None, Some(0)]);

        let fails = |worker: View<'_>| {
            decide(Kind::Ready, &[dns.clone(), worker], now).outcomes[1] == Outcome::Fails
        };
        let never_good = account(Duration::ZERO, start, &[Status::Unavailable]);
        assert!(fails(View {
            account: Some(never_good),
            ..worker.clone()
        }));
        let gate = Reported {
            is_gate: true,
            has_ended: false,
            grace_ends: None,
        };
        assert!(fails(View {
            reported: Some(gate),
            ..worker.clone()
        }));
        // It began to fail long before its dependency did, so that is not the reason.
        let late = View {
            failing_since: Some(start + 100 * SECOND),
            ..dns.clone()
        };
        let judgement = decide(Kind::Ready, &[late, worker.clone()], now);
        assert_eq!(judgement.outcomes[1], Outcome::Fails);
        let works = view(Status::Working);
        let judgement = decide(Kind::Ready, &[works, worker], now);
        assert_eq!(judgement.outcomes[1], Outcome::Fails);
    }

    #[test]
    fn rule_8_a_replica_that_fails_alone_is_not_held() {
        let start = Instant::now();
        let now = start + 2 * SECOND;
        let alone = View {
            evidence: Evidence::Alone,
            ..failing(start, 1)
        };
        assert_eq!(outcome(Kind::Ready, alone.clone(), now), Outcome::Fails);
        let runs = [Status::Working, Status::Unavailable];
        let endless = View {
            account: Some(account(Hold::FOREVER.lengthened(0.0), start, &runs)),
            ..alone
        };
        assert_eq!(outcome(Kind::Ready, endless, now), Outcome::Held(None));
    }

    #[test]
    fn rule_9_a_check_that_was_never_good_is_not_held() {
        let start = Instant::now();
        let never = View {
            account: Some(account(HOLD, start, &[Status::Unavailable])),
            ..view(Status::Unavailable)
        };
        assert_eq!(outcome(Kind::Ready, never, start + SECOND), Outcome::Fails);
    }

    #[test]
    fn rule_10_a_hold_ends_with_a_run_after_its_end_or_with_one_that_is_older() {
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        assert_eq!(
            outcome(Kind::Ready, failing(start, 130), at(130)),
            Outcome::Fails
        );
        // Nothing has run since: there is no evidence.
        let quiet = failing(start, 1);
        assert!(matches!(
            outcome(Kind::Ready, quiet.clone(), at(1000)),
            Outcome::Held(_)
        ));
        // A run that was asked for, whether it has begun or not.
        let stuck = View {
            age: Age::Late,
            asked: Some(at(10)),
            ..quiet
        };
        assert!(matches!(
            outcome(Kind::Ready, stuck.clone(), at(129)),
            Outcome::Held(_)
        ));
        assert_eq!(outcome(Kind::Ready, stuck, at(130)), Outcome::Fails);
    }

    #[test]
    fn rule_11_any_other_failure_is_held_until_the_account_is_full() {
        let start = Instant::now();
        let now = start + 5 * SECOND;
        let judgement = decide(Kind::Ready, &[failing(start, 5)], now);
        let full = start + SECOND + HOLD;
        assert_eq!(judgement.outcomes, [Outcome::Held(Some(full))]);
        assert!(judgement.is_healthy);
    }

    #[test]
    fn a_failure_that_has_counted_is_not_held_again_because_something_else_fails() {
        let start = Instant::now();
        let now = start + Duration::from_secs(131);
        let depends_on = [0];
        let orders = View {
            depends_on: &depends_on,
            ..failing(start, 130)
        };
        let works = decide(Kind::Ready, &[view(Status::Working), orders.clone()], now);
        assert!(!works.is_healthy);
        let mut dns = failing(start + Duration::from_secs(129), 1);
        dns.failing_since = Some(start + Duration::from_secs(130));
        let both = decide(Kind::Ready, &[dns, orders], now);
        assert_eq!(both.outcomes[1], Outcome::Fails);
        assert_eq!(both.blockers[1], Some(0), "it only changes the words");
        assert!(!both.is_healthy);
    }

    #[test]
    fn a_dependency_outside_of_the_group_decides_no_verdict() {
        let now = Instant::now();
        let mut plan = plan(Kind::Ready, 2);
        plan.members = vec![1];
        let views = [view(Status::Unavailable), view(Status::Working)];
        let judgement = judge(&plan, &views, Service::default(), now);
        assert_eq!(judgement.outcomes, [Outcome::Fails, Outcome::Passes]);
        assert!(judgement.is_healthy);
    }

    #[test]
    fn a_failure_from_elsewhere_blocks_nothing_outside_of_the_report_of_all_checks() {
        let now = Instant::now();
        let depends_on = [0];
        let dns = View {
            evidence: Evidence::Elsewhere,
            ..view(Status::Unavailable)
        };
        let orders = View {
            depends_on: &depends_on,
            ..view(Status::Unavailable)
        };
        let views = [dns, orders];
        assert_eq!(decide(Kind::Ready, &views, now).blockers[1], None);
        assert_eq!(decide(Kind::All, &views, now).blockers[1], Some(0));
    }

    #[test]
    fn a_warning_is_blocked_by_nothing() {
        let now = Instant::now();
        let depends_on = [0];
        let warns = View {
            depends_on: &depends_on,
            ..view(Status::Warning)
        };
        let views = [view(Status::Unavailable), warns];
        assert_eq!(decide(Kind::Ready, &views, now).blockers, [None, None]);
    }
}
