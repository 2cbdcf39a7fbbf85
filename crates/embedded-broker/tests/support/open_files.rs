//! How many files a process may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit as far as an ordinary user can, to at most `wanted`; answers what it is then.
pub(crate) fn allow(wanted: usize) -> usize {
    let wanted = wanted as u64;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let possible = maximum.map_or(wanted, |maximum| maximum.min(wanted));
    if current.is_some_and(|current| current < possible) {
        setrlimit(Resource::Nofile, Rlimit { current: Some(possible), maximum })
            .expect("below the hard limit");
    }
    getrlimit(Resource::Nofile).current.map_or(usize::MAX, |current| current.try_into().unwrap_or(usize::MAX))
}
