//! An object in memory: its attributes, what the hot path must know of it, and its expanded key.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use hsm_api::{
    Attr, AttrType, Class, Error, KeyFacts, KeyType, ObjectId, Result, Rv, Template, Uses, Value,
};
use hsm_crypto::{Curve, Ed448Key, X448Key, modular};
use serde::{Deserialize, Serialize};

use crate::attr;
use crate::code::{class, key_type as kt};
use crate::kept::{Kept, Packed};
use crate::material::Material;

/// Attributes with their values, by code.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attrs(Vec<Attr>);

impl Attrs {
    /// From a template; what stands twice is refused.
    ///
    /// # Errors
    /// TEMPLATE_INCONSISTENT.
    pub fn from_template(template: &Template) -> Result<Self> {
        // Room for what a key has in the end: a list that grows by doubling is copied four times on the way.
        let mut list = Vec::with_capacity(template.len() + 40);
        list.extend_from_slice(template);
        let mut attrs = Attrs(list);
        attrs.0.sort_by_key(|a| a.ty);
        if let Some(twice) = attrs.0.windows(2).find(|w| w[0].ty == w[1].ty) {
            return Err(Error::new(
                Rv::TEMPLATE_INCONSISTENT,
                format!("the template has attribute {:#x} twice", twice[0].ty.0),
            ));
        }
        Ok(attrs)
    }

    fn at(&self, ty: AttrType) -> std::result::Result<usize, usize> {
        self.0.binary_search_by_key(&ty, |a| a.ty)
    }
    /// The value, if the attribute is there.
    pub fn get(&self, ty: AttrType) -> Option<&Value> {
        self.at(ty).ok().map(|i| &self.0[i].value)
    }
    /// The boolean, if there is one.
    pub fn bool(&self, ty: AttrType) -> Option<bool> {
        self.get(ty)?.as_bool()
    }
    /// Whether a key keeps its value to itself: CKA_SENSITIVE, or not CKA_EXTRACTABLE.
    pub fn hides_value(&self) -> bool {
        self.is(attr::SENSITIVE) || !self.is(attr::EXTRACTABLE)
    }
    /// Whether the boolean is there and true.
    pub fn is(&self, ty: AttrType) -> bool {
        self.bool(ty) == Some(true)
    }
    /// The number, if there is one.
    pub fn ulong(&self, ty: AttrType) -> Option<u64> {
        self.get(ty)?.as_ulong()
    }
    /// The bytes, if there are any.
    pub fn bytes(&self, ty: AttrType) -> Option<&[u8]> {
        self.get(ty)?.as_bytes()
    }
    /// Adds or replaces.
    pub fn set(&mut self, ty: AttrType, value: Value) {
        match self.at(ty) {
            Ok(i) => self.0[i].value = value,
            Err(i) => self.0.insert(i, Attr { ty, value }),
        }
    }
    /// Adds attributes that are not there, all at once.
    pub fn fill(&mut self, absent: impl Iterator<Item = Attr>) {
        self.0.extend(absent);
        self.0.sort_by_key(|a| a.ty);
    }
    /// Takes out.
    pub fn remove(&mut self, ty: AttrType) -> Option<Value> {
        self.at(ty).ok().map(|i| self.0.remove(i).value)
    }
    /// In the order of their codes.
    pub fn iter(&self) -> impl Iterator<Item = &Attr> {
        self.0.iter()
    }
    /// Parts them in two: those that the test holds for, and the rest.
    pub fn partition(self, test: impl Fn(&Attr) -> bool) -> (Attrs, Attrs) {
        let (yes, no) = self.0.into_iter().partition(test);
        (Attrs(yes), Attrs(no))
    }
    /// Both together; the other's win.
    pub fn join(&mut self, other: Attrs) {
        for Attr { ty, value } in other.0 {
            self.set(ty, value);
        }
    }
    /// CKA_CLASS.
    pub fn class(&self) -> Class {
        Class(self.ulong(attr::CLASS).unwrap_or(u64::MAX))
    }
    /// By what the rules for objects of a class differ: CKA_KEY_TYPE, or a certificate's CKA_CERTIFICATE_TYPE.
    pub fn kind(&self) -> KeyType {
        match self.class() {
            class::CERTIFICATE => KeyType(self.ulong(attr::CERTIFICATE_TYPE).unwrap_or(u64::MAX)),
            _ => self.key_type(),
        }
    }
    /// CKA_KEY_TYPE.
    pub fn key_type(&self) -> KeyType {
        KeyType(self.ulong(attr::KEY_TYPE).unwrap_or(kt::NONE.0))
    }
}

/// Who may use an object, and its place in the history of changes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Rises with each change.
    pub version: u64,
    /// The HSM that made this version.
    pub origin: u64,
    /// The crypto user that made it ([`crate::users::mark`]); 0 where there is one user only.
    pub owner: u64,
    /// Other crypto users that may use it.
    pub shared: Vec<u64>,
}

/// One object as of one version. A change makes a new one and retires this.
pub struct Object {
    /// Its id.
    pub id: ObjectId,
    /// Version, owner, shares.
    pub origin: Origin,
    /// Its attributes.
    pub attrs: Kept,
    /// What requests need to know of it.
    pub facts: KeyFacts,
    /// Behind a pointer: few of many keys are ever used, and expanded ones are large.
    material: OnceLock<Box<Material>>,
    retired: AtomicBool,
}

impl Object {
    /// With the facts drawn from the attributes.
    pub fn new(id: ObjectId, origin: Origin, attrs: Attrs) -> Self {
        let facts = facts(&attrs);
        Object::kept(id, origin, facts, attrs.into())
    }

    /// What a record holds; nothing where it is damaged.
    pub(crate) fn packed(id: ObjectId, packed: Packed) -> Option<Self> {
        let (origin, attrs) = packed.unpack()?;
        Some(Object::kept(
            id,
            origin,
            facts(&attrs),
            Kept::unpacked(packed, attrs),
        ))
    }

    fn kept(id: ObjectId, origin: Origin, facts: KeyFacts, attrs: Kept) -> Self {
        Object {
            id,
            origin,
            attrs,
            facts,
            material: OnceLock::new(),
            retired: AtomicBool::new(false),
        }
    }

    /// The expanded key, made at its first use.
    ///
    /// # Errors
    /// As [`Material::parse`].
    pub fn material(&self) -> Result<&Material> {
        if let Some(material) = self.material.get() {
            return Ok(material);
        }
        let material = Material::parse(self.facts.class, self.facts.key_type, &self.attrs)?;
        Ok(self.material.get_or_init(|| Box::new(material)))
    }

    /// Whether a newer version has come, or none is left.
    pub fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Acquire)
    }
    /// Marks it so.
    pub fn retire(&self) {
        self.retired.store(true, Ordering::Release);
    }
    /// Whether this crypto user owns it; where there is one user only, he does.
    pub fn is_owned_by(&self, user: u64) -> bool {
        self.origin.owner == 0 || self.origin.owner == user
    }
    /// Whether this crypto user owns it or was given a share.
    pub fn belongs_to(&self, user: u64) -> bool {
        self.is_owned_by(user) || self.origin.shared.contains(&user)
    }
}

/// Draws the facts from the attributes.
pub fn facts(attrs: &Attrs) -> KeyFacts {
    const USES: [(AttrType, Uses); 11] = [
        (attr::ENCRYPT, Uses::ENCRYPT),
        (attr::DECRYPT, Uses::DECRYPT),
        (attr::SIGN, Uses::SIGN),
        (attr::SIGN_RECOVER, Uses::SIGN_RECOVER),
        (attr::VERIFY, Uses::VERIFY),
        (attr::VERIFY_RECOVER, Uses::VERIFY_RECOVER),
        (attr::WRAP, Uses::WRAP),
        (attr::UNWRAP, Uses::UNWRAP),
        (attr::DERIVE, Uses::DERIVE),
        (attr::ENCAPSULATE, Uses::ENCAPSULATE),
        (attr::DECAPSULATE, Uses::DECAPSULATE),
    ];
    let uses = USES
        .iter()
        .filter(|(ty, _)| attrs.is(*ty))
        .fold(0, |all, (_, bit)| all | bit.0);
    KeyFacts {
        class: attrs.class(),
        key_type: match attrs.class() {
            class::DOMAIN => kt::NONE,
            _ => attrs.key_type(),
        },
        bits: bits(attrs),
        sub_bits: sub_bits(attrs),
        uses: Uses(uses),
        token: attrs.is(attr::TOKEN),
        private: attrs.is(attr::PRIVATE),
        modifiable: attrs.is(attr::MODIFIABLE),
        always_authenticate: attrs.is(attr::ALWAYS_AUTHENTICATE),
        allowed: match attrs.get(attr::ALLOWED_MECHANISMS) {
            Some(Value::Mechs(list)) => Some(list.clone()),
            _ => None,
        },
        named_curve: named_curve(attrs),
    }
}

/// Whether CKA_EC_PARAMS is the choice curveName, a PrintableString.
pub(crate) fn named_curve(attrs: &Attrs) -> bool {
    let params = attrs.bytes(attr::EC_PARAMS);
    params.is_some_and(|der| der.first() == Some(&0x13))
}

fn sub_bits(attrs: &Attrs) -> u32 {
    let q = attrs.bytes(attr::SUBPRIME).map_or(0, modular::bits);
    u32::try_from(q).unwrap_or(u32::MAX)
}

fn bits(attrs: &Attrs) -> u32 {
    let bits = match (attrs.class(), attrs.key_type()) {
        (of, _) if class::is_secret(of) => attrs.bytes(attr::VALUE).map_or(0, |v| v.len() * 8),
        (_, kt::RSA) => attrs.bytes(attr::MODULUS).map_or(0, modular::bits),
        (_, kt::DSA | kt::DH) => attrs.bytes(attr::PRIME).map_or(0, modular::bits),
        (_, kt::EC) => attrs
            .bytes(attr::EC_PARAMS)
            .and_then(|p| Curve::from_ec_params(p).ok())
            .map_or(0, Curve::bits),
        (_, kt::EC_EDWARDS | kt::EC_MONTGOMERY) => {
            let params = attrs.bytes(attr::EC_PARAMS).unwrap_or_default();
            if Ed448Key::is_params(params) || X448Key::is_params(params) {
                448
            } else {
                255
            }
        }
        (_, kt::ML_DSA | kt::ML_KEM | kt::SLH_DSA) => attrs
            .ulong(attr::PARAMETER_SET)
            .and_then(|set| usize::try_from(set).ok())
            .unwrap_or(0),
        _ => 0,
    };
    u32::try_from(bits).unwrap_or(u32::MAX)
}
