//! What applications do with embedded tokens, through `cryptoki`.

use cryptoki::error::RvError;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsPssParams};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, AttributeType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;

use crate::copy::{Copy, SO_PIN, USER_PIN, refused, user};

fn aes(session: &Session, token: bool, label: &str) -> ObjectHandle {
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
    let copy = Copy::new();
    let (p11, slot) = copy.token();
    let session = user(&p11, slot);
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
    let copy = Copy::new();
    let (p11, slot) = copy.token();
    let session = user(&p11, slot);
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
    let copy = Copy::new();
    let (p11, slot) = copy.token();
    let session = user(&p11, slot);
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

    let reader = p11.open_ro_session(slot).unwrap();
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
    let session = user(&p11, slot);
    let rv = refused(session.destroy_object(lasting));
    assert_eq!(
        rv,
        RvError::ObjectHandleInvalid,
        "a handle from before the logout"
    );
}

#[test]
fn pins_and_users() {
    let copy = Copy::new();
    let (p11, slot) = copy.token();
    let session = p11.open_rw_session(slot).unwrap();
    let pin = |text: &str| AuthPin::new(text.into());
    let wrong = session.login(UserType::User, Some(&pin("0000")));
    assert_eq!(refused(wrong), RvError::PinIncorrect);
    session.login(UserType::User, Some(&pin(USER_PIN))).unwrap();
    session.set_pin(&pin(USER_PIN), &pin("another")).unwrap();
    session.logout().unwrap();
    let old = session.login(UserType::User, Some(&pin(USER_PIN)));
    assert_eq!(refused(old), RvError::PinIncorrect);
    session
        .login(UserType::User, Some(&pin("another")))
        .unwrap();
    session.logout().unwrap();
    session.login(UserType::So, Some(&pin(SO_PIN))).unwrap();
    let info = p11.get_token_info(slot).unwrap();
    assert!(info.token_initialized() && info.user_pin_initialized());
    assert_eq!((info.label(), info.manufacturer_id()), ("t", "Keystead"));
}

#[test]
fn two_copies_on_one_directory_see_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let config = format!("[[token]]\ndirectory = \"{}\"\n", dir.path().display());
    let (one, two) = (Copy::with(&config), Copy::with(&config));
    let (p11_one, slot) = one.token();
    let p11_two = two.start();
    assert_eq!(p11_two.get_all_slots().unwrap(), [slot]);
    let (session_one, session_two) = (user(&p11_one, slot), user(&p11_two, slot));
    let by = |session: &Session, label: &str| {
        session
            .find_objects(&[Attribute::Label(label.into())])
            .unwrap()
            .len()
    };
    assert_eq!(by(&session_two, "shared"), 0);
    let key = aes(&session_one, true, "shared");
    assert_eq!(by(&session_two, "shared"), 1);
    session_one.destroy_object(key).unwrap();
    assert_eq!(by(&session_two, "shared"), 0);
}

#[test]
fn slots_follow_the_configuration_file() {
    let copy = Copy::new();
    let (p11, first) = copy.token();
    assert_eq!(
        p11.get_all_slots().unwrap(),
        [first],
        "no empty slot beside a token"
    );
    let config = "empty-slot = true\n[[token]]\ndirectory = \"tokens\"\n";
    std::fs::write(copy.dir().join("pkcs11.toml"), config).unwrap();
    let slots = p11.get_all_slots().unwrap();
    assert_eq!((slots.len(), slots[0]), (2, first));
    p11.init_token(slots[1], &AuthPin::new(SO_PIN.into()), "second")
        .unwrap();
    let now = p11.get_all_slots().unwrap();
    assert_eq!(
        (now.len(), &now[..2]),
        (3, &slots[..]),
        "and another empty one"
    );
    assert_eq!(p11.get_token_info(slots[1]).unwrap().label(), "second");
    std::fs::write(copy.dir().join("pkcs11.toml"), "nonsense").unwrap();
    assert_eq!(
        p11.get_all_slots().unwrap(),
        now,
        "a file gone wrong changes nothing"
    );
    drop(p11);
    let (p11, _again) = copy_of(&copy);
    let labels: Vec<_> = p11
        .get_all_slots()
        .unwrap()
        .into_iter()
        .map(|slot| {
            (
                slot.id(),
                p11.get_token_info(slot).unwrap().label().to_owned(),
            )
        })
        .collect();
    assert_eq!(
        labels[..2],
        [(0, "t".to_owned()), (1, "second".to_owned())],
        "in order of creation"
    );
}

/// Another process's view: another copy of the library, on the same directory.
fn copy_of(copy: &Copy) -> (cryptoki::context::Pkcs11, Copy) {
    let tokens = copy.dir().join("tokens");
    let again = Copy::with(&format!(
        "[[token]]\ndirectory = \"{}\"\n",
        tokens.display()
    ));
    (again.start(), again)
}

#[test]
fn an_always_authenticate_key_asks_each_time() {
    let copy = Copy::new();
    let (p11, slot) = copy.token();
    let session = user(&p11, slot);
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
    let pin = AuthPin::new(USER_PIN.into());
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
    let copy = Copy::new();
    let (p11, slot) = copy.token();
    let session = user(&p11, slot);
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
