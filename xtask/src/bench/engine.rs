//! The rows of the engine, which `health-bench` measures in its own process.

use std::path::Path;

use serde_json::Value;

use super::facts::output;
use super::row::{Row, Unit};

/// The names that `health-bench` has for the `Accept` headers, with their names in the table.
const ACCEPTS: [(&str, &str); 3] = [
    ("plain", "no Accept"),
    ("json", "JSON"),
    ("browser", "a browser's Accept"),
];

const COPY: &str = "copying the response";

const TASKS: &str = "as many empty tasks";

pub(super) fn rows(programs: &Path, quick: bool) -> Result<Vec<Row>, String> {
    println!("> engine");
    let args: &[&str] = if quick {
        &["engine", "--quick"]
    } else {
        &["engine"]
    };
    let numbers = json(&output(programs.join("health-bench"), args)?)?;
    let allocations = json(&output(programs.join("health-bench-allocations"), &[])?)?;
    let mut rows = Vec::new();
    for (name, accept) in ACCEPTS {
        let [ours, other] = pair(&numbers[format!("respond_{name}")])?;
        let row = Row::new(format!("respond, fresh, {accept}"), Unit::Time, ours);
        rows.push(row.against(other, COPY).below(1e-6));
        rows.extend(allocated(&allocations[name], accept)?);
    }
    for query in ["only", "exclude"] {
        let [ours, other] = pair(&numbers[format!("respond_{query}")])?;
        let row = Row::new(
            format!("respond, fresh, 20 checks, ?{query}="),
            Unit::Time,
            ours,
        );
        rows.push(row.against(other, "all of them").ratio_at_most(1.5));
    }
    let [beat, clock] = pair(&numbers["beat"])?;
    rows.push(
        Row::new("a beat of a heartbeat", Unit::Time, beat)
            .against(clock, "Instant::now()")
            .below(clock + 5e-9),
    );
    rows.extend(runs(&numbers)?);
    rows.extend(flood(&numbers)?);
    Ok(rows)
}

fn allocated(counted: &Value, accept: &str) -> Result<[Row; 2], String> {
    let row = |key: &str, what: &str, unit| {
        let [ours, other] = pair(&counted[key])?;
        Ok::<_, String>(
            Row::new(format!("respond, fresh, {accept}: {what}"), unit, ours).against(other, COPY),
        )
    };
    Ok([
        row("number", "allocations", Unit::Count)?,
        row("bytes", "allocated bytes", Unit::Bytes)?,
    ])
}

fn runs(numbers: &Value) -> Result<Vec<Row>, String> {
    let row = |key: &str, what: &str| {
        let [ours, other] = pair(&numbers[key])?;
        Ok::<_, String>(Row::new(what, Unit::Time, ours).against(other, TASKS))
    };
    Ok(vec![
        row("cold_1", "respond, cold, 1 check")?,
        row("cold_8", "respond, cold, 8 checks")?,
        row("at_once", "a run of 1,000 checks that return at once")?.below(1e-3),
        row("waiting", "a run of 200 checks that wait 50 ms")?.below(65e-3),
    ])
}

fn flood(numbers: &Value) -> Result<Vec<Row>, String> {
    let [probes, readers] = pair(&numbers["herd"])?;
    let herd = Row::new(
        "probes by 10,000 readers at once, cold",
        Unit::Count,
        probes,
    );
    let [probes, seconds] = pair(&numbers["load"])?;
    let [answers, _] = pair(&numbers["load_answers"])?;
    let what = format!(
        "probes by {} answers in {seconds:.1} s, ttl 1 s",
        Unit::Count.show(answers)
    );
    let [memory, _] = pair(&numbers["memory"])?;
    Ok(vec![
        herd.against(readers, "readers").at_most(1.0),
        Row::new(what, Unit::Count, probes)
            .against(seconds, "seconds")
            .at_most(seconds.floor() + 1.0),
        Row::new("memory of a check (of 10,000)", Unit::Bytes, memory),
    ])
}

fn json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("health-bench printed {text}: {error}"))
}

/// Returns our number and that of the other side.
fn pair(value: &Value) -> Result<[f64; 2], String> {
    match (value[0].as_f64(), value[1].as_f64()) {
        (Some(ours), Some(other)) => Ok([ours, other]),
        _ => Err(format!(
            "health-bench did not measure what is expected, but {value}"
        )),
    }
}
