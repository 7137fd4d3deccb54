//! The account of a held check: failing time adds to it, and working time subtracts from it.

use std::time::{Duration, Instant};

use crate::Status;

/// The hold of one check in one group.
#[derive(Debug, Clone)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "they change independently of each other"
)]
pub(crate) struct Account {
    /// The length of the hold, lengthened for this process.
    length: Duration,
    /// `true` if a warning is a failure in the group.
    warnings_fail: bool,
    /// The failing time less the working time, within 0 and the length.
    balance: Duration,
    /// The beginning and the status of the last finished run.
    last: Option<(Instant, Status)>,
    /// `true` if a run of this process has succeeded.
    has_worked: bool,
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
            has_worked: false,
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

    /// Takes the result of a run. `has_worked` is `true` if an earlier run of this process
    /// succeeded, `effective` is the status after the thresholds of the check, and `counts` is
    /// `false` for a failure that this process itself has not seen.
    pub(crate) fn take(
        &mut self,
        began: Instant,
        raw: Status,
        effective: Status,
        has_worked: bool,
        counts: bool,
    ) -> Option<Change> {
        self.balance = self.balance_at(began);
        self.last = Some((began, raw));
        self.has_worked = has_worked || !self.fails(raw);
        if !counts || !self.fails(effective) && !self.fails(raw) {
            self.is_over = false;
        } else if self.fails(raw) && self.balance >= self.length {
            self.is_over = true;
        }
        let is_held = self.fails(effective) && self.has_worked && !self.is_over;
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

    /// Returns `true` if a failure is held now. `running` is the time at which the current run
    /// began, if there is one.
    pub(crate) fn holds(&self, now: Instant, running: Option<Instant>) -> bool {
        let is_stuck =
            running.is_some_and(|since| now.saturating_duration_since(since) >= self.length);
        self.has_worked && !self.is_over && !is_stuck && !self.length.is_zero()
    }

    /// Returns an account of the same failure whose hold has no end.
    pub(crate) fn without_end(&self) -> Self {
        Self {
            length: Duration::MAX,
            ..self.clone()
        }
    }

    /// Returns the time until the hold ends at the earliest, if the check keeps failing; `None` if
    /// it never does.
    pub(crate) fn left(&self, now: Instant) -> Option<Duration> {
        (self.length < Duration::MAX).then(|| self.length.saturating_sub(self.balance_at(now)))
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
        let account = Account::new(SECOND, false);
        assert_eq!(account.left(now), Some(SECOND));
        assert_eq!(account.without_end().left(now), None);
    }

    /// The changes of a hold of ten seconds, for runs at these seconds.
    fn changes(runs: &[(u64, Status)]) -> Vec<(u64, Change)> {
        let start = Instant::now();
        let mut account = Account::new(10 * SECOND, false);
        let mut best = Status::Unavailable;
        let mut take = |&(second, status): &(u64, Status)| {
            let began = start + Duration::from_secs(second);
            let change = account.take(began, status, status, best <= Warning, true);
            best = best.min(status);
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
    fn a_run_that_is_stuck_for_longer_than_the_hold_ends_it() {
        let start = Instant::now();
        let mut account = Account::new(10 * SECOND, false);
        assert!(!account.holds(start, None), "it has never worked");
        account.take(start, Working, Working, false, true);
        assert!(
            account.holds(start + 9 * SECOND, Some(start))
                && !account.holds(start + 10 * SECOND, Some(start))
        );
        assert!(account.holds(start + 100 * SECOND, None));
        let mut none = Account::new(Duration::ZERO, false);
        none.take(start, Working, Working, false, true);
        assert!(
            !none.holds(start, None),
            "without a length there is no hold"
        );
    }
}
