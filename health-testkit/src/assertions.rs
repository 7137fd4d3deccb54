use health_core::Health;

/// Reads all checks and panics with the failing rows unless the service is healthy.
///
/// # Panics
/// Panics if the service is unhealthy, and if it has no checks, because then nothing was checked.
pub async fn assert_healthy(health: &Health) {
    let report = health.report().await;
    assert!(
        !report.checks.is_empty(),
        "there are no checks: nothing was looked at"
    );
    let failing = report.checks.iter().filter(|check| check.fails_report);
    let rows: Vec<_> = failing
        .map(|check| format!("  {}: {}", check.identifier, check.pretty_status()))
        .collect();
    assert!(report.healthy, "unhealthy:\n{}", rows.join("\n"));
}

/// Reads all checks and compares one row with the expected text, such as `working` or
/// `unavailable: no queue`.
///
/// # Panics
/// Panics if the row has another text, or if the check does not exist.
pub async fn assert_row(health: &Health, identifier: &str, expected: &str) {
    let report = health.report().await;
    let row = report
        .checks
        .iter()
        .find(|check| check.identifier == identifier);
    let names = report
        .checks
        .iter()
        .map(|check| check.identifier.as_str())
        .collect::<Vec<_>>()
        .join(", ");
    let row = row.map(health_core::CheckReport::pretty_status);
    assert_eq!(
        row.as_deref(),
        Some(expected),
        "the row of \"{identifier}\" (there are: {names})"
    );
}
