//! CK_ATTRIBUTE arrays: read into templates, and answered by C_GetAttributeValue's rule, which
//! gives every attribute its own length and lets one bad attribute not spoil the others.

use std::marker::PhantomData;

use hsm_api::reply::AttrReply;
use hsm_api::{Attr, AttrType, Error, Result, Rv, Template, Value};
use hsm_sim::attr::{self, Kind};
use pkcs11_sys::{CK_ATTRIBUTE, CK_ULONG, CK_UNAVAILABLE_INFORMATION};

use super::{null, ulong};

/// More attributes than the specification has.
const MAX_ATTRIBUTES: CK_ULONG = 1024;
/// Larger than any certificate or post-quantum key.
const MAX_VALUE: CK_ULONG = 16 << 20;
/// A template within a template within a template is no honest caller's.
const MAX_DEPTH: usize = 2;
const ULONG: usize = size_of::<CK_ULONG>();
const ENTRY: usize = size_of::<CK_ATTRIBUTE>();

/// Reads a template by the attributes' rows. An attribute without a row is taken as bytes: the HSM
/// knows whether that is an error (in a new object) or just matches nothing (in a search).
///
/// # Safety
/// `at` is null or leads to `count` attributes whose values are null or as long as they say.
pub unsafe fn read(at: *const CK_ATTRIBUTE, count: CK_ULONG) -> Result<Template> {
    // SAFETY: this function's contract.
    unsafe { read_at(at, count, 0) }
}

/// # Safety
/// As for [`read`].
unsafe fn read_at(at: *const CK_ATTRIBUTE, count: CK_ULONG, depth: usize) -> Result<Template> {
    if count == 0 {
        return Ok(Vec::new());
    }
    check(at, count)?;
    let mut template = Vec::with_capacity(count as usize);
    for i in 0..count as usize {
        // SAFETY: i < count, and `at` leads to that many by this function's contract.
        let raw = unsafe { at.add(i).read_unaligned() };
        // SAFETY: the same contract holds for the value.
        let value = unsafe { value(&raw, depth) }?;
        template.push(Attr {
            ty: AttrType(raw.type_),
            value,
        });
    }
    Ok(template)
}

fn check(at: *const CK_ATTRIBUTE, count: CK_ULONG) -> Result<()> {
    if at.is_null() {
        return Err(null("the template is null and its count is not 0"));
    }
    if count > MAX_ATTRIBUTES {
        return Err(null("the template has more attributes than there are"));
    }
    Ok(())
}

/// # Safety
/// `raw.pValue` is null or may be read for `raw.ulValueLen` bytes.
unsafe fn value(raw: &CK_ATTRIBUTE, depth: usize) -> Result<Value> {
    let bad = |what: &str| {
        let why = format!("attribute {:#x}: {what}", raw.type_);
        Error::new(Rv::ATTRIBUTE_VALUE_INVALID, why)
    };
    if raw.ulValueLen > MAX_VALUE {
        return Err(bad("the value is longer than any"));
    }
    if raw.pValue.is_null() && raw.ulValueLen != 0 {
        return Err(bad("the value is null and its length is not 0"));
    }
    let bytes: &[u8] = if raw.pValue.is_null() {
        &[]
    } else {
        // SAFETY: not null and, by this function's contract, as long as it says.
        unsafe { std::slice::from_raw_parts(raw.pValue.cast(), raw.ulValueLen as usize) }
    };
    Ok(match kind(raw.type_) {
        Kind::Bool => match bytes {
            [0] => Value::Bool(false),
            [_] => Value::Bool(true),
            _ => return Err(bad("a boolean has 1 byte")),
        },
        Kind::Ulong => {
            let n = bytes.try_into().map(CK_ULONG::from_ne_bytes);
            Value::Ulong(n.map_err(|_| bad("a number has the size of CK_ULONG"))?)
        }
        Kind::Date if !matches!(bytes.len(), 0 | 8) => {
            return Err(bad("a date has 8 characters, or none"));
        }
        Kind::Bytes | Kind::Date => Value::Bytes(bytes.to_vec()),
        Kind::Mechs => {
            if !bytes.len().is_multiple_of(ULONG) {
                return Err(bad("a list of mechanisms is a list of CK_ULONG"));
            }
            let numbers = bytes.chunks_exact(ULONG);
            Value::Mechs(
                numbers
                    .filter_map(|c| c.try_into().ok().map(CK_ULONG::from_ne_bytes))
                    .collect(),
            )
        }
        Kind::Template => {
            if !bytes.len().is_multiple_of(ENTRY) || depth == MAX_DEPTH {
                return Err(bad(
                    "a template is a list of CK_ATTRIBUTE, and not a deep one",
                ));
            }
            let count = ulong(bytes.len() / ENTRY);
            // SAFETY: the value holds that many attributes by the caller's word.
            Value::Template(unsafe { read_at(raw.pValue.cast(), count, depth + 1) }?)
        }
    })
}

fn kind(ty: CK_ULONG) -> Kind {
    attr::row(AttrType(ty)).map_or(Kind::Bytes, |row| row.kind)
}

/// Attributes that C_GetAttributeValue asks for.
pub struct Asked<'a> {
    at: *mut CK_ATTRIBUTE,
    count: usize,
    life: PhantomData<&'a mut [CK_ATTRIBUTE]>,
}

impl Asked<'_> {
    /// # Safety
    /// `at` is null or leads to `count` attributes that may be written, each with a value that is
    /// null or may be written for the length that it says, until the call returns.
    pub unsafe fn new(at: *mut CK_ATTRIBUTE, count: CK_ULONG) -> Result<Self> {
        if count != 0 {
            check(at, count)?;
        }
        Ok(Asked {
            at,
            count: count as usize,
            life: PhantomData,
        })
    }

    /// Which, in order.
    pub fn types(&self) -> Vec<AttrType> {
        (0..self.count)
            // SAFETY: i < count, and `new`'s contract makes that many readable.
            .map(|i| AttrType(unsafe { self.at.add(i).read_unaligned() }.type_))
            .collect()
    }

    /// Gives the answers, one for each asked.
    ///
    /// # Errors
    /// After all were given, what the first one to fail failed with: sensitive, unknown, too short.
    pub fn answer(self, replies: &[AttrReply]) -> Result<()> {
        if replies.len() != self.count {
            let why = "the HSM answered another number of attributes than was asked";
            return Err(Error::new(Rv::GENERAL_ERROR, why));
        }
        let mut worst = Ok(());
        for (i, reply) in replies.iter().enumerate() {
            // SAFETY: i < count, and `new`'s contract makes that many readable.
            let mut raw = unsafe { self.at.add(i).read_unaligned() };
            let one = match reply {
                // SAFETY: `new`'s contract for this attribute's value.
                AttrReply::Is(attr) => unsafe { put(&mut raw, &attr.value) },
                AttrReply::Withheld(ty, rv) => {
                    raw.ulValueLen = CK_UNAVAILABLE_INFORMATION;
                    Err(Error::new(*rv, format!("attribute {:#x}", ty.0)))
                }
            };
            // SAFETY: as for the read above; `new` asked for writable attributes.
            unsafe { self.at.add(i).write_unaligned(raw) }
            if worst.is_ok() {
                worst = one;
            }
        }
        worst
    }
}

/// # Safety
/// `raw.pValue` is null or may be written for `raw.ulValueLen` bytes.
unsafe fn put(raw: &mut CK_ATTRIBUTE, value: &Value) -> Result<()> {
    match value {
        // SAFETY: this function's contract, for each of the five.
        Value::Bool(b) => unsafe { put_bytes(raw, &[u8::from(*b)]) },
        // SAFETY: as above.
        Value::Ulong(n) => unsafe { put_bytes(raw, &n.to_ne_bytes()) },
        // SAFETY: as above.
        Value::Bytes(b) => unsafe { put_bytes(raw, b) },
        Value::Mechs(m) => {
            let bytes: Vec<u8> = m.iter().flat_map(|m| m.to_ne_bytes()).collect();
            // SAFETY: as above.
            unsafe { put_bytes(raw, &bytes) }
        }
        // SAFETY: as above.
        Value::Template(t) => unsafe { put_template(raw, t) },
    }
}

/// # Safety
/// As for [`put`].
unsafe fn put_bytes(raw: &mut CK_ATTRIBUTE, bytes: &[u8]) -> Result<()> {
    let (room, wanted) = (raw.ulValueLen, ulong(bytes.len()));
    if raw.pValue.is_null() {
        raw.ulValueLen = wanted;
        return Ok(());
    }
    if room < wanted {
        raw.ulValueLen = CK_UNAVAILABLE_INFORMATION;
        return Err(short(raw));
    }
    raw.ulValueLen = wanted;
    // SAFETY: the value has room for them, and the caller's memory is not ours.
    unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), raw.pValue.cast(), bytes.len()) }
    Ok(())
}

/// An array answers its own length; where the caller gave room for entries, each entry answers as
/// an attribute of its own.
///
/// # Safety
/// As for [`put`]; where the value has room for entries, they hold to the same.
unsafe fn put_template(raw: &mut CK_ATTRIBUTE, template: &Template) -> Result<()> {
    let (room, wanted) = (raw.ulValueLen, ulong(template.len() * ENTRY));
    let at: *mut CK_ATTRIBUTE = raw.pValue.cast();
    if !at.is_null() && room < wanted {
        raw.ulValueLen = CK_UNAVAILABLE_INFORMATION;
        return Err(short(raw));
    }
    raw.ulValueLen = wanted;
    if at.is_null() {
        return Ok(());
    }
    let mut worst = Ok(());
    for (i, attr) in template.iter().enumerate() {
        // SAFETY: there is room for as many entries as the template has.
        let mut inner = unsafe { at.add(i).read_unaligned() };
        inner.type_ = attr.ty.0;
        // SAFETY: the entries hold to this function's contract.
        let one = unsafe { put(&mut inner, &attr.value) };
        // SAFETY: as for the read.
        unsafe { at.add(i).write_unaligned(inner) }
        if worst.is_ok() {
            worst = one;
        }
    }
    worst
}

fn short(raw: &CK_ATTRIBUTE) -> Error {
    Error::new(Rv::BUFFER_TOO_SMALL, format!("attribute {:#x}", raw.type_))
}

#[cfg(test)]
mod tests {
    use super::*;
    use pkcs11_sys::{CKA_LABEL, CKA_TOKEN, CKA_VALUE_LEN, CKA_WRAP_TEMPLATE};

    fn attribute<T>(type_: CK_ULONG, value: &mut T, len: usize) -> CK_ATTRIBUTE {
        CK_ATTRIBUTE {
            type_,
            pValue: (value as *mut T).cast(),
            ulValueLen: ulong(len),
        }
    }

    fn read_all(raw: &[CK_ATTRIBUTE]) -> Result<Template> {
        // SAFETY: a live array with live values.
        unsafe { read(raw.as_ptr(), ulong(raw.len())) }
    }

    #[test]
    fn values_by_their_rows() {
        let (mut yes, mut n, mut label) = (1u8, 32 as CK_ULONG, *b"key");
        let mut inner = [attribute(CKA_TOKEN, &mut yes.clone(), 1)];
        inner[0].pValue = (&mut yes as *mut u8).cast();
        let raw = [
            attribute(CKA_TOKEN, &mut yes, 1),
            attribute(CKA_VALUE_LEN, &mut n, ULONG),
            attribute(CKA_LABEL, &mut label, 3),
            attribute(CKA_WRAP_TEMPLATE, &mut inner, ENTRY),
        ];
        let values: Vec<_> = read_all(&raw)
            .unwrap()
            .into_iter()
            .map(|a| a.value)
            .collect();
        let token = Attr {
            ty: AttrType(CKA_TOKEN),
            value: Value::Bool(true),
        };
        let wanted = [
            Value::Bool(true),
            Value::Ulong(32),
            Value::Bytes(b"key".to_vec()),
            Value::Template(vec![token]),
        ];
        assert_eq!(values, wanted);
    }

    #[test]
    fn templates_that_lie() {
        let mut byte = 1u8;
        let cases: [(&str, CK_ATTRIBUTE); 4] = [
            ("overlong boolean", attribute(CKA_TOKEN, &mut byte, 8)),
            ("short number", attribute(CKA_VALUE_LEN, &mut byte, 4)),
            ("huge label", attribute(CKA_LABEL, &mut byte, usize::MAX)),
            (
                "null with a length",
                CK_ATTRIBUTE {
                    type_: CKA_LABEL,
                    pValue: std::ptr::null_mut(),
                    ulValueLen: 5,
                },
            ),
        ];
        for (name, mut raw) in cases {
            if name == "overlong boolean" || name == "short number" {
                static ROOM: [u8; 8] = [1; 8];
                raw.pValue = ROOM.as_ptr().cast_mut().cast();
            }
            let rv = read_all(&[raw]).unwrap_err().rv;
            assert_eq!(rv, Rv::ATTRIBUTE_VALUE_INVALID, "{name}");
        }
        let raw = attribute(CKA_LABEL, &mut byte, 1);
        // SAFETY: refused before anything is read, twice.
        let many = unsafe { read(&raw, 1 << 32) };
        assert_eq!(many.unwrap_err().rv, Rv::ARGUMENTS_BAD);
        // SAFETY: as above.
        let none = unsafe { read(std::ptr::null(), 1) };
        assert_eq!(none.unwrap_err().rv, Rv::ARGUMENTS_BAD);
    }

    #[test]
    fn answers_each_by_itself() {
        let (mut label, mut short) = ([0u8; 8], [0u8; 2]);
        let mut raw = [
            attribute(CKA_LABEL, &mut label, 8),
            attribute(CKA_LABEL, &mut short, 2),
            attribute(CKA_VALUE_LEN, &mut short, 2),
            CK_ATTRIBUTE {
                type_: CKA_LABEL,
                pValue: std::ptr::null_mut(),
                ulValueLen: 0,
            },
        ];
        // SAFETY: a live array with live values.
        let asked = unsafe { Asked::new(raw.as_mut_ptr(), 4) }.unwrap();
        let is = AttrReply::Is(Attr {
            ty: AttrType(CKA_LABEL),
            value: Value::Bytes(b"abc".to_vec()),
        });
        let not = AttrReply::Withheld(AttrType(CKA_VALUE_LEN), Rv::ATTRIBUTE_SENSITIVE);
        assert_eq!(asked.types().len(), 4);
        let result = asked.answer(&[is.clone(), is.clone(), not, is]);
        assert_eq!(
            result.unwrap_err().rv,
            Rv::BUFFER_TOO_SMALL,
            "the first to fail"
        );
        let lens: Vec<_> = raw.iter().map(|a| a.ulValueLen).collect();
        let none = CK_UNAVAILABLE_INFORMATION;
        assert_eq!(lens, [3, none, none, 3]);
        assert_eq!((&label[..3], short), (&b"abc"[..], [0; 2]));
    }
}
