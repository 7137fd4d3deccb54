//! Measures two sides in turns, so that a noisy machine disturbs both equally. This file is also a
//! module of xtask.

/// Returns the medians of both sides. The side that begins alternates with every round.
pub(crate) fn take_turns<E>(
    rounds: usize,
    mut ours: impl FnMut() -> Result<f64, E>,
    mut other: impl FnMut() -> Result<f64, E>,
) -> Result<[f64; 2], E> {
    let mut all_ours = Vec::with_capacity(rounds);
    let mut all_other = Vec::with_capacity(rounds);
    for round in 0..rounds {
        if round % 2 == 0 {
            all_ours.push(ours()?);
            all_other.push(other()?);
        } else {
            all_other.push(other()?);
            all_ours.push(ours()?);
        }
    }
    Ok([median(all_ours), median(all_other)])
}

/// Returns the middle value, or the mean of the two middle values. Returns 0 if there are no
/// values.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let upper = values.len() / 2;
    match (
        values.get(upper),
        upper.checked_sub(1).and_then(|lower| values.get(lower)),
    ) {
        (Some(upper), Some(lower)) if values.len().is_multiple_of(2) => {
            f64::midpoint(*upper, *lower)
        }
        (middle, _) => middle.copied().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        let medians = [vec![], vec![3.0], vec![4.0, 1.0], vec![9.0, 1.0, 2.0]].map(median);
        assert!(
            medians
                .iter()
                .zip([0.0, 3.0, 2.5, 2.0])
                .all(|(median, middle)| (median - middle).abs() < 1e-9)
        );
    }
}
