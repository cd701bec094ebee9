//! The text that a signature covers: a request brought into one form.

use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// A request as far as signatures are concerned.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// Such as `POST`.
    pub method: &'a str,
    /// As it stands in the request line, percent signs and all.
    pub path: &'a str,
    /// What follows the question mark, or nothing.
    pub query: &'a str,
    /// In any case and order; a name may come more than once.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body.
    pub body: &'a [u8],
}

impl Message<'_> {
    /// The first header of this name (in lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self
            .headers
            .iter()
            .find(|(given, _)| given.eq_ignore_ascii_case(name));
        found.map(|(_, value)| *value)
    }

    /// The hash of the canonical request, in hex, with the headers of these names.
    pub(super) fn digest(&self, signed_headers: &[&str]) -> String {
        let mut text = format!(
            "{}\n{}\n{}\n",
            self.method,
            canonical_path(self.path),
            canonical_query(self.query)
        );
        for name in signed_headers {
            let _ = writeln!(text, "{name}:{}", self.values(name));
        }
        let body = hex::encode(Sha256::digest(self.body));
        let _ = write!(text, "\n{}\n{body}", signed_headers.join(";"));
        hex::encode(Sha256::digest(text.as_bytes()))
    }

    /// All values of a header, each with its runs of blanks made one blank.
    fn values(&self, name: &str) -> String {
        let all = self
            .headers
            .iter()
            .filter(|(given, _)| given.eq_ignore_ascii_case(name));
        let all =
            all.map(|(_, value)| value.split_ascii_whitespace().collect::<Vec<_>>().join(" "));
        all.collect::<Vec<_>>().join(",")
    }
}

/// Without empty and dot segments, then percent-encoded (again): every service but S3 does so.
fn canonical_path(path: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => (),
            ".." => drop(segments.pop()),
            segment => segments.push(segment),
        }
    }
    let mut out = String::new();
    for segment in &segments {
        out.push('/');
        encode(segment.as_bytes(), &mut out);
    }
    if segments.is_empty() || path.ends_with('/') {
        out.push('/');
    }
    out
}

/// Sorted by encoded name, then by encoded value.
fn canonical_query(query: &str) -> String {
    let mut sorted: BTreeMap<(String, String), usize> = BTreeMap::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        *sorted.entry((reencode(name), reencode(value))).or_default() += 1;
    }
    let pairs = sorted
        .iter()
        .flat_map(|((name, value), times)| std::iter::repeat_n(format!("{name}={value}"), *times));
    pairs.collect::<Vec<_>>().join("&")
}

/// One encoding for what clients encode in several.
fn reencode(text: &str) -> String {
    let (mut plain, mut rest) = (Vec::new(), text.as_bytes());
    while let [first, after @ ..] = rest {
        let escaped = after
            .get(..2)
            .filter(|_| *first == b'%')
            .and_then(|h| hex::decode(h).ok());
        match escaped {
            Some(byte) => {
                plain.extend(byte);
                rest = &after[2..];
            }
            None => {
                plain.push(*first);
                rest = after;
            }
        }
    }
    let mut out = String::new();
    encode(&plain, &mut out);
    out
}

fn encode(bytes: &[u8], out: &mut String) {
    for byte in bytes {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(*byte));
            }
            other => {
                let _ = write!(out, "%{other:02X}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        for (path, canonical) in [
            ("", "/"),
            ("/", "/"),
            ("//", "/"),
            ("/./", "/"),
            ("/example/..", "/"),
            ("//example//", "/example/"),
            ("/./example", "/example"),
            ("/example1/example2/../..", "/"),
            ("/example space/", "/example%20space/"),
            ("/a%20b", "/a%2520b"),
            ("/ሴ", "/%E1%88%B4"),
            ("/../..", "/"),
        ] {
            assert_eq!(canonical_path(path), canonical, "{path}");
        }
    }

    #[test]
    fn queries() {
        for (query, canonical) in [
            ("", ""),
            ("b=2&a=1", "a=1&b=2"),
            ("Param1=value2&Param1=Value1", "Param1=Value1&Param1=value2"),
            ("a&b=&a", "a=&a=&b="),
            ("k=a%2fb+c%zz%2", "k=a%2Fb%2Bc%25zz%252"),
            ("ሴ=bar", "%E1%88%B4=bar"),
        ] {
            assert_eq!(canonical_query(query), canonical, "{query}");
        }
    }

    #[test]
    fn header_values_are_trimmed_and_joined() {
        let headers = [
            ("My-Header", "  a   b  "),
            ("my-header", "c"),
            ("Other", "x"),
        ];
        let message = Message {
            method: "GET",
            path: "/",
            query: "",
            headers: &headers,
            body: b"",
        };
        assert_eq!(message.values("my-header"), "a b,c");
        assert_eq!(message.header("other"), Some("x"));
        assert_eq!(message.header("none"), None);
    }
}
