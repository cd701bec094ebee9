//! The public key that is derived from a private one is the one that was made with it.

use hsm_api::reply::AttrReply;
use hsm_api::{Attr, AttrType, Error, ObjectId, Request, Result, Rv, Template, Value};
use hsm_sim::attr;

use super::rig::*;

const P384: &[u8] = b"\x06\x05\x2b\x81\x04\x00\x22";
const ED25519: &[u8] = b"\x06\x03\x2b\x65\x70";
const ED448: &[u8] = b"\x06\x03\x2b\x65\x71";
const X25519: &[u8] = b"\x06\x03\x2b\x65\x6e";
const X448: &[u8] = b"\x06\x03\x2b\x65\x6f";

type Link = std::sync::Arc<dyn hsm_api::Link>;

fn derive(link: &Link, base: ObjectId, template: Template) -> Result<ObjectId> {
    let new = id();
    link.ask(&Request::Derive {
        mech: plain(0x403A),
        base: link.key(base).0,
        id: new,
        template,
    })?;
    Ok(new)
}

fn shown(link: &Link, key: ObjectId, ty: AttrType) -> Option<Value> {
    match link.get(key, ty) {
        AttrReply::Is(Attr { value, .. }) => Some(value),
        AttrReply::Withheld(..) => None,
    }
}

#[test]
fn every_kind_of_pair() {
    let dir = tempfile::tempdir().unwrap();
    let (_, link) = token(dir.path());
    let curve = |params| bytes(attr::EC_PARAMS, params);
    for (mech, domain) in [
        (0x0, n(attr::MODULUS_BITS, 2048)),
        (0x1040, curve(P384)),
        (0x1055, curve(ED25519)),
        (0x1055, curve(ED448)),
        (0x1056, curve(X25519)),
        (0x1056, curve(X448)),
        (0x1C, n(attr::PARAMETER_SET, 2)),
        (0xF, n(attr::PARAMETER_SET, 2)),
        (0x2D, n(attr::PARAMETER_SET, 3)),
    ] {
        let (public, private) = (id(), id());
        link.made(&Request::GenerateKeyPair {
            mech: plain(mech),
            public,
            public_template: vec![domain],
            private,
            private_template: vec![
                b(attr::DERIVE, false),
                b(attr::SIGN, false),
                bytes(attr::ID, b"id"),
                bytes(attr::LABEL, b"label"),
                n(attr::ALLOWED_MECHANISMS, 0),
            ]
            .into_iter()
            .map(|a| match a.ty {
                attr::ALLOWED_MECHANISMS => Attr {
                    value: Value::Mechs(vec![0x403A, 0x1]),
                    ..a
                },
                _ => a,
            })
            .collect(),
        });
        let derived = derive(&link, private, vec![]).unwrap_or_else(|e| panic!("{mech:#x}: {e}"));
        for ty in [
            attr::CLASS,
            attr::KEY_TYPE,
            attr::MODULUS,
            attr::PUBLIC_EXPONENT,
            attr::MODULUS_BITS,
            attr::EC_PARAMS,
            attr::EC_POINT,
            attr::PARAMETER_SET,
            attr::VALUE,
            attr::PUBLIC_KEY_INFO,
            attr::KEY_GEN_MECHANISM,
            attr::ENCRYPT,
            attr::WRAP,
            attr::ENCAPSULATE,
            attr::MODIFIABLE,
            attr::COPYABLE,
            attr::TRUSTED,
        ] {
            let (made, derived) = (shown(&link, public, ty), shown(&link, derived, ty));
            assert_eq!(derived, made, "{mech:#x}, {:#x}", ty.0);
        }
        for (ty, value) in [
            (attr::TOKEN, Value::Bool(false)),
            (attr::PRIVATE, Value::Bool(false)),
            (attr::LOCAL, Value::Bool(false)),
            (attr::DESTROYABLE, Value::Bool(false)),
            (attr::VERIFY, Value::Bool(false)),
            (attr::DERIVE, Value::Bool(false)),
            (attr::ID, Value::Bytes(b"id".to_vec())),
            (attr::LABEL, Value::Bytes(vec![])),
            (attr::ALLOWED_MECHANISMS, Value::Mechs(vec![0x403A, 0x1])),
        ] {
            assert_eq!(shown(&link, derived, ty), Some(value), "{:#x}", ty.0);
        }
    }
}

#[test]
fn what_the_template_may_say() {
    let dir = tempfile::tempdir().unwrap();
    let (_, link) = token(dir.path());
    let (public, private) = (id(), id());
    link.made(&Request::GenerateKeyPair {
        mech: plain(0x1040),
        public,
        public_template: vec![bytes(attr::EC_PARAMS, P384)],
        private,
        private_template: vec![],
    });
    let said = vec![
        n(attr::CLASS, 2),
        n(attr::KEY_TYPE, 3),
        b(attr::TOKEN, true),
        b(attr::VERIFY, false),
        b(attr::DESTROYABLE, true),
        bytes(attr::LABEL, b"mine"),
    ];
    let derived = derive(&link, private, said.clone()).unwrap();
    for Attr { ty, value } in said {
        assert_eq!(shown(&link, derived, ty), Some(value), "{:#x}", ty.0);
    }
    link.ask(&Request::Destroy { id: derived }).unwrap();
    let refused = |base, template| derive(&link, base, template).map_err(|e: Error| e.rv);
    for (template, rv) in [
        (vec![n(attr::CLASS, 4)], Rv::TEMPLATE_INCONSISTENT),
        (vec![n(attr::KEY_TYPE, 0)], Rv::TEMPLATE_INCONSISTENT),
        (
            vec![bytes(attr::EC_PARAMS, P384)],
            Rv::TEMPLATE_INCONSISTENT,
        ),
        (vec![b(attr::SENSITIVE, true)], Rv::TEMPLATE_INCONSISTENT),
        (vec![b(attr::TRUSTED, true)], Rv::ATTRIBUTE_READ_ONLY),
    ] {
        let name = format!("{template:?}");
        assert_eq!(refused(private, template), Err(rv), "{name}");
    }
    assert_eq!(refused(public, vec![]), Err(Rv::KEY_TYPE_INCONSISTENT));
    let aes = link.aes(vec![]);
    assert_eq!(refused(aes, vec![]), Err(Rv::KEY_TYPE_INCONSISTENT));
}
