//! The account of a held check: failing time adds to it, and working time subtracts from it.

use std::time::{Duration, Instant};

use crate::Status;

/// The account of one check in one group that holds.
#[derive(Debug, Clone)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "they change independently of each other"
)]
pub(crate) struct Account {
    /// The length of the hold, lengthened for this process; zero for a check that is not held.
    length: Duration,
    /// `true` if a warning is a failure in the group.
    warnings_fail: bool,
    /// The failing time less the working time, within 0 and the length.
    balance: Duration,
    /// The beginning and the status of the last finished run.
    last: Option<(Instant, Status)>,
    /// `true` if the effective status was ever good enough for the group in this process.
    was_good: bool,
    /// The beginning of the first run that failed since the check was last good.
    failing_since: Option<Instant>,
    /// `true` once a run that began after the account was full has failed, until the check works
    /// again.
    is_over: bool,
    /// `true` while the check is held, according to the last logged change.
    is_held: bool,
}

/// The start or the end of a hold, to be logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Started,
    /// The failure fails the group from now on.
    Over,
    /// The check works again.
    Recovered,
}

impl Account {
    pub(crate) fn new(length: Duration, warnings_fail: bool) -> Self {
        Self {
            length,
            warnings_fail,
            balance: Duration::ZERO,
            last: None,
            was_good: false,
            failing_since: None,
            is_over: false,
            is_held: false,
        }
    }

    fn fails(&self, status: Status) -> bool {
        status > Status::Warning || self.warnings_fail && status == Status::Warning
    }

    pub(crate) fn length(&self) -> Duration {
        self.length
    }

    /// Returns `true` if the group may hold the check at all.
    pub(crate) fn holds(&self) -> bool {
        !self.length.is_zero()
    }

    pub(crate) fn is_endless(&self) -> bool {
        self.length == Duration::MAX
    }

    pub(crate) fn was_good(&self) -> bool {
        self.was_good
    }

    /// Returns `true` once the failure counts, until the check is good again.
    pub(crate) fn is_over(&self) -> bool {
        self.is_over
    }

    pub(crate) fn failing_since(&self) -> Option<Instant> {
        self.failing_since
    }

    /// Takes the result of a run that took this time. `effective` is the status after the
    /// thresholds of the check. The account never goes back in time: a verdict from before the last one counts
    /// from the last one on.
    pub(crate) fn take(
        &mut self,
        (began, took): (Instant, Duration),
        raw: Status,
        effective: Status,
    ) -> Option<Change> {
        let began = self.last.map_or(began, |(last, _)| began.max(last));
        self.balance = self.balance_at(began);
        self.last = Some((began, raw));
        self.was_good |= !self.fails(effective);
        let is_good = !self.fails(effective) && !self.fails(raw);
        if is_good {
            self.failing_since = None;
        } else if self.fails(raw) {
            self.failing_since.get_or_insert(began);
        }
        if is_good {
            self.is_over = false;
        } else if self.fails(raw) && (self.balance >= self.length || took >= self.length) {
            self.is_over = true;
        }
        let is_held = self.holds() && self.fails(effective) && self.was_good && !self.is_over;
        let was_held = std::mem::replace(&mut self.is_held, is_held);
        match (was_held, is_held) {
            (false, true) => Some(Change::Started),
            (true, false) if self.fails(effective) => Some(Change::Over),
            (true, false) => Some(Change::Recovered),
            _ => None,
        }
    }

    /// Returns the balance at a time: a run stands for the time from its beginning to the beginning
    /// of the next one.
    fn balance_at(&self, time: Instant) -> Duration {
        let Some((began, status)) = self.last else {
            return Duration::ZERO;
        };
        let passed = time.saturating_duration_since(began);
        if self.fails(status) {
            self.balance.saturating_add(passed).min(self.length)
        } else {
            self.balance.saturating_sub(passed)
        }
    }

    /// Returns the time at which the account is full if the check keeps failing; `None` if it never
    /// is.
    pub(crate) fn end(&self, now: Instant) -> Option<Instant> {
        let left = self.length.saturating_sub(self.balance_at(now));
        (!self.is_endless()).then(|| now.checked_add(left))?
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Status::{Unavailable, Warning, Working};

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_hold_without_end_counts_at_no_time() {
        let now = Instant::now();
        assert_eq!(Account::new(SECOND, false).end(now), Some(now + SECOND));
        assert_eq!(Account::new(Duration::MAX, false).end(now), None);
    }

    /// The changes of a hold of ten seconds, for runs at these seconds.
    fn changes(runs: &[(u64, Status)]) -> Vec<(u64, Change)> {
        let start = Instant::now();
        let mut account = Account::new(10 * SECOND, false);
        let mut take = |&(second, status): &(u64, Status)| {
            let began = start + Duration::from_secs(second);
            let change = account.take((began, Duration::ZERO), status, status);
            change.map(|change| (second, change))
        };
        runs.iter().filter_map(&mut take).collect()
    }

    fn each_second(seconds: std::ops::RangeInclusive<u64>, status: Status) -> Vec<(u64, Status)> {
        seconds.map(|second| (second, status)).collect()
    }

    #[test]
    fn a_failure_is_held_from_its_first_run_on_and_counts_when_the_account_is_full() {
        let runs = [
            each_second(0..=4, Working),
            each_second(5..=20, Unavailable),
        ]
        .concat();
        assert_eq!(changes(&runs), [(5, Change::Started), (15, Change::Over)]);
        let back = [runs, each_second(21..=21, Working)].concat();
        assert_eq!(changes(&back).len(), 2, "its end was logged already");
        let short = [
            each_second(0..=4, Working),
            each_second(5..=8, Unavailable),
            each_second(9..=9, Working),
        ]
        .concat();
        assert_eq!(
            changes(&short),
            [(5, Change::Started), (9, Change::Recovered)]
        );
    }

    #[test]
    fn only_a_run_that_began_after_the_end_is_evidence() {
        assert_eq!(
            changes(&[(0, Working), (1, Unavailable), (10, Unavailable)]),
            [(1, Change::Started)]
        );
        assert_eq!(
            changes(&[(0, Working), (1, Unavailable), (3600, Unavailable)])[1],
            (3600, Change::Over)
        );
    }

    #[test]
    fn a_check_that_never_worked_is_not_held() {
        assert_eq!(changes(&each_second(0..=30, Unavailable)), []);
        assert_eq!(
            changes(&[(0, Warning), (1, Unavailable)]),
            [(1, Change::Started)],
            "a warning is good enough"
        );
    }

    #[test]
    fn a_dependency_that_flaps_counts_in_the_end() {
        let flapping: Vec<_> = (0..60)
            .map(|second| {
                (
                    second,
                    if second % 4 == 0 {
                        Working
                    } else {
                        Unavailable
                    },
                )
            })
            .collect();
        let changes = changes(&flapping);
        assert!(
            changes.iter().any(|(_, change)| *change == Change::Over),
            "{changes:?}"
        );
        let rare: Vec<_> = (0..600)
            .map(|second| {
                (
                    second,
                    if second % 4 == 0 {
                        Unavailable
                    } else {
                        Working
                    },
                )
            })
            .collect();
        assert!(
            !self::changes(&rare)
                .iter()
                .any(|(_, change)| *change == Change::Over)
        );
    }

    #[test]
    fn a_run_that_took_longer_than_the_hold_ends_it() {
        let start = Instant::now();
        let mut account = Account::new(10 * SECOND, false);
        account.take((start, Duration::ZERO), Working, Working);
        let long = (start + SECOND, 10 * SECOND);
        account.take(long, Unavailable, Unavailable);
        assert!(account.is_over());
    }

    #[test]
    fn one_lucky_run_begins_no_hold_while_the_effective_status_fails() {
        let start = Instant::now();
        let mut account = Account::new(10 * SECOND, false);
        for (second, raw) in [(0, Unavailable), (1, Working), (2, Unavailable)] {
            let began = start + Duration::from_secs(second);
            let change = account.take((began, Duration::ZERO), raw, Unavailable);
            assert_eq!(change, None, "{second}");
        }
        assert!(!account.was_good());
    }

    #[test]
    fn the_account_does_not_go_back_in_time() {
        let start = Instant::now();
        let mut account = Account::new(10 * SECOND, false);
        let mut take = |second: u64, status| {
            let began = start + Duration::from_secs(second);
            account.take((began, Duration::ZERO), status, status);
            account.end(began)
        };
        take(0, Working);
        assert_eq!(take(1, Unavailable), Some(start + 11 * SECOND));
        take(6, Unavailable);
        take(2, Unavailable); // an older verdict, which is shown again
        assert_eq!(take(7, Unavailable), Some(start + 11 * SECOND));
    }
}
