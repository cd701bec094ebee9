//! Objects that every token has and nobody made: the profiles that it keeps to, its mechanisms, its
//! clock and its counter (PKCS#11 3.2, "Profile Objects", "Mechanism Objects", "Hardware Feature Objects").
//! They are found only by who asks for their class, so that older applications never see what they do not
//! understand; and none of them can be changed, copied, destroyed or made. There are no validation
//! objects, which "describe which third party validations the module conforms to": nobody has validated
//! this token. Nor is there a user interface, since a token without a display has nothing to say of one.

use std::sync::{Arc, LazyLock};
use std::time::{SystemTime, UNIX_EPOCH};

use hsm_api::{AttrType, Class, MechId, ObjectId, Result, Template, Value};

use crate::attr;
use crate::code::class;
use crate::mech;
use crate::object::{Attrs, Object, Origin};
use crate::store::{Store, value as value_of};
use crate::table::matches;

/// CKP_BASELINE_PROVIDER, CKP_EXTENDED_PROVIDER and CKP_AUTHENTICATION_TOKEN.
const PROFILES: [(u64, &str); 3] = [
    (1, "Baseline Provider"),
    (2, "Extended Provider"),
    (3, "Authentication Token"),
];
/// CKH_MONOTONIC_COUNTER and CKH_CLOCK.
const COUNTER: u64 = 1;
const CLOCK: u64 = 2;

static ALL: LazyLock<Vec<Arc<Object>>> = LazyLock::new(|| {
    let profiles = PROFILES.iter().map(|(id, name)| {
        let mut attrs = made(class::PROFILE, attr::PROFILE_ID, *id);
        let label = Value::Bytes(name.as_bytes().to_vec());
        attrs.set(attr::LABEL, label);
        attrs.set(attr::TOKEN, Value::Bool(true));
        for no in [
            attr::PRIVATE,
            attr::MODIFIABLE,
            attr::COPYABLE,
            attr::DESTROYABLE,
        ] {
            attrs.set(no, Value::Bool(false));
        }
        attrs
    });
    let mechanisms = mech::ALL
        .iter()
        .map(|m| made(class::MECHANISM, attr::MECHANISM_TYPE, m.id.0));
    let clock = made(class::HW_FEATURE, attr::HW_FEATURE_TYPE, CLOCK);
    let mut counter = made(class::HW_FEATURE, attr::HW_FEATURE_TYPE, COUNTER);
    for no in [attr::RESET_ON_INIT, attr::HAS_RESET] {
        counter.set(no, Value::Bool(false));
    }
    profiles
        .chain(mechanisms)
        .chain([counter, clock])
        .map(|attrs| {
            let ty = kind(attrs.class()).and_then(|ty| attrs.ulong(ty));
            let id = id(attrs.class(), ty.unwrap_or_default());
            Arc::new(Object::new(id, Origin::default(), attrs))
        })
        .collect()
});

fn made(class: Class, kind: AttrType, value: u64) -> Attrs {
    let mut attrs = Attrs::default();
    attrs.set(attr::CLASS, Value::Ulong(class.0));
    attrs.set(kind, Value::Ulong(value));
    attrs
}

/// Ids of this form are given to no other object: those are random throughout.
fn id(class: Class, kind: u64) -> ObjectId {
    ObjectId(u128::from(class.0) << 64 | u128::from(kind))
}

/// The mechanism that a built-in object stands for; none for other objects.
pub fn mechanism_of(id: ObjectId) -> Option<MechId> {
    (id.0 >> 64 == u128::from(class::MECHANISM.0)).then_some(MechId(id.0 as u64))
}

/// The attribute that tells objects of the class apart; none for classes that are not built in.
fn kind(class: Class) -> Option<AttrType> {
    match class {
        class::PROFILE => Some(attr::PROFILE_ID),
        class::MECHANISM => Some(attr::MECHANISM_TYPE),
        class::HW_FEATURE => Some(attr::HW_FEATURE_TYPE),
        _ => None,
    }
}

/// A built-in object, of a cluster's HSM (`node`) or of a token alone. The former have no counter: two of them
/// would give the same number.
pub(crate) fn get(id: ObjectId, node: bool) -> Option<&'static Arc<Object>> {
    kind(Class((id.0 >> 64) as u64))?;
    ALL.iter().find(|o| o.id == id && !(node && counts(o)))
}

fn counts(object: &Object) -> bool {
    object.attrs.ulong(attr::HW_FEATURE_TYPE) == Some(COUNTER)
}

/// What a search for a built-in class finds among those mechanisms that `offered` lets through; `None` where
/// the template asks for something else.
pub(crate) fn find(
    template: &Template,
    node: bool,
    offered: impl Fn(u64) -> bool,
) -> Option<Vec<ObjectId>> {
    let class = template.iter().find(|a| a.ty == attr::CLASS)?;
    let class = class.value.as_ulong()?;
    if class != class::VALIDATION.0 {
        kind(Class(class))?;
    }
    let shown = |o: &Object| {
        o.attrs.ulong(attr::MECHANISM_TYPE).is_none_or(&offered) && !(node && counts(o))
    };
    let found = ALL.iter().filter(|o| matches(o, template) && shown(o));
    Some(found.map(|o| o.id).collect())
}

/// CKA_VALUE of a built-in object, of those that have one: the time, or the counter's next number.
///
/// # Errors
/// DEVICE_ERROR where the counter cannot be kept.
pub(crate) fn value(store: &Store, object: &Object) -> Result<Option<Value>> {
    Ok(match object.attrs.ulong(attr::HW_FEATURE_TYPE) {
        Some(CLOCK) => Some(Value::Bytes(utc(SystemTime::now()).to_vec())),
        Some(COUNTER) => Some(Value::Bytes(count(store)?.to_be_bytes().to_vec())),
        _ => None,
    })
}

/// The next number. It is durable before anybody has seen it, so that no crash gives it out again; and it
/// outlives C_InitToken, which takes objects and users and nothing else.
fn count(store: &Store) -> Result<u64> {
    const NAME: &str = "counter";
    store.write(|tx| {
        let last = value_of(tx.sql(), NAME)?.and_then(|bytes| bytes.try_into().ok());
        let next = last.map_or(0, u64::from_be_bytes) + 1;
        tx.put(NAME, &next.to_be_bytes())?;
        Ok(next)
    })
}

/// A time in the form of CK_TOKEN_INFO and of the clock: YYYYMMDDhhmmss00.
pub fn utc(time: SystemTime) -> [u8; 16] {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Years begin in March, so that the day that some of them lack is their last; 400 of them have
    // 146,097 days.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = (era * 400 + year + u64::from(month <= 2)).min(9999);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let text = format!("{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}00");
    let mut field = [b'0'; 16];
    for (to, from) in field.iter_mut().zip(text.bytes()) {
        *to = from;
    }
    field
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times() {
        let at = |s| String::from_utf8(utc(UNIX_EPOCH + Duration::from_secs(s)).to_vec()).unwrap();
        assert_eq!(at(0), "1970010100000000");
        assert_eq!(at(951_782_399), "2000022823595900");
        assert_eq!(at(951_782_400), "2000022900000000");
        assert_eq!(at(951_868_800), "2000030100000000");
        assert_eq!(at(1_709_210_096), "2024022912345600");
        assert_eq!(at(4_107_542_399), "2100022823595900");
        assert_eq!(at(4_107_542_400), "2100030100000000", "no leap year");
    }
}
