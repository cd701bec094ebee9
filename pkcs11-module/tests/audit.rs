//! Every attribute of every class, driven through the C functions by the specification's tables
//! ([`table`]): what must and must not be given when, what it is otherwise, what changes, what hides.

mod specimen;
pub mod table;

use pkcs11_sys::*;
use specimen::{
    Specimen, Values, generate, keys, no_keys, number, open, template, token, with, without,
};
use table::{COPY, Departure, FACTS, Fact, First, GIVEN, Kind, Of, departs};

use crate::certificate as leaf;
use crate::raw::{Raw, bytes, plain};

/// Another value of the right form, which the object could have.
fn other(fact: &Fact, now: &[u8]) -> Vec<u8> {
    match (fact.of, fact.ty, fact.kind) {
        (Of::X509, CKA_ISSUER, _) => leaf::ISSUER.to_vec(),
        (Of::X509, CKA_SERIAL_NUMBER, _) => leaf::SERIAL.to_vec(),
        (.., Kind::Bool) => vec![u8::from(now == [0])],
        (.., Kind::Ulong) => number(if now == number(1) { 2 } else { 1 }),
        (.., Kind::Date) => b"20300228".to_vec(),
        (_, CKA_ALLOWED_MECHANISMS, _) => number(CKM_AES_ECB),
        (.., Kind::List) => Vec::new(),
        (.., Kind::Bytes) => b"something else".to_vec(),
    }
}

fn each(raw: &Raw, look: impl Fn(&Specimen, &Fact, &str)) {
    let specimens: Vec<_> = no_keys().into_iter().chain(keys(raw)).collect();
    let mut seen = 0;
    for specimen in &specimens {
        for fact in FACTS.iter().filter(|f| specimen.of.contains(&f.of)) {
            // The one is false and stays so (docs/objects.md, "One-time passwords"), the other is CKM_HOTP where nobody
            // says it.
            let own = [CKA_COPYABLE, CKA_ALLOWED_MECHANISMS].contains(&fact.ty);
            if own && specimen.of.contains(&Of::Otp) {
                continue;
            }
            let what = format!("{} of {}", fact.name, specimen.name);
            look(specimen, fact, &what);
            seen += 1;
        }
    }
    assert!(seen > 1400, "only {seen}");
}

fn create(raw: &Raw, values: &Values) -> Result<CK_OBJECT_HANDLE, CK_RV> {
    raw.create(template(values))
}

#[test]
fn defaults_and_what_must_be_given() {
    let raw = token();
    each(&raw, |specimen, fact, what| {
        let bare = without(&specimen.minimal, fact.ty);
        let must = fact.notes.contains(&1) && departs(fact) != Some(Departure::NeedNot);
        if must {
            assert_eq!(create(&raw, &bare), Err(CKR_TEMPLATE_INCOMPLETE), "{what}");
            return;
        }
        if departs(fact) == Some(Departure::NeedNot) && fact.ty == CKA_VALUE {
            // Then the seed stands for it, where there is one: `ml_keys_are_made_of_seeds` in the mechanisms' tests.
            return;
        }
        let object = create(&raw, &bare).expect(what);
        let found = match (fact.first, departs(fact)) {
            (_, Some(Departure::First(value))) | (First::Is(value), _) => Ok(value.to_vec()),
            (First::Number(n), _) => Ok(number(n)),
            (First::Absent, _) => Err(CKR_ATTRIBUTE_TYPE_INVALID),
            // Hidden or not, it is there.
            (First::Own, _) => match raw.get(object, fact.ty) {
                Err(CKR_ATTRIBUTE_SENSITIVE) if fact.notes.contains(&7) => return,
                own => {
                    assert!(own.is_ok(), "{what}: {own:?}");
                    own
                }
            },
        };
        let now = raw.get(object, fact.ty);
        assert_eq!(now, found, "{what}");
        let len = now.map_or(0, |value| value.len());
        match fact.kind {
            Kind::Bool => assert_eq!(len, 1, "{what}"),
            Kind::Ulong => assert_eq!(len, size_of::<CK_ULONG>(), "{what}"),
            Kind::Date | Kind::Bytes | Kind::List => {}
        }
    });
}

#[test]
fn values_of_another_form_are_refused() {
    let raw = token();
    each(&raw, |specimen, fact, what| {
        let odd: &[u8] = match fact.kind {
            Kind::Bool => &[1, 0],
            Kind::Ulong => &[1, 0, 0],
            Kind::Date => b"20300230",
            Kind::List => &[1, 0, 0],
            Kind::Bytes => return,
        };
        let made = create(&raw, &with(&specimen.minimal, fact.ty, odd));
        assert_eq!(made, Err(CKR_ATTRIBUTE_VALUE_INVALID), "{what}");
    });
}

#[test]
fn what_must_not_be_given() {
    let raw = token();
    each(&raw, |specimen, fact, what| {
        let value = other(fact, &[1]);
        if fact.notes.contains(&2) {
            let made = create(&raw, &with(&specimen.minimal, fact.ty, &value));
            let later = [3, GIVEN].iter().any(|note| fact.notes.contains(note));
            let refused = if later {
                CKR_TEMPLATE_INCONSISTENT
            } else {
                CKR_ATTRIBUTE_READ_ONLY
            };
            assert_eq!(made, Err(refused), "{what}");
        }
        let Some((mech, public, private)) = &specimen.generate else {
            return;
        };
        let give = |values: &Values, mine: bool| {
            if mine {
                with(values, fact.ty, &value)
            } else {
                values.clone()
            }
        };
        if fact.notes.contains(&4) && departs(fact) != Some(Departure::Generated) {
            let made = generate(
                &raw,
                *mech,
                &give(public, !private),
                &give(&open(), *private),
            );
            let refused = [Err(CKR_ATTRIBUTE_READ_ONLY), Err(CKR_TEMPLATE_INCONSISTENT)];
            assert!(refused.contains(&made), "generated with {what}: {made:?}");
        }
        if fact.notes.contains(&3) && !private {
            let made = generate(&raw, *mech, &without(public, fact.ty), &open());
            assert_eq!(
                made,
                Err(CKR_TEMPLATE_INCOMPLETE),
                "generated without {what}"
            );
        }
        if fact.notes.contains(&6) {
            let made = unwrap(&raw, specimen, fact.ty, &value);
            let refused = [Err(CKR_ATTRIBUTE_READ_ONLY), Err(CKR_TEMPLATE_INCONSISTENT)];
            assert!(refused.contains(&made), "unwrapped with {what}: {made:?}");
        }
    });
}

/// The specimen wrapped and unwrapped again with one attribute more.
fn unwrap(
    raw: &Raw,
    specimen: &Specimen,
    ty: CK_ATTRIBUTE_TYPE,
    value: &[u8],
) -> Result<CK_OBJECT_HANDLE, CK_RV> {
    if specimen.of.contains(&Of::Domain) {
        // Nothing is unwrapped into one.
        return Err(CKR_TEMPLATE_INCONSISTENT);
    }
    let by = raw.aes();
    let mut values = without(&specimen.minimal, CKA_EXTRACTABLE);
    values.push((CKA_EXTRACTABLE, vec![1]));
    let key = create(raw, &values)?;
    let kwp = plain(CKM_AES_KEY_WRAP_KWP);
    let Ok(wrapped) = raw.wrap(kwp, by, key).map_err(|rv| {
        // A public key: nothing is unwrapped into one.
        assert_eq!(rv, CKR_KEY_NOT_WRAPPABLE, "{}", specimen.name);
    }) else {
        return Err(CKR_TEMPLATE_INCONSISTENT);
    };
    let [class, key_type] = [CKA_CLASS, CKA_KEY_TYPE].map(|ty| raw.get(key, ty).unwrap());
    let given = vec![
        bytes(CKA_CLASS, &class),
        bytes(CKA_KEY_TYPE, &key_type),
        bytes(ty, value),
    ];
    raw.unwrap(kwp, by, &wrapped, given)
}

#[test]
fn what_changes_later_and_in_copies() {
    let raw = token();
    each(&raw, |specimen, fact, what| {
        let hidden = fact.notes.contains(&7);
        // Such keys are not copied at all; for the rest of this test that is as good as a refusal of the attribute.
        let otp = specimen.of.contains(&Of::Otp);
        let copied = |object, wanted| match raw.copied(object, wanted) {
            Err(CKR_ACTION_PROHIBITED) if otp => Err(CKR_ATTRIBUTE_READ_ONLY),
            copied => copied,
        };
        let absent = fact.first == First::Absent;
        let kept = fact.ty == CKA_CLASS
            || departs(fact) == Some(Departure::Later)
            || absent && fact.kind == Kind::List && fact.ty != CKA_ALLOWED_MECHANISMS;
        if kept || departs(fact) == Some(Departure::NeedNot) {
            return;
        }
        let object = create(&raw, &specimen.minimal).expect(what);
        let now = if hidden {
            Ok(Vec::new())
        } else {
            raw.get(object, fact.ty)
        };
        let value = other(fact, &now.unwrap_or_default());
        let wanted = bytes(fact.ty, &value);
        if fact.notes.contains(&10) {
            assert_eq!(raw.set(object, wanted), CKR_ATTRIBUTE_READ_ONLY, "{what}");
            assert_eq!(
                copied(object, wanted),
                Err(CKR_ATTRIBUTE_READ_ONLY),
                "{what}"
            );
            let made = create(&raw, &with(&specimen.minimal, fact.ty, &value));
            assert_eq!(made, Err(CKR_ATTRIBUTE_READ_ONLY), "{what}");
            return;
        }
        let way = [(11, [1u8]), (12, [0u8])];
        if let Some((_, way)) = way.iter().find(|(note, _)| fact.notes.contains(note)) {
            // From the value that can be left to the one that cannot.
            let back = [1 - way[0]];
            let object = create(&raw, &with(&specimen.minimal, fact.ty, &back)).expect(what);
            assert_eq!(raw.set(object, bytes(fact.ty, way)), CKR_OK, "{what}");
            assert_eq!(raw.get(object, fact.ty), Ok(way.to_vec()), "{what}");
            let wanted = bytes(fact.ty, &back);
            assert_eq!(raw.set(object, wanted), CKR_ATTRIBUTE_READ_ONLY, "{what}");
            if fact.ty != CKA_COPYABLE {
                assert_eq!(
                    copied(object, wanted),
                    Err(CKR_ATTRIBUTE_READ_ONLY),
                    "{what}"
                );
            }
            return;
        }
        let changes = fact.notes.contains(&8);
        let copied = copied(object, wanted);
        if !otp && (changes || fact.notes.contains(&COPY) && fact.ty != CKA_PRIVATE) {
            let copied = copied.expect(what);
            assert_eq!(
                raw.get(copied, fact.ty),
                Ok(value.clone()),
                "a copy's {what}"
            );
        } else if fact.ty != CKA_PRIVATE {
            assert_eq!(copied, Err(CKR_ATTRIBUTE_READ_ONLY), "copied with {what}");
        }
        let set = raw.set(object, wanted);
        if changes {
            assert_eq!(set, CKR_OK, "{what}");
            assert_eq!(raw.get(object, fact.ty), Ok(value.clone()), "{what}");
        } else {
            assert_eq!(set, CKR_ATTRIBUTE_READ_ONLY, "{what}");
        }
    });
}

#[test]
fn what_hides() {
    let raw = token();
    each(&raw, |specimen, fact, what| {
        if !fact.notes.contains(&7)
            || departs(fact) == Some(Departure::NeedNot) && fact.ty == CKA_VALUE
        {
            return;
        }
        for (sensitive, extractable, shown) in
            [(0, 1, true), (1, 1, false), (0, 0, false), (1, 0, false)]
        {
            let values = with(&specimen.minimal, CKA_SENSITIVE, &[sensitive]);
            let object = create(&raw, &with(&values, CKA_EXTRACTABLE, &[extractable])).expect(what);
            let found = raw.get(object, fact.ty);
            let imported = specimen.minimal.iter().any(|(ty, _)| *ty == fact.ty);
            if shown && !imported && specimen.of.contains(&Of::RsaPrivate) {
                // "Tokens vary in what they actually store": of a key that came without its primes there are none.
                assert_eq!(found, Err(CKR_ATTRIBUTE_TYPE_INVALID), "{what}");
            } else if shown {
                assert!(found.is_ok(), "{what}: {found:?}");
            } else {
                assert_eq!(found, Err(CKR_ATTRIBUTE_SENSITIVE), "{what}");
            }
            // Nor does a search tell it.
            if let Some((_, value)) = specimen.minimal.iter().find(|(ty, _)| *ty == fact.ty) {
                assert_eq!(raw.find(&mut [bytes(fact.ty, value)]), [], "{what}");
            }
        }
    });
}

#[test]
fn attributes_of_other_objects() {
    let raw = token();
    let specimens: Vec<_> = no_keys().into_iter().chain(keys(&raw)).collect();
    for specimen in &specimens {
        let object = create(&raw, &specimen.minimal).expect(specimen.name);
        let has = |ty| {
            FACTS
                .iter()
                .any(|f| f.ty == ty && specimen.of.contains(&f.of))
        };
        for fact in FACTS.iter().filter(|f| !has(f.ty)) {
            let what = format!("{} on {}", fact.name, specimen.name);
            // Several clients write the point along with the private key.
            if specimen.of.contains(&Of::EcPrivate) && fact.ty == CKA_EC_POINT {
                continue;
            }
            let value = other(fact, &[0]);
            let made = create(&raw, &with(&specimen.minimal, fact.ty, &value));
            assert_eq!(made, Err(CKR_TEMPLATE_INCONSISTENT), "{what}");
            assert_eq!(
                raw.get(object, fact.ty),
                Err(CKR_ATTRIBUTE_TYPE_INVALID),
                "{what}"
            );
            let set = raw.set(object, bytes(fact.ty, &value));
            assert_eq!(set, CKR_TEMPLATE_INCONSISTENT, "{what}");
        }
        let unknown = with(&specimen.minimal, 0x7FFF, &[1]);
        assert_eq!(create(&raw, &unknown), Err(CKR_ATTRIBUTE_TYPE_INVALID));
    }
    assert!(specimens.iter().any(|s| s.of.contains(&Of::Trust)));
}
