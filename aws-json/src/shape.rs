//! The vocabulary in which a service's model is written down: shapes with their constraints.
//!
//! `cargo xtask shapes` writes the tables in `shapes/` from AWS's public service models: names
//! and constraints only. `validate` walks a request along them.

use regex::Regex;
use std::sync::OnceLock;

/// One service's model.
#[derive(Debug)]
pub struct Model {
    /// What stands before the dot in `X-Amz-Target`.
    pub target_prefix: &'static str,
    /// The service's name in a signature's scope.
    pub signing_name: &'static str,
    /// The member of an exception that holds its text: `message` or `Message`.
    pub message_member: &'static str,
    /// Every operation that AWS has, by name in alphabetical order, with the shape of its input.
    pub operations: &'static [(&'static str, &'static Shape)],
}

impl Model {
    /// An operation's name and the shape of its input, `None` if AWS has no such operation.
    pub fn operation(&self, name: &str) -> Option<(&'static str, &'static Shape)> {
        let at = self
            .operations
            .binary_search_by_key(&name, |(name, _)| name)
            .ok()?;
        Some(self.operations[at])
    }

    /// The shape of an operation's input.
    pub fn input(&self, operation: &str) -> Option<&'static Shape> {
        self.operation(operation).map(|(_, input)| input)
    }
}

/// What a value must look like.
#[derive(Debug)]
pub enum Shape {
    /// An object with known members.
    Structure(&'static [Member]),
    /// An array.
    List {
        /// Of what.
        member: &'static Shape,
        /// How many.
        count: Range,
    },
    /// An object with free names.
    Map {
        /// What the names must look like.
        key: &'static Shape,
        /// What the values must look like.
        value: &'static Shape,
        /// How many.
        count: Range,
    },
    /// A string.
    Text {
        /// In UTF-16 units, as the service counts.
        length: Range,
        /// The whole text must match.
        pattern: Option<&'static Pattern>,
        /// The values of an enumeration; empty if it is none.
        values: &'static [&'static str],
        /// Not to be repeated in a message.
        sensitive: bool,
    },
    /// Bytes, as a base64 string.
    Blob {
        /// In bytes.
        length: Range,
        /// Not to be repeated in a message.
        sensitive: bool,
    },
    /// A whole number.
    Integer(Range),
    /// True or false.
    Boolean,
    /// Seconds since 1970.
    Timestamp,
}

/// A member of a structure.
#[derive(Debug)]
pub struct Member {
    /// As on the wire.
    pub name: &'static str,
    /// Whether a request without it is refused.
    pub required: bool,
    /// What it must look like.
    pub shape: &'static Shape,
}

/// Inclusive bounds; an absent one does not bind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// At least.
    pub min: Option<i64>,
    /// At most.
    pub max: Option<i64>,
}

impl Range {
    /// No bounds.
    pub const ANY: Self = Self {
        min: None,
        max: None,
    };
}

/// What the generated tables are written in.
pub(crate) mod make {
    use super::{Member, Range};
    pub(crate) use super::{Model, Pattern, Shape};

    pub(crate) const fn required(name: &'static str, shape: &'static Shape) -> Member {
        Member {
            name,
            required: true,
            shape,
        }
    }

    pub(crate) const fn optional(name: &'static str, shape: &'static Shape) -> Member {
        Member {
            name,
            required: false,
            shape,
        }
    }

    pub(crate) const fn range(min: Option<i64>, max: Option<i64>) -> Range {
        Range { min, max }
    }

    pub(crate) const fn list(member: &'static Shape, count: Range) -> Shape {
        Shape::List { member, count }
    }

    pub(crate) const fn map(key: &'static Shape, value: &'static Shape, count: Range) -> Shape {
        Shape::Map { key, value, count }
    }

    pub(crate) const fn values(values: &'static [&'static str]) -> Shape {
        Shape::Text {
            length: Range::ANY,
            pattern: None,
            values,
            sensitive: false,
        }
    }

    pub(crate) const fn text(length: Range, pattern: Option<&'static Pattern>) -> Shape {
        Shape::Text {
            length,
            pattern,
            values: &[],
            sensitive: false,
        }
    }

    pub(crate) const fn secret_text(length: Range, pattern: Option<&'static Pattern>) -> Shape {
        Shape::Text {
            length,
            pattern,
            values: &[],
            sensitive: true,
        }
    }

    pub(crate) const fn blob(length: Range) -> Shape {
        Shape::Blob {
            length,
            sensitive: false,
        }
    }

    pub(crate) const fn secret_blob(length: Range) -> Shape {
        Shape::Blob {
            length,
            sensitive: true,
        }
    }
}

/// A regular expression, compiled when it is first needed.
#[derive(Debug)]
pub struct Pattern {
    /// As the model has it, for messages.
    pub text: &'static str,
    compiled: OnceLock<Regex>,
}

impl Pattern {
    /// A pattern in the model's (Java's) notation.
    pub const fn new(text: &'static str) -> Self {
        Self {
            text,
            compiled: OnceLock::new(),
        }
    }

    /// Whether the whole of `value` matches, as the service's validation has it.
    pub fn matches(&self, value: &str) -> bool {
        let whole = || Regex::new(&format!(r"\A(?:{})\z", ascii_classes(self.text)));
        self.compiled
            .get_or_init(|| whole().expect("a test compiles every pattern of the models"))
            .is_match(value)
    }
}

/// Java's `\d`, `\w` and `\s` mean ASCII, this engine's mean Unicode.
fn ascii_classes(pattern: &str) -> String {
    let (mut out, mut chars, mut in_class) = (String::new(), pattern.chars(), false);
    while let Some(c) = chars.next() {
        let class = match c {
            '\\' => match chars.next() {
                Some('d') => "0-9",
                Some('w') => "a-zA-Z0-9_",
                Some('s') => r" \t\n\x0B\f\r",
                Some(other) => {
                    out.extend(['\\', other]);
                    continue;
                }
                None => continue,
            },
            _ => {
                in_class = (in_class || c == '[') && c != ']';
                out.push(c);
                continue;
            }
        };
        match in_class {
            true => out.push_str(class),
            false => out.extend(["[", class, "]"]),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shapes;

    fn each_pattern(shape: &'static Shape, seen: &mut dyn FnMut(&'static Pattern)) {
        match shape {
            Shape::Structure(members) => members.iter().for_each(|m| each_pattern(m.shape, seen)),
            Shape::List { member, .. } => each_pattern(member, seen),
            Shape::Map { key, value, .. } => {
                each_pattern(key, seen);
                each_pattern(value, seen);
            }
            Shape::Text {
                pattern: Some(pattern),
                ..
            } => seen(pattern),
            _ => (),
        }
    }

    #[test]
    fn every_pattern_of_the_models_compiles() {
        let mut count = 0;
        for model in [&shapes::kms::MODEL, &shapes::cloudhsmv2::MODEL] {
            for (_, input) in model.operations {
                each_pattern(input, &mut |pattern| {
                    pattern.matches("x");
                    count += 1;
                });
            }
        }
        assert!(count > 50, "only {count} members with a pattern");
    }

    #[test]
    fn operations_are_found_by_name() {
        for (model, count) in [(&shapes::kms::MODEL, 54), (&shapes::cloudhsmv2::MODEL, 18)] {
            assert_eq!(model.operations.len(), count);
            for (name, _) in model.operations {
                assert!(model.input(name).is_some(), "{name}");
            }
            assert!(model.input("NoSuchOperation").is_none());
        }
    }

    #[test]
    fn patterns_match_the_whole_text_in_ascii() {
        let words = Pattern::new(r"^[\w+=,.@:/-]+$");
        assert!(words.matches("arn:aws:iam::1:user/a_b"));
        assert!(!words.matches("é") && !words.matches("a b") && !words.matches("a\n"));
        let digits = Pattern::new(r"\d{1,3}\.\d{1,3}");
        assert!(digits.matches("10.2") && !digits.matches("10.2.3") && !digits.matches("١.2"));
        let either = Pattern::new(r"^(/a)$|^(/b)$");
        assert!(either.matches("/a") && either.matches("/b") && !either.matches("/a/b"));
        let latin = Pattern::new(r"[\u0020-\u00FF]*");
        assert!(latin.matches("aé") && latin.matches("") && !latin.matches("ā"));
        let tag = Pattern::new(r"^([\p{L}\p{Z}\p{N}_.:/=+\-@]*)$");
        assert!(tag.matches("Ünïcode 5 @-") && !tag.matches("a\tb"));
    }
}
