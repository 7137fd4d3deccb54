//! A row of the table: two numbers, their ratio, and a goal.

/// The unit of a number.
#[derive(Debug, Clone, Copy)]
pub(super) enum Unit {
    /// Requests per second.
    PerSecond,
    /// Seconds.
    Time,
    /// Bytes.
    Bytes,
    /// A number of things.
    Count,
    /// A number of things that may be less than one.
    Rate,
}

impl Unit {
    /// Returns the number with its unit, for people.
    pub(super) fn show(self, value: f64) -> String {
        match self {
            Self::PerSecond => format!("{}/s", thousands(value)),
            Self::Time => match value {
                long if long >= 1.0 => format!("{long:.2} s"),
                middle if middle >= 1e-3 => format!("{:.2} ms", middle * 1e3),
                short if short >= 1e-6 => format!("{:.2} µs", short * 1e6),
                shortest => format!("{:.0} ns", shortest * 1e9),
            },
            Self::Bytes if value >= 1024.0 * 1024.0 => {
                format!("{:.2} MiB", value / 1024.0 / 1024.0)
            }
            Self::Bytes => format!("{} B", thousands(value)),
            Self::Count => thousands(value),
            Self::Rate => format!("{value:.2}"),
        }
    }
}

/// Returns the number with separators: `12,345`.
fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let groups: Vec<_> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .map(String::from_utf8_lossy)
        .collect();
    groups.join(",")
}

/// The goal of a row.
#[derive(Debug, Clone, Copy)]
enum Goal {
    None,
    RatioAtLeast(f64),
    RatioAtMost(f64),
    Below(f64),
    AtMost(f64),
}

/// A row of the table.
#[derive(Debug)]
pub(super) struct Row {
    /// The name of the measurement.
    pub(super) what: String,
    unit: Unit,
    ours: f64,
    other: Option<(f64, &'static str)>,
    error: Option<f64>,
    goal: Goal,
}

impl Row {
    pub(super) fn new(what: impl Into<String>, unit: Unit, ours: f64) -> Self {
        Self {
            what: what.into(),
            unit,
            ours,
            other: None,
            error: None,
            goal: Goal::None,
        }
    }

    /// Sets the number of the other side, and the name of that side.
    pub(super) fn against(self, other: f64, what: &'static str) -> Self {
        Self {
            other: Some((other, what)),
            ..self
        }
    }

    /// Sets the standard error of the ratio.
    pub(super) fn give_or_take(self, error: f64) -> Self {
        Self {
            error: Some(error),
            ..self
        }
    }

    pub(super) fn ratio_at_least(self, least: f64) -> Self {
        Self {
            goal: Goal::RatioAtLeast(least),
            ..self
        }
    }

    pub(super) fn ratio_at_most(self, most: f64) -> Self {
        Self {
            goal: Goal::RatioAtMost(most),
            ..self
        }
    }

    /// Sets the goal that our number is less than this.
    pub(super) fn below(self, limit: f64) -> Self {
        Self {
            goal: Goal::Below(limit),
            ..self
        }
    }

    /// Sets the goal that our number is this or less.
    pub(super) fn at_most(self, most: f64) -> Self {
        Self {
            goal: Goal::AtMost(most),
            ..self
        }
    }

    fn ratio(&self) -> Option<f64> {
        self.other
            .filter(|(other, _)| *other > 0.0)
            .map(|(other, _)| self.ours / other)
    }

    /// Returns `true` if the goal is met, and `None` if there is no goal. Without a ratio, a goal
    /// for the ratio is missed.
    fn is_met(&self) -> Option<bool> {
        match self.goal {
            Goal::None => None,
            Goal::RatioAtLeast(least) => Some(self.ratio().is_some_and(|ratio| ratio >= least)),
            Goal::RatioAtMost(most) => Some(self.ratio().is_some_and(|ratio| ratio <= most)),
            Goal::Below(limit) => Some(self.ours < limit),
            Goal::AtMost(most) => Some(self.ours <= most),
        }
    }

    /// Returns `true` if there is a goal and it is not met.
    pub(super) fn is_missed(&self) -> bool {
        self.is_met() == Some(false)
    }

    /// Returns the row's cells, in the order of the table's columns.
    pub(super) fn cells(&self) -> [String; 6] {
        let dash = || "-".to_owned();
        let ratio = |ratio: f64| match ratio {
            small if small < 0.1 => format!("{small:.4}"),
            middle if middle < 10.0 => format!("{middle:.3}"),
            large => thousands(large),
        };
        [
            self.what.clone(),
            self.unit.show(self.ours),
            self.other.map_or_else(dash, |(other, what)| {
                format!("{} ({what})", self.unit.show(other))
            }),
            self.ratio().map_or_else(dash, ratio)
                + &self
                    .error
                    .map(|error| format!(" ± {error:.3}"))
                    .unwrap_or_default(),
            match self.goal {
                Goal::None => dash(),
                Goal::RatioAtLeast(least) => format!("ratio >= {least:.2}"),
                Goal::RatioAtMost(most) => format!("ratio <= {most:.2}"),
                Goal::Below(limit) => format!("< {}", self.unit.show(limit)),
                Goal::AtMost(most) => format!("<= {}", self.unit.show(most)),
            },
            self.is_met()
                .map_or_else(dash, |met| if met { "yes" } else { "NO" }.to_owned()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_reads_well() {
        let row = Row::new("axum", Unit::PerSecond, 95_000.4)
            .against(100_000.0, "bare")
            .ratio_at_least(0.95);
        assert_eq!(
            row.cells(),
            [
                "axum",
                "95,000/s",
                "100,000/s (bare)",
                "0.950",
                "ratio >= 0.95",
                "yes"
            ]
        );
        let row = Row::new("respond", Unit::Time, 1.25e-6).below(1e-6);
        assert_eq!(
            row.cells(),
            ["respond", "1.25 µs", "-", "-", "< 1.00 µs", "NO"]
        );
        assert!(row.is_missed() && !Row::new("memory", Unit::Bytes, 900.0).is_missed());
    }

    #[test]
    fn a_ratio_that_can_not_be_told_is_missed() {
        assert!(
            Row::new("threads", Unit::Count, 3.0)
                .against(0.0, "at rest")
                .ratio_at_most(1.0)
                .is_missed()
        );
    }
}
