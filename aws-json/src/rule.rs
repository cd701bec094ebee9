//! The constraints of one shape, each with the text that the real service has for it, and what
//! they look at.

use crate::error::{Result, SERIALIZATION, ServiceError};
use crate::shape::{Pattern, Range, Shape};
use serde_json::Value;
use std::fmt;

/// One constraint. Its text is the service's.
pub(crate) enum Rule {
    AtMost(&'static str, i64),
    AtLeast(&'static str, i64),
    Matches(&'static Pattern),
    OneOf(&'static [&'static str]),
}

/// What rules look at: the length or the value, and the text if it is one.
pub(crate) struct Measured<'a> {
    size: i64,
    text: &'a str,
}

impl Rule {
    /// Whether it is met.
    pub(crate) fn holds(&self, measured: &Measured<'_>) -> bool {
        match self {
            Self::AtMost(_, max) => measured.size <= *max,
            Self::AtLeast(_, min) => measured.size >= *min,
            Self::Matches(pattern) => pattern.matches(measured.text),
            Self::OneOf(values) => values.contains(&measured.text),
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(what, max) => {
                write!(f, "Member must have {what} less than or equal to {max}")
            }
            Self::AtLeast(what, min) => {
                write!(f, "Member must have {what} greater than or equal to {min}")
            }
            Self::Matches(Pattern { text, .. }) => {
                write!(f, "Member must satisfy regular expression pattern: {text}")
            }
            Self::OneOf(values) => {
                write!(
                    f,
                    "Member must satisfy enum value set: [{}]",
                    values.join(", ")
                )
            }
        }
    }
}

/// The rules of a shape itself, in the order in which the service lists them.
pub(crate) fn rules(shape: &'static Shape) -> impl Iterator<Item = Rule> {
    let (what, range, pattern, values): (_, _, Option<&'static Pattern>, &'static [_]) = match shape
    {
        Shape::Text {
            length,
            pattern,
            values,
            ..
        } => ("length", *length, *pattern, values),
        Shape::Blob { length, .. } => ("length", *length, None, &[]),
        Shape::List { count, .. } | Shape::Map { count, .. } => ("length", *count, None, &[]),
        Shape::Integer(range) => ("value", *range, None, &[]),
        Shape::Structure(_) | Shape::Boolean | Shape::Timestamp => ("", Range::ANY, None, &[]),
    };
    let rules = [
        range.max.map(|max| Rule::AtMost(what, max)),
        range.min.map(|min| Rule::AtLeast(what, min)),
        pattern.map(Rule::Matches),
        (!values.is_empty()).then_some(Rule::OneOf(values)),
    ];
    rules.into_iter().flatten()
}

/// What there is to look at in a value; an error if it is of the wrong JSON type.
pub(crate) fn measure<'a>(shape: &Shape, value: &'a Value, path: &str) -> Result<Measured<'a>> {
    let of = |size: usize, text| Measured {
        size: i64::try_from(size).unwrap_or(i64::MAX),
        text,
    };
    Ok(match (shape, value) {
        (Shape::Structure(_) | Shape::Map { .. }, Value::Object(members)) => of(members.len(), ""),
        (Shape::List { .. }, Value::Array(items)) => of(items.len(), ""),
        (Shape::Text { .. }, Value::String(text)) => of(text.encode_utf16().count(), text),
        (Shape::Blob { .. }, Value::String(text)) => {
            let bytes = decoded_len(text);
            of(bytes.ok_or_else(|| unreadable(path, "is not base64"))?, "")
        }
        (Shape::Integer(_), Value::Number(number)) => {
            let size = number.as_i64();
            let size = size.ok_or_else(|| unreadable(path, "is not a whole number"))?;
            Measured { size, text: "" }
        }
        (Shape::Boolean, Value::Bool(_)) | (Shape::Timestamp, Value::Number(_)) => of(0, ""),
        (shape, value) => {
            let problem = format!("is {}, not {}", given(value), wanted(shape));
            return Err(unreadable(path, &problem));
        }
    })
}

/// How many bytes a standard, padded base64 text stands for; `None` if it is none.
pub(crate) fn decoded_len(text: &str) -> Option<usize> {
    let data = text.trim_end_matches('=');
    let padding = text.len() - data.len();
    let alphabet = |b: u8| b.is_ascii_alphanumeric() || b == b'+' || b == b'/';
    let whole = text.len().is_multiple_of(4) && padding <= 2 && data.bytes().all(alphabet);
    whole.then(|| text.len() / 4 * 3 - padding)
}

fn unreadable(path: &str, problem: &str) -> ServiceError {
    match path {
        "" => SERIALIZATION.says(format!("The request {problem}.")),
        path => SERIALIZATION.says(format!("Member '{path}' {problem}.")),
    }
}

fn given(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn wanted(shape: &Shape) -> &'static str {
    match shape {
        Shape::Structure(_) | Shape::Map { .. } => "an object",
        Shape::List { .. } => "a list",
        Shape::Text { .. } => "a string",
        Shape::Blob { .. } => "a base64 string",
        Shape::Integer(_) | Shape::Timestamp => "a number",
        Shape::Boolean => "a boolean",
    }
}
