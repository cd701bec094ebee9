//! Objects on their way from one token to another: what of them a template may say, and putting them into the target.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use cryptoki::object::{Attribute, AttributeType, ObjectClass};
use cryptoki::session::Session;
use serde_json::{Value, json};

use super::kind::{KEY_TYPE, Kind};
use super::reach::said;
use super::template::{BASE, SUBPRIME, Template, unnamed};
use super::{Failure, Result};
use super::{describe, object};

/// An object that can be carried.
pub struct Carried {
    /// In one phrase.
    pub name: String,
    /// Where it is in the source, for who must look for it there.
    pub place: String,
    /// What it becomes.
    pub template: Template,
    /// What of it does not come along.
    pub notes: Vec<String>,
}

/// An object that cannot.
pub struct Left {
    /// In one phrase.
    pub name: String,
    /// Why.
    pub why: String,
}

impl Carried {
    /// The same where it must stay behind.
    pub fn left(self, why: String) -> Left {
        let (_, _, label, _) = identity(&self.template.0);
        Left::new(self.name, &label, &self.place, why)
    }
}

impl Left {
    /// An object without a label is looked for by its place.
    pub fn new(name: String, label: &str, place: &str, why: String) -> Left {
        let name = match label {
            "" => format!("{name} ({place})"),
            _ => name,
        };
        Left { name, why }
    }
}

/// What a source holds.
#[derive(Default)]
pub struct Haul {
    /// What can be carried.
    pub objects: Vec<Carried>,
    /// What cannot.
    pub left: Vec<Left>,
}

/// The outcome.
#[derive(Default)]
pub struct Outcome {
    /// Made in the target.
    pub carried: Vec<Value>,
    /// In the target already.
    pub there: Vec<String>,
    /// Not carried.
    pub left: Vec<Left>,
}

/// Makes a carried object of what is known of it. Attributes that a token computes are left to the target; those that are
/// empty say nothing.
pub fn carried(all: Vec<Attribute>, mut notes: Vec<String>, place: String) -> Carried {
    let mut template = Template(Vec::with_capacity(all.len()));
    for attribute in all {
        let attribute = match attribute {
            Attribute::Base(base) => unnamed(BASE, &base),
            other => other,
        };
        if attribute == Attribute::Trusted(true) {
            notes.push("CKA_TRUSTED is for the security officer to set again".into());
        } else if wanted(&attribute) {
            template.0.push(attribute);
        }
    }
    let (class, kind, label, id) = identity(&template.0);
    Carried {
        name: describe::name(class, kind, &label, &id),
        place,
        template,
        notes,
    }
}

/// What people know an object by.
pub fn identity(template: &[Attribute]) -> (Option<ObjectClass>, Option<Kind>, String, Vec<u8>) {
    let mut identity = (None, None, String::new(), Vec::new());
    for attribute in template {
        match attribute {
            Attribute::Class(class) => identity.0 = Some(*class),
            Attribute::Label(label) => identity.2 = String::from_utf8_lossy(label).into_owned(),
            Attribute::Id(id) => identity.3.clone_from(id),
            other => identity.1 = Kind::of(other).or(identity.1),
        }
    }
    identity
}

fn wanted(attribute: &Attribute) -> bool {
    match attribute {
        // The target computes these, and an imported key honestly was not made in it.
        Attribute::Local(_)
        | Attribute::AlwaysSensitive(_)
        | Attribute::NeverExtractable(_)
        | Attribute::KeyGenMechanism(_)
        | Attribute::UniqueId(_)
        | Attribute::CheckValue(_)
        | Attribute::ModulusBits(_)
        | Attribute::ValueLen(_)
        | Attribute::PublicKeyInfo(_)
        | Attribute::Trusted(_) => false,
        Attribute::VendorDefined((ty, _)) => [SUBPRIME, BASE, KEY_TYPE].contains(ty),
        Attribute::StartDate(date) | Attribute::EndDate(date) => !date.is_empty(),
        Attribute::AllowedMechanisms(list) => !list.is_empty(),
        Attribute::Id(_) | Attribute::Label(_) => true,
        Attribute::Value(bytes)
        | Attribute::Seed(bytes)
        | Attribute::Url(bytes)
        | Attribute::Application(bytes)
        | Attribute::ObjectId(bytes)
        | Attribute::Issuer(bytes)
        | Attribute::SerialNumber(bytes)
        | Attribute::HashOfSubjectPublicKey(bytes)
        | Attribute::HashOfIssuerPublicKey(bytes)
        | Attribute::Prime1(bytes)
        | Attribute::Prime2(bytes)
        | Attribute::Exponent1(bytes)
        | Attribute::Exponent2(bytes)
        | Attribute::Coefficient(bytes)
        | Attribute::PublicExponent(bytes)
        | Attribute::EcPoint(bytes)
        | Attribute::Subject(bytes) => !bytes.is_empty(),
        _ => true,
    }
}

/// Attributes by which a repeated migration knows what it has carried already.
fn knows(attribute: &&Attribute) -> bool {
    let ty = attribute.attribute_type();
    let by_name = [
        AttributeType::Class,
        AttributeType::KeyType,
        KEY_TYPE,
        AttributeType::Label,
        AttributeType::Id,
    ];
    let by_content = [
        AttributeType::Modulus,
        AttributeType::EcPoint,
        AttributeType::Issuer,
        AttributeType::SerialNumber,
        AttributeType::Application,
    ];
    by_name.contains(&ty) || by_content.contains(&ty)
}

/// Puts everything into the target; an object that the target refuses stays behind with the reason, the others come along.
pub fn deliver(session: &Session, haul: Haul) -> Result<Outcome> {
    let mut outcome = Outcome {
        left: haul.left,
        ..Outcome::default()
    };
    // Several keys may look alike (the same label, no id). As many as were there before this run count as carried by an
    // earlier one; the others are new.
    let mut before = HashMap::new();
    for object in haul.objects {
        let same: Vec<Attribute> = object.template.0.iter().filter(knows).cloned().collect();
        let alike = match before.entry(format!("{same:?}")) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(session.find_objects(&same).map_err(said)?.len()),
        };
        if *alike > 0 {
            *alike -= 1;
            outcome.there.push(object.name);
            continue;
        }
        match object::create(session, &object.template.0) {
            Ok(handle) => {
                let mut json = object::Object::read(session, handle)?.json();
                json["name"] = json!(object.name);
                json["notes"] = json!(object.notes);
                outcome.carried.push(json);
            }
            Err(Failure::Failed(why) | Failure::Usage(why)) => {
                outcome.left.push(object.left(why));
            }
        }
    }
    Ok(outcome)
}

#[cfg(test)]
mod tests {
    use super::*;
    use cryptoki::object::KeyType;

    #[test]
    fn computed_and_empty_attributes_stay_behind() {
        let all = vec![
            Attribute::Class(ObjectClass::PUBLIC_KEY),
            Attribute::KeyType(KeyType::RSA),
            Attribute::Label(b"k".to_vec()),
            Attribute::Local(true),
            Attribute::Subject(Vec::new()),
            Attribute::Verify(true),
            Attribute::Trusted(true),
        ];
        let carried = carried(all, Vec::new(), "handle 7".into());
        assert_eq!(carried.name, "RSA public key \"k\"");
        assert_eq!(carried.template.0.len(), 4);
        assert_eq!(carried.notes.len(), 1);
        assert_eq!(carried.left(String::new()).name, "RSA public key \"k\"");
    }
}
