//! Mechanisms through the engine: each row that makes, uses or carries keys does it.

use std::borrow::Cow;

use hsm_api::reply::AttrReply;
use hsm_api::{
    Attr, Hidden, MechId, Mechanism, ObjectId, Op, Params, Reply, Request, Rv, StreamId, Value,
};
use hsm_sim::attr;
use hsm_sim::code::{class, key_type as kt};
use hsm_sim::mech::{self, Shape, Step};

use super::rig::*;

pub const P256: &[u8] = b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07";
pub const ED25519: &[u8] = b"\x06\x03\x2b\x65\x70";
pub const X25519: &[u8] = b"\x06\x03\x2b\x65\x6e";

fn link() -> (tempfile::TempDir, std::sync::Arc<dyn hsm_api::Link>) {
    let dir = tempfile::tempdir().unwrap();
    let (_, link) = token(dir.path());
    (dir, link)
}

pub fn pair(
    link: &std::sync::Arc<dyn hsm_api::Link>,
    mech: u64,
    public: Vec<hsm_api::Attr>,
    private: Vec<hsm_api::Attr>,
) -> (ObjectId, ObjectId) {
    let ids = (id(), id());
    link.made(&Request::GenerateKeyPair {
        mech: plain(mech),
        public: ids.0,
        public_template: public,
        private: ids.1,
        private_template: private,
    });
    ids
}

/// Parameters that suit a row.
pub fn params(mech: &mech::Mech) -> Params<'static> {
    match mech.params {
        Shape::Nothing | Shape::MaybeIv(_) | Shape::MaybeEdDsa | Shape::MaybeSignContext => {
            Params::None
        }
        Shape::Iv(len) => Params::Iv(vec![3; len].into()),
        Shape::Ctr => Params::Ctr {
            bits: 64,
            block: [9; 16],
        },
        Shape::Gcm => Params::Gcm {
            iv: vec![1; 12].into(),
            aad: b"aad".to_vec().into(),
            tag_bits: 128,
        },
        Shape::Pss => Params::Pss {
            hash: MechId(0x250),
            mgf: 2,
            salt_len: 32,
        },
        Shape::Oaep => Params::Oaep {
            hash: MechId(0x250),
            mgf: 2,
            label: Cow::Borrowed(b""),
        },
        Shape::MacLen => Params::MacLen(8),
        Shape::GcmOwnIv => Params::Gcm {
            iv: Cow::Borrowed(&[]),
            aad: b"aad".to_vec().into(),
            tag_bits: 128,
        },
        Shape::Ccm => Params::Ccm {
            data_len: 32,
            nonce: vec![1; 11].into(),
            aad: b"aad".to_vec().into(),
            mac_len: 12,
        },
        Shape::ChaCha20 => Params::ChaCha20 {
            counter: 7,
            nonce: vec![1; 12].into(),
        },
        Shape::ChaCha20Poly1305 => Params::ChaCha20Poly1305 {
            nonce: vec![1; 12].into(),
            aad: b"aad".to_vec().into(),
        },
        Shape::HashSignContext => Params::SignContext {
            hedge: 0,
            context: b"context".to_vec().into(),
            hash: Some(MechId(0x250)),
        },
        // Derivations, wrapping and key generation: see derive.rs.
        _ => Params::None,
    }
}

/// In parts, as the module feeds them, with exactly the room that the row promises.
fn in_parts(
    link: &std::sync::Arc<dyn hsm_api::Link>,
    op: Op,
    mech: &Mechanism<'_>,
    key: Option<ObjectId>,
    data: &[u8],
    signature: &[u8],
) -> hsm_api::Result<Vec<u8>> {
    let resolved = key.map(|k| link.key(k));
    let facts = resolved.as_ref().map(|(_, f)| f);
    let stream = StreamId(5);
    link.ask(&Request::Begin {
        stream,
        op,
        mech: Cow::Borrowed(mech),
        key: resolved.as_ref().map(|(k, _)| Cow::Borrowed(k)),
    })?;
    let mut all = Vec::new();
    let mut fed = 0;
    for part in data.chunks(13) {
        let room = mech::max_output(op, mech, facts, part.len(), Step::Update { fed });
        all.extend(link.ask_out(
            &Request::Update {
                stream,
                data: Hidden(part),
            },
            room,
        )?);
        fed += part.len() as u64;
    }
    let room = mech::max_output(op, mech, facts, 0, Step::Finish { fed });
    let finish = Request::Finish {
        stream,
        signature: Hidden(signature),
    };
    if op == Op::Verify {
        link.ask(&finish)?;
    } else {
        all.extend(link.ask_out(&finish, room)?);
    }
    Ok(all)
}

#[test]
fn every_row_round_trips_whole_and_in_parts() {
    let (_dir, link) = link();
    let rsa = pair(&link, 0x0, vec![n(attr::MODULUS_BITS, 2048)], vec![]);
    let ec = pair(&link, 0x1040, vec![bytes(attr::EC_PARAMS, P256)], vec![]);
    let ed = pair(&link, 0x1055, vec![bytes(attr::EC_PARAMS, ED25519)], vec![]);
    let aes = link.aes(vec![]);
    let made = |mech, template| {
        let key = id();
        link.made(&Request::GenerateKey {
            mech: plain(mech),
            id: key,
            template,
        });
        key
    };
    let chacha = made(0x1225, vec![]);
    let xts = made(0x1072, vec![n(attr::VALUE_LEN, 64)]);
    let des = made(0x131, vec![]);
    let single_des = made(0x120, vec![]);
    let ml_dsa = pair(&link, 0x1C, vec![n(attr::PARAMETER_SET, 1)], vec![]);
    let slh = pair(&link, 0x2D, vec![n(attr::PARAMETER_SET, 3)], vec![]);
    let domain = hsm_crypto::DsaDomain::generate(1024, 160).unwrap();
    let dsa = vec![
        bytes(attr::PRIME, domain.p()),
        bytes(attr::SUBPRIME, domain.q()),
        bytes(attr::BASE, domain.g()),
    ];
    let dsa = pair(&link, 0x10, dsa, vec![]);
    let generic = id();
    let template = vec![n(attr::VALUE_LEN, 40)];
    link.made(&Request::GenerateKey {
        mech: plain(0x350),
        id: generic,
        template,
    });
    let mut tried = 0;
    for row in mech::ALL.iter() {
        // (public side, private side)
        let keys = match row.keys.first().map(|t| t.0) {
            None => (None, None),
            Some(0) => (Some(rsa.0), Some(rsa.1)),
            Some(1) => (Some(dsa.0), Some(dsa.1)),
            Some(3) => (Some(ec.0), Some(ec.1)),
            Some(0x40) => (Some(ed.0), Some(ed.1)),
            Some(0x1F) => (Some(aes), Some(aes)),
            Some(0x10) => (Some(generic), Some(generic)),
            Some(0x33) => (Some(chacha), Some(chacha)),
            Some(0x35) => (Some(xts), Some(xts)),
            Some(0x13) => (Some(single_des), Some(single_des)),
            Some(0x15) => (Some(des), Some(des)),
            Some(0x4A) => (Some(ml_dsa.0), Some(ml_dsa.1)),
            Some(0x4B) => (Some(slh.0), Some(slh.1)),
            Some(_) => continue,
        };
        let mut params = params(row);
        if let (
            Params::Pss {
                hash,
                mgf,
                salt_len,
            },
            Some(own),
        ) = (&mut params, row.hash)
        {
            let digest = mech::ALL
                .iter()
                .find(|m| m.digest.is_some() && m.hash == Some(own));
            *hash = digest.unwrap().id;
            *mgf = (1..10).find(|g| mech::mgf_hash(*g) == Some(own)).unwrap();
            *salt_len = own.len() as u64;
        }
        let mech = Mechanism { id: row.id, params };
        let data: &[u8] = &[0x5A; 32];
        let whole = |op, key: Option<ObjectId>, data: &[u8]| match key {
            Some(key) => link.crypt(op, &mech, key, data),
            None => {
                let request = Request::Crypt {
                    op,
                    mech: Cow::Borrowed(&mech),
                    key: None,
                    data: Hidden(data),
                    signature: Hidden(&[]),
                };
                link.ask_out(
                    &request,
                    mech::max_output(op, &mech, None, data.len(), Step::Whole),
                )
            }
        };
        if row.digest.is_some() {
            let once = whole(Op::Digest, None, data).unwrap();
            assert_eq!(Some(once.len()), row.hash.map(|h| h.len()), "{}", row.name);
            let parts = in_parts(&link, Op::Digest, &mech, None, data, &[]).unwrap();
            assert_eq!(once, parts, "{}", row.name);
            tried += 1;
        }
        if row.encrypt.is_some() {
            let sealed = whole(Op::Encrypt, keys.0, data).expect(row.name);
            assert_ne!(sealed, data, "{}", row.name);
            let opened = whole(Op::Decrypt, keys.1, &sealed).expect(row.name);
            assert!(opened.ends_with(data), "{}", row.name);
            if row.stream.is_some() {
                let parts = in_parts(&link, Op::Encrypt, &mech, keys.0, data, &[]).expect(row.name);
                assert_eq!(parts, sealed, "{}", row.name);
                let parts =
                    in_parts(&link, Op::Decrypt, &mech, keys.1, &sealed, &[]).expect(row.name);
                assert_eq!(parts, data, "{}", row.name);
            }
            tried += 1;
        }
        if row.sign.is_some() {
            let signature = whole(Op::Sign, keys.1, data).expect(row.name);
            let facts = link.key(keys.1.unwrap()).1;
            let promised = mech::max_output(Op::Sign, &mech, Some(&facts), 32, Step::Whole);
            assert_eq!(
                signature.len(),
                promised,
                "{}: the length query is exact",
                row.name
            );
            link.verify(&mech, keys.0.unwrap(), data, &signature)
                .expect(row.name);
            let mut wrong = signature.clone();
            wrong[promised / 2] ^= 1;
            let refused = link
                .verify(&mech, keys.0.unwrap(), data, &wrong)
                .unwrap_err()
                .rv;
            assert_eq!(refused, Rv::SIGNATURE_INVALID, "{}", row.name);
            let refused = link
                .verify(&mech, keys.0.unwrap(), data, &signature[1..])
                .unwrap_err()
                .rv;
            assert_eq!(refused, Rv::SIGNATURE_LEN_RANGE, "{}", row.name);
            if row.stream.is_some() {
                in_parts(&link, Op::Verify, &mech, keys.0, data, &signature).expect(row.name);
                let parts = in_parts(&link, Op::Sign, &mech, keys.1, data, &[]).expect(row.name);
                link.verify(&mech, keys.0.unwrap(), data, &parts)
                    .expect(row.name);
            }
            tried += 1;
        }
    }
    assert!(tried > 115, "{tried} functions tried");
}

/// But for domains and what is made in them (fields.rs), and passwords (derive.rs).
#[test]
fn every_row_that_generates() {
    let (_dir, link) = link();
    let shown = |key, ty| match link.get(key, ty) {
        AttrReply::Is(Attr { value, .. }) => value,
        AttrReply::Withheld(..) => panic!("withheld: {:#x}", ty.0),
    };
    let made_by = |key, row: &mech::Mech| {
        assert_eq!(link.key(key).1.key_type, row.keys[0], "{}", row.name);
        let of = shown(key, attr::KEY_GEN_MECHANISM);
        assert_eq!(of, Value::Ulong(row.id.0), "{}", row.name);
        assert_eq!(shown(key, attr::LOCAL), Value::Bool(true), "{}", row.name);
    };
    let mut tried = 0;
    for row in mech::ALL.iter() {
        let (key_type, mech) = (row.keys.first().copied(), plain(row.id.0));
        if row.generate.is_some() && class::is_secret(row.makes) && row.params == Shape::Nothing {
            let fixed = key_type.and_then(kt::fixed_len);
            let values = [(); 2].map(|()| {
                let id = id();
                let mut template = vec![b(attr::SENSITIVE, false), b(attr::EXTRACTABLE, true)];
                template.extend(fixed.is_none().then(|| n(attr::VALUE_LEN, 32)));
                let mech = mech.clone();
                link.made(&Request::GenerateKey { mech, id, template });
                made_by(id, row);
                shown(id, attr::VALUE)
            });
            let Value::Bytes(value) = &values[0] else {
                panic!("{}", row.name)
            };
            assert_eq!(value.len(), fixed.unwrap_or(32), "{}", row.name);
            assert_ne!(values[0], values[1], "{}", row.name);
            tried += 1;
        }
        if row.generate_pair.is_some() {
            let domain = match key_type.unwrap() {
                kt::RSA => n(attr::MODULUS_BITS, 2048),
                kt::EC => bytes(attr::EC_PARAMS, P256),
                kt::EC_EDWARDS => bytes(attr::EC_PARAMS, ED25519),
                kt::EC_MONTGOMERY => bytes(attr::EC_PARAMS, X25519),
                kt::ML_DSA | kt::ML_KEM => n(attr::PARAMETER_SET, 1),
                kt::SLH_DSA => n(attr::PARAMETER_SET, 3),
                _ => continue,
            };
            let (public, private) = pair(&link, row.id.0, vec![domain], vec![]);
            for half in [public, private] {
                made_by(half, row);
            }
            tried += 1;
        }
    }
    assert_eq!(tried, 20 + 8);
}

#[test]
fn gcm_makes_its_own_iv_and_finds_it_again() {
    let (_dir, link) = link();
    let aes = link.aes(vec![]);
    let mech = Mechanism {
        id: MechId(0x1087),
        params: Params::Gcm {
            iv: Cow::Borrowed(&[]),
            aad: Cow::Borrowed(b"x"),
            tag_bits: 96,
        },
    };
    let one = link.crypt(Op::Encrypt, &mech, aes, b"hello").unwrap();
    let two = link.crypt(Op::Encrypt, &mech, aes, b"hello").unwrap();
    assert_eq!(one.len(), 12 + 5 + 12);
    assert_ne!(one[..12], two[..12]);
    assert_eq!(link.crypt(Op::Decrypt, &mech, aes, &one).unwrap(), b"hello");
    let streamed = in_parts(&link, Op::Encrypt, &mech, Some(aes), &[1; 30], &[]).unwrap();
    assert_eq!(
        link.crypt(Op::Decrypt, &mech, aes, &streamed).unwrap(),
        [1; 30]
    );
    let empty = in_parts(&link, Op::Encrypt, &mech, Some(aes), &[], &[]).unwrap();
    assert_eq!(empty.len(), 24);
    assert_eq!(link.crypt(Op::Decrypt, &mech, aes, &empty).unwrap(), b"");
    let mut bad = one.clone();
    bad[14] ^= 1;
    let refused = link.crypt(Op::Decrypt, &mech, aes, &bad).unwrap_err().rv;
    assert_eq!(refused, Rv::ENCRYPTED_DATA_INVALID);
}

#[test]
fn a_short_buffer_is_refused_and_an_exact_one_serves() {
    let (_dir, link) = link();
    let aes = link.aes(vec![]);
    let mech = Mechanism {
        id: MechId(0x1085),
        params: Params::Iv(vec![0; 16].into()),
    };
    let sealed = link.crypt(Op::Encrypt, &mech, aes, b"hello").unwrap();
    let key = link.key(aes).0;
    let request = |op, data| Request::Crypt {
        op,
        mech: Cow::Borrowed(&mech),
        key: Some(Cow::Borrowed(&key)),
        data: Hidden(data),
        signature: Hidden(&[]),
    };
    assert_eq!(
        link.ask_out(&request(Op::Decrypt, &sealed), 5).unwrap(),
        b"hello"
    );
    let refused = link
        .ask_out(&request(Op::Decrypt, &sealed), 4)
        .unwrap_err()
        .rv;
    assert_eq!(refused, Rv::BUFFER_TOO_SMALL);
    let refused = link
        .ask_out(&request(Op::Encrypt, b"hello"), 15)
        .unwrap_err()
        .rv;
    assert_eq!(refused, Rv::BUFFER_TOO_SMALL);

    // The end of a stream, which a short buffer must not use up.
    let stream = hsm_api::StreamId(1);
    let begin = Request::Begin {
        stream,
        op: Op::Decrypt,
        mech: Cow::Borrowed(&mech),
        key: Some(Cow::Borrowed(&key)),
    };
    link.ask(&begin).unwrap();
    let data = Hidden(&sealed);
    link.ask_out(&Request::Update { stream, data }, 0).unwrap();
    let signature = Hidden(&[]);
    let finish = Request::Finish { stream, signature };
    let refused = link.ask_out(&finish, 4).unwrap_err().rv;
    assert_eq!(refused, Rv::BUFFER_TOO_SMALL);
    assert_eq!(link.ask_out(&finish, 16).unwrap(), b"hello");
}

#[test]
fn half_a_pair_is_not_made_again() {
    let (_dir, link) = link();
    let (public, private) = (id(), id());
    let make = Request::GenerateKeyPair {
        mech: plain(0x1040),
        public,
        public_template: vec![
            bytes(attr::EC_PARAMS, b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07"),
            b(attr::TOKEN, true),
        ],
        private,
        private_template: vec![],
    };
    link.made(&make);
    link.ask(&Request::CloseSession).unwrap();
    assert_eq!(
        link.refused(&make),
        Rv::FUNCTION_FAILED,
        "another private key would not fit the public one that is left"
    );
}

#[test]
fn both_sides_of_a_key_agreement_derive_the_same() {
    let (_dir, link) = link();
    for (gen_mech, params) in [(0x1040, P256), (0x1056, X25519)] {
        let derive = || vec![b(attr::DERIVE, true)];
        let one = pair(
            &link,
            gen_mech,
            vec![bytes(attr::EC_PARAMS, params)],
            derive(),
        );
        let two = pair(
            &link,
            gen_mech,
            vec![bytes(attr::EC_PARAMS, params)],
            derive(),
        );
        let point = |of| match link.get(of, attr::EC_POINT) {
            hsm_api::reply::AttrReply::Is(a) => a.value.as_bytes().unwrap().to_vec(),
            other => panic!("{other:?}"),
        };
        for kdf in [1, 6] {
            let derived = |base: ObjectId, public: Vec<u8>| {
                let new = id();
                link.made(&Request::Derive {
                    mech: Mechanism {
                        id: MechId(0x1050),
                        params: Params::Ecdh {
                            kdf,
                            shared: Cow::Borrowed(b""),
                            public: public.into(),
                        },
                    },
                    base: link.key(base).0,
                    id: new,
                    template: vec![
                        n(attr::KEY_TYPE, 0x1F),
                        n(attr::VALUE_LEN, 16),
                        b(attr::SENSITIVE, false),
                        b(attr::EXTRACTABLE, true),
                    ],
                });
                link.get(new, attr::VALUE)
            };
            let (a, b) = (derived(one.1, point(two.0)), derived(two.1, point(one.0)));
            assert_eq!(a, b);
            assert!(matches!(a, hsm_api::reply::AttrReply::Is(_)), "{a:?}");
        }
    }
}

#[test]
fn keys_travel_wrapped_and_come_back_the_same() {
    let (_dir, link) = link();
    let with = link.aes(vec![]);
    let out = || vec![b(attr::EXTRACTABLE, true)];
    let rsa = pair(&link, 0x0, vec![n(attr::MODULUS_BITS, 2048)], out());
    let ec = pair(&link, 0x1040, vec![bytes(attr::EC_PARAMS, P256)], out());
    let ed = pair(&link, 0x1055, vec![bytes(attr::EC_PARAMS, ED25519)], out());
    let aes = link.aes(out());
    let iv = || Params::Iv(vec![0; 16].into());
    let sign = [(rsa, 0, 0x40), (ec, 3, 0x1044), (ed, 0x40, 0x1057)];
    for (wrap, params) in [
        (0x210B, Params::None),
        (0x210A, Params::None),
        (0x1085, iv()),
        (0x1087, params(mech::find(MechId(0x1087)).unwrap())),
    ] {
        let mech = Mechanism {
            id: MechId(wrap),
            params,
        };
        for (keys, key_type, sign) in sign.iter().map(|s| (s.0, s.1, s.2)) {
            let wrapped = link.wrap(&mech, with, keys.1).unwrap();
            let new = id();
            link.made(&Request::Unwrap {
                mech: mech.clone(),
                with: link.key(with).0,
                wrapped: Hidden(&wrapped),
                aad: Hidden(&[]),
                id: new,
                template: vec![n(attr::CLASS, 3), n(attr::KEY_TYPE, key_type)],
            });
            let signature = link.crypt(Op::Sign, &plain(sign), new, b"data").unwrap();
            link.verify(&plain(sign), keys.0, b"data", &signature)
                .unwrap();
        }
        let wrap = Request::Wrap {
            mech: mech.clone(),
            with: link.key(with).0,
            key: aes,
            aad: Hidden(&[]),
        };
        assert_eq!(link.refused(&wrap), Rv::BUFFER_TOO_SMALL);
        let wrapped = link.ask_out(&wrap, 100).unwrap();
        let new = id();
        let mut unwrap = Request::Unwrap {
            mech: mech.clone(),
            with: link.key(with).0,
            wrapped: Hidden(&wrapped),
            aad: Hidden(&[]),
            id: new,
            template: vec![n(attr::CLASS, 4), n(attr::KEY_TYPE, 0x1F)],
        };
        link.made(&unwrap);
        assert_eq!(
            link.get(new, attr::CHECK_VALUE),
            link.get(aes, attr::CHECK_VALUE)
        );
        let short = &wrapped[..wrapped.len() - 8];
        if let Request::Unwrap { wrapped, id, .. } = &mut unwrap {
            (*wrapped, *id) = (Hidden(short), super::rig::id());
        }
        let refused = link.refused(&unwrap);
        assert!(
            matches!(refused, Rv::WRAPPED_KEY_INVALID | Rv::WRAPPED_KEY_LEN_RANGE),
            "{refused:?}"
        );
    }
}

#[test]
fn a_digest_swallows_a_secret_key() {
    let (_dir, link) = link();
    let key = id();
    let secret = b"a secret too long to guess";
    let template = vec![
        n(attr::CLASS, 4),
        n(attr::KEY_TYPE, 0x10),
        bytes(attr::VALUE, secret),
    ];
    link.made(&Request::Create { id: key, template });
    let stream = StreamId(1);
    let mech = plain(0x250);
    link.ask(&Request::Begin {
        stream,
        op: Op::Digest,
        mech: Cow::Borrowed(&mech),
        key: None,
    })
    .unwrap();
    link.ask(&Request::DigestKey { stream, key }).unwrap();
    let finish = Request::Finish {
        stream,
        signature: Hidden(&[]),
    };
    assert_eq!(
        link.refused(&finish),
        Rv::BUFFER_TOO_SMALL,
        "and the stream lives on"
    );
    let digest = link.ask_out(&finish, 32).unwrap();
    assert_eq!(digest, hsm_crypto::Hash::Sha256.digest(secret).to_vec());
    assert!(matches!(
        link.refused(&finish),
        Rv::OPERATION_NOT_INITIALIZED
    ));
    assert!(
        matches!(link.ask(&Request::Mechanisms), Ok(Reply::Mechanisms(all)) if all.iter().any(|m| m.mech == 0x250))
    );
}
