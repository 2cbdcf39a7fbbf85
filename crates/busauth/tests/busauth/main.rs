//! What users of the crate rely on, one behaviour per file.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod http_signature_docs;
mod http_signature_interop;
mod http_signature_mutations;
mod http_signature_refusals;
#[cfg(unix)]
mod identity_file;
mod request;
