//! The files of NIST's validation programs (`.rsp`, and `.txt` in their manner): lines `NAME = value`, cases apart by
//! empty lines or by a name that comes again, `[headings]` that hold for what follows, words that stand alone.

use std::collections::BTreeMap;

/// One case: its own lines, and what was said before them and not taken back.
pub struct Case<'a> {
    own: &'a BTreeMap<&'a str, &'a str>,
    before: &'a BTreeMap<&'a str, &'a str>,
    heading: &'a str,
}

impl<'a> Case<'a> {
    /// The value of this case's own line.
    pub fn own(&self, name: &str) -> Option<&'a str> {
        self.own.get(name).copied()
    }

    /// Whether the case has this line or stands under it.
    pub fn text(&self, name: &str) -> &'a str {
        let found = self.own(name).or(self.before.get(name).copied());
        found.unwrap_or_else(|| panic!("no {name} in {:?}", self.own))
    }

    /// A value in hexadecimal, an odd digit at its front.
    pub fn hex(&self, name: &str) -> Vec<u8> {
        hex(self.text(name))
    }

    /// A number in decimal.
    pub fn number(&self, name: &str) -> usize {
        let text = self.text(name);
        text.parse()
            .unwrap_or_else(|e| panic!("{name} = {text}: {e}"))
    }

    /// The heading that is no `name = value`: `[ENCRYPT]`, `[P-256,SHA-1]`.
    pub fn heading(&self) -> &'a str {
        self.heading
    }

    /// The case's own lines, for a message.
    pub fn describe(&self) -> String {
        let short = |v: &str| v.chars().take(40).collect::<String>();
        let lines = self.own.iter().map(|(k, v)| format!("{k}={}", short(v)));
        format!("[{}] {}", self.heading, lines.collect::<Vec<_>>().join(" "))
    }
}

/// Bytes of hexadecimal digits.
pub fn hex(text: &str) -> Vec<u8> {
    let even = if text.len().is_multiple_of(2) {
        text.to_owned()
    } else {
        format!("0{text}")
    };
    ::hex::decode(&even).unwrap_or_else(|e| panic!("{text}: {e}"))
}

/// Calls with each case of a file.
pub fn cases(text: &str, mut each: impl FnMut(&Case<'_>)) {
    let mut before = BTreeMap::new();
    let mut own = BTreeMap::new();
    let mut heading = "";
    for line in text.lines().map(str::trim).chain([""]) {
        let inner = line.strip_prefix('[').and_then(|l| l.strip_suffix(']'));
        let pair = line.split_once('=').map(|(k, v)| (k.trim(), v.trim()));
        let again = pair.is_some_and(|(name, _)| own.contains_key(name));
        if (line.is_empty() || inner.is_some() || again) && !own.is_empty() {
            each(&Case {
                own: &own,
                before: &before,
                heading,
            });
            before.append(&mut own);
        }
        match (inner, pair) {
            (Some(inner), _) if inner.contains('=') => {
                let pairs = inner.split(',').filter_map(|p| p.split_once('='));
                before.extend(pairs.map(|(k, v)| (k.trim(), v.trim())));
            }
            (Some(inner), _) => heading = inner,
            _ if line.is_empty() || line.starts_with('#') => {}
            (_, Some((name, value))) => {
                own.insert(name, value);
            }
            (_, None) => {
                own.insert(line, "");
            }
        }
    }
}

#[test]
fn the_three_manners_of_files() {
    let text = "# comment = none\nPlen = 24\n\n[Keylen = 128]\n[A = 1, B = 2]\n[ENCRYPT]\n\nCount = 0\nKey = 0a\nCT =\nFAIL\n\n\
                n = abc\n\nCount = 1\nKey = 0b\n[DECRYPT]\ncount = 0\nx = 1\ncount = 1\nx = 2\n";
    let mut seen = Vec::new();
    cases(text, |case| {
        seen.push((case.heading().to_owned(), case.describe()));
        match case.own("Key") {
            Some("0a") => {
                assert_eq!((case.number("Keylen"), case.number("Plen")), (128, 24));
                assert_eq!((case.text("B"), case.hex("CT")), ("2", Vec::new()));
                assert!(case.own("FAIL").is_some() && case.own("n").is_none());
            }
            Some(_) => {
                assert!(case.own("FAIL").is_none(), "a word of another case");
                assert_eq!(case.hex("n"), [0x0a, 0xbc], "of the case before");
            }
            None => {}
        }
    });
    let told: Vec<&str> = seen.iter().map(|(_, d)| d.as_str()).collect();
    assert_eq!(
        told,
        [
            "[] Plen=24",
            "[ENCRYPT] CT= Count=0 FAIL= Key=0a",
            "[ENCRYPT] n=abc",
            "[ENCRYPT] Count=1 Key=0b",
            "[DECRYPT] count=0 x=1",
            "[DECRYPT] count=1 x=2",
        ]
    );
}
