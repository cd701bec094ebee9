//! Derivations through the engine: known answers, and what becomes of sensitivity.

use std::borrow::Cow;
use std::sync::Arc;

use hsm_api::mech::{HkdfSalt, Kbkdf, KbkdfField};
use hsm_api::reply::AttrReply;
use hsm_api::{
    Attr, Hidden, Link, MechId, Mechanism, ObjectId, Params, Request, Result, Rv, Template,
};
use hsm_sim::attr;

use super::rig::*;

fn setup() -> (tempfile::TempDir, Arc<dyn Link>) {
    let dir = tempfile::tempdir().unwrap();
    let (_, link) = token(dir.path());
    (dir, link)
}

/// A secret key whose value is known.
fn known(link: &Arc<dyn Link>, key_type: u64, value: &[u8], extra: Template) -> ObjectId {
    let new = id();
    let mut template = vec![
        n(attr::CLASS, 4),
        n(attr::KEY_TYPE, key_type),
        bytes(attr::VALUE, value),
        b(attr::DERIVE, true),
    ];
    template.extend(extra);
    link.made(&Request::Create { id: new, template });
    new
}

/// One that the token made, and hides.
fn made(link: &Arc<dyn Link>, len: u64) -> ObjectId {
    let new = id();
    let template = vec![
        n(attr::VALUE_LEN, len),
        b(attr::DERIVE, true),
        b(attr::SENSITIVE, true),
    ];
    link.made(&Request::GenerateKey {
        mech: plain(0x350),
        id: new,
        template,
    });
    new
}

fn open() -> Template {
    vec![b(attr::SENSITIVE, false), b(attr::EXTRACTABLE, true)]
}

fn derive(
    link: &Arc<dyn Link>,
    mech: u64,
    params: Params<'static>,
    base: ObjectId,
    template: Template,
) -> Result<ObjectId> {
    let new = id();
    let mech = Mechanism {
        id: MechId(mech),
        params,
    };
    let base = link.key(base).0;
    link.ask(&Request::Derive {
        mech,
        base,
        id: new,
        template,
    })?;
    Ok(new)
}

fn value(link: &Arc<dyn Link>, key: ObjectId) -> String {
    match link.get(key, attr::VALUE) {
        AttrReply::Is(a) => hex(a.value.as_bytes().unwrap()),
        other => panic!("{other:?}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn unhex(hex: &str) -> Vec<u8> {
    let pairs = hex.as_bytes().chunks(2);
    pairs
        .map(|p| u8::from_str_radix(std::str::from_utf8(p).unwrap(), 16).unwrap())
        .collect()
}

fn with(mut template: Template, more: Attr) -> Template {
    template.push(more);
    template
}

const SHA256: MechId = MechId(0x250);

/// RFC 5869, A.1.
#[test]
fn hkdf_in_one_step_in_two_and_as_data() {
    let (_dir, link) = setup();
    let base = known(&link, 0x42, &[0x0b; 22], open());
    let hkdf = |extract, expand, salt| Params::Hkdf {
        extract,
        expand,
        prf: SHA256,
        salt,
        info: unhex("f0f1f2f3f4f5f6f7f8f9").into(),
    };
    let salt = || HkdfSalt::Data(unhex("000102030405060708090a0b0c").into());
    let okm =
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865";
    let len = || with(open(), n(attr::VALUE_LEN, 42));
    let once = derive(&link, 0x402A, hkdf(true, true, salt()), base, len()).unwrap();
    assert_eq!(value(&link, once), okm);
    let template = with(open(), b(attr::DERIVE, true));
    let prk = derive(&link, 0x402A, hkdf(true, false, salt()), base, template).unwrap();
    assert_eq!(
        value(&link, prk),
        "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5"
    );
    let twice = derive(&link, 0x402A, hkdf(false, true, HkdfSalt::Null), prk, len()).unwrap();
    assert_eq!(value(&link, twice), okm);
    let salted = known(&link, 0x10, &unhex("000102030405060708090a0b0c"), vec![]);
    let by_key = hkdf(true, true, HkdfSalt::Key(salted));
    let by_key = derive(&link, 0x402A, by_key, base, len()).unwrap();
    assert_eq!(value(&link, by_key), okm);
    let data = derive(
        &link,
        0x402B,
        hkdf(true, true, salt()),
        base,
        vec![n(attr::VALUE_LEN, 42)],
    );
    assert_eq!(value(&link, data.unwrap()), okm);
    // Without a length: a whole block of the expansion, which is the beginning of any longer one.
    let unsaid = derive(&link, 0x402A, hkdf(true, true, salt()), base, open()).unwrap();
    assert_eq!(value(&link, unsaid), okm[..64]);
    let neither = derive(&link, 0x402A, hkdf(false, false, salt()), base, len());
    assert_eq!(neither.unwrap_err().rv, Rv::MECHANISM_PARAM_INVALID);
}

/// The primitive has NIST's vectors; here, that fields and keys go where they belong.
#[test]
fn sp800_108_makes_several_keys_of_disjoint_segments() {
    let (_dir, link) = setup();
    let base = known(&link, 0x10, &[7; 32], open());
    let second = id();
    let params = |more| {
        Params::Kbkdf(Box::new(Kbkdf {
            prf: MechId(0x251),
            data: vec![
                KbkdfField::Iteration {
                    little_endian: false,
                    bits: 32,
                },
                KbkdfField::Bytes(b"label".to_vec().into()),
                KbkdfField::Length {
                    little_endian: false,
                    bits: 32,
                    segments: true,
                },
            ],
            iv: vec![].into(),
            more,
        }))
    };
    let len = |len| with(open(), n(attr::VALUE_LEN, len));
    let both = params(vec![(second, len(16))]);
    let first = derive(&link, 0x3AC, both, base, len(48)).unwrap();
    // 48 bytes of two segments, and 16 of the third; the length counts three whole segments.
    let block = |i: u8| {
        let key = hsm_crypto_mac(&[7; 32]);
        let mut mac = key.start();
        mac.update(&[0, 0, 0, i]);
        mac.update(b"label");
        mac.update(&768u32.to_be_bytes());
        mac.finish().to_vec()
    };
    let stream = [block(1), block(2)].concat();
    assert_eq!(value(&link, first), hex(&stream[..48]));
    assert_eq!(value(&link, second), hex(&block(3)[..16]));
    // CloudHSM's number is the same function.
    let vendor = derive(&link, 0x8000_0001, params(vec![]), base, len(32)).unwrap();
    let standard = derive(&link, 0x3AC, params(vec![]), base, len(32)).unwrap();
    assert_eq!(value(&link, vendor), value(&link, standard));
    // Feedback has no counter as its iteration variable.
    let wrong = derive(&link, 0x3AE, params(vec![]), base, len(32));
    assert_eq!(wrong.unwrap_err().rv, Rv::MECHANISM_PARAM_INVALID);
}

fn hsm_crypto_mac(key: &[u8]) -> hsm_crypto::HmacKey {
    hsm_crypto::HmacKey::new(hsm_crypto::Hash::Sha256, key).unwrap()
}

/// RFC 7914, 11, of 64 bytes.
#[test]
fn pbkdf2_makes_a_key_of_a_password() {
    let (_dir, link) = setup();
    let new = id();
    let mech = Mechanism {
        id: MechId(0x3B0),
        params: Params::Pbkdf2 {
            prf: 4,
            salt: b"salt".to_vec().into(),
            iterations: 1,
            password: Cow::<[u8]>::Owned(b"passwd".to_vec()).into(),
        },
    };
    link.made(&Request::GenerateKey {
        mech,
        id: new,
        template: with(open(), n(attr::VALUE_LEN, 64)),
    });
    assert_eq!(
        value(&link, new),
        "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc49ca9cccf179b645991664b39d77ef317c71b845b1e30bd509112041d3a19783"
    );
}

#[test]
fn no_part_of_a_hidden_base_is_short_enough_to_guess() {
    let (_dir, link) = setup();
    let base = made(&link, 16);
    let front = known(&link, 0x10, &[2; 31], open());
    let data = |len| Params::Data(vec![9; len].into());
    let take = |mech, params, from, len| {
        let template = vec![n(attr::VALUE_LEN, len)];
        derive(&link, mech, params, from, template)
            .map(drop)
            .map_err(|e| e.rv)
    };
    let refused = Err(Rv::KEY_SIZE_RANGE);
    // The first byte of the base; its last; its first behind bytes that are known, the attacker's or another key's.
    assert_eq!(take(0x362, data(4), base, 1), refused);
    assert_eq!(take(0x365, Params::Bit(120), base, 9), refused);
    assert_eq!(take(0x364, data(1), base, 1), refused);
    assert_eq!(take(0x363, data(31), base, 32), refused);
    assert_eq!(take(0x360, Params::Key(base), front, 32), refused);
    assert_eq!(take(0x363, data(22), base, 32), Ok(()));
    assert_eq!(take(0x365, Params::Bit(120), base, 10), Ok(()));
    assert_eq!(take(0x362, data(4), front, 1), Ok(()), "it is in the open");
    // All of a short one is no part of it.
    let short = made(&link, 4);
    assert_eq!(take(0x362, data(1), short, 5), Ok(()));
    assert_eq!(take(0x362, data(1), short, 3), refused);
}

/// However long a part is, the caller may know all of it but a byte: of a key that he brought in and hid, and of one that
/// was made of such a key or of data.
#[test]
fn parts_come_out_of_the_tokens_own_keys_only() {
    let (_dir, link) = setup();
    let base = made(&link, 16);
    let take = |mech, params, from, len| {
        let template = vec![n(attr::VALUE_LEN, len)];
        derive(&link, mech, params, from, template).map_err(|e| e.rv)
    };
    let refused = Err(Rv::KEY_SIZE_RANGE);
    let brought = known(&link, 0x10, &[0; 15], vec![b(attr::SENSITIVE, true)]);
    assert_eq!(take(0x360, Params::Key(base), brought, 16), refused);
    let derives = vec![b(attr::DERIVE, true)];
    let whole = derive(&link, 0x360, Params::Key(base), brought, derives.clone()).unwrap();
    assert_eq!(take(0x365, Params::Bit(0), whole, 16), refused);
    let zeros = |len| Params::Data(vec![0; len].into());
    let behind = derive(&link, 0x362, zeros(15), base, derives).unwrap();
    assert_eq!(take(0x365, Params::Bit(120), behind, 16), refused);
    assert_eq!(take(0x364, zeros(16), behind, 16), refused);
    assert_eq!(take(0x362, zeros(1), behind, 17), refused);
    assert!(take(0x362, zeros(1), behind, 32).is_ok(), "all of it");
}

#[test]
fn what_shows_its_base_is_guarded_like_it() {
    let (_dir, link) = setup();
    let secret = made(&link, 16);
    let free = known(&link, 0x10, &[2; 16], open());
    let data = |len| Params::Data(vec![9; len].into());
    for (mech, params) in [
        (0x362, data(4)),
        (0x363, data(4)),
        (0x364, data(16)),
        (0x365, Params::Bit(8)),
    ] {
        let bare = vec![n(attr::VALUE_LEN, 16)];
        let made = derive(&link, mech, params.clone(), secret, bare).unwrap();
        assert_eq!(
            link.get(made, attr::SENSITIVE),
            AttrReply::Is(b(attr::SENSITIVE, true))
        );
        assert_eq!(
            link.get(made, attr::EXTRACTABLE),
            AttrReply::Is(b(attr::EXTRACTABLE, false))
        );
        let open = with(open(), n(attr::VALUE_LEN, 16));
        let refused = derive(&link, mech, params.clone(), secret, open.clone());
        assert_eq!(
            refused.unwrap_err().rv,
            Rv::TEMPLATE_INCONSISTENT,
            "{mech:#x}"
        );
        derive(&link, mech, params, free, open).unwrap();
    }
    // Either of two is enough.
    let refused = derive(&link, 0x360, Params::Key(secret), free, open());
    assert_eq!(refused.unwrap_err().rv, Rv::TEMPLATE_INCONSISTENT);
    let both = derive(&link, 0x360, Params::Key(free), free, open()).unwrap();
    assert_eq!(value(&link, both), "02".repeat(32));
    // A key that allows no derivation does not go into one by the back door.
    let closed = id();
    let template = vec![
        n(attr::CLASS, 4),
        n(attr::KEY_TYPE, 0x10),
        bytes(attr::VALUE, &[3; 16]),
    ];
    link.made(&Request::Create {
        id: closed,
        template,
    });
    let refused = derive(&link, 0x360, Params::Key(closed), free, open());
    assert_eq!(refused.unwrap_err().rv, Rv::KEY_FUNCTION_NOT_PERMITTED);
}

#[test]
fn lengths_and_types_of_derived_keys() {
    let (_dir, link) = setup();
    let base = known(&link, 0x1F, &[5; 32], open());
    // The surplus goes from the end, but for Diffie-Hellman's.
    let whole = derive(&link, 0x393, Params::None, base, open()).unwrap();
    let whole = value(&link, whole);
    assert_eq!(whole, hex(&hsm_crypto::Hash::Sha256.digest(&[5; 32])));
    let short = with(
        with(open(), n(attr::VALUE_LEN, 16)),
        n(attr::KEY_TYPE, 0x1F),
    );
    let short = derive(&link, 0x393, Params::None, base, short).unwrap();
    assert_eq!(value(&link, short), whole[..32]);
    let long = with(open(), n(attr::VALUE_LEN, 33));
    let refused = derive(&link, 0x393, Params::None, base, long);
    assert_eq!(refused.unwrap_err().rv, Rv::KEY_SIZE_RANGE);
    // A type of one length needs none; its parity is set.
    let des = with(open(), n(attr::KEY_TYPE, 0x15));
    let des = derive(&link, 0x394, Params::None, base, des).unwrap();
    let des = unhex(&value(&link, des));
    assert!(des.len() == 24 && des.iter().all(|b| b.count_ones() % 2 == 1));
    // FIPS 197, C.3, as derivation by encryption.
    let key: Vec<u8> = (0..32).collect();
    let key = known(&link, 0x1F, &key, open());
    let text = unhex("00112233445566778899aabbccddeeff");
    let ecb = derive(
        &link,
        0x1104,
        Params::Data(text.clone().into()),
        key,
        open(),
    )
    .unwrap();
    assert_eq!(value(&link, ecb), "8ea2b7ca516745bfeafc49904b496089");
    let cbc = Params::CbcEncryptData {
        iv: vec![0; 16].into(),
        data: text.into(),
    };
    let cbc = derive(&link, 0x1105, cbc, key, open()).unwrap();
    assert_eq!(value(&link, cbc), "8ea2b7ca516745bfeafc49904b496089");
    // Sixteen bytes make no longer key, and it is the parameter that is too short.
    let long = with(open(), n(attr::VALUE_LEN, 32));
    let short = derive(&link, 0x1104, Params::Data(vec![1; 16].into()), key, long);
    assert_eq!(short.unwrap_err().rv, Rv::MECHANISM_PARAM_INVALID);
    let ragged = derive(&link, 0x1104, Params::Data(vec![1; 15].into()), key, open());
    assert_eq!(ragged.unwrap_err().rv, Rv::MECHANISM_PARAM_INVALID);
}

#[test]
fn legacy_mechanisms_need_the_setting() {
    let dir = tempfile::tempdir().unwrap();
    let settings = hsm_sim::Settings {
        pins: hsm_sim::PinRules {
            cost: CHEAP,
            ..hsm_sim::PinRules::embedded()
        },
        ..hsm_sim::Settings::default()
    };
    let engine = hsm_sim::Engine::embedded(dir.path(), settings).unwrap();
    let link = super::rig::link(&engine, hsm_api::Peer::Client);
    let Ok(hsm_api::Reply::Mechanisms(all)) = link.ask(&Request::Mechanisms) else {
        panic!("no list");
    };
    let has = |mech| all.iter().any(|m| m.mech == mech);
    assert!(has(0x250) && !has(0x210) && !has(0x133));
    let md5 = plain(0x210);
    let refused = link.refused(&Request::Crypt {
        op: hsm_api::Op::Digest,
        mech: std::borrow::Cow::Borrowed(&md5),
        key: None,
        data: Hidden(b""),
        signature: Hidden(b""),
    });
    assert_eq!(refused, Rv::MECHANISM_INVALID);
}

#[test]
fn a_secret_is_encapsulated_and_comes_back() {
    let (_dir, link) = setup();
    for set in 1..=3 {
        let (public, private) = (id(), id());
        link.made(&Request::GenerateKeyPair {
            mech: plain(0xF),
            public,
            public_template: vec![n(attr::PARAMETER_SET, set)],
            private,
            private_template: vec![b(attr::EXTRACTABLE, true)],
        });
        let template = || {
            with(
                with(open(), n(attr::KEY_TYPE, 0x1F)),
                n(attr::VALUE_LEN, 32),
            )
        };
        let sent = id();
        let request = Request::Encapsulate {
            mech: plain(0x17),
            public: link.key(public).0,
            id: sent,
            template: template(),
        };
        assert_eq!(link.refused(&request), Rv::BUFFER_TOO_SMALL);
        let ciphertext = link.ask_out(&request, 1568).unwrap();
        assert_eq!(ciphertext.len(), [768, 1088, 1568][set as usize - 1]);
        // The private key travels wrapped, and works as before.
        let kek = link.aes(vec![]);
        let wrapped = link.wrap(&plain(0x210B), kek, private).unwrap();
        let again = id();
        link.made(&Request::Unwrap {
            mech: plain(0x210B),
            with: link.key(kek).0,
            wrapped: Hidden(&wrapped),
            aad: Hidden(&[]),
            id: again,
            template: vec![n(attr::CLASS, 3), n(attr::KEY_TYPE, 0x49)],
        });
        for key in [private, again] {
            let received = id();
            link.made(&Request::Decapsulate {
                mech: plain(0x17),
                private: link.key(key).0,
                ciphertext: Hidden(&ciphertext),
                id: received,
                template: template(),
            });
            assert_eq!(value(&link, received), value(&link, sent));
        }
        let short = Request::Decapsulate {
            mech: plain(0x17),
            private: link.key(private).0,
            ciphertext: Hidden(&ciphertext[1..]),
            id: id(),
            template: template(),
        };
        assert_eq!(link.refused(&short), Rv::ENCRYPTED_DATA_LEN_RANGE);
    }
}
