//! Members that JSON has no type for: blobs, secrets, timestamps, and the empty output.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, Serializer};
use std::fmt;
use std::ops::Deref;
use zeroize::{Zeroize, Zeroizing};

/// The output of operations that answer `{}`. (Those that answer an empty body output `()`.)
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct NoMembers {}

/// Bytes, in JSON a base64 string.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Blob(pub Vec<u8>);

/// Bytes that are wiped when dropped and never printed, in JSON a base64 string.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SecretBlob(pub Zeroizing<Vec<u8>>);

/// A string that is wiped when dropped and never printed: passwords.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SecretString(pub Zeroizing<String>);

/// Seconds since 1970 with a fraction, in JSON a number.
#[derive(Debug, Clone, Copy, Default, PartialEq, PartialOrd)]
pub struct Timestamp(pub f64);

impl Timestamp {
    /// A time as the wire has it: to the millisecond.
    pub fn from_millis(millis: i64) -> Self {
        Self(millis as f64 / 1000.0)
    }

    /// Whole milliseconds since 1970; beyond what 64 bits hold it saturates.
    pub fn millis(self) -> i64 {
        (self.0 * 1000.0).round() as i64
    }

    /// The present moment, to the millisecond.
    pub fn now() -> Self {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Self::from_millis(since.map_or(0, |d| d.as_millis() as i64))
    }
}

impl SecretBlob {
    /// Takes over bytes that nobody else keeps.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }
}

impl SecretString {
    /// Takes over a text that nobody else keeps.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl From<Vec<u8>> for Blob {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl From<Vec<u8>> for SecretBlob {
    fn from(bytes: Vec<u8>) -> Self {
        Self::new(bytes)
    }
}

impl From<String> for SecretString {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl Deref for Blob {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl Deref for SecretBlob {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl Deref for SecretString {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Blob({} bytes)", self.0.len())
    }
}

impl fmt::Debug for SecretBlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretBlob({} bytes)", self.0.len())
    }
}

impl fmt::Debug for SecretString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretString({} bytes)", self.0.len())
    }
}

/// Decodes base64 and wipes the text where it is owned, since it may be a secret's.
struct Base64;

impl Visitor<'_> for Base64 {
    type Value = Zeroizing<Vec<u8>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a base64 string")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        STANDARD
            .decode(text)
            .map(Zeroizing::new)
            .map_err(|_| E::custom("invalid base64"))
    }

    fn visit_string<E: de::Error>(self, mut text: String) -> Result<Self::Value, E> {
        let bytes = self.visit_str(&text);
        text.zeroize();
        bytes
    }
}

impl<'de> Deserialize<'de> for SecretBlob {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_string(Base64).map(Self)
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_string(Base64)
            .map(|mut bytes| Self(std::mem::take(&mut *bytes)))
    }
}

impl<'de> Deserialize<'de> for SecretString {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d).map(Self::new)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        f64::deserialize(d).map(Self)
    }
}

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl Serialize for SecretBlob {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&Zeroizing::new(STANDARD.encode(&*self.0)))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_f64(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{from_value, json, to_string};

    #[test]
    fn blobs_are_padded_standard_base64() {
        assert_eq!(
            to_string(&Blob(vec![0xfb, 0xff, 1, 2])).unwrap(),
            r#""+/8BAg==""#
        );
        assert_eq!(
            from_value::<Blob>(json!("+/8BAg==")).unwrap().0,
            [0xfb, 0xff, 1, 2]
        );
        assert_eq!(&*from_value::<SecretBlob>(json!("AQI=")).unwrap(), &[1, 2]);
        for bad in [json!("AQI"), json!("A*I="), json!(1), json!([1])] {
            assert!(from_value::<Blob>(bad.clone()).is_err(), "{bad}");
        }
    }

    #[test]
    fn secrets_are_not_printed() {
        let blob = SecretBlob::new(b"hunter2".to_vec());
        assert_eq!(format!("{blob:?}"), "SecretBlob(7 bytes)");
        let text: SecretString = from_value(json!("kmsPswd")).unwrap();
        assert_eq!(
            (&*text, format!("{text:?}").as_str()),
            ("kmsPswd", "SecretString(7 bytes)")
        );
    }

    #[test]
    fn timestamps_keep_their_milliseconds() {
        let time = Timestamp::from_millis(1_499_288_695_918);
        assert_eq!(to_string(&time).unwrap(), "1499288695.918");
        assert_eq!(
            from_value::<Timestamp>(json!(1499288695.918)).unwrap(),
            time
        );
        assert_eq!(from_value::<Timestamp>(json!(15)).unwrap().millis(), 15_000);
    }
}
