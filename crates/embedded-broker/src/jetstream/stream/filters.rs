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

    pub(crate) fn iter(&self) -> impl Iterator<Item = &SubjectFilter> {
        self.0.iter()
    }
}
