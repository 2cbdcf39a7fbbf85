//! What is asked of a ratio, and how it does.

/// Bounds of a ratio; whether it should be above or below is the figure's.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub(crate) struct Bounds {
    pub(crate) must: f64,
    pub(crate) target: f64,
}

/// How a ratio does beside its bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    Target,
    Must,
    Missed,
}

impl Verdict {
    /// `reaches` tells whether the ratio is good enough for a bound.
    pub(crate) fn of(bounds: Bounds, reaches: impl Fn(f64) -> bool) -> Self {
        if reaches(bounds.target) {
            Self::Target
        } else if reaches(bounds.must) {
            Self::Must
        } else {
            Self::Missed
        }
    }

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Target => "target",
            Self::Must => "must",
            Self::Missed => "**missed**",
        }
    }
}

/// As a cell of a table.
pub(crate) fn cell(bounds: Option<Bounds>, which: fn(Bounds) -> f64) -> String {
    bounds.map_or_else(String::new, |bounds| format!("{:.2}", which(bounds)))
}
