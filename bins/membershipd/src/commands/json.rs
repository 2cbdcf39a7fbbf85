//! What commands print for scripts.

use std::io::Write;

use serde::Serialize;

use crate::failure::Failure;

pub(super) fn document(value: &impl Serialize, out: &mut impl Write) -> Result<(), Failure> {
    serde_json::to_writer_pretty(&mut *out, value).map_err(std::io::Error::from)?;
    writeln!(out)?;
    Ok(())
}
