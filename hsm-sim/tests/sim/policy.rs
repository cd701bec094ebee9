//! What must be refused, and the attributes that the HSM computes.

use hsm_api::reply::AttrReply;
use hsm_api::{Attr, Hidden, MechId, Mechanism, Op, Params, Peer, Request, Role, Rv, Value};
use hsm_sim::attr;

use super::rig::*;

#[test]
fn secrecy_goes_one_way() {
    let dir = tempfile::tempdir().unwrap();
    let (_, link) = token(dir.path());
    let key = link.aes(vec![b(attr::TOKEN, true)]);
    for back in [b(attr::SENSITIVE, false), b(attr::EXTRACTABLE, true)] {
        let template = vec![back];
        let set = Request::SetAttributes {
            id: key,
            template: template.clone(),
        };
        assert_eq!(link.refused(&set), Rv::ATTRIBUTE_READ_ONLY);
        let copy = Request::Copy {
            from: key,
            id: id(),
            template,
        };
        assert_eq!(link.refused(&copy), Rv::ATTRIBUTE_READ_ONLY);
    }
    assert_eq!(
        link.get(key, attr::VALUE),
        AttrReply::Withheld(attr::VALUE, Rv::ATTRIBUTE_SENSITIVE)
    );
    assert_eq!(
        link.get(key, attr::ALWAYS_SENSITIVE),
        AttrReply::Is(b(attr::ALWAYS_SENSITIVE, true))
    );
    assert_eq!(
        link.get(key, attr::NEVER_EXTRACTABLE),
        AttrReply::Is(b(attr::NEVER_EXTRACTABLE, true))
    );
    assert_eq!(
        link.get(key, attr::LOCAL),
        AttrReply::Is(b(attr::LOCAL, true))
    );
    assert_eq!(
        link.get(key, attr::KEY_GEN_MECHANISM),
        AttrReply::Is(n(attr::KEY_GEN_MECHANISM, 0x1080))
    );
    let open = link.aes(vec![b(attr::SENSITIVE, false), b(attr::EXTRACTABLE, true)]);
    assert!(matches!(link.get(open, attr::VALUE), AttrReply::Is(_)));
    link.made(&Request::SetAttributes {
        id: open,
        template: vec![b(attr::SENSITIVE, true)],
    });
    assert!(matches!(
        link.get(open, attr::VALUE),
        AttrReply::Withheld(..)
    ));
    assert_eq!(
        link.get(open, attr::ALWAYS_SENSITIVE),
        AttrReply::Is(b(attr::ALWAYS_SENSITIVE, false))
    );
}

#[test]
fn what_binds_a_key_binds_its_copies_and_does_not_change() {
    let dir = tempfile::tempdir().unwrap();
    let (_, link) = token(dir.path());
    let (public, private) = (id(), id());
    link.made(&Request::GenerateKeyPair {
        mech: plain(0x1040),
        public,
        public_template: vec![bytes(
            attr::EC_PARAMS,
            b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07",
        )],
        private,
        private_template: vec![b(attr::ALWAYS_AUTHENTICATE, true)],
    });
    let rule = |ty| Attr {
        ty,
        value: Value::Template(vec![b(attr::SENSITIVE, true)]),
    };
    let allowed = |mech| Attr {
        ty: attr::ALLOWED_MECHANISMS,
        value: Value::Mechs(vec![mech]),
    };
    let bound = link.aes(vec![
        allowed(0x1087),
        rule(attr::WRAP_TEMPLATE),
        rule(attr::UNWRAP_TEMPLATE),
        rule(attr::DERIVE_TEMPLATE),
    ]);
    let none = |ty| Attr {
        ty,
        value: Value::Template(vec![]),
    };
    for (from, unbound) in [
        (private, b(attr::ALWAYS_AUTHENTICATE, false)),
        (bound, allowed(0x1082)),
        (bound, none(attr::WRAP_TEMPLATE)),
        (bound, none(attr::UNWRAP_TEMPLATE)),
        (bound, none(attr::DERIVE_TEMPLATE)),
    ] {
        let template = vec![unbound];
        let copy = Request::Copy {
            from,
            id: id(),
            template: template.clone(),
        };
        assert_eq!(link.refused(&copy), Rv::ATTRIBUTE_READ_ONLY, "{template:?}");
        let set = Request::SetAttributes { id: from, template };
        assert_eq!(link.refused(&set), Rv::ATTRIBUTE_READ_ONLY, "{set:?}");
    }
}

#[test]
fn a_secret_value_cannot_be_searched_for() {
    let dir = tempfile::tempdir().unwrap();
    let (_, link) = token(dir.path());
    let template = vec![
        n(attr::CLASS, 4),
        n(attr::KEY_TYPE, 0x1F),
        bytes(attr::VALUE, &[7; 16]),
        bytes(attr::LABEL, b"k"),
    ];
    let key = id();
    link.made(&Request::Create { id: key, template });
    assert_eq!(link.found(vec![bytes(attr::LABEL, b"k")]), [key]);
    assert_eq!(link.found(vec![bytes(attr::VALUE, &[7; 16])]), []);
}

#[test]
fn wrapping_obeys_the_keys_attributes() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, link) = token(dir.path());
    let with = link.aes(vec![b(attr::TOKEN, true), b(attr::PRIVATE, false)]);
    let mech = plain(0x210B);
    let wrap = |key| link.wrap(&mech, with, key);
    let fixed = link.aes(vec![]);
    assert_eq!(wrap(fixed).unwrap_err().rv, Rv::KEY_UNEXTRACTABLE);
    let picky = link.aes(vec![
        b(attr::EXTRACTABLE, true),
        b(attr::WRAP_WITH_TRUSTED, true),
    ]);
    assert_eq!(wrap(picky).unwrap_err().rv, Rv::KEY_NOT_WRAPPABLE);
    let trust = Request::SetAttributes {
        id: with,
        template: vec![b(attr::TRUSTED, true)],
    };
    assert_eq!(
        link.refused(&trust),
        Rv::ATTRIBUTE_READ_ONLY,
        "a user trusts nobody"
    );
    let officer = super::rig::link(&engine, Peer::Client);
    officer.login(Role::Co, None, "87654321").unwrap();
    officer.made(&trust);
    wrap(picky).unwrap();
    let rule = Attr {
        ty: attr::WRAP_TEMPLATE,
        value: Value::Template(vec![b(attr::ENCRYPT, false)]),
    };
    let strict = link.aes(vec![rule]);
    let open = link.aes(vec![b(attr::EXTRACTABLE, true)]);
    let refused = link.wrap(&mech, strict, open).unwrap_err();
    assert_eq!(refused.rv, Rv::KEY_HANDLE_INVALID);
}

#[test]
fn a_key_does_what_it_is_for_and_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let (_, link) = token(dir.path());
    let mech = Mechanism {
        id: MechId(0x1082),
        params: Params::Iv(vec![0; 16].into()),
    };
    let key = link.aes(vec![b(attr::ENCRYPT, false)]);
    let refused = link
        .crypt(Op::Encrypt, &mech, key, &[0; 16])
        .unwrap_err()
        .rv;
    assert_eq!(refused, Rv::KEY_FUNCTION_NOT_PERMITTED);
    let allowed = Attr {
        ty: attr::ALLOWED_MECHANISMS,
        value: Value::Mechs(vec![0x1087]),
    };
    let key = link.aes(vec![allowed]);
    let refused = link
        .crypt(Op::Encrypt, &mech, key, &[0; 16])
        .unwrap_err()
        .rv;
    assert_eq!(refused, Rv::MECHANISM_INVALID);
    let key = link.aes(vec![]);
    let refused = link
        .crypt(Op::Encrypt, &mech, key, &[0; 15])
        .unwrap_err()
        .rv;
    assert_eq!(refused, Rv::DATA_LEN_RANGE);
    let refused = link
        .crypt(Op::Sign, &plain(0x40), key, &[0; 15])
        .unwrap_err()
        .rv;
    assert_eq!(refused, Rv::KEY_TYPE_INCONSISTENT);
    link.made(&Request::SetAttributes {
        id: key,
        template: vec![b(attr::DECRYPT, false)],
    });
    let refused = link
        .crypt(Op::Decrypt, &mech, key, &[0; 16])
        .unwrap_err()
        .rv;
    assert_eq!(
        refused,
        Rv::KEY_FUNCTION_NOT_PERMITTED,
        "a change is seen at once"
    );
}

#[test]
fn a_pin_of_before_a_change_sees_the_change() {
    let dir = tempfile::tempdir().unwrap();
    let (_, link) = token(dir.path());
    let mech = Mechanism {
        id: MechId(0x1082),
        params: Params::Iv(vec![0; 16].into()),
    };
    for token in [true, false] {
        let id = link.aes(vec![b(attr::TOKEN, token)]);
        let (key, _) = link.key(id);
        let request = Request::Crypt {
            op: Op::Encrypt,
            mech: std::borrow::Cow::Borrowed(&mech),
            key: Some(std::borrow::Cow::Borrowed(&key)),
            data: Hidden(&[0; 16]),
            signature: Hidden(&[]),
        };
        link.ask_out(&request, 16).unwrap();
        link.made(&Request::SetAttributes {
            id,
            template: vec![b(attr::ENCRYPT, false)],
        });
        assert_eq!(
            link.ask_out(&request, 16).unwrap_err().rv,
            Rv::KEY_FUNCTION_NOT_PERMITTED
        );
        link.made(&Request::Destroy { id });
        assert_eq!(
            link.ask_out(&request, 16).unwrap_err().rv,
            Rv::KEY_HANDLE_INVALID
        );
        let again = link.refused(&Request::Destroy { id });
        assert_eq!(again, Rv::OBJECT_HANDLE_INVALID);
    }
}

#[test]
fn templates_are_held_against_the_rows() {
    let dir = tempfile::tempdir().unwrap();
    let (_, link) = token(dir.path());
    let key = |extra: Vec<Attr>| {
        let mut template = vec![
            n(attr::CLASS, 4),
            n(attr::KEY_TYPE, 0x1F),
            bytes(attr::VALUE, &[1; 16]),
        ];
        template.extend(extra);
        link.ask(&Request::Create { id: id(), template })
            .map_err(|e| e.rv)
            .err()
    };
    let cases: [(&str, Vec<Attr>, Option<Rv>); 10] = [
        ("as it should be", vec![], None),
        (
            "unknown",
            vec![n(hsm_api::AttrType(0x7777), 1)],
            Some(Rv::ATTRIBUTE_TYPE_INVALID),
        ),
        (
            "another form",
            vec![n(attr::TOKEN, 1)],
            Some(Rv::ATTRIBUTE_VALUE_INVALID),
        ),
        (
            "of another class",
            vec![bytes(attr::MODULUS, &[1])],
            Some(Rv::TEMPLATE_INCONSISTENT),
        ),
        (
            "computed",
            vec![b(attr::LOCAL, true)],
            Some(Rv::ATTRIBUTE_READ_ONLY),
        ),
        (
            "of another operation",
            vec![n(attr::VALUE_LEN, 16)],
            Some(Rv::TEMPLATE_INCONSISTENT),
        ),
        (
            "twice",
            vec![n(attr::CLASS, 4)],
            Some(Rv::TEMPLATE_INCONSISTENT),
        ),
        (
            "the officer's",
            vec![b(attr::TRUSTED, true)],
            Some(Rv::ATTRIBUTE_READ_ONLY),
        ),
        (
            "a wrong check value",
            vec![bytes(attr::CHECK_VALUE, &[1, 2, 3])],
            Some(Rv::ATTRIBUTE_VALUE_INVALID),
        ),
        ("a date", vec![bytes(attr::START_DATE, b"20260101")], None),
    ];
    for (name, extra, expected) in cases {
        assert_eq!(key(extra), expected, "{name}");
    }
    let create = |template| {
        link.ask(&Request::Create { id: id(), template })
            .map_err(|e| e.rv)
            .err()
    };
    assert_eq!(create(vec![]), Some(Rv::TEMPLATE_INCOMPLETE));
    assert_eq!(
        create(vec![n(attr::CLASS, 4)]),
        Some(Rv::TEMPLATE_INCOMPLETE)
    );
    assert_eq!(
        create(vec![n(attr::CLASS, 4), n(attr::KEY_TYPE, 0x1F)]),
        Some(Rv::TEMPLATE_INCOMPLETE)
    );
    let short = vec![
        n(attr::CLASS, 4),
        n(attr::KEY_TYPE, 0x1F),
        bytes(attr::VALUE, &[1; 15]),
    ];
    assert_eq!(create(short), Some(Rv::ATTRIBUTE_VALUE_INVALID));
    let broken = vec![
        n(attr::CLASS, 2),
        n(attr::KEY_TYPE, 3),
        bytes(attr::EC_PARAMS, b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07"),
        bytes(attr::EC_POINT, b"\x04\x41\x04nowhere"),
    ];
    assert_eq!(create(broken), Some(Rv::ATTRIBUTE_VALUE_INVALID));
    assert_eq!(
        create(vec![n(attr::CLASS, 0), bytes(attr::VALUE, b"data")]),
        None
    );
    let generate = |extra| {
        let mech = plain(0x1080);
        link.ask(&Request::GenerateKey {
            mech,
            id: id(),
            template: extra,
        })
        .map_err(|e| e.rv)
        .err()
    };
    assert_eq!(generate(vec![]), Some(Rv::TEMPLATE_INCOMPLETE));
    assert_eq!(
        generate(vec![n(attr::VALUE_LEN, 17)]),
        Some(Rv::ATTRIBUTE_VALUE_INVALID)
    );
    assert_eq!(
        generate(vec![n(attr::VALUE_LEN, u64::MAX)]),
        Some(Rv::ATTRIBUTE_VALUE_INVALID)
    );
    assert_eq!(
        generate(vec![n(attr::VALUE_LEN, 16), n(attr::KEY_TYPE, 0x10)]),
        Some(Rv::TEMPLATE_INCONSISTENT)
    );
}

#[test]
fn codes_are_the_specifications() {
    for (ours, theirs, name) in [
        (
            attr::WRAP_WITH_TRUSTED.0,
            pkcs11_sys::CKA_WRAP_WITH_TRUSTED,
            "WRAP_WITH_TRUSTED",
        ),
        (
            attr::ALWAYS_AUTHENTICATE.0,
            pkcs11_sys::CKA_ALWAYS_AUTHENTICATE,
            "ALWAYS_AUTHENTICATE",
        ),
        (attr::UNIQUE_ID.0, pkcs11_sys::CKA_UNIQUE_ID, "UNIQUE_ID"),
        (
            attr::PUBLIC_KEY_INFO.0,
            pkcs11_sys::CKA_PUBLIC_KEY_INFO,
            "PUBLIC_KEY_INFO",
        ),
        (
            attr::DESTROYABLE.0,
            pkcs11_sys::CKA_DESTROYABLE,
            "DESTROYABLE",
        ),
        (attr::COPYABLE.0, pkcs11_sys::CKA_COPYABLE, "COPYABLE"),
        (
            attr::ALLOWED_MECHANISMS.0,
            pkcs11_sys::CKA_ALLOWED_MECHANISMS,
            "ALLOWED_MECHANISMS",
        ),
        (
            attr::DERIVE_TEMPLATE.0,
            pkcs11_sys::CKA_DERIVE_TEMPLATE,
            "DERIVE_TEMPLATE",
        ),
        (
            attr::NEVER_EXTRACTABLE.0,
            pkcs11_sys::CKA_NEVER_EXTRACTABLE,
            "NEVER_EXTRACTABLE",
        ),
        (
            attr::KEY_GEN_MECHANISM.0,
            pkcs11_sys::CKA_KEY_GEN_MECHANISM,
            "KEY_GEN_MECHANISM",
        ),
        (
            attr::NAME_HASH_ALGORITHM.0,
            pkcs11_sys::CKA_NAME_HASH_ALGORITHM,
            "NAME_HASH_ALGORITHM",
        ),
        (
            attr::COEFFICIENT.0,
            pkcs11_sys::CKA_COEFFICIENT,
            "COEFFICIENT",
        ),
        (attr::EC_POINT.0, pkcs11_sys::CKA_EC_POINT, "EC_POINT"),
    ] {
        assert_eq!(ours, theirs, "CKA_{name}");
    }
    for (name, theirs) in [
        ("CKM_AES_CMAC", pkcs11_sys::CKM_AES_CMAC),
        ("CKM_AES_KEY_WRAP_KWP", pkcs11_sys::CKM_AES_KEY_WRAP_KWP),
        (
            "CKM_SHA512_RSA_PKCS_PSS",
            pkcs11_sys::CKM_SHA512_RSA_PKCS_PSS,
        ),
        (
            "CKM_SHA224_RSA_PKCS_PSS",
            pkcs11_sys::CKM_SHA224_RSA_PKCS_PSS,
        ),
        (
            "CKM_SHA3_384_RSA_PKCS_PSS",
            pkcs11_sys::CKM_SHA3_384_RSA_PKCS_PSS,
        ),
        ("CKM_SHA3_224_RSA_PKCS", pkcs11_sys::CKM_SHA3_224_RSA_PKCS),
        ("CKM_ECDSA_SHA3_512", pkcs11_sys::CKM_ECDSA_SHA3_512),
        ("CKM_EDDSA", pkcs11_sys::CKM_EDDSA),
        (
            "CKM_EC_MONTGOMERY_KEY_PAIR_GEN",
            pkcs11_sys::CKM_EC_MONTGOMERY_KEY_PAIR_GEN,
        ),
        (
            "CKM_SHA3_384_HMAC_GENERAL",
            pkcs11_sys::CKM_SHA3_384_HMAC_GENERAL,
        ),
        ("CKM_SHA512_256", pkcs11_sys::CKM_SHA512_256),
        ("CKM_SHA_1_HMAC_GENERAL", pkcs11_sys::CKM_SHA_1_HMAC_GENERAL),
        (
            "CKM_GENERIC_SECRET_KEY_GEN",
            pkcs11_sys::CKM_GENERIC_SECRET_KEY_GEN,
        ),
        (
            "CKM_ECDH1_COFACTOR_DERIVE",
            pkcs11_sys::CKM_ECDH1_COFACTOR_DERIVE,
        ),
    ] {
        assert_eq!(
            hsm_sim::mech::find(MechId(theirs)).map(|m| m.name),
            Some(name)
        );
    }
}
