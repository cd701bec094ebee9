//! What applications do with a token, through `cryptoki`.

use cryptoki::context::Pkcs11;
use cryptoki::error::RvError;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsPssParams};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, AttributeType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;
use hsm_net::Node;

use crate::copy::{Copy, USER_PIN, refused};
use crate::raw::on_cluster;
use crate::rig::{Rig, USER};

/// A token with a user: embedded, or a cluster where [`on_cluster`] says so.
struct Token {
    p11: Pkcs11,
    slot: Slot,
    pin: &'static str,
    _nodes: Vec<Option<Node>>,
    _copy: Copy,
}

impl Token {
    fn new() -> Token {
        if on_cluster() {
            let rig = Rig::new("standard");
            let (p11, slot) = rig.token();
            return Token {
                p11,
                slot,
                pin: USER,
                _nodes: rig.nodes,
                _copy: rig.copy,
            };
        }
        let copy = Copy::new();
        let (p11, slot) = copy.token();
        Token {
            p11,
            slot,
            pin: USER_PIN,
            _nodes: Vec::new(),
            _copy: copy,
        }
    }

    /// A session of the logged-in user.
    fn user(&self) -> Session {
        let session = self.p11.open_rw_session(self.slot).unwrap();
        let pin = AuthPin::new(self.pin.into());
        session.login(UserType::User, Some(&pin)).unwrap();
        session
    }
}

pub fn aes(session: &Session, token: bool, label: &str) -> ObjectHandle {
    let template = [
        Attribute::ValueLen(32.into()),
        Attribute::Token(token),
        Attribute::Encrypt(true),
        Attribute::Decrypt(true),
        Attribute::Label(label.into()),
    ];
    session
        .generate_key(&Mechanism::AesKeyGen, &template)
        .unwrap()
}

fn pair(session: &Session, rsa: bool) -> (ObjectHandle, ObjectHandle) {
    // The object identifier of P-256.
    let curve = vec![0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
    let (mech, parameter) = match rsa {
        true => (
            Mechanism::RsaPkcsKeyPairGen,
            Attribute::ModulusBits(2048.into()),
        ),
        false => (Mechanism::EccKeyPairGen, Attribute::EcParams(curve)),
    };
    let public = [parameter, Attribute::Verify(true), Attribute::Encrypt(rsa)];
    let private = [
        Attribute::Sign(true),
        Attribute::Decrypt(rsa),
        Attribute::Sensitive(true),
    ];
    session.generate_key_pair(&mech, &public, &private).unwrap()
}

#[test]
fn signatures_verify() {
    let token = Token::new();
    let session = token.user();
    let pss = PkcsPssParams {
        hash_alg: MechanismType::SHA256,
        mgf: PkcsMgfType::MGF1_SHA256,
        s_len: 32.into(),
    };
    let (rsa, ec) = (pair(&session, true), pair(&session, false));
    let cases = [
        ("SHA256-RSA-PKCS", Mechanism::Sha256RsaPkcs, rsa, 256),
        ("RSA-PKCS-PSS", Mechanism::RsaPkcsPss(pss), rsa, 256),
        ("ECDSA", Mechanism::Ecdsa, ec, 64),
    ];
    let digest = session.digest(&Mechanism::Sha256, b"message").unwrap();
    for (name, mech, (public, private), len) in cases {
        let signature = session.sign(&mech, private, &digest).unwrap();
        assert_eq!(signature.len(), len, "{name}");
        session
            .verify(&mech, public, &digest, &signature)
            .expect(name);
        let mut wrong = signature.clone();
        wrong[len - 1] ^= 1;
        let rv = refused(session.verify(&mech, public, &digest, &wrong));
        assert_eq!(rv, RvError::SignatureInvalid, "{name}");
        let rv = refused(session.verify(&mech, public, &digest, &signature[1..]));
        assert_eq!(rv, RvError::SignatureLenRange, "{name}");
    }
    let (mech, (public, private)) = (Mechanism::Sha256RsaPkcs, rsa);
    session.sign_init(&mech, private).unwrap();
    session.sign_update(b"mess").unwrap();
    session.sign_update(b"age").unwrap();
    let parts = session.sign_final().unwrap();
    assert_eq!(
        parts,
        session.sign(&mech, private, b"message").unwrap(),
        "in parts and at once"
    );
    session.verify_init(&mech, public).unwrap();
    session.verify_update(b"message").unwrap();
    session.verify_final(&parts).unwrap();
}

#[test]
fn ciphers_round_trip_at_once_and_in_parts() {
    let token = Token::new();
    let session = token.user();
    let key = aes(&session, false, "k");
    let data: Vec<u8> = (0..100).collect();
    let (mut iv, mut iv_2, mut iv_3) = ([7u8; 12], [7u8; 12], [7u8; 12]);
    fn gcm(iv: &mut [u8]) -> Mechanism<'_> {
        Mechanism::AesGcm(GcmParams::new(iv, b"aad", 128.into()).unwrap())
    }
    let sealed = session.encrypt(&gcm(&mut iv), key, &data).unwrap();
    assert_eq!(sealed.len(), 116);
    assert_eq!(
        session.decrypt(&gcm(&mut iv_2), key, &sealed).unwrap(),
        data
    );
    let mut wrong = sealed.clone();
    wrong[3] ^= 1;
    let rv = refused(session.decrypt(&gcm(&mut iv_3), key, &wrong));
    assert_eq!(rv, RvError::EncryptedDataInvalid);

    let cbc = Mechanism::AesCbcPad([9; 16]);
    let sealed = session.encrypt(&cbc, key, &data).unwrap();
    assert_eq!(sealed.len(), 112);
    assert_eq!(session.decrypt(&cbc, key, &sealed).unwrap(), data);
    session.encrypt_init(&cbc, key).unwrap();
    let mut parts = Vec::new();
    for part in data.chunks(7) {
        parts.extend(session.encrypt_update(part).unwrap());
    }
    parts.extend(session.encrypt_final().unwrap());
    assert_eq!(parts, sealed);
    session.decrypt_init(&cbc, key).unwrap();
    let mut parts = Vec::new();
    for part in sealed.chunks(13) {
        parts.extend(session.decrypt_update(part).unwrap());
    }
    parts.extend(session.decrypt_final().unwrap());
    assert_eq!(parts, data);
}

#[test]
fn objects_are_found_changed_and_destroyed() {
    let token = Token::new();
    let session = token.user();
    let lasting = aes(&session, true, "lasting");
    let passing = aes(&session, false, "passing");
    let by = |label: &str| {
        session
            .find_objects(&[Attribute::Label(label.into())])
            .unwrap()
    };
    assert_eq!(
        (by("lasting"), by("passing")),
        (vec![lasting], vec![passing])
    );
    let asked = [
        AttributeType::Class,
        AttributeType::ValueLen,
        AttributeType::Token,
    ];
    let told = session.get_attributes(lasting, &asked).unwrap();
    let wanted = [
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::ValueLen(32.into()),
        Attribute::Token(true),
    ];
    assert_eq!(told, wanted);
    assert!(
        session
            .get_attributes(lasting, &[AttributeType::Value])
            .unwrap()
            .is_empty()
    );
    session
        .update_attributes(lasting, &[Attribute::Label("renamed".into())])
        .unwrap();
    assert_eq!(by("renamed"), [lasting]);
    let copied = session
        .copy_object(lasting, &[Attribute::Label("copy".into())])
        .unwrap();
    assert_eq!(by("copy"), [copied]);

    let reader = token.p11.open_ro_session(token.slot).unwrap();
    assert_eq!(
        refused(reader.destroy_object(lasting)),
        RvError::SessionReadOnly
    );
    session.destroy_object(copied).unwrap();
    assert_eq!(
        refused(session.destroy_object(copied)),
        RvError::ObjectHandleInvalid
    );
    drop(session);
    let by = |label: &str| {
        reader
            .find_objects(&[Attribute::Label(label.into())])
            .unwrap()
    };
    assert_eq!(by("passing"), [], "a session object goes with its session");
    assert_eq!(by("renamed"), [lasting]);
    reader.logout().unwrap();
    let by = |label: &str| {
        reader
            .find_objects(&[Attribute::Label(label.into())])
            .unwrap()
    };
    assert_eq!(by("renamed"), [], "private, and nobody is logged in");
    drop(reader);
    let session = token.user();
    let rv = refused(session.destroy_object(lasting));
    assert_eq!(
        rv,
        RvError::ObjectHandleInvalid,
        "a handle from before the logout"
    );
}

#[test]
fn an_always_authenticate_key_asks_each_time() {
    let token = Token::new();
    let session = token.user();
    let curve = vec![0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
    let public = [Attribute::EcParams(curve), Attribute::Verify(true)];
    let private = [
        Attribute::Sign(true),
        Attribute::Private(true),
        Attribute::AlwaysAuthenticate(true),
    ];
    let (_, key) = session
        .generate_key_pair(&Mechanism::EccKeyPairGen, &public, &private)
        .unwrap();
    let pin = AuthPin::new(token.pin.into());
    let early = session.login(UserType::ContextSpecific, Some(&pin));
    assert_eq!(refused(early), RvError::OperationNotInitialized);
    for _ in 0..2 {
        session.sign_init(&Mechanism::EcdsaSha256, key).unwrap();
        session
            .login(UserType::ContextSpecific, Some(&pin))
            .unwrap();
        session.sign_update(b"x").unwrap();
        assert_eq!(session.sign_final().unwrap().len(), 64);
    }
    session.sign_init(&Mechanism::EcdsaSha256, key).unwrap();
    let rv = refused(
        session
            .sign_update(b"x")
            .and_then(|()| session.sign_final()),
    );
    assert_eq!(rv, RvError::UserNotLoggedIn);
}

#[test]
fn keys_are_wrapped_and_unwrapped() {
    let token = Token::new();
    let session = token.user();
    let wrapper = [
        Attribute::ValueLen(32.into()),
        Attribute::Wrap(true),
        Attribute::Unwrap(true),
    ];
    let wrapper = session
        .generate_key(&Mechanism::AesKeyGen, &wrapper)
        .unwrap();
    let template = [
        Attribute::ValueLen(16.into()),
        Attribute::Extractable(true),
        Attribute::Encrypt(true),
        Attribute::Decrypt(true),
    ];
    let key = session
        .generate_key(&Mechanism::AesKeyGen, &template)
        .unwrap();
    let wrapped = session
        .wrap_key(&Mechanism::AesKeyWrap, wrapper, key)
        .unwrap();
    assert_eq!(wrapped.len(), 24);
    let template = [
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(cryptoki::object::KeyType::AES),
        Attribute::Encrypt(true),
        Attribute::Decrypt(true),
    ];
    let unwrap =
        |bytes: &[u8]| session.unwrap_key(&Mechanism::AesKeyWrap, wrapper, bytes, &template);
    let again = unwrap(&wrapped).unwrap();
    let cbc = Mechanism::AesCbcPad([4; 16]);
    let sealed = session.encrypt(&cbc, key, b"text").unwrap();
    assert_eq!(session.decrypt(&cbc, again, &sealed).unwrap(), b"text");
    let mut wrong = wrapped.clone();
    wrong[0] ^= 1;
    assert_eq!(refused(unwrap(&wrong)), RvError::WrappedKeyInvalid);
    let fixed = aes(&session, false, "fixed");
    let rv = refused(session.wrap_key(&Mechanism::AesKeyWrap, wrapper, fixed));
    assert_eq!(rv, RvError::KeyUnextractable);
}
