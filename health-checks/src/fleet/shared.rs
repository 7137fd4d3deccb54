//! The check that wraps a shared one, and the row of the fleet.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use health_core::{
    BoxCheck, CheckInfo, Findings, HealthCheck, Result, Scope, ServiceWarning, Unit, run,
};

use super::member::{LIMIT, Member};
use super::seat::Seat;

/// The longest name of a fleet, in bytes.
pub(crate) const LONGEST_NAME: usize = 100;

/// The shortest interval of a replica's own probes.
pub(crate) const SHORTEST_OWN: Duration = Duration::from_secs(1);

/// The time of a run beside that of the check: two exchanges, and the changes between tasks.
const OVERHEAD: Duration = LIMIT
    .saturating_mul(2)
    .saturating_add(Duration::from_millis(100));

/// A check whose verdicts the replicas of a fleet share, which
/// [`RedisFleet::share`](crate::RedisFleet::share) returns.
pub struct SharedCheck {
    check: BoxCheck,
    key: String,
    member: Arc<Member>,
    /// `None` before the build of the `Health`.
    seat: Mutex<Option<Arc<Seat>>>,
}

impl SharedCheck {
    pub(super) fn new(check: BoxCheck, key: String, member: Arc<Member>) -> Self {
        Self {
            check,
            key,
            member,
            seat: Mutex::default(),
        }
    }

    fn seat(&self) -> Option<Arc<Seat>> {
        let seat = self.seat.lock().unwrap_or_else(PoisonError::into_inner);
        seat.clone()
    }

    /// Returns the reason why this check can't be shared.
    fn refusal(&self, info: &CheckInfo) -> Option<String> {
        let is_in_live = info.groups.iter().any(|group| group == "live");
        let reasons = [
            (
                self.check.reported().is_some(),
                "the application of each replica reports it",
            ),
            (
                self.check.measures(),
                "a measurement is in no probe, and warns of what is to come",
            ),
            (
                info.scope != Scope::External,
                "it checks this process or this machine, which differs in each replica",
            ),
            (is_in_live, "live is about this process alone"),
            (info.ttl.is_zero(), "with ttl = 0, each request runs it"),
        ];
        let reason = reasons.into_iter().find(|(applies, _)| *applies);
        reason.map(|(_, why)| format!("it can't be shared in the fleet: {why}"))
    }
}

impl HealthCheck for SharedCheck {
    async fn check_status(&self, findings: &Findings) -> Result {
        let Some(seat) = self.seat() else {
            return self.check.check_status(findings).await;
        };
        seat.wake();
        if seat.has_own() {
            self.member.tick().await;
        }
        if seat.is_due() {
            let timeout = seat.timeout.saturating_add(self.check.overhead());
            seat.probed(run(&self.check, timeout).await);
            self.member.tell(&seat).await;
        }
        self.member.reach();
        if let Some(shown) = seat.shown(self.member.next()) {
            findings.show(shown);
        }
        Ok(())
    }

    fn identifier(&self) -> Cow<'_, str> {
        self.check.identifier()
    }

    fn critical_service(&self) -> bool {
        self.check.critical_service()
    }

    fn scope(&self) -> Scope {
        self.check.scope()
    }

    fn default_timeout(&self) -> Option<Duration> {
        self.check.default_timeout()
    }

    fn default_ttl(&self) -> Option<Duration> {
        self.check.default_ttl()
    }

    fn measures(&self) -> bool {
        self.check.measures()
    }

    fn only_warns(&self) -> bool {
        self.check.only_warns()
    }

    fn runs_apart(&self) -> bool {
        self.check.runs_apart()
    }

    fn refreshes(&self) -> bool {
        !self.member.is_off() || self.check.refreshes()
    }

    fn overhead(&self) -> Duration {
        let own = if self.member.is_off() {
            Duration::ZERO
        } else {
            OVERHEAD
        };
        own.saturating_add(self.check.overhead())
    }

    fn attach(&self, info: &CheckInfo) -> Result<(), String> {
        self.check.attach(info)?;
        if self.member.is_off() {
            return Ok(());
        }
        validate(&self.member)?;
        if let Some(refusal) = self.refusal(info) {
            return Err(refusal);
        }
        self.member.set_clock(info.clock());
        let seat = Arc::new(Seat::new(&self.member, &self.key, info));
        self.member.add(&seat);
        *self.seat.lock().unwrap_or_else(PoisonError::into_inner) = Some(seat);
        Ok(())
    }

    async fn stop(&self) {
        if let Some(seat) = self.seat() {
            seat.stop();
            self.member.leave().await;
        }
        self.check.stop().await;
    }
}

impl fmt::Debug for SharedCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SharedCheck").field(&self.check).finish()
    }
}

/// The fleet itself as a check, which [`RedisFleet::check`](crate::RedisFleet::check) returns.
pub struct FleetHealthCheck(pub(super) Arc<Member>);

impl HealthCheck for FleetHealthCheck {
    async fn check_status(&self, findings: &Findings) -> Result {
        let membership = self.0.membership();
        findings.observe("replicas", membership.replicas, Unit::Count);
        if let Some(age) = membership.age {
            findings.observe("exchange_age", age.as_secs_f64(), Unit::Seconds);
        }
        #[expect(clippy::cast_precision_loss, reason = "nobody counts that many errors")]
        findings.observe("errors", membership.errors as f64, Unit::Count);
        let Some((reason, kind)) = membership.trouble else {
            return Ok(());
        };
        let message =
            format!("the fleet can't be reached, so this replica probes for itself: {reason}");
        Err(ServiceWarning::new(message).with_kind(kind).into())
    }

    fn identifier(&self) -> Cow<'_, str> {
        "Fleet".into()
    }

    fn critical_service(&self) -> bool {
        false
    }

    fn measures(&self) -> bool {
        true
    }

    fn attach(&self, info: &CheckInfo) -> Result<(), String> {
        self.0.set_clock(info.clock());
        validate(&self.0)
    }
}

impl fmt::Debug for FleetHealthCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FleetHealthCheck")
            .field(&self.0.name)
            .finish()
    }
}

/// Returns what is wrong with the settings of a fleet.
fn validate(member: &Member) -> Result<(), String> {
    if member.name.trim().is_empty() || member.name.len() > LONGEST_NAME {
        return Err("the name of its fleet needs 1 to 100 characters".into());
    }
    if member.own < SHORTEST_OWN {
        return Err("the interval of own probes in its fleet (own) needs at least 1 s".into());
    }
    Ok(())
}
