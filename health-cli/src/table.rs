//! Formats rows as a table.

use std::time::Duration;

use comfy_table::{Cell, Color, ColumnConstraint, ContentArrangement, Table, presets};
use health_core::Status;

use crate::row::Row;

/// Returns a table without borders. It always has colours, which the output removes if they are
/// disabled.
pub(crate) fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(header);
    table.enforce_styling();
    table
}

/// Returns a table with the status and the message of each check. The age of the status and the
/// duration of the run are columns of their own if any row has them.
pub(crate) fn of_rows(rows: &[Row], for_how_long: impl Fn(&Row) -> Option<Duration>) -> Table {
    let mut table = table(["check", "status", "for", "duration", "message"]);
    let mut has_age = false;
    let mut has_duration = false;
    for row in rows {
        let age = for_how_long(row).map(age);
        let duration = row.took.map(short);
        (has_age, has_duration) = (has_age || age.is_some(), has_duration || duration.is_some());
        table.add_row([
            Cell::new(&row.name),
            Cell::new(row.status).fg(colour(row.status)),
            Cell::new(age.unwrap_or_default()),
            Cell::new(duration.unwrap_or_default()),
            Cell::new(row.message()),
        ]);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    for (column, is_known) in [(2, has_age), (3, has_duration)] {
        if let Some(column) = table.column_mut(column).filter(|_| !is_known) {
            column.set_constraint(ColumnConstraint::Hidden);
        }
    }
    table
}

fn colour(status: Status) -> Color {
    match status {
        Status::Working => Color::DarkGreen,
        Status::Warning => Color::DarkYellow,
        _ => Color::DarkRed,
    }
}

/// Formats a duration, such as `0.2 ms` or `1.3 s`.
fn short(took: Duration) -> String {
    let seconds = took.as_secs_f64();
    if seconds < 1.0 {
        format!("{:.1} ms", seconds * 1e3)
    } else {
        format!("{seconds:.1} s")
    }
}

/// Formats an age, such as `3s`, `2m 5s` or `1h 4m`.
pub(crate) fn age(age: Duration) -> String {
    let seconds = age.as_secs();
    let coarse = if seconds < 3600 {
        seconds
    } else {
        seconds - seconds % 60
    };
    humantime::format_duration(Duration::from_secs(coarse)).to_string()
}
