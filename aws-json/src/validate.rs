//! Holds a request against its shape and says what is wrong as the real service does.
//!
//! Everything that is wrong is collected, as the service does, in the model's order of members.
//! A value of the wrong JSON type is another matter: the service cannot even read the request.

use crate::error::{Result, SERIALIZATION, ServiceError, VALIDATION};
use crate::shape::{Member, Range, Shape};
use serde_json::Value;

/// Checks a request, whose `null` members were taken out, against the input's shape.
///
/// # Errors
/// `SerializationException` for a wrong JSON type, else `ValidationException` with everything
/// that breaks a constraint.
pub fn validate(shape: &'static Shape, input: &Value) -> Result<()> {
    let mut walk = Walk { broken: Vec::new() };
    walk.value(shape, input, "")?;
    match walk.broken.as_slice() {
        [] => Ok(()),
        [one] => Err(VALIDATION.says(format!("1 validation error detected: {one}"))),
        many => {
            let (count, list) = (many.len(), many.join("; "));
            Err(VALIDATION.says(format!("{count} validation errors detected: {list}")))
        }
    }
}

struct Walk {
    broken: Vec<String>,
}

impl Walk {
    fn value(&mut self, shape: &'static Shape, value: &Value, path: &str) -> Result<()> {
        match (shape, value) {
            (Shape::Structure(members), Value::Object(given)) => {
                for Member {
                    name,
                    required,
                    shape,
                } in *members
                {
                    let path = join(path, &camel(name));
                    match given.get(*name) {
                        Some(value) => self.value(shape, value, &path)?,
                        None if *required => self.broken.push(format!(
                            "Value null at '{path}' failed to satisfy constraint: \
                             Member must not be null"
                        )),
                        None => (),
                    }
                }
            }
            (Shape::List { member, count }, Value::Array(items)) => {
                self.constraints(shape, value, path, length(items.len(), *count));
                self.items(member, items, path, value)?;
            }
            (
                Shape::Map {
                    key,
                    value: inner,
                    count,
                },
                Value::Object(given),
            ) => {
                self.constraints(shape, value, path, length(given.len(), *count));
                for (name, value) in given {
                    self.value(key, &Value::String(name.clone()), path)?;
                    self.value(inner, value, &join(path, &format!("{name}.member")))?;
                }
            }
            _ => {
                let broken = scalar(shape, value, path)?;
                self.constraints(shape, value, path, broken);
            }
        }
        Ok(())
    }

    /// Items that are structures have a path of their own; for plain ones the service speaks of
    /// the whole list.
    fn items(
        &mut self,
        member: &'static Shape,
        items: &[Value],
        path: &str,
        list: &Value,
    ) -> Result<()> {
        let mut broken: Vec<String> = Vec::new();
        for (at, item) in items.iter().enumerate() {
            match member {
                Shape::Structure(_) | Shape::List { .. } | Shape::Map { .. } => {
                    self.value(member, item, &format!("{path}.{}.member", at + 1))?;
                }
                _ => {
                    for constraint in scalar(member, item, path)? {
                        if !broken.contains(&constraint) {
                            broken.push(constraint);
                        }
                    }
                }
            }
        }
        if !broken.is_empty() {
            let all = format!("Member must satisfy constraint: [{}]", broken.join(", "));
            self.constraints(member, list, path, vec![all]);
        }
        Ok(())
    }

    fn constraints(&mut self, shape: &Shape, value: &Value, path: &str, broken: Vec<String>) {
        if broken.is_empty() {
            return;
        }
        let shown = show(shape, value);
        for constraint in broken {
            self.broken.push(format!(
                "Value{shown} at '{path}' failed to satisfy constraint: {constraint}"
            ));
        }
    }
}

/// The constraints that a plain value breaks.
fn scalar(shape: &'static Shape, value: &Value, path: &str) -> Result<Vec<String>> {
    let mut broken = Vec::new();
    match (shape, value) {
        (
            Shape::Text {
                length: range,
                pattern,
                values,
                ..
            },
            Value::String(text),
        ) => {
            if !values.is_empty() && !values.contains(&text.as_str()) {
                let set = values.join(", ");
                broken.push(format!("Member must satisfy enum value set: [{set}]"));
            }
            if let Some(pattern) = pattern.filter(|p| !p.matches(text)) {
                let text = pattern.text;
                broken.push(format!(
                    "Member must satisfy regular expression pattern: {text}"
                ));
            }
            broken.extend(length(text.encode_utf16().count(), *range));
        }
        (Shape::Blob { length: range, .. }, Value::String(text)) => {
            let bytes = decoded_len(text).ok_or_else(|| unreadable(path, "is not base64"))?;
            broken.extend(length(bytes, *range));
        }
        (Shape::Integer(range), Value::Number(number)) => {
            let number = number.as_i64();
            let number = number.ok_or_else(|| unreadable(path, "is not a whole number"))?;
            if let Some(min) = range.min.filter(|min| number < *min) {
                broken.push(format!(
                    "Member must have value greater than or equal to {min}"
                ));
            }
            if let Some(max) = range.max.filter(|max| number > *max) {
                broken.push(format!(
                    "Member must have value less than or equal to {max}"
                ));
            }
        }
        (Shape::Boolean, Value::Bool(_)) | (Shape::Timestamp, Value::Number(_)) => (),
        (shape, value) => {
            let problem = format!("is {}, not {}", given(value), wanted(shape));
            return Err(unreadable(path, &problem));
        }
    }
    Ok(broken)
}

fn length(length: usize, range: Range) -> Vec<String> {
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    let short = range.min.filter(|min| length < *min);
    let long = range.max.filter(|max| length > *max);
    let short = short.map(|min| format!("Member must have length greater than or equal to {min}"));
    let long = long.map(|max| format!("Member must have length less than or equal to {max}"));
    short.into_iter().chain(long).collect()
}

/// How many bytes a standard, padded base64 text stands for; `None` if it is none.
fn decoded_len(text: &str) -> Option<usize> {
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

/// The value as messages show it, with its leading space; nothing where it is sensitive.
fn show(shape: &Shape, value: &Value) -> String {
    match (shape, value) {
        _ if holds_secrets(shape) => String::new(),
        (Shape::Blob { .. }, Value::String(text)) => {
            // Clients have seen the service's own buffers named here for ten years.
            let len = decoded_len(text).unwrap_or(0);
            format!(" 'java.nio.HeapByteBuffer[pos=0 lim={len} cap={len}]'")
        }
        (_, value) => format!(" '{}'", plain(value)),
    }
}

fn holds_secrets(shape: &Shape) -> bool {
    match shape {
        Shape::Text { sensitive, .. } | Shape::Blob { sensitive, .. } => *sensitive,
        Shape::List { member, .. } => holds_secrets(member),
        Shape::Map { key, value, .. } => holds_secrets(key) || holds_secrets(value),
        Shape::Structure(members) => members.iter().any(|m| holds_secrets(m.shape)),
        Shape::Integer(_) | Shape::Boolean | Shape::Timestamp => false,
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            format!(
                "[{}]",
                items.iter().map(plain).collect::<Vec<_>>().join(", ")
            )
        }
        Value::Object(members) => {
            let members = members
                .iter()
                .map(|(name, value)| format!("{name}={}", plain(value)));
            format!("{{{}}}", members.collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

/// `KeyId` is `keyId` in messages.
fn camel(name: &str) -> String {
    let mut chars = name.chars();
    chars
        .next()
        .map(|first| first.to_ascii_lowercase())
        .into_iter()
        .chain(chars)
        .collect()
}
