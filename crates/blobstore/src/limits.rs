//! The bounds of a store in a directory.

/// How much at once, and how much to leave free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FsLimits {
    /// Blocking jobs (reading, hashing, writing) that run at once; more wait. Each moves a few blocks.
    pub jobs: usize,
    /// Bytes that uploads leave free on the disk, so that whatever else is on it can go on.
    pub keep_free: u64,
}

impl Default for FsLimits {
    fn default() -> Self {
        Self { jobs: 8, keep_free: 64 << 20 }
    }
}
