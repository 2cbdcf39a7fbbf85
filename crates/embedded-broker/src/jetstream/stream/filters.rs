//! Which subjects a reader wants.

use busauth::SubjectFilter;

/// Everything, or what matches one of some filters that do not overlap.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Filters(Box<[SubjectFilter]>);

impl Filters {
    /// All subjects.
    pub(crate) fn everything() -> Self {
        Self::default()
    }

    /// What matches one of these; with none of them, everything.
    pub(crate) fn any_of(filters: impl IntoIterator<Item = SubjectFilter>) -> Self {
        let filters: Box<[_]> = filters.into_iter().collect();
        if filters.iter().any(|filter| filter.as_str() == ">") { Self::default() } else { Self(filters) }
    }

    pub(crate) fn is_everything(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn matches(&self, subject: &str) -> bool {
        self.0.is_empty() || self.0.iter().any(|filter| filter.matches_str(subject))
    }

    /// Whether everything that another one matches is matched.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        self.0.is_empty()
            || !other.0.is_empty() && other.0.iter().all(|one| self.0.iter().any(|mine| mine.covers(one)))
    }

    /// Whether something could be matched by both.
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        self.0.is_empty()
            || other.0.is_empty()
            || self.0.iter().any(|mine| other.0.iter().any(|one| mine.overlaps(one)))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &SubjectFilter> {
        self.0.iter()
    }
}
