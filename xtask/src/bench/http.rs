//! Cached answers over HTTP: each adapter against a handler of its framework, and against django-health-check.

use std::path::Path;

use super::django::Django;
use super::row::{Row, Unit};
use super::server::Server;
use super::turns::take_turns;
use super::wrk::requests_per_second;

/// The names that `health-bench serve` takes, and the crates.
const FRAMEWORKS: [(&str, &str); 4] =
    [("axum", "health-axum"), ("actix", "health-actix"), ("warp", "health-warp"), ("rocket", "health-rocket")];

pub(super) fn rows(programs: &Path, django: &Django, quick: bool) -> Result<Vec<Row>, String> {
    let mut rows = Vec::new();
    for (framework, package) in FRAMEWORKS {
        let [ours, bare] = ["health", "bare"].map(|side| Server::of(programs, framework, side));
        let (ours, bare) = (ours?, bare?);
        same_answer(package, &ours, &bare)?;
        let [ours, bare] = compare(package, &ours, &bare, quick)?;
        let row = Row::new(format!("{package}, a cached answer"), Unit::PerSecond, ours);
        rows.push(row.against(bare, "bare").ratio_at_least(0.95));
    }
    let [ours, other] = compare("django", &Server::of(programs, "axum", "health")?, &django.serve()?, quick)?;
    let row = Row::new("health-axum against django-health-check", Unit::PerSecond, ours);
    rows.push(row.against(other, "gunicorn, 2 workers of 4 threads"));
    Ok(rows)
}

/// The bytes and the headers have to be the same, or the ratio says nothing.
fn same_answer(package: &str, ours: &Server, bare: &Server) -> Result<(), String> {
    let (ours, bare) = (ours.answer()?, bare.answer()?);
    if ours == bare { Ok(()) } else { Err(format!("{package} answers\n{ours}\nand the bare handler\n{bare}")) }
}

fn compare(what: &str, ours: &Server, other: &Server, quick: bool) -> Result<[f64; 2], String> {
    println!("> {what}");
    let (rounds, seconds) = if quick { (3, 2) } else { (12, 2) };
    let (ours, other) = (ours.url(), other.url());
    requests_per_second(&ours, 1)?; // both are warm before they are compared
    requests_per_second(&other, 1)?;
    take_turns(rounds, || requests_per_second(&ours, seconds), || requests_per_second(&other, seconds))
}
