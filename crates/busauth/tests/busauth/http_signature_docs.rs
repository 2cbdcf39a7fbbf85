//! The worked example of `docs/http-signatures.md` is what this crate produces and accepts.
