//! What an HSM in FIPS mode says that it can do, it does: each flag of each mechanism is driven once. What it
//! does not say, it refuses.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use hsm_api::mech::{HkdfSalt, Kbkdf, KbkdfField};
use hsm_api::reply::{AttrReply, Offered};
use hsm_api::{
    Hidden, Link, MechId, Mechanism, ObjectId, Op, Params, Peer, Reply, Request, Result, Role, Rv,
    Template,
};
use hsm_sim::attr;
use hsm_sim::code::class;
use hsm_sim::mech::{self, Mech, Shape};

use super::keys::{ED25519, P256, X25519, pair, params};
use super::rig::*;

/// CK_KEY_TYPE.
const RSA: u64 = 0;
const EC: u64 = 3;
const GENERIC: u64 = 0x10;
const AES: u64 = 0x1F;
const HOTP: u64 = 0x23;

/// A key of each type, both halves of it or the same twice; and one to be wrapped.
struct Keys {
    link: Arc<dyn Link>,
    by_type: HashMap<u64, (ObjectId, ObjectId)>,
    wrapped: ObjectId,
}

impl Keys {
    fn new(link: Arc<dyn Link>) -> Keys {
        let curve = |params| vec![bytes(attr::EC_PARAMS, params)];
        let set = |number| vec![n(attr::PARAMETER_SET, number)];
        let pairs = [
            (RSA, 0x0, vec![n(attr::MODULUS_BITS, 2048)]),
            (EC, 0x1040, curve(P256)),
            (0x40, 0x1055, curve(ED25519)),
            (0x41, 0x1056, curve(X25519)),
            (0x49, 0xF, set(1)),
            (0x4A, 0x1C, set(1)),
            (0x4B, 0x2D, set(3)),
        ];
        let mut by_type = HashMap::new();
        for (ty, mech, public) in pairs {
            let derives = matches!(ty, EC | 0x41);
            let private = derives.then(|| b(attr::DERIVE, true)).into_iter().collect();
            by_type.insert(ty, pair(&link, mech, public, private));
        }
        let secrets = [
            (AES, 0x1080, 32),
            (HOTP, 0x290, 20),
            (GENERIC, 0x350, 32),
            (0x33, 0x1225, 0),
            (0x35, 0x1072, 64),
            (0x42, 0x402C, 32),
        ];
        for (ty, mech, len) in secrets {
            let key = id();
            let mut template = vec![b(attr::DERIVE, true)];
            if len != 0 {
                template.push(n(attr::VALUE_LEN, len));
            }
            link.made(&Request::GenerateKey {
                mech: plain(mech),
                id: key,
                template,
            });
            by_type.insert(ty, (key, key));
        }
        let wrapped = link.aes(vec![b(attr::EXTRACTABLE, true)]);
        Keys {
            link,
            by_type,
            wrapped,
        }
    }

    /// The keys for a row: of its first type, generic ones where any secret key will do.
    fn of(&self, row: &Mech) -> (ObjectId, ObjectId) {
        let ty = row.keys.first().map_or(GENERIC, |ty| ty.0);
        *self.by_type.get(&ty).unwrap_or(&self.by_type[&GENERIC])
    }

    fn params(&self, row: &Mech) -> Params<'static> {
        let sha256 = MechId(0x250);
        let kbkdf = |data| {
            Params::Kbkdf(Box::new(Kbkdf {
                prf: MechId(0x251),
                data,
                iv: vec![].into(),
                more: vec![],
            }))
        };
        let label = || KbkdfField::Bytes(b"label".to_vec().into());
        // The counter is the iteration variable of one mode, the others have their own.
        let iteration = |bits| KbkdfField::Iteration {
            little_endian: false,
            bits,
        };
        match row.params {
            Shape::RsaAesKeyWrap => Params::RsaAesKeyWrap {
                aes_bits: 256,
                hash: sha256,
                mgf: 2,
                label: Cow::Borrowed(b""),
            },
            Shape::Hkdf => Params::Hkdf {
                extract: true,
                expand: true,
                prf: sha256,
                salt: HkdfSalt::Null,
                info: vec![1].into(),
            },
            Shape::Kbkdf if row.name.contains("COUNTER") => kbkdf(vec![iteration(32), label()]),
            Shape::Kbkdf | Shape::KbkdfFeedback => kbkdf(vec![iteration(0), label()]),
            Shape::Pbkdf2 => Params::Pbkdf2 {
                prf: 4,
                salt: b"salt".to_vec().into(),
                iterations: 1000,
                password: Cow::<[u8]>::Owned(b"a password".to_vec()).into(),
            },
            Shape::Data => Params::Data(vec![7; 32].into()),
            Shape::CbcEncryptData(iv) => Params::CbcEncryptData {
                iv: vec![0; iv].into(),
                data: vec![7; 32].into(),
            },
            Shape::Bit => Params::Bit(8),
            // Its own counter would move on.
            Shape::MaybeOtp => Params::Otp {
                counter: Some(7),
                digits: Some(6),
                friendly: false,
            },
            Shape::Key => Params::Key(self.by_type[&GENERIC].0),
            Shape::Ecdh => {
                let point = self.link.get(self.by_type[&EC].0, attr::EC_POINT);
                let AttrReply::Is(point) = point else {
                    panic!("{point:?}")
                };
                Params::Ecdh {
                    kdf: 1,
                    shared: Cow::Borrowed(b""),
                    public: point.value.as_bytes().unwrap().to_vec().into(),
                }
            }
            _ => match (params(row), row.hash) {
                (Params::Pss { .. }, Some(own)) => {
                    let digests = |m: &&&'static Mech| m.digest.is_some() && m.hash == Some(own);
                    Params::Pss {
                        hash: mech::ALL.iter().find(digests).unwrap().id,
                        mgf: (1..10).find(|g| mech::mgf_hash(*g) == Some(own)).unwrap(),
                        salt_len: own.len() as u64,
                    }
                }
                (params, _) => params,
            },
        }
    }

    /// Drives one function of a mechanism, and its counterpart where the result is only good for that.
    fn drive(&self, row: &Mech, flag: u64) -> Result<()> {
        let mech = Mechanism {
            id: row.id,
            params: self.params(row),
        };
        let (public, private) = self.of(row);
        let data: &[u8] = match row.params {
            Shape::MaybeOtp => &[],
            _ => &[0x5A; 32],
        };
        let crypt = |op, key: Option<ObjectId>, data: &[u8], signature: &[u8]| {
            let resolved = key.map(|key| self.link.key(key).0);
            let request = Request::Crypt {
                op,
                mech: Cow::Borrowed(&mech),
                key: resolved.as_ref().map(Cow::Borrowed),
                data: Hidden(data),
                signature: Hidden(signature),
            };
            if op == Op::Verify {
                return self.link.ask(&request).map(|_| Vec::new());
            }
            self.link.ask_out(&request, 60_000)
        };
        let ask = |request: &Request<'_>| self.link.ask(request).map(drop);
        let secret = || -> Template {
            let fixed = [0x131, 0x130, 0x120, 0x1225].contains(&row.id.0);
            let len = match row.id.0 {
                0x1072 => 64,
                _ => 16,
            };
            if fixed {
                return vec![];
            }
            vec![n(attr::VALUE_LEN, len)]
        };
        match flag {
            0x100 => crypt(Op::Encrypt, Some(public), data, &[]).map(drop),
            0x200 => {
                let sealed = crypt(Op::Encrypt, Some(public), data, &[])?;
                let opened = crypt(Op::Decrypt, Some(private), &sealed, &[])?;
                assert!(opened.ends_with(data), "{}", row.name);
                Ok(())
            }
            0x400 => crypt(Op::Digest, None, data, &[]).map(drop),
            0x800 => crypt(Op::Sign, Some(private), data, &[]).map(drop),
            0x1000 => crypt(Op::SignRecover, Some(private), data, &[]).map(drop),
            0x2000 => {
                let signed = crypt(Op::Sign, Some(private), data, &[])?;
                // A one-time password comes after its counter.
                let signature = match row.params {
                    Shape::MaybeOtp => &signed[8..],
                    _ => &signed,
                };
                crypt(Op::Verify, Some(public), data, signature).map(drop)
            }
            0x4000 => {
                let signature = crypt(Op::SignRecover, Some(private), data, &[])?;
                let data = crypt(Op::VerifyRecover, Some(public), &signature, &[])?;
                assert!(data.ends_with(&[0x5A; 32]), "{}", row.name);
                Ok(())
            }
            0x8000 => ask(&Request::GenerateKey {
                mech,
                id: id(),
                template: secret(),
            }),
            0x1_0000 => {
                let public_template = match row.id.0 {
                    0x0 | 0xA => vec![n(attr::MODULUS_BITS, 2048)],
                    0x1040 => vec![bytes(attr::EC_PARAMS, P256)],
                    0x1055 => vec![bytes(attr::EC_PARAMS, ED25519)],
                    0x1056 => vec![bytes(attr::EC_PARAMS, X25519)],
                    _ => vec![n(attr::PARAMETER_SET, 1)],
                };
                ask(&Request::GenerateKeyPair {
                    mech,
                    public: id(),
                    public_template,
                    private: id(),
                    private_template: vec![],
                })
            }
            0x2_0000 | 0x4_0000 => {
                let wrapped = self.link.wrap(&mech, public, self.wrapped)?;
                if flag == 0x2_0000 {
                    return Ok(());
                }
                ask(&Request::Unwrap {
                    mech,
                    with: self.link.key(private).0,
                    wrapped: Hidden(&wrapped),
                    aad: Hidden(&[]),
                    id: id(),
                    template: vec![n(attr::CLASS, 4), n(attr::KEY_TYPE, AES)],
                })
            }
            0x8_0000 => ask(&Request::Derive {
                mech,
                base: self.link.key(private).0,
                id: id(),
                template: match row.makes {
                    class::PUBLIC => vec![],
                    // All of it: cut short, it would be the data alone.
                    _ if row.name == "CKM_CONCATENATE_DATA_AND_BASE" => vec![],
                    _ => vec![n(attr::VALUE_LEN, 16)],
                },
            }),
            0x1000_0000 | 0x2000_0000 => {
                let encapsulate = Request::Encapsulate {
                    mech: mech.clone(),
                    public: self.link.key(public).0,
                    id: id(),
                    template: vec![],
                };
                let ciphertext = self.link.ask_out(&encapsulate, 4096)?;
                if flag == 0x1000_0000 {
                    return Ok(());
                }
                ask(&Request::Decapsulate {
                    mech,
                    private: self.link.key(private).0,
                    ciphertext: Hidden(&ciphertext),
                    id: id(),
                    template: vec![],
                })
            }
            other => panic!("{}: no drive for flag {other:#x}", row.name),
        }
    }
}

#[test]
fn what_is_listed_works_and_what_is_not_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let engine = Service::default().active(dir.path(), 1);
    let user = link(&engine, Peer::Client);
    user.login(Role::Cu, Some("cu1"), "password1").unwrap();
    let Ok(Reply::Mechanisms(offered)) = user.ask(&Request::Mechanisms) else {
        panic!("no list");
    };
    let keys = Keys::new(user);
    let (mut worked, mut refused) = (0, Vec::new());
    for Offered { mech, flags } in offered {
        let row = mech::find(MechId(mech)).unwrap();
        // The functions, without what flags say of curves.
        for flag in (8..30).map(|bit| 1 << bit).filter(|f| f & 0x1F0_0000 == 0) {
            let driven = || keys.drive(row, flag);
            if flags & flag != 0 {
                driven().unwrap_or_else(|e| panic!("{} {flag:#x}: {e}", row.name));
                worked += 1;
            } else if row.flags() & flag != 0 {
                assert_eq!(driven().unwrap_err().rv, Rv::MECHANISM_INVALID);
                refused.push((row.name, flag));
            }
        }
    }
    assert!(worked > 250, "{worked} functions work");
    let hidden = [0x100, 0x200, 0x2_0000, 0x4_0000];
    assert_eq!(refused, hidden.map(|flag| ("CKM_RSA_PKCS", flag)));
}
