//! Attributes. The table of who may set what, and of defaults, is the HSM's (`hsm-sim`, `attr.rs`).

use std::cell::Cell;
use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use zeroize::Zeroize;

/// CK_ATTRIBUTE_TYPE.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AttrType(pub u64);

/// A value in the form that its attribute's row names, free of the caller's word size and byte order.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Value {
    /// CK_BBOOL.
    Bool(bool),
    /// CK_ULONG and everything of that shape.
    Ulong(u64),
    /// Byte array, RFC 2279 string, big integer (most significant byte first), CK_DATE (8 or 0 characters).
    Bytes(#[serde(with = "crate::blob")] Vec<u8>),
    /// Attribute array (CKA_WRAP_TEMPLATE and the like).
    Template(#[serde(deserialize_with = "nested")] Template),
    /// CK_MECHANISM_TYPE array.
    Mechs(Vec<u64>),
}

/// One attribute with its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attr {
    /// Which.
    pub ty: AttrType,
    /// What.
    pub value: Value,
}

/// Attributes in the caller's order.
pub type Template = Vec<Attr>;

impl Value {
    /// The boolean, if it is one.
    pub fn as_bool(&self) -> Option<bool> {
        if let Value::Bool(b) = self {
            Some(*b)
        } else {
            None
        }
    }
    /// The number, if it is one.
    pub fn as_ulong(&self) -> Option<u64> {
        if let Value::Ulong(n) = self {
            Some(*n)
        } else {
            None
        }
    }
    /// The bytes, if it holds any.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        if let Value::Bytes(b) = self {
            Some(b)
        } else {
            None
        }
    }
}

/// Templates nest one deep in PKCS#11. A foreign frame may claim a nesting of millions, which would
/// run its reader, and later `Drop`, off the stack; so reading one stops here.
const MAX_NESTING: u32 = 4;

fn nested<'de, D: Deserializer<'de>>(d: D) -> Result<Template, D::Error> {
    thread_local!(static DEPTH: Cell<u32> = const { Cell::new(0) });
    struct Level;
    impl Drop for Level {
        fn drop(&mut self) {
            DEPTH.set(DEPTH.get() - 1);
        }
    }
    DEPTH.set(DEPTH.get() + 1);
    let _level = Level;
    if DEPTH.get() > MAX_NESTING {
        return Err(D::Error::custom("attribute templates nested too deep"));
    }
    Template::deserialize(d)
}

/// Any value may be key material, so no value is printed.
impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Bool(b) => write!(f, "{b}"),
            Value::Ulong(n) => write!(f, "{n:#x}"),
            Value::Bytes(b) => write!(f, "{} bytes", b.len()),
            Value::Template(t) => write!(f, "{t:?}"),
            Value::Mechs(m) => write!(f, "{m:x?}"),
        }
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        if let Value::Bytes(b) = self {
            b.zeroize();
        }
    }
}
