//! Who wants to know when clients begin or end to listen on a subject: consumers that deliver there.

use std::{
    collections::HashMap,
    sync::{
        Arc, Weak,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use busauth::SubjectFilter;
use parking_lot::Mutex;

/// Somebody who is told that the interest in its subject may have changed. Called on the thread of whoever changed it,
/// which may hold `dispatch`.
pub(crate) trait InterestWatcher: Send + Sync {
    fn interest_changed(&self);
}

type BySubject = HashMap<Box<str>, Vec<Weak<dyn InterestWatcher>>>;

/// The watched subjects of a broker.
#[derive(Default)]
pub(crate) struct Watches {
    by_subject: Mutex<BySubject>,
    /// Read without the lock, so that a broker in which nobody watches pays nothing.
    subjects: AtomicUsize,
}

impl Watches {
    /// Tells `watcher` from now on, until it is dropped or the subject is forgotten.
    pub(crate) fn watch(&self, subject: &str, watcher: Weak<dyn InterestWatcher>) {
        let mut by_subject = self.by_subject.lock();
        by_subject.entry(subject.into()).or_default().push(watcher);
        self.subjects.store(by_subject.len(), Relaxed);
    }

    /// Ends what [`Watches::watch`] began.
    pub(crate) fn unwatch(&self, subject: &str, watcher: &Weak<dyn InterestWatcher>) {
        let mut by_subject = self.by_subject.lock();
        if let Some(watchers) = by_subject.get_mut(subject) {
            watchers.retain(|known| known.strong_count() > 0 && !known.ptr_eq(watcher));
            if watchers.is_empty() {
                by_subject.remove(subject);
            }
        }
        self.subjects.store(by_subject.len(), Relaxed);
    }

    /// To be called after subscriptions with these filters came or went.
    pub(super) fn interest_changed<'a>(&self, filters: impl IntoIterator<Item = &'a SubjectFilter>) {
        if self.subjects.load(Relaxed) == 0 {
            return;
        }
        let mut told: Vec<Arc<dyn InterestWatcher>> = Vec::new();
        {
            let by_subject = self.by_subject.lock();
            for filter in filters {
                if !filter.has_wildcard() {
                    let watchers = by_subject.get(filter.as_str()).into_iter().flatten();
                    told.extend(watchers.filter_map(Weak::upgrade));
                    continue;
                }
                for (subject, watchers) in &*by_subject {
                    if filter.matches_str(subject) {
                        told.extend(watchers.iter().filter_map(Weak::upgrade));
                    }
                }
            }
        }
        for watcher in told {
            watcher.interest_changed();
        }
    }
}
