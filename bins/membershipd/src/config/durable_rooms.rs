//! How many rooms with history there may be.

use super::plane::Plane;
use super::reader::Reader;
use super::setting::Setting;

/// In a cluster, and at a NATS that somebody else runs: each room is a group of servers that elects its leader. What this
/// many cost is in docs/scale.md.
pub(crate) const DEFAULT_SHARED: usize = 1_000;
/// In this process, as many as there may be rooms of any kind.
pub(crate) const DEFAULT_ALONE: usize = MOST;
/// A bus has no more rooms.
const MOST: usize = 10_000;

/// How many rooms with history there may be; no new one is made beyond.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaxDurableRooms(usize);

impl MaxDurableRooms {
    /// `plane` is absent when it cannot be used, which is reported already.
    pub(super) fn read(reader: &mut Reader<'_>, plane: Option<&Plane>) -> Self {
        let default = match plane {
            None | Some(Plane::Embedded(_)) => DEFAULT_ALONE,
            Some(Plane::Clustered(_) | Plane::External(_)) => DEFAULT_SHARED,
        };
        Self(reader.text(Setting::MAX_DURABLE_ROOMS, default, parse))
    }

    /// The number.
    pub fn get(self) -> usize {
        self.0
    }

    /// What whoever starts the bus should know.
    pub(super) fn warning(self, plane: &Plane) -> Option<String> {
        let is_shared = !matches!(plane, Plane::Embedded(_));
        (is_shared && self.0 > DEFAULT_SHARED).then(|| {
            format!(
                "{} is {}: beyond {DEFAULT_SHARED} rooms with history every nats-server needs much memory, and long to come \
                 back (docs/scale.md)",
                Setting::MAX_DURABLE_ROOMS.flag(),
                self.0
            )
        })
    }
}

fn parse(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| *number <= MOST);
    number
        .ok_or_else(|| format!("\"{text}\" is not a number of rooms: 0 to {MOST}, which no bus has more of"))
}
