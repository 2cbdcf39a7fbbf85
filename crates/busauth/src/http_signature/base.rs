//! The signature base: the text that is signed (RFC 9421, 2.5).

use super::RequestTarget;
use super::authority::normalized;
use super::fields::SignatureParams;

/// The values of the covered components of one request.
pub(super) struct Components<'a> {
    pub(super) target: RequestTarget<'a>,
    /// `Content-Digest` as sent and `Content-Type` as sent.
    pub(super) body: Option<(&'a str, &'a str)>,
}

impl Components<'_> {
    pub(super) fn signature_base(&self, params: &SignatureParams) -> String {
        let authority = normalized(self.target.authority);
        let path = if self.target.path.is_empty() { "/" } else { self.target.path };
        let query = format!("?{}", self.target.query.unwrap_or_default());
        let mut lines = vec![
            ("@method", self.target.method.as_str()),
            ("@authority", &authority),
            ("@path", path),
            ("@query", &query),
        ];
        if let Some((digest, content_type)) = self.body {
            lines.push(("content-digest", digest));
            lines.push(("content-type", content_type));
        }
        signature_base(&lines, &params.text())
    }
}

/// Lays out component lines and the parameters as RFC 9421 (2.5) says. Values of fields lose
/// white space around them (2.1).
pub(super) fn signature_base(lines: &[(&str, &str)], params: &str) -> String {
    let mut base = String::with_capacity(512);
    for (name, value) in lines {
        for piece in ["\"", name, "\": ", value.trim_matches([' ', '\t']), "\n"] {
            base.push_str(piece);
        }
    }
    base.push_str("\"@signature-params\": ");
    base.push_str(params);
    base
}
