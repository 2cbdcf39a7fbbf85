//! Medians and ranges.

/// The middle of some values and how far they lie apart.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Spread {
    /// Of at least one value.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (low, high) = (values.first().copied(), values.last().copied());
        let middle = values.len() / 2;
        let median = match values.len() {
            0 => f64::NAN,
            even if even % 2 == 0 => f64::midpoint(values[middle - 1], values[middle]),
            _ => values[middle],
        };
        Self { median, low: low.unwrap_or(f64::NAN), high: high.unwrap_or(f64::NAN) }
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} [{}-{}]", number(self.median), number(self.low), number(self.high))
    }
}

/// Three significant digits.
fn number(value: f64) -> String {
    match value.abs() {
        10_000_000.0.. => format!("{:.1} M", value / 1e6),
        1_000_000.0.. => format!("{:.2} M", value / 1e6),
        100_000.0.. => format!("{:.0} k", value / 1e3),
        10_000.0.. => format!("{:.1} k", value / 1e3),
        1_000.0.. => format!("{:.2} k", value / 1e3),
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        1.0.. => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// The value below which a share of sorted values lies.
pub(crate) fn percentile(sorted: &[u64], share: f64) -> f64 {
    #[expect(clippy::cast_sign_loss, reason = "a share of a length")]
    let at = (sorted.len() as f64 * share) as usize;
    sorted.get(at.min(sorted.len().saturating_sub(1))).map_or(f64::NAN, |&value| value as f64)
}
