//! Which part of a file a request asks for: `Range` and `If-Range` (RFC 9110, 13 and 14).
//!
//! One range of bytes is served. A header that says anything else is ignored, as the RFC allows, and the answer is the
//! whole file.

use http::{HeaderMap, header};

/// What to answer with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// The whole file.
    Whole,
    /// Bytes `start..end`, of which there is at least one.
    Part { start: u64, end: u64 },
    /// No byte of the file.
    Outside,
}

/// Reads the headers of a request for a file of this length and entity tag.
pub(crate) fn wanted(headers: &HeaderMap, etag: &str, length: u64) -> Wanted {
    let mut ranges = headers.get_all(header::RANGE).iter();
    let (Some(range), None) = (ranges.next(), ranges.next()) else { return Wanted::Whole };
    // A range of another version of the file would not fit to what the client has.
    if headers.get(header::IF_RANGE).is_some_and(|expected| expected.as_bytes() != etag.as_bytes()) {
        return Wanted::Whole;
    }
    range.to_str().ok().and_then(|range| parse(range, length)).unwrap_or(Wanted::Whole)
}

fn parse(range: &str, length: u64) -> Option<Wanted> {
    let (unit, range) = range.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (first, last) = range.trim().split_once('-')?;
    let (start, end) = match (first, last) {
        ("", suffix) => (length.saturating_sub(number(suffix)?), length),
        (first, "") => (number(first)?, length),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            if last < first {
                return None;
            }
            (first, last.saturating_add(1).min(length))
        }
    };
    Some(if start < end { Wanted::Part { start, end } } else { Wanted::Outside })
}

/// Digits and nothing else; what is too large lies beyond the end of every file.
fn number(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn of(range: &str) -> Wanted {
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, HeaderValue::from_str(range).unwrap());
        wanted(&headers, "\"x\"", 100)
    }

    #[test]
    fn one_range_is_understood() {
        for (range, start, end) in [
            ("bytes=0-0", 0, 1),
            ("bytes=0-99", 0, 100),
            ("bytes=10-", 10, 100),
            ("BYTES=10-1000", 10, 100),
            ("bytes=-1", 99, 100),
            ("bytes=-1000", 0, 100),
            ("bytes=99-18446744073709551616", 99, 100),
        ] {
            assert_eq!(of(range), Wanted::Part { start, end }, "{range}");
        }
    }

    #[test]
    fn what_lies_outside_is_told() {
        for range in ["bytes=100-", "bytes=100-200", "bytes=18446744073709551616-", "bytes=-0"] {
            assert_eq!(of(range), Wanted::Outside, "{range}");
        }
    }

    #[test]
    fn anything_else_is_the_whole_file() {
        for range in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=5-4",
            "bytes=0-1,3-4",
            "lines=0-1",
            "bytes=+1-2",
            "bytes=a-b",
        ] {
            assert_eq!(of(range), Wanted::Whole, "{range}");
        }
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, HeaderValue::from_static("bytes=1-2"));
        headers.insert(header::IF_RANGE, HeaderValue::from_static("\"y\""));
        assert_eq!(wanted(&headers, "\"x\"", 100), Wanted::Whole, "another version");
        assert_eq!(wanted(&headers, "\"y\"", 100), Wanted::Part { start: 1, end: 3 });
        headers.append(header::RANGE, HeaderValue::from_static("bytes=1-2"));
        assert_eq!(wanted(&headers, "\"y\"", 100), Wanted::Whole, "two headers");
    }
}
