//! Every row that wraps carries keys and brings them back; what was tampered with does not come back.

use hsm_api::{Attr, Hidden, MechId, Mechanism, ObjectId, Params, Request, Rv, Value};
use hsm_sim::attr;
use hsm_sim::mech::{ALL, Output, Shape};

use super::rig::*;

fn params(shape: Shape) -> Option<Params<'static>> {
    Some(match shape {
        Shape::Nothing | Shape::MaybeIv(_) => Params::None,
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
        Shape::GcmOwnIv => Params::Gcm {
            iv: vec![].into(),
            aad: vec![].into(),
            tag_bits: 128,
        },
        Shape::Ccm => Params::Ccm {
            // Nobody knows the length of a key's encoding beforehand.
            data_len: 0,
            nonce: vec![1; 12].into(),
            aad: vec![].into(),
            mac_len: 16,
        },
        Shape::ChaCha20 => Params::ChaCha20 {
            counter: 0,
            nonce: vec![1; 8].into(),
        },
        Shape::ChaCha20Poly1305 => Params::ChaCha20Poly1305 {
            nonce: vec![1; 12].into(),
            aad: vec![].into(),
        },
        Shape::Oaep => Params::Oaep {
            hash: MechId(0x250),
            mgf: 2,
            label: b"label".to_vec().into(),
        },
        Shape::RsaAesKeyWrap => Params::RsaAesKeyWrap {
            aes_bits: 256,
            hash: MechId(0x2B0),
            mgf: 7,
            label: b"label".to_vec().into(),
        },
        _ => return None,
    })
}

#[test]
fn every_row_that_wraps() {
    let dir = tempfile::tempdir().unwrap();
    let (_, link) = token(dir.path());
    let made = |mech, template| {
        let key = id();
        link.made(&Request::GenerateKey {
            mech: plain(mech),
            id: key,
            template,
        });
        key
    };
    let aes = link.aes(vec![]);
    let chacha = made(0x1225, vec![]);
    let xts = made(0x1072, vec![n(attr::VALUE_LEN, 64)]);
    let des = made(0x131, vec![]);
    let single_des = made(0x120, vec![]);
    let rsa = (id(), id());
    link.made(&Request::GenerateKeyPair {
        mech: plain(0xA),
        public: rsa.0,
        public_template: vec![n(attr::MODULUS_BITS, 2048)],
        private: rsa.1,
        private_template: vec![],
    });
    let value = |byte, len| {
        let key = id();
        let template = vec![
            n(attr::CLASS, 4),
            n(attr::KEY_TYPE, 0x10),
            bytes(attr::VALUE, &vec![byte; len]),
            b(attr::EXTRACTABLE, true),
        ];
        link.made(&Request::Create { id: key, template });
        key
    };
    // Whole blocks; no whole block.
    let keys = [(value(5, 32), 32), (value(6, 40), 40), (value(7, 45), 45)];
    let mut tried = 0;
    for row in ALL.iter().filter(|m| m.wrap.is_some()) {
        let (there, back): (ObjectId, ObjectId) = match row.keys[0].0 {
            0 => rsa,
            0x1F => (aes, aes),
            0x33 => (chacha, chacha),
            0x35 => (xts, xts),
            0x13 => (single_des, single_des),
            0x15 => (des, des),
            other => panic!("{}: a key of type {other:#x}", row.name),
        };
        let mech = Mechanism {
            id: row.id,
            params: params(row.params).unwrap_or_else(|| panic!("{}: parameters", row.name)),
        };
        for (key, len) in keys {
            let wrapped = link.wrap(&mech, there, key);
            // Few zeros behind a key would tell by C_UnwrapKey whether a chosen block makes them.
            let refuses = match row.output {
                Output::KeyWrap | Output::Block8 => len % 8 != 0,
                Output::Block => len % 16 > 8,
                _ => false,
            };
            if refuses {
                let refused = wrapped.unwrap_err().rv;
                assert_eq!(refused, Rv::KEY_SIZE_RANGE, "{}", row.name);
                continue;
            }
            let wrapped = wrapped.expect(row.name);
            let unwrap = |wrapped: &[u8], new| {
                let mut template = vec![
                    n(attr::CLASS, 4),
                    n(attr::KEY_TYPE, 0x10),
                    b(attr::SENSITIVE, false),
                    b(attr::EXTRACTABLE, true),
                ];
                if matches!(row.output, Output::Block | Output::Block8) {
                    template.push(n(attr::VALUE_LEN, len));
                }
                link.ask(&Request::Unwrap {
                    mech: mech.clone(),
                    with: link.key(back).0,
                    wrapped: Hidden(wrapped),
                    aad: Hidden(&[]),
                    id: new,
                    template,
                })
            };
            let new = id();
            unwrap(&wrapped, new).expect(row.name);
            let again = match link.get(new, attr::VALUE) {
                hsm_api::reply::AttrReply::Is(a) => a.value.as_bytes().unwrap().to_vec(),
                other => panic!("{}: {other:?}", row.name),
            };
            let byte = [(32, 5), (40, 6), (45, 7)].iter().find(|(l, _)| *l == len);
            assert_eq!(
                again,
                vec![byte.unwrap().1; byte.unwrap().0 as usize],
                "{}",
                row.name
            );
            let authentic = matches!(
                row.output,
                Output::Gcm
                    | Output::Sealed
                    | Output::KeyWrap
                    | Output::KeyWrapPadded
                    | Output::KeyWrapPkcs5
                    | Output::RsaAes
            );
            if authentic {
                for at in [0, wrapped.len() / 2, wrapped.len() - 1] {
                    let mut bad = wrapped.clone();
                    bad[at] ^= 1;
                    let refused = unwrap(&bad, id()).unwrap_err().rv;
                    assert_eq!(refused, Rv::WRAPPED_KEY_INVALID, "{} at {at}", row.name);
                }
            }
            tried += 1;
        }
    }
    assert!(tried > 35, "{tried} tried");
}

#[test]
fn what_an_unwrapped_key_is_where_its_template_is_silent() {
    let dir = tempfile::tempdir().unwrap();
    let (_engine, link) = token(dir.path());
    let (aes, rsa) = (link.aes(vec![]), (id(), id()));
    link.made(&Request::GenerateKeyPair {
        mech: plain(0xA),
        public: rsa.0,
        public_template: vec![n(attr::MODULUS_BITS, 2048)],
        private: rsa.1,
        private_template: vec![],
    });
    let key = link.aes(vec![b(attr::EXTRACTABLE, true)]);
    let is = |key, ty, value| {
        let is = hsm_api::reply::AttrReply::Is(b(ty, value));
        assert_eq!(link.get(key, ty), is);
    };
    let unwrapped = |mech: Mechanism<'static>, there, back, template| {
        let wrapped = link.wrap(&mech, there, key).unwrap();
        let new = id();
        let unwrap = Request::Unwrap {
            mech,
            with: link.key(back).0,
            wrapped: Hidden(&wrapped),
            aad: Hidden(&[]),
            id: new,
            template,
        };
        link.ask(&unwrap).map(|_| new).map_err(|e| e.rv)
    };
    let typed = vec![n(attr::KEY_TYPE, 0x1F)];
    // CKM_RSA_PKCS contributes CKA_CLASS (6.1), CKM_AES_KEY_WRAP_KWP does not (6.16).
    let new = unwrapped(plain(0x1), rsa.0, rsa.1, typed.clone()).unwrap();
    is(new, attr::EXTRACTABLE, true);
    is(new, attr::NEVER_EXTRACTABLE, false);
    is(new, attr::ALWAYS_SENSITIVE, false);
    let kwp = plain(0x210A);
    assert_eq!(
        unwrapped(kwp.clone(), aes, aes, typed),
        Err(Rv::TEMPLATE_INCOMPLETE)
    );
    let both = vec![n(attr::CLASS, 4), n(attr::KEY_TYPE, 0x1F)];
    let new = unwrapped(kwp, aes, aes, both).unwrap();
    is(new, attr::EXTRACTABLE, true);
    // A generated key stays where it is unless its template says otherwise.
    is(link.aes(vec![]), attr::EXTRACTABLE, false);
}

/// Whoever may unwrap by CKM_AES_CBC and chooses the block before a key's asks about zeros at its end: one byte of them would
/// tell a byte, and so byte by byte the key.
#[test]
fn the_end_of_a_block_tells_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (_, link) = token(dir.path());
    let kek = link.aes(vec![]);
    let key = link.aes(vec![b(attr::EXTRACTABLE, true)]);
    let mech = Mechanism {
        id: MechId(0x1082),
        params: hsm_api::Params::Iv(vec![0; 16].into()),
    };
    let wrapped = link.wrap(&mech, kek, key).unwrap();
    let asks = |first: u8, len| {
        let both = [&[first; 16][..], &wrapped[..16]].concat();
        let unwrap = Request::Unwrap {
            mech: mech.clone(),
            with: link.key(kek).0,
            wrapped: Hidden(&both),
            aad: Hidden(&[]),
            id: id(),
            template: vec![
                n(attr::CLASS, 4),
                n(attr::KEY_TYPE, 0x10),
                n(attr::VALUE_LEN, len),
            ],
        };
        link.ask(&unwrap).map(drop).map_err(|e| e.rv)
    };
    for guess in 0..=255 {
        assert_eq!(asks(guess, 31), Err(Rv::WRAPPED_KEY_LEN_RANGE));
    }
    assert_eq!(asks(0, 32), Ok(()));
}

/// Where the wrapping key fixes the type, a right padding around a wrong length is refused as a wrong padding is: by the
/// difference anything that the key has encrypted could be read.
#[test]
fn padding_under_a_fixed_type_tells_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (_, link) = token(dir.path());
    let rule = Attr {
        ty: attr::UNWRAP_TEMPLATE,
        value: Value::Template(vec![n(attr::CLASS, 4), n(attr::KEY_TYPE, 0x1F)]),
    };
    let kek = link.aes(vec![rule]);
    let key = link.aes(vec![b(attr::EXTRACTABLE, true)]);
    let mech = Mechanism {
        id: MechId(0x1085),
        params: hsm_api::Params::Iv(vec![0; 16].into()),
    };
    let wrapped = link.wrap(&mech, kek, key).unwrap();
    let asks = |wrapped: &[u8]| {
        let unwrap = Request::Unwrap {
            mech: mech.clone(),
            with: link.key(kek).0,
            wrapped: Hidden(wrapped),
            aad: Hidden(&[]),
            id: id(),
            template: vec![],
        };
        link.ask(&unwrap).map(drop)
    };
    assert_eq!(asks(&wrapped), Ok(()));
    let mut answers = Vec::new();
    for guess in 0..=255 {
        // The last byte of the block in front turns that of the block behind into each value, 1 too: a right padding.
        let mut front = [0; 16];
        front[15] = guess;
        answers.push(asks(&[&front[..], &wrapped[..16]].concat()).unwrap_err());
    }
    assert!(answers.iter().all(|e| *e == answers[0]));
    assert_eq!(answers[0].rv, Rv::WRAPPED_KEY_INVALID);
}

/// Else whoever makes wrapping keys could ask by their templates what a key's value is.
#[test]
fn no_rule_of_a_wrapping_key_is_about_a_value() {
    let dir = tempfile::tempdir().unwrap();
    let (_, link) = token(dir.path());
    let value = [7; 32];
    let target = id();
    link.made(&Request::Create {
        id: target,
        template: vec![
            n(attr::CLASS, 4),
            n(attr::KEY_TYPE, 0x10),
            bytes(attr::VALUE, &value),
            b(attr::EXTRACTABLE, true),
        ],
    });
    let wrap = |rule| {
        let kek = link.aes(vec![hsm_api::Attr {
            ty: attr::WRAP_TEMPLATE,
            value: hsm_api::Value::Template(rule),
        }]);
        link.wrap(&plain(0x210B), kek, target).map_err(|e| e.rv)
    };
    assert!(wrap(vec![n(attr::KEY_TYPE, 0x10)]).is_ok());
    for guess in [value, [8; 32]] {
        let refused = wrap(vec![bytes(attr::VALUE, &guess)]);
        assert_eq!(refused, Err(Rv::KEY_HANDLE_INVALID));
    }
}
