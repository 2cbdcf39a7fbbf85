//! How much the files of a room, and those of a user, may take together.

use super::reader::Reader;
use super::setting::Setting;

/// Unless set otherwise, for a room and for a user.
pub(crate) const DEFAULT_QUOTA: u64 = 10 << 30;
/// More than any disk has, and far from where sums overflow.
const LARGEST: u64 = 1 << 60;

/// Bytes that all files of one of them may take on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quotas {
    /// Of a room.
    pub room: u64,
    /// Of a user, in whichever rooms.
    pub user: u64,
}

impl Quotas {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            room: reader.text(Setting::ROOM_BLOB_BYTES, DEFAULT_QUOTA, parse_size),
            user: reader.text(Setting::USER_BLOB_BYTES, DEFAULT_QUOTA, parse_size),
        }
    }
}

fn parse_size(text: &str) -> Result<u64, String> {
    let wrong = || {
        format!(
            "\"{text}\" is not a size: bytes, or a number with KiB, MiB, GiB or TiB such as 500MiB; at least 1"
        )
    };
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..digits].parse().map_err(|_| wrong())?;
    let unit: u64 = match text[digits..].trim_start() {
        "" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        _ => return Err(wrong()),
    };
    number.checked_mul(unit).filter(|bytes| (1..=LARGEST).contains(bytes)).ok_or_else(wrong)
}
