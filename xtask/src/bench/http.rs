//! Measures cached responses over HTTP and gRPC: each adapter against a handler of its framework,
//! and against django-health-check.

use std::path::Path;
use std::process::Command;
use std::thread;

use super::django::Django;
use super::row::{Row, Unit};
use super::server::Server;
use super::turns::take_turns;
use super::wrk::{requests_per_second, share, wrk};

/// The frameworks, by the names that `health-bench serve` accepts, with the crates of the adapters.
const FRAMEWORKS: [(&str, &str); 4] = [
    ("axum", "health-axum"),
    ("actix", "health-actix"),
    ("warp", "health-warp"),
    ("rocket", "health-rocket"),
];

pub(super) fn rows(programs: &Path, django: &Django, quick: bool) -> Result<Vec<Row>, String> {
    let mut rows = Vec::new();
    let count = if quick { 4 } else { 16 };
    for (framework, package) in FRAMEWORKS {
        println!("> {package}");
        let rounds = (0..count).map(|round| compare(programs, framework, package, round));
        rows.push(adapter(package, rounds)?.ratio_at_least(0.95));
    }
    println!("> health-tonic");
    let rounds = (0..count).map(|round| compare_calls(programs, round));
    rows.push(adapter("health-tonic", rounds)?.ratio_at_least(0.9));
    println!("> django-health-check");
    let [ours, other] = [Server::of(programs, "axum", "health")?, django.serve()?];
    let rate = |server: &Server| requests_per_second(&server.url(), 2);
    let _warm = rate(&ours)?;
    let _too = rate(&other)?;
    let [ours, other] = take_turns(if quick { 3 } else { 8 }, || rate(&ours), || rate(&other))?;
    let row = Row::new(
        "health-axum against django-health-check",
        Unit::PerSecond,
        ours,
    );
    rows.push(row.against(other, "gunicorn, 2 workers of 4 threads"));
    Ok(rows)
}

/// Returns the row of an adapter, from the requests per second of both sides in each round.
fn adapter(
    package: &str,
    rounds: impl Iterator<Item = Result<[f64; 2], String>>,
) -> Result<Row, String> {
    let rounds = rounds.collect::<Result<Vec<_>, _>>()?;
    let [ours, bare] = [0, 1].map(|side| mean(rounds.iter().map(|round| round[side])));
    let row = Row::new(
        format!("{package}, a cached response"),
        Unit::PerSecond,
        ours,
    )
    .against(bare, "a plain handler");
    Ok(row.give_or_take(standard_error(
        rounds.iter().map(|[ours, bare]| ours / bare),
    )))
}

/// Returns the calls of `Check` per second of both sides, in new processes.
fn compare_calls(programs: &Path, round: usize) -> Result<[f64; 2], String> {
    let servers = [
        Server::of(programs, "tonic", "health")?,
        Server::of(programs, "tonic", "bare")?,
    ];
    let calls = |address: &str, seconds: u32| {
        let mut command = Command::new(programs.join("health-bench"));
        command.args(["calls", address, &seconds.to_string()]);
        command
    };
    share(servers.each_ref().map(Server::address), round, calls)
}

/// Returns the requests per second of both sides. Each round starts new processes, because the
/// layout of their memory makes some faster than others.
fn compare(
    programs: &Path,
    framework: &str,
    package: &str,
    round: usize,
) -> Result<[f64; 2], String> {
    let [ours, bare] = ["health", "bare"].map(|side| Server::of(programs, framework, side));
    let ours = ours?;
    let bare = bare?;
    if round == 0 {
        same_answer(package, &ours, &bare)?;
    }
    let urls = [ours.url(), bare.url()];
    thread::scope(|scope| {
        let warm = urls
            .each_ref()
            .map(|url| scope.spawn(|| requests_per_second(url, 1)));
        warm.into_iter()
            .try_for_each(|warm| warm.join().unwrap_or_else(|_| Err("wrk".into())).map(drop))
    })?;
    share(urls.each_ref().map(String::as_str), round, wrk)
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    sum / count
}

/// Returns the standard error of the mean of these values.
fn standard_error(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let middle = mean(values.clone());
    let count = values.clone().fold(0.0, |count, _| count + 1.0);
    let variance = mean(values.map(|value| (value - middle).powi(2)));
    (variance / (count - 1.0)).sqrt()
}

/// Fails if the bytes or the headers of the two sides differ, because then the ratio says nothing.
fn same_answer(package: &str, ours: &Server, bare: &Server) -> Result<(), String> {
    let ours = ours.answer()?;
    let bare = bare.answer()?;
    if ours == bare {
        Ok(())
    } else {
        Err(format!(
            "{package} answers\n{ours}\nand the bare handler\n{bare}"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_rounds_have_less_of_an_error() {
        let error = |values: &[f64]| standard_error(values.iter().copied());
        assert!((error(&[0.9, 1.1]) - 0.1).abs() < 1e-9);
        assert!(error(&[0.9, 1.1, 0.9, 1.1]) < 0.06 && error(&[1.0, 1.0]) < 1e-9);
    }
}
