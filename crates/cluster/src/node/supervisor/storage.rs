//! When a server that stores nothing any more is started again.
//!
//! A nats-server that met a full disk goes on without what it could not write: all of JetStream where nodes keep copies of
//! one another's streams, the stream alone where nobody else has one. Room does not bring it back; a start does.
//!
//! - It is started again only where there is room, and where it would be of use: see [`crate::space`].
//! - Never in a loop: each time the pause before the next time is twice as long.
//! - Not for a word in its log alone, which somebody else may have put there: the disk has been seen to be full, too.

use std::{fmt, time::Duration};

use tokio::time::Instant;

use crate::space::NoSpace;

/// So many looks in a row have to show it: a server that is about to end says the same.
const LOOKS: u32 = 3;
/// After a start, at least so long until the next one: not so often that the server would be given up.
const FIRST_PAUSE: Duration = Duration::from_secs(15);
const LONGEST_PAUSE: Duration = Duration::from_mins(30);

/// What shows that a server does not store what it is to store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Sign {
    /// It answers that JetStream is switched off.
    Off,
    /// It answers that it could not write a stream.
    Unwritten(String),
    /// The same in its log only. Of a stream that nobody else has a copy of it answers nothing.
    Logged(String),
}

impl fmt::Display for Sign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("nats-server has switched JetStream off and stores nothing"),
            Self::Unwritten(said) | Self::Logged(said) => {
                write!(f, "nats-server does not store everything any more: {said}")
            }
        }
    }
}

/// What follows from a sign.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It may mean nothing.
    Nothing,
    /// The server stays as it is; this is how, for the operator.
    Waits(String),
    /// It is started again.
    StartAgain,
}

/// What has been seen of the storage of servers.
#[derive(Default)]
pub(super) struct Storage {
    seen: u32,
    was_full: bool,
    last: Option<Start>,
}

/// A start for want of storage.
struct Start {
    at: Instant,
    /// From then until the next one.
    pause: Duration,
}

impl Storage {
    /// Nothing shows that anything is wrong.
    pub(super) fn is_well(&mut self) {
        self.seen = 0;
    }

    /// Another server runs.
    pub(super) fn begin(&mut self) {
        (self.seen, self.was_full) = (0, false);
    }

    /// Looks at a sign, and at the disk.
    pub(super) fn judge(&mut self, sign: &Sign, space: &Result<(), NoSpace>, now: Instant) -> Verdict {
        self.seen = self.seen.saturating_add(1);
        self.was_full |= space.is_err();
        if self.seen < LOOKS || (matches!(sign, Sign::Logged(_)) && !self.was_full) {
            return Verdict::Nothing;
        }
        if let Err(no_space) = space {
            return Verdict::Waits(format!("{sign}; it is started again when there is room: {no_space}"));
        }
        if let Some(wait) =
            self.last.as_ref().and_then(|last| (last.at + last.pause).checked_duration_since(now))
            && !wait.is_zero()
        {
            return Verdict::Waits(format!(
                "{sign}, although it has been started again for that; once more in {} s",
                wait.as_secs()
            ));
        }
        self.last = Some(Start { at: now, pause: self.next_pause(now) });
        Verdict::StartAgain
    }

    /// Twice as long as the last one, unless all was well for as long as that after it.
    fn next_pause(&self, now: Instant) -> Duration {
        match &self.last {
            Some(last) if now < last.at + last.pause.saturating_mul(2) => {
                last.pause.saturating_mul(2).min(LONGEST_PAUSE)
            }
            _ => FIRST_PAUSE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPACE: Result<(), NoSpace> = Ok(());
    const FULL: Result<(), NoSpace> = Err(NoSpace::Little { free: 0, needed: 1 });

    /// The last of enough looks.
    fn verdict(storage: &mut Storage, sign: &Sign, space: &Result<(), NoSpace>, now: Instant) -> Verdict {
        for _ in 1..LOOKS {
            assert_eq!(storage.judge(sign, space, now), Verdict::Nothing);
        }
        storage.judge(sign, space, now)
    }

    #[test]
    fn it_is_started_again_when_there_is_room() {
        let (mut storage, now) = (Storage::default(), Instant::now());
        let full = verdict(&mut storage, &Sign::Off, &FULL, now);
        assert!(matches!(&full, Verdict::Waits(why) if why.contains("have to be free")), "{full:?}");
        assert_eq!(storage.judge(&Sign::Off, &SPACE, now), Verdict::StartAgain);
    }

    #[test]
    fn what_passes_by_itself_is_nothing() {
        let (mut storage, now) = (Storage::default(), Instant::now());
        for _ in 0..3 {
            assert_eq!(storage.judge(&Sign::Off, &SPACE, now), Verdict::Nothing);
            storage.is_well();
        }
        assert_eq!(verdict(&mut storage, &Sign::Off, &SPACE, now), Verdict::StartAgain);
    }

    #[test]
    fn a_word_in_the_log_alone_is_nothing() {
        let (mut storage, now) = (Storage::default(), Instant::now());
        let logged = Sign::Logged("no space left on device".to_owned());
        for _ in 0..10 {
            assert_eq!(storage.judge(&logged, &SPACE, now), Verdict::Nothing);
        }
        assert!(matches!(storage.judge(&logged, &FULL, now), Verdict::Waits(_)));
        assert_eq!(storage.judge(&logged, &SPACE, now), Verdict::StartAgain);
        storage.begin();
        for _ in 0..10 {
            assert_eq!(storage.judge(&logged, &SPACE, now), Verdict::Nothing, "that was another server");
        }
    }

    #[test]
    fn each_time_it_waits_longer() {
        let (mut storage, mut now) = (Storage::default(), Instant::now());
        assert_eq!(verdict(&mut storage, &Sign::Off, &SPACE, now), Verdict::StartAgain);
        for seconds in [15, 30, 60, 120, 240, 480, 960, 1800, 1800] {
            storage.begin();
            let waits = verdict(&mut storage, &Sign::Off, &SPACE, now + Duration::from_secs(1));
            let expected = format!("once more in {} s", seconds - 1);
            assert!(matches!(&waits, Verdict::Waits(why) if why.ends_with(&expected)), "{waits:?}");
            now += Duration::from_secs(seconds);
            assert_eq!(storage.judge(&Sign::Off, &SPACE, now), Verdict::StartAgain);
        }
        storage.begin();
        now += 2 * LONGEST_PAUSE;
        assert_eq!(verdict(&mut storage, &Sign::Off, &SPACE, now), Verdict::StartAgain);
        storage.begin();
        let waits = verdict(&mut storage, &Sign::Off, &SPACE, now);
        assert!(matches!(&waits, Verdict::Waits(why) if why.ends_with("once more in 15 s")), "{waits:?}");
    }
}
