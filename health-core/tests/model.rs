//! Compares the engine with a model of the judge: the outcome of each check in each group as a
//! function of the whole history, slow and obvious. It knows the contract (docs/readiness.md), and
//! nothing of the engine.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use health_core::{
    CheckExt as _, GroupSettings, Health, Hold, Report, Scope, ServiceUnavailable, ServiceWarning,
    Settings, Status, check_fn,
};
use proptest::prelude::*;

/// The checks by name: a server, a service that needs it, and a worker of the process that needs
/// the service.
const NAMES: [&str; 3] = ["a-dns", "b-orders", "c-worker"];

/// The time that a run may take, and that a verdict is fresh.
const TIMEOUT: f64 = 1.0;
const TTL: f64 = 0.5;

/// The options of the three checks, and of `ready`.
#[derive(Debug, Clone)]
struct Setup {
    hold: u64,
    hold_of_orders: Option<u64>,
    rise: u32,
    fall: u32,
    warnings_fail: bool,
    /// The seed of the random part by which the process lengthens its holds.
    seed: u64,
}

/// The events before a read: the statuses of the checks, a drain or its end, and the seconds
/// since the last read.
#[derive(Debug, Clone)]
struct Step {
    statuses: [Status; 3],
    drains: Option<bool>,
    seconds: u64,
}

/// A run in the history: its time, its status, and the status that is in effect after it.
#[derive(Debug, Clone, Copy)]
struct Run {
    at: f64,
    raw: Status,
    effective: Status,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Outcome {
    Passes,
    Held,
    Fails,
}

struct Model {
    setup: Setup,
    /// 1 and the part by which holds are lengthened.
    factor: f64,
    runs: [Vec<Run>; 3],
}

impl Model {
    /// Adds a run of each check, and applies its thresholds: so many consecutive runs that are
    /// better, or worse, than the effective status change it.
    fn run(&mut self, at: f64, statuses: [Status; 3]) {
        for (runs, raw) in self.runs.iter_mut().zip(statuses) {
            let Some(last) = runs.last().copied() else {
                runs.push(Run {
                    at,
                    raw,
                    effective: raw,
                });
                continue;
            };
            let is_like = |status: Status| {
                if raw > last.effective {
                    status > last.effective
                } else {
                    status < last.effective
                }
            };
            let earlier = runs.iter().rev();
            let streak = 1 + earlier
                .take_while(|run| run.effective == last.effective && is_like(run.raw))
                .count();
            let needed = if raw > last.effective {
                self.setup.fall
            } else {
                self.setup.rise
            };
            let changes = raw == last.effective || streak >= needed as usize;
            let effective = if changes { raw } else { last.effective };
            runs.push(Run { at, raw, effective });
        }
    }

    fn fails(&self, status: Status) -> bool {
        status > Status::Warning || self.setup.warnings_fail && status == Status::Warning
    }

    /// The hold of a check in `ready`. The worker is of the process, and has none.
    fn hold(&self, check: usize) -> f64 {
        let seconds = match check {
            0 => self.setup.hold,
            1 => self.setup.hold_of_orders.unwrap_or(self.setup.hold),
            _ => 0,
        };
        if self.setup.hold == 0 {
            return 0.0; // the group does not hold
        }
        Duration::from_secs(seconds)
            .mul_f64(self.factor)
            .as_secs_f64()
    }

    /// `true` if, since the check was last good, a failed run began after its account was full:
    /// failing time adds to it, and working time subtracts, within 0 and the hold.
    fn has_counted(&self, check: usize) -> bool {
        let hold = self.hold(check);
        let mut balance: f64 = 0.0;
        let mut has_counted = false;
        let mut last: Option<Run> = None;
        for run in &self.runs[check] {
            if let Some(last) = last {
                let passed = run.at - last.at;
                let sign = if self.fails(last.raw) { 1.0 } else { -1.0 };
                balance = (balance + sign * passed).clamp(0.0, hold);
            }
            if !self.fails(run.raw) && !self.fails(run.effective) {
                has_counted = false;
            } else if self.fails(run.raw) && balance >= hold - 1e-6 {
                has_counted = true;
            }
            last = Some(*run);
        }
        has_counted
    }

    /// The time of the first run that failed since the check was last good.
    fn failing_since(&self, check: usize) -> Option<f64> {
        let is_good = |run: &Run| !self.fails(run.raw) && !self.fails(run.effective);
        let runs = self.runs[check].iter();
        let since = runs.rev().take_while(|run| !is_good(run));
        since
            .filter(|run| self.fails(run.raw))
            .map(|run| run.at)
            .last()
    }

    fn ready(&self, check: usize) -> Outcome {
        let runs = &self.runs[check];
        if !self.fails(runs.last().unwrap().effective) {
            return Outcome::Passes;
        }
        let was_good = runs.iter().any(|run| !self.fails(run.effective));
        if self.hold(check) > 0.0 {
            let is_held = was_good && !self.has_counted(check);
            return if is_held {
                Outcome::Held
            } else {
                Outcome::Fails
            };
        }
        let is_later = |need: usize| match (self.failing_since(check), self.failing_since(need)) {
            (Some(own), Some(root)) => own + TTL + TIMEOUT >= root,
            (None, Some(_)) => false,
            (_, None) => true,
        };
        let holds = |need: usize| self.ready(need) == Outcome::Held && is_later(need);
        if self.setup.hold > 0 && was_good && check > 0 && holds(check - 1) {
            Outcome::Held
        } else {
            Outcome::Fails
        }
    }
}

fn build(setup: &Setup, statuses: &Arc<Mutex<[Status; 3]>>) -> Health {
    let check = |position: usize| {
        let statuses = Arc::clone(statuses);
        let run = move || {
            let status = statuses.lock().unwrap()[position];
            async move {
                match status {
                    Status::Working => Ok(()),
                    Status::Warning => Err(ServiceWarning::new("slow").into()),
                    _ => Err(ServiceUnavailable::new("refused").into()),
                }
            }
        };
        check_fn(NAMES[position], run)
            .thresholds(setup.rise, setup.fall)
            .groups(["ready", "batch"])
    };
    let mut orders = check(1).depends_on([NAMES[0]]);
    if let Some(hold) = setup.hold_of_orders {
        orders = orders.hold(Hold::from(Duration::from_secs(hold)));
    }
    let ready = GroupSettings::default()
        .hold(Hold::from(Duration::from_secs(setup.hold)))
        .warnings_as_errors(setup.warnings_fail);
    let settings = Settings::default()
        .ttl(Duration::from_secs_f64(TTL))
        .timeout(Duration::from_secs_f64(TIMEOUT));
    Health::builder()
        .settings(settings)
        .group("ready", ready)
        .group(
            "batch",
            GroupSettings::default().warnings_as_errors(setup.warnings_fail),
        )
        .check(check(0))
        .check(orders)
        .check(check(2).depends_on([NAMES[1]]).scoped(Scope::Process))
        .build()
        .unwrap()
}

/// The rows of the checks: whether they fail the report, and whether they are held.
fn outcomes(report: &Report) -> Vec<Outcome> {
    let rows = report.checks.iter();
    let rows = rows.filter(|row| NAMES.contains(&row.identifier.as_str()));
    rows.map(|row| match (row.fails_report, row.held) {
        (true, false) => Outcome::Fails,
        (false, true) => Outcome::Held,
        (fails, held) => {
            assert!(!fails && !held, "{row:?}");
            Outcome::Passes
        }
    })
    .collect()
}

async fn compare(setup: Setup, steps: Vec<Step>) {
    fastrand::seed(setup.seed);
    let factor = 1.0 + fastrand::f64() / 2.0;
    fastrand::seed(setup.seed);
    let statuses = Arc::new(Mutex::new([Status::Working; 3]));
    let health = build(&setup, &statuses);
    let mut model = Model {
        setup,
        factor,
        runs: Default::default(),
    };
    let mut at = 0.0;
    let mut drains = false;
    for (number, step) in steps.iter().enumerate() {
        tokio::time::sleep(Duration::from_secs(step.seconds)).await;
        at += f64::from(u32::try_from(step.seconds).unwrap());
        *statuses.lock().unwrap() = step.statuses;
        match step.drains {
            Some(true) => health.drain(),
            Some(false) => assert!(health.undrain()),
            None => {}
        }
        drains = step.drains.unwrap_or(drains);
        model.run(at, step.statuses);

        let all = health.report().await; // runs each check once
        let ready = health.group_report("ready").await.unwrap();
        let batch = health.group_report("batch").await.unwrap();
        let expected: Vec<Outcome> = (0..3).map(|check| model.ready(check)).collect();
        let context = || format!("step {number} of {steps:#?}\n{:?}", model.runs);
        assert_eq!(outcomes(&ready), expected, "{}", context());
        let is_ready = !drains && !expected.contains(&Outcome::Fails);
        assert_eq!(ready.healthy, is_ready, "{}", context());
        let status_of = |check: usize| model.runs[check].last().unwrap().effective;
        let fails = (0..3).any(|check| model.fails(status_of(check)));
        assert_eq!(batch.healthy, !drains && !fails, "{}", context());
        let fails = (0..3).any(|check| status_of(check) > Status::Working);
        assert_eq!(all.healthy, !drains && !fails, "{}", context());
        for (group, healthy) in [
            ("ready", is_ready),
            ("batch", batch.healthy),
            ("live", true),
        ] {
            for report in [&all, &ready, &batch] {
                let mut groups = report.groups.iter();
                let seen = groups.find(|seen| seen.group == group).unwrap();
                assert_eq!(seen.healthy, healthy, "{group} {}", context());
            }
        }
    }
}

fn setup() -> impl Strategy<Value = Setup> {
    (
        prop::sample::select(vec![0, 3, 10, 30]),
        prop::sample::select(vec![None, None, Some(0), Some(5)]),
        1..4_u32,
        1..4_u32,
        any::<bool>(),
        any::<u64>(),
    )
        .prop_map(
            |(hold, hold_of_orders, rise, fall, warnings_fail, seed)| Setup {
                hold,
                hold_of_orders,
                rise,
                fall,
                warnings_fail,
                seed,
            },
        )
}

fn step() -> impl Strategy<Value = Step> {
    let status = || {
        prop_oneof![
            4 => Just(Status::Working),
            1 => Just(Status::Warning),
            4 => Just(Status::Unavailable),
        ]
    };
    let drains = prop_oneof![12 => Just(None), 1 => Just(Some(true)), 2 => Just(Some(false))];
    ([status(), status(), status()], drains, 1..9_u64).prop_map(|(statuses, drains, seconds)| {
        Step {
            statuses,
            drains,
            seconds,
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn the_engine_judges_as_the_model_does(
        setup in setup(),
        steps in prop::collection::vec(step(), 1..25),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(compare(setup, steps));
    }
}
