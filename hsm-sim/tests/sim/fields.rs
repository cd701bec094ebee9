//! DSA, Diffie-Hellman modulo a prime and their domains, through the engine.

use std::sync::{Arc, LazyLock};

use hsm_api::reply::AttrReply;
use hsm_api::{Attr, AttrType, Hidden, Link, MechId, Mechanism, ObjectId, Op, Params, Request, Rv};
use hsm_crypto::{DhGroup, DsaDomain};
use hsm_sim::attr;

use super::keys::pair;
use super::rig::*;

const DSA: u64 = 1;
const DH: u64 = 2;
const DOMAIN: u64 = 6;

/// One for all tests: to make one takes a second.
static SMALL: LazyLock<DsaDomain> = LazyLock::new(|| DsaDomain::generate(1024, 160).unwrap());

fn link() -> (tempfile::TempDir, Arc<dyn Link>) {
    let dir = tempfile::tempdir().unwrap();
    let (_, link) = token(dir.path());
    (dir, link)
}

fn dsa() -> Vec<Attr> {
    vec![
        bytes(attr::PRIME, SMALL.p()),
        bytes(attr::SUBPRIME, SMALL.q()),
        bytes(attr::BASE, SMALL.g()),
    ]
}

fn dh() -> Vec<Attr> {
    let group = DhGroup::named(2048).unwrap();
    vec![bytes(attr::PRIME, group.p()), bytes(attr::BASE, group.g())]
}

fn typed(class: u64, key_type: u64, with: Vec<Attr>) -> Vec<Attr> {
    let mut all = vec![n(attr::CLASS, class), n(attr::KEY_TYPE, key_type)];
    all.extend(with);
    all
}

fn created(template: Vec<Attr>) -> Request<'static> {
    Request::Create { id: id(), template }
}

fn value(link: &Arc<dyn Link>, of: ObjectId, ty: AttrType) -> Vec<u8> {
    match link.get(of, ty) {
        AttrReply::Is(a) => a.value.as_bytes().unwrap().to_vec(),
        other => panic!("{other:?}"),
    }
}

fn number(link: &Arc<dyn Link>, of: ObjectId, ty: AttrType) -> u64 {
    match link.get(of, ty) {
        AttrReply::Is(a) => a.value.as_ulong().unwrap(),
        other => panic!("{other:?}"),
    }
}

fn is(link: &Arc<dyn Link>, of: ObjectId, ty: AttrType) -> bool {
    match link.get(of, ty) {
        AttrReply::Is(a) => a.value.as_bool().unwrap(),
        other => panic!("{other:?}"),
    }
}

fn peer(mech: u64, public: Vec<u8>) -> Mechanism<'static> {
    Mechanism {
        id: MechId(mech),
        params: Params::Data(public.into()),
    }
}

#[test]
fn a_domain_is_made_copied_out_and_in_and_makes_pairs() {
    let (_dir, link) = link();
    for (mech, key_type, bits, pair_mech) in [(0x2000, DSA, 1024, 0x10), (0x2001, DH, 2048, 0x20)] {
        let own = id();
        link.made(&Request::GenerateKey {
            mech: plain(mech),
            id: own,
            template: vec![n(attr::PRIME_BITS, bits)],
        });
        assert_eq!(number(&link, own, attr::CLASS), DOMAIN);
        assert_eq!(number(&link, own, attr::KEY_TYPE), key_type);
        assert_eq!(number(&link, own, attr::PRIME_BITS), bits);
        assert!(is(&link, own, attr::LOCAL) && !is(&link, own, attr::PRIVATE));
        let mut numbers = vec![
            bytes(attr::PRIME, &value(&link, own, attr::PRIME)),
            bytes(attr::BASE, &value(&link, own, attr::BASE)),
        ];
        if key_type == DSA {
            assert_eq!(number(&link, own, attr::SUBPRIME_BITS), 160);
            numbers.push(bytes(attr::SUBPRIME, &value(&link, own, attr::SUBPRIME)));
        }
        let again = id();
        link.made(&Request::Create {
            id: again,
            template: typed(DOMAIN, key_type, numbers.clone()),
        });
        assert!(!is(&link, again, attr::LOCAL), "it came from outside");
        assert_eq!(number(&link, again, attr::PRIME_BITS), bits);
        // Callers often say the domain in both templates.
        let keys = pair(&link, pair_mech, numbers.clone(), numbers);
        for key in [keys.0, keys.1] {
            assert_eq!(
                value(&link, key, attr::PRIME),
                value(&link, own, attr::PRIME)
            );
            assert!(is(&link, key, attr::LOCAL));
        }
        assert!(matches!(
            link.get(keys.1, attr::VALUE),
            AttrReply::Withheld(_, Rv::ATTRIBUTE_SENSITIVE)
        ));
        assert_eq!(
            link.found(vec![n(attr::CLASS, DOMAIN), n(attr::KEY_TYPE, key_type)])
                .len(),
            2
        );
    }
    for (mech, template, rv) in [
        (0x2000, vec![], Rv::TEMPLATE_INCOMPLETE),
        (
            0x2000,
            vec![n(attr::PRIME_BITS, 1000)],
            Rv::ATTRIBUTE_VALUE_INVALID,
        ),
        (
            0x2000,
            vec![n(attr::PRIME_BITS, u64::MAX)],
            Rv::ATTRIBUTE_VALUE_INVALID,
        ),
        (
            0x2000,
            vec![n(attr::PRIME_BITS, 2048), n(attr::SUBPRIME_BITS, 160)],
            Rv::ATTRIBUTE_VALUE_INVALID,
        ),
        (
            0x2001,
            vec![n(attr::PRIME_BITS, 512)],
            Rv::ATTRIBUTE_VALUE_INVALID,
        ),
        (
            0x2001,
            vec![n(attr::PRIME_BITS, 1 << 40)],
            Rv::ATTRIBUTE_VALUE_INVALID,
        ),
        (
            0x2001,
            vec![n(attr::PRIME_BITS, 2048), bytes(attr::PRIME, &[7])],
            Rv::TEMPLATE_INCONSISTENT,
        ),
    ] {
        let request = Request::GenerateKey {
            mech: plain(mech),
            id: id(),
            template,
        };
        assert_eq!(link.refused(&request), rv, "{mech:#x}");
    }
}

#[test]
fn what_is_no_domain_and_no_key_is_refused_at_once() {
    let (_dir, link) = link();
    let with = |ty: AttrType, value: &[u8], mut all: Vec<Attr>| {
        all.retain(|a| a.ty != ty);
        all.push(bytes(ty, value));
        all
    };
    let mut even = SMALL.p().to_vec();
    even[127] &= 0xFE;
    let mut composite = SMALL.p().to_vec();
    composite[127] ^= 2;
    let huge = vec![0xFF; 1 << 20];
    let y = |all: Vec<Attr>| with(attr::VALUE, SMALL.g(), all);
    let refused = |template, rv, what: &str| {
        assert_eq!(link.refused(&created(template)), rv, "{what}");
    };
    for class in [2, 3, DOMAIN] {
        let full = |all| match class {
            2 => y(all),
            3 => with(attr::VALUE, &[5], all),
            _ => all,
        };
        for (ty, value, what) in [
            (attr::PRIME, &even[..], "an even prime"),
            (attr::PRIME, &composite, "a composite"),
            (attr::PRIME, &huge, "a megabyte"),
            (attr::PRIME, &[], "nothing"),
            (attr::SUBPRIME, &SMALL.p()[..20], "another subprime"),
            (attr::SUBPRIME, SMALL.p(), "the prime as subprime"),
            (attr::BASE, &[1], "one"),
            (attr::BASE, &[2], "a base of another order"),
            (attr::BASE, SMALL.p(), "zero"),
        ] {
            let template = typed(class, DSA, full(with(ty, value, dsa())));
            let rv = link.refused(&created(template));
            let wanted = match (class, ty) {
                // The public value is tested in the domain that is told, which may fail first.
                (2, attr::SUBPRIME | attr::PRIME) => rv,
                _ => Rv::DOMAIN_PARAMS_INVALID,
            };
            assert!(
                [Rv::DOMAIN_PARAMS_INVALID, Rv::ATTRIBUTE_VALUE_INVALID].contains(&rv),
                "{class} {what}: {rv:?}"
            );
            assert_eq!(rv, wanted, "{class} {what}");
        }
        refused(
            typed(class, DSA, vec![]),
            Rv::TEMPLATE_INCOMPLETE,
            "no domain",
        );
    }
    for (class, values) in [
        (2, [&[][..], &[1], &[2], SMALL.p(), &huge]),
        (3, [&[][..], &[0], SMALL.q(), SMALL.p(), &huge]),
    ] {
        for bad in values {
            let template = typed(class, DSA, with(attr::VALUE, bad, dsa()));
            refused(template, Rv::ATTRIBUTE_VALUE_INVALID, "a value");
        }
    }
    let group = DhGroup::named(2048).unwrap();
    let mut other = group.p().to_vec();
    other[100] ^= 1;
    for class in [2, 3, DOMAIN] {
        let full = |all| match class {
            DOMAIN => all,
            _ => with(attr::VALUE, &[4], all),
        };
        for (ty, value) in [
            (attr::PRIME, &other[..]),
            (attr::PRIME, &huge),
            (attr::PRIME, &[23]),
            (attr::BASE, &[1]),
            (attr::BASE, group.p()),
        ] {
            let template = typed(class, DH, full(with(ty, value, dh())));
            refused(template, Rv::DOMAIN_PARAMS_INVALID, "a group");
        }
    }
    for (class, bad) in [
        (2, &[1][..]),
        (2, group.p()),
        (2, &huge),
        (3, &[0]),
        (3, group.p()),
    ] {
        let template = typed(class, DH, with(attr::VALUE, bad, dh()));
        refused(template, Rv::ATTRIBUTE_VALUE_INVALID, "a value");
    }
    let pair = |public, private| {
        link.refused(&Request::GenerateKeyPair {
            mech: plain(0x20),
            public: id(),
            public_template: public,
            private: id(),
            private_template: private,
        })
    };
    assert_eq!(
        pair(with(attr::PRIME, &other, dh()), vec![]),
        Rv::DOMAIN_PARAMS_INVALID
    );
    for bits in [0, 80, 2048, u64::MAX] {
        assert_eq!(
            pair(dh(), vec![n(attr::VALUE_BITS, bits)]),
            Rv::ATTRIBUTE_VALUE_INVALID,
            "{bits}"
        );
    }
    // A prime without a name is not even tested where that would take seconds; one with a name needs no test.
    let named = DhGroup::named(8192).unwrap().p().to_vec();
    let mut unnamed = named.clone();
    unnamed[1023] -= 2;
    let large = |p: &[u8]| with(attr::PRIME, p, with(attr::BASE, &[4], dh()));
    assert_eq!(pair(large(&unnamed), vec![]), Rv::KEY_SIZE_RANGE);
    for class in [2, 3, DOMAIN] {
        let mut template = typed(class, DH, large(&unnamed));
        if class != DOMAIN {
            template.push(bytes(attr::VALUE, &[5; 100]));
        }
        refused(template, Rv::KEY_SIZE_RANGE, "8,192 bits without a name");
    }
    link.made(&created(typed(DOMAIN, DH, large(&named))));
    // No objects of a type that has no domain, and no keys of a domain's class.
    refused(typed(DOMAIN, 0, vec![]), Rv::ATTRIBUTE_VALUE_INVALID, "RSA");
}

#[test]
fn keys_travel_wrapped_and_come_back_the_same() {
    let (_dir, link) = link();
    let with = link.aes(vec![]);
    let out = || vec![b(attr::EXTRACTABLE, true), b(attr::SENSITIVE, false)];
    for (key_type, keys) in [
        (DSA, pair(&link, 0x10, dsa(), out())),
        (DH, pair(&link, 0x20, dh(), out())),
    ] {
        let wrapped = link.wrap(&plain(0x210B), with, keys.1).unwrap();
        let unwrap = |wrapped: &[u8], key_type| {
            let new = id();
            let request = Request::Unwrap {
                mech: plain(0x210B),
                with: link.key(with).0,
                wrapped: Hidden(wrapped),
                aad: Hidden(&[]),
                id: new,
                template: typed(3, key_type, out()),
            };
            link.ask(&request).map(|_| new)
        };
        let new = unwrap(&wrapped, key_type).unwrap();
        for ty in [attr::PRIME, attr::BASE, attr::VALUE] {
            assert_eq!(value(&link, new, ty), value(&link, keys.1, ty));
        }
        assert_eq!(
            unwrap(&wrapped, 3).unwrap_err().rv,
            Rv::TEMPLATE_INCONSISTENT
        );
        if key_type == DSA {
            let signature = link.crypt(Op::Sign, &plain(0x14), new, b"data").unwrap();
            link.verify(&plain(0x14), keys.0, b"data", &signature)
                .unwrap();
        } else {
            assert_eq!(number(&link, new, attr::VALUE_BITS), 256);
        }
    }
}

#[test]
fn two_sides_derive_the_same_and_nothing_else_does() {
    let (_dir, link) = link();
    let derive = || vec![b(attr::DERIVE, true)];
    let one = pair(&link, 0x20, dh(), derive());
    let mut short = derive();
    short.push(n(attr::VALUE_BITS, 230));
    let two = pair(&link, 0x20, dh(), short);
    assert_eq!(number(&link, two.1, attr::VALUE_BITS), 230);
    let derived = |base: ObjectId, public: Vec<u8>, extra: Vec<Attr>| {
        let new = id();
        let mut template = vec![b(attr::SENSITIVE, false), b(attr::EXTRACTABLE, true)];
        template.extend(extra);
        let request = Request::Derive {
            mech: peer(0x21, public),
            base: link.key(base).0,
            id: new,
            template,
        };
        link.ask(&request).map(|_| value(&link, new, attr::VALUE))
    };
    let publics = [one, two].map(|pair| value(&link, pair.0, attr::VALUE));
    let z = derived(one.1, publics[1].clone(), vec![]).unwrap();
    assert_eq!(z.len(), 256);
    let again = derived(two.1, publics[0].clone(), vec![]).unwrap();
    assert_eq!(z, again);
    // The specification takes bytes off the leading end.
    let aes = vec![n(attr::KEY_TYPE, 0x1F), n(attr::VALUE_LEN, 16)];
    let aes = derived(one.1, publics[1].clone(), aes).unwrap();
    assert_eq!(aes, z[240..]);
    let p = DhGroup::named(2048).unwrap().p().to_vec();
    for bad in [vec![], vec![0], vec![1], p.clone(), vec![0xFF; 4096]] {
        let refused = derived(one.1, bad, vec![]).unwrap_err().rv;
        assert_eq!(refused, Rv::MECHANISM_PARAM_INVALID);
    }
    let refused = link.refused(&Request::Derive {
        mech: plain(0x21),
        base: link.key(one.1).0,
        id: id(),
        template: vec![],
    });
    assert_eq!(refused, Rv::MECHANISM_PARAM_INVALID, "no peer at all");
}

#[test]
fn a_secret_is_encapsulated_to_a_public_value() {
    let (_dir, link) = link();
    let keys = pair(
        &link,
        0x20,
        [dh(), vec![b(attr::ENCAPSULATE, true)]].concat(),
        vec![b(attr::DECAPSULATE, true)],
    );
    let secret = || {
        vec![
            n(attr::KEY_TYPE, 0x10),
            n(attr::VALUE_LEN, 32),
            b(attr::SENSITIVE, false),
            b(attr::EXTRACTABLE, true),
        ]
    };
    let sent = id();
    let request = Request::Encapsulate {
        mech: plain(0x21),
        public: link.key(keys.0).0,
        id: sent,
        template: secret(),
    };
    let ciphertext = link.ask_out(&request, 256).unwrap();
    assert_eq!(ciphertext.len(), 256);
    let came = id();
    let open = |ciphertext: &[u8], id| {
        link.ask(&Request::Decapsulate {
            mech: plain(0x21),
            private: link.key(keys.1).0,
            ciphertext: Hidden(ciphertext),
            id,
            template: secret(),
        })
    };
    open(&ciphertext, came).unwrap();
    assert_eq!(
        value(&link, sent, attr::VALUE),
        value(&link, came, attr::VALUE)
    );
    for bad in [&ciphertext[1..], &[0xFF; 256], &[0; 256]] {
        assert!(open(bad, id()).is_err());
    }
}

#[test]
fn fips_mode_has_none_of_this() {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::default();
    let fips = link_of(&service, dir.path());
    for (mech, public) in [(0x10, dsa()), (0x20, dh())] {
        let refused = fips.refused(&Request::GenerateKeyPair {
            mech: plain(mech),
            public: id(),
            public_template: public,
            private: id(),
            private_template: vec![],
        });
        assert_eq!(refused, Rv::MECHANISM_INVALID);
    }
    for (class, key_type, numbers) in [(DOMAIN, DSA, dsa()), (DOMAIN, DH, dh())] {
        let refused = fips.refused(&created(typed(class, key_type, numbers)));
        assert_eq!(refused, Rv::ATTRIBUTE_VALUE_INVALID);
    }
    let hsm_api::Reply::Mechanisms(all) = fips.ask(&Request::Mechanisms).unwrap() else {
        panic!("another reply");
    };
    let has = |mech: u64| all.iter().any(|offered| offered.mech == mech);
    assert!(has(0x1041));
    assert!(
        ![0x10, 0x11, 0x20, 0x21, 0x2000, 0x2001]
            .into_iter()
            .any(has)
    );
}

fn link_of(service: &Service, dir: &std::path::Path) -> Arc<dyn Link> {
    let link = super::rig::link(&service.active(dir, 1), hsm_api::Peer::Client);
    link.login(hsm_api::Role::Cu, Some("cu1"), "password1")
        .unwrap();
    link
}
