//! `probe MODULE TOKEN-LABEL PIN COMMAND [ARGUMENT]`: what pkcs11-tool 0.23 cannot do or say, through the cryptoki crate.
//! A process of its own, because a module reads its environment when it is initialised. An empty label takes the only
//! token. Answers JSON on stdout; an error is one line on stderr and status 1.
#![forbid(unsafe_code)]

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::object::{
    Attribute, AttributeInfo, AttributeType, KeyType, MlDsaParameterSetType, MlKemParameterSetType,
    ObjectClass, ObjectHandle, SlhDsaParameterSetType,
};
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;
use serde_json::{Value, json};

type Res<T> = Result<T, Box<dyn std::error::Error>>;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match run(&words) {
        Ok(answer) => println!("{answer}"),
        Err(error) => {
            eprintln!("probe: {error}");
            std::process::exit(1);
        }
    }
}

fn run(words: &[&str]) -> Res<Value> {
    let [module, label, pin, command @ ..] = words else {
        return Err("usage: probe MODULE TOKEN-LABEL PIN COMMAND [ARGUMENT]".into());
    };
    let module = Pkcs11::new(module)?;
    module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))?;
    let slots = module.get_slots_with_initialized_token()?;
    let slot = slots.into_iter().find(|slot| {
        label.is_empty()
            || module
                .get_token_info(*slot)
                .is_ok_and(|info| info.label() == *label)
    });
    let slot = slot.ok_or_else(|| format!("no token {label:?}"))?;
    let session = module.open_rw_session(slot)?;
    session.login(UserType::User, Some(&AuthPin::new((*pin).into())))?;
    match command {
        ["keys"] => keys(&session),
        ["gcm-vector"] => gcm_vector(&session),
        ["gcm-roundtrip", label] => gcm_roundtrip(&session, label),
        ["watch"] => watch(&session),
        ["kinds"] => kinds(&session),
        other => Err(format!("unknown command {other:?}").into()),
    }
}

/// Every secret key that the user can see.
fn keys(session: &Session) -> Res<Value> {
    let wanted = [
        AttributeType::Label,
        AttributeType::KeyType,
        AttributeType::ValueLen,
        AttributeType::Token,
        AttributeType::Private,
        AttributeType::Sensitive,
        AttributeType::Extractable,
        AttributeType::NeverExtractable,
    ];
    let mut found = Vec::new();
    for handle in session.find_objects(&[Attribute::Class(ObjectClass::SECRET_KEY)])? {
        let mut key = json!({"value": value_code(session, handle)?});
        for attribute in session.get_attributes(handle, &wanted)? {
            match attribute {
                Attribute::Label(l) => key["label"] = String::from_utf8_lossy(&l).into(),
                Attribute::KeyType(t) => key["aes"] = (t == KeyType::AES).into(),
                Attribute::ValueLen(n) => key["bytes"] = u64::from(n).into(),
                Attribute::Token(b) => key["token"] = b.into(),
                Attribute::Private(b) => key["private"] = b.into(),
                Attribute::Sensitive(b) => key["sensitive"] = b.into(),
                Attribute::Extractable(b) => key["extractable"] = b.into(),
                Attribute::NeverExtractable(b) => key["never_extractable"] = b.into(),
                other => return Err(format!("not asked for: {other:?}").into()),
            }
        }
        found.push(key);
    }
    Ok(found.into())
}

/// What the module says when somebody asks for the key's bytes.
fn value_code(session: &Session, handle: ObjectHandle) -> Res<&'static str> {
    Ok(
        match session
            .get_attribute_info(handle, &[AttributeType::Value])?
            .first()
        {
            Some(AttributeInfo::Sensitive) => "sensitive",
            Some(AttributeInfo::Available(_)) => "readable",
            Some(AttributeInfo::Unavailable | AttributeInfo::TypeInvalid) | None => "unavailable",
        },
    )
}

/// Test case 16 of the GCM specification (McGrew and Viega): AES-256 with associated data, key imported by
/// C_CreateObject; then a wrong tag and a wrong context, which must be refused.
fn gcm_vector(session: &Session) -> Res<Value> {
    let key = hex::decode("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308")?;
    let plain = hex::decode(concat!(
        "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72",
        "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
    ))?;
    let aad = hex::decode("feedfacedeadbeeffeedfacedeadbeefabaddad2")?;
    let expected = hex::decode(concat!(
        "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa",
        "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662",
        "76fc6ece0f4e1768cddf8853bb2d551b"
    ))?;
    let key = session.create_object(&[
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::AES),
        Attribute::Token(false),
        Attribute::Private(true),
        Attribute::Value(key),
        Attribute::Encrypt(true),
        Attribute::Decrypt(true),
    ])?;
    let seal = |aad: &[u8]| -> Res<Vec<u8>> {
        let mut iv = hex::decode("cafebabefacedbaddecaf888")?;
        let params = GcmParams::new(&mut iv, aad, 128.into())?;
        Ok(session.encrypt(&Mechanism::AesGcm(params), key, &plain)?)
    };
    let sealed = seal(&aad)?;
    if sealed != expected {
        return Err(format!("the vector's ciphertext differs: {}", hex::encode(sealed)).into());
    }
    let open = |aad: &[u8], sealed: &[u8]| -> Res<Result<Vec<u8>, Error>> {
        let mut iv = hex::decode("cafebabefacedbaddecaf888")?;
        let params = GcmParams::new(&mut iv, aad, 128.into())?;
        Ok(session.decrypt(&Mechanism::AesGcm(params), key, sealed))
    };
    if open(&aad, &sealed)?? != plain {
        return Err("the vector's plaintext differs".into());
    }
    let mut forged = sealed.clone();
    forged[0] ^= 1;
    Ok(json!({"forged": code(open(&aad, &forged)?)?, "other_aad": code(open(b"other", &sealed)?)?}))
}

/// Encrypt and decrypt under a token key found by its label.
fn gcm_roundtrip(session: &Session, label: &str) -> Res<Value> {
    let found = session.find_objects(&[Attribute::Label(label.into())])?;
    let [key] = found.as_slice() else {
        return Err(format!("{} keys are called {label}", found.len()).into());
    };
    let plain = b"through the cluster";
    let mut iv = [0u8; 12];
    let sealed = {
        let params = GcmParams::new(&mut iv, b"aad", 128.into())?;
        session.encrypt(&Mechanism::AesGcm(params), *key, plain)?
    };
    // A module with the cloudhsm personality has written its own IV into the buffer.
    let made_iv = iv != [0u8; 12];
    let params = GcmParams::new(&mut iv, b"aad", 128.into())?;
    let opened = session.decrypt(&Mechanism::AesGcm(params), *key, &sealed)?;
    if opened != plain {
        return Err("decrypted to something else".into());
    }
    Ok(json!({"hsm_made_iv": made_iv, "sealed": hex::encode(sealed)}))
}

/// For each line of input, the labels of the secret keys that are there now, sorted; until the input ends.
fn watch(session: &Session) -> Res<Value> {
    for line in std::io::stdin().lines() {
        line?;
        let mut labels = Vec::new();
        for handle in session.find_objects(&[Attribute::Class(ObjectClass::SECRET_KEY)])? {
            if let Some(Attribute::Label(label)) = session
                .get_attributes(handle, &[AttributeType::Label])?
                .pop()
            {
                labels.push(String::from_utf8_lossy(&label).into_owned());
            }
        }
        labels.sort();
        println!("{}", json!(labels));
    }
    Ok(json!("done"))
}

/// Makes a key of each kind that no file of openssl 3.0 brings into a token; what may leave, may leave.
fn kinds(session: &Session) -> Res<Value> {
    // The client library has no name for two of these types, and none for CKA_OTP_LENGTH.
    let number = |ty, value: u64| {
        Attribute::VendorDefined((AttributeType::VendorDefined(ty), value.to_ne_bytes().into()))
    };
    let (key_type, otp_length) = (0x100, 0x221);
    let secrets = [
        ("aes", ObjectClass::SECRET_KEY, *KeyType::AES, 32),
        ("xts", ObjectClass::SECRET_KEY, 0x35, 64),
        ("chacha", ObjectClass::SECRET_KEY, 0x33, 32),
        ("des3", ObjectClass::SECRET_KEY, *KeyType::DES3, 24),
        (
            "generic",
            ObjectClass::SECRET_KEY,
            *KeyType::GENERIC_SECRET,
            48,
        ),
        // SHA-384's, which the library takes for SHA-256's.
        ("hmac", ObjectClass::SECRET_KEY, 0x2C, 48),
        ("hotp", ObjectClass::OTP_KEY, *KeyType::HOTP, 20),
    ];
    for (label, class, kind, length) in secrets {
        // Odd parity for triple DES, no two blocks alike.
        let value: Vec<u8> = (0..length)
            .map(|n: u8| (n << 1) | (1 ^ (n.count_ones() as u8 & 1)))
            .collect();
        let mut template = vec![
            Attribute::Class(class),
            number(key_type, kind),
            Attribute::Token(true),
            Attribute::Label(label.into()),
            Attribute::Value(value),
        ];
        if class == ObjectClass::OTP_KEY {
            template.push(number(otp_length, 6));
        }
        session.create_object(&template)?;
    }
    let pairs = [
        (
            "mldsa",
            Mechanism::MlDsaKeyPairGen,
            MlDsaParameterSetType::ML_DSA_65.into(),
        ),
        (
            "mlkem",
            Mechanism::MlKemKeyPairGen,
            MlKemParameterSetType::ML_KEM_768.into(),
        ),
        (
            "slhdsa",
            Mechanism::SlhDsaKeyPairGen,
            SlhDsaParameterSetType::SHAKE_128F.into(),
        ),
    ];
    for (label, mechanism, set) in pairs {
        let named = [
            Attribute::Token(true),
            Attribute::Label(label.into()),
            Attribute::Id(label.into()),
        ];
        let mut public = named.to_vec();
        public.push(Attribute::ParameterSet(set));
        let mut private = named.to_vec();
        private.extend([Attribute::Sensitive(false), Attribute::Extractable(true)]);
        session.generate_key_pair(&mechanism, &public, &private)?;
    }
    Ok(json!("done"))
}

/// The code of an operation that must fail.
fn code(result: Result<Vec<u8>, Error>) -> Res<String> {
    match result {
        Ok(_) => Err("a forged ciphertext was accepted".into()),
        Err(Error::Pkcs11(rv, _)) => Ok(name(rv)),
        Err(other) => Err(other.into()),
    }
}

fn name(rv: RvError) -> String {
    format!("{rv:?}")
}
