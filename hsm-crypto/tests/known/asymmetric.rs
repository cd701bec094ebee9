use crate::answer;
use hsm_crypto::{
    Curve, EcKey, EdMode, Error, Hash, Oaep, PrivateKey, Pss, PublicKey, RsaKey, pkcs8, rsa,
};

fn rsa_key() -> RsaKey {
    match PrivateKey::from_pkcs8(answer("rsa2048.pkcs8")) {
        Ok(PrivateKey::Rsa(key)) => key,
        other => panic!("{other:?}"),
    }
}

#[test]
fn rsa_keys_survive_the_way_through_der_and_numbers() {
    let key = rsa_key();
    assert_eq!(
        (key.size(), key.bits(), key.is_private()),
        (256, Ok(2048), true)
    );
    let again = RsaKey::from_parts(&key.parts().unwrap()).unwrap();
    assert_eq!(
        *PrivateKey::Rsa(again).to_pkcs8().unwrap(),
        answer("rsa2048.pkcs8")
    );
    let der = pkcs8::rsa_to_pkcs1(&key).unwrap();
    assert_eq!(pkcs8::rsa_from_pkcs1(&der).unwrap().n(), key.n());
    let public = key.to_public().unwrap();
    assert_eq!(
        PublicKey::Rsa(public).to_spki().unwrap(),
        answer("rsa2048.spki")
    );
    let mut parts = key.parts().unwrap();
    parts.d[100] ^= 1;
    assert_eq!(RsaKey::from_parts(&parts).unwrap_err(), Error::BadKey);
    let public = match PublicKey::from_spki(answer("rsa2048.spki")) {
        Ok(PublicKey::Rsa(key)) => key,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        public.private_raw(&[1], &mut [0; 256]),
        Err(Error::Unsupported)
    );
    assert!(public.parts().is_err());
}

#[test]
fn rsa_signatures() {
    let key = rsa_key();
    let message = answer("message");
    let mut out = [0; 256];

    let digest = Hash::Sha256.digest(message);
    assert_eq!(key.sign_pkcs1(Hash::Sha256, &digest, &mut out), Ok(256));
    assert_eq!(out, answer("rsa2048.sha256.pkcs1"));
    assert_eq!(key.verify_pkcs1(Hash::Sha256, &digest, &out), Ok(()));
    let other = Hash::Sha256.digest(b"another");
    assert_eq!(
        key.verify_pkcs1(Hash::Sha256, &other, &out),
        Err(Error::Mismatch)
    );
    let mut info = [0; 256];
    let len = key.recover_pkcs1(&out, &mut info).unwrap();
    assert_eq!(info[len - 32..len], *digest);
    // A head of what was signed is not what was signed.
    assert_eq!(key.verify_pkcs1_raw(&info[..len], &out), Ok(()));
    assert_eq!(
        key.verify_pkcs1_raw(&info[..len - 1], &out),
        Err(Error::Mismatch)
    );
    assert_eq!(key.verify_pkcs1_raw(b"", &out), Err(Error::Mismatch));
    assert_eq!(
        key.verify_pkcs1(Hash::Sha256, &digest, &out[1..]),
        Err(Error::BadLength)
    );
    assert_eq!(
        key.sign_pkcs1(Hash::Sha256, &digest[1..], &mut out),
        Err(Error::BadLength)
    );
    assert_eq!(
        key.sign_pkcs1_raw(&[1; 246], &mut out),
        Err(Error::TooLarge)
    );
    for len in [0, 1, 36, 245] {
        key.sign_pkcs1_raw(&vec![7; len], &mut out).unwrap();
        assert_eq!(
            key.verify_pkcs1_raw(&vec![7; len], &out),
            Ok(()),
            "{len} bytes"
        );
    }

    let pss = Pss {
        hash: Hash::Sha384,
        mgf: Hash::Sha1,
        salt_len: 20,
    };
    let digest = Hash::Sha384.digest(message);
    let theirs = answer("rsa2048.pss.sha384.mgf-sha1.salt20");
    assert_eq!(key.verify_pss(&pss, &digest, theirs), Ok(()));
    let wrong = Pss {
        salt_len: 21,
        ..pss
    };
    assert_eq!(
        key.verify_pss(&wrong, &digest, theirs),
        Err(Error::Mismatch)
    );
    let wrong = Pss {
        mgf: Hash::Sha384,
        ..pss
    };
    assert_eq!(
        key.verify_pss(&wrong, &digest, theirs),
        Err(Error::Mismatch)
    );
    for hash in Hash::ALL {
        for salt_len in [0, hash.len(), 254 - hash.len()] {
            let pss = Pss {
                hash,
                mgf: Hash::Sha256,
                salt_len,
            };
            let digest = hash.digest(message);
            assert_eq!(key.sign_pss(&pss, &digest, &mut out), Ok(256), "{pss:?}");
            assert_eq!(key.verify_pss(&pss, &digest, &out), Ok(()), "{pss:?}");
            out[17] ^= 1;
            assert_eq!(
                key.verify_pss(&pss, &digest, &out),
                Err(Error::Mismatch),
                "{pss:?}"
            );
        }
        let pss = Pss {
            hash,
            mgf: hash,
            salt_len: 255 - hash.len(),
        };
        assert_eq!(
            key.sign_pss(&pss, &hash.digest(b""), &mut out),
            Err(Error::BadLength)
        );
    }
}

#[test]
fn rsa_encryption() {
    let key = rsa_key();
    let message = answer("message");
    let mut out = [0; 256];
    let mut back = [0; 256];

    let oaep = Oaep {
        hash: Hash::Sha256,
        mgf: Hash::Sha1,
        label: b"label",
    };
    let theirs = answer("rsa2048.oaep.sha256.mgf-sha1.label");
    assert_eq!(
        key.decrypt_oaep(&oaep, theirs, &mut back),
        Ok(message.len())
    );
    assert_eq!(&back[..message.len()], message);
    let wrong = Oaep { label: b"", ..oaep };
    assert_eq!(
        key.decrypt_oaep(&wrong, theirs, &mut back),
        Err(Error::BadPadding)
    );
    for hash in Hash::ALL {
        let oaep = Oaep {
            hash,
            mgf: Hash::Sha512,
            label: b"",
        };
        let room = key.oaep_room(hash).unwrap();
        for len in [0, 1, room] {
            let data = vec![0x5a; len];
            assert_eq!(
                key.encrypt_oaep(&oaep, &data, &mut out),
                Ok(256),
                "{oaep:?}"
            );
            assert_eq!(
                key.decrypt_oaep(&oaep, &out, &mut back),
                Ok(len),
                "{oaep:?}"
            );
            assert_eq!(back[..len], data);
        }
        let long = vec![0; room + 1];
        assert_eq!(
            key.encrypt_oaep(&oaep, &long, &mut out),
            Err(Error::TooLarge)
        );
    }

    let theirs = answer("rsa2048.pkcs1-encrypted");
    assert_eq!(key.decrypt_pkcs1(theirs, &mut back), Ok(message.len()));
    assert_eq!(&back[..message.len()], message);
    for len in [0, 1, 245] {
        let data = vec![0; len];
        assert_eq!(key.encrypt_pkcs1(&data, &mut out), Ok(256));
        assert_eq!(key.decrypt_pkcs1(&out, &mut back), Ok(len));
        assert_eq!(back[..len], data);
    }
    assert_eq!(key.encrypt_pkcs1(&[0; 246], &mut out), Err(Error::TooLarge));

    let number = [0x42; 255];
    key.private_raw(&number, &mut out).unwrap();
    key.public_raw(&out, &mut back).unwrap();
    assert_eq!((back[0], &back[1..]), (0, &number[..]));
    assert_eq!(
        key.private_raw(&[0xff; 256], &mut out),
        Err(Error::TooLarge)
    );
    assert_eq!(key.public_raw(&[0xff; 256], &mut out), Err(Error::TooLarge));
    assert_eq!(key.public_raw(&[1; 257], &mut out), Err(Error::BadLength));
}

#[test]
fn a_wrong_padding_answers_as_openssl_does() {
    let key = rsa_key();
    for i in 0..4 {
        let bad = answer(&format!("rsa2048.malformed.{i}"));
        let want = answer(&format!("rsa2048.malformed.{i}.answer"));
        let mut out = [0; 256];
        let len = key.decrypt_pkcs1(bad, &mut out).unwrap();
        assert_eq!(&out[..len], want, "malformed ciphertext {i}");
    }
    assert_eq!(
        key.decrypt_pkcs1(&[1; 255], &mut [0; 256]),
        Err(Error::BadLength)
    );
    assert_eq!(
        key.decrypt_pkcs1(&[0xff; 256], &mut [0; 256]),
        Err(Error::TooLarge)
    );
}

#[test]
fn rsa_without_the_primes_and_freshly_made() {
    let key = rsa_key();
    let full = key.parts().unwrap();
    let parts = rsa::Parts {
        n: full.n,
        e: full.e,
        d: full.d,
        crt: None,
    };
    let slow = RsaKey::from_parts(&parts).unwrap();
    let digest = Hash::Sha256.digest(answer("message"));
    let mut out = [0; 256];
    slow.sign_pkcs1(Hash::Sha256, &digest, &mut out).unwrap();
    assert_eq!(out, answer("rsa2048.sha256.pkcs1"));

    let fresh = RsaKey::generate(1024, &[0, 1, 0, 1]).unwrap();
    assert_eq!((fresh.bits(), fresh.e()), (Ok(1024), Ok(vec![1, 0, 1])));
    let mut out = [0; 128];
    fresh.sign_pkcs1(Hash::Sha256, &digest, &mut out).unwrap();
    assert_eq!(
        fresh
            .to_public()
            .unwrap()
            .verify_pkcs1(Hash::Sha256, &digest, &out),
        Ok(())
    );
    assert_eq!(RsaKey::generate(1000, &[3]).unwrap_err(), Error::BadLength);
    assert_eq!(RsaKey::generate(1024, &[4]).unwrap_err(), Error::BadKey);
    assert_eq!(RsaKey::generate(1024, &[1]).unwrap_err(), Error::BadKey);
}

#[test]
fn every_curve() {
    let digest = Hash::Sha256.digest(answer("message"));
    for curve in Curve::all() {
        let vector = |what: &str| answer(&format!("{curve:?}.{what}"));
        let key = match PrivateKey::from_pkcs8(vector("pkcs8")) {
            Ok(PrivateKey::Ec(key)) => key,
            other => panic!("{curve:?}: {other:?}"),
        };
        let public = match PublicKey::from_spki(vector("spki")) {
            Ok(PublicKey::Ec(key)) => key,
            other => panic!("{curve:?}: {other:?}"),
        };
        assert_eq!(key.point(), public.point(), "{curve:?}");
        assert_eq!(
            public.verify(&digest, vector("sha256.ecdsa")),
            Ok(()),
            "{curve:?}"
        );
        let mut signature = vec![0; curve.signature_len()];
        for digest in [&digest[..], &Hash::Sha512.digest(b""), b"s", &[0; 20]] {
            key.sign(digest, &mut signature).unwrap();
            assert_eq!(
                public.verify(digest, &signature),
                Ok(()),
                "{curve:?}, {} bytes",
                digest.len()
            );
            signature[9] ^= 4;
            assert_eq!(
                public.verify(digest, &signature),
                Err(Error::Mismatch),
                "{curve:?}"
            );
        }
        let zero = vec![0; signature.len()];
        assert_eq!(
            public.verify(&digest, &zero),
            Err(Error::Mismatch),
            "{curve:?}"
        );
        assert_eq!(
            public.verify(&digest, &zero[1..]),
            Err(Error::BadLength),
            "{curve:?}"
        );

        let mut secret = vec![0; curve.field_len()];
        for peer in ["peer", "peer-compressed"] {
            assert_eq!(
                key.ecdh(vector(peer), &mut secret),
                Ok(secret.len()),
                "{curve:?} {peer}"
            );
            assert_eq!(secret, vector("ecdh"), "{curve:?} {peer}");
        }
        let mut off = vector("peer").to_vec();
        *off.last_mut().unwrap() ^= 1;
        assert_eq!(key.ecdh(&off, &mut secret), Err(Error::BadKey), "{curve:?}");
        assert_eq!(
            EcKey::from_point(curve, &off).unwrap_err(),
            Error::BadKey,
            "{curve:?}"
        );
        assert_eq!(
            EcKey::from_point(curve, &[0]).unwrap_err(),
            Error::BadKey,
            "{curve:?}"
        );

        let again = EcKey::from_scalar(curve, &key.scalar().unwrap()).unwrap();
        assert_eq!(again.point(), key.point(), "{curve:?}");
        assert_eq!(
            *PrivateKey::Ec(again).to_pkcs8().unwrap(),
            vector("pkcs8"),
            "{curve:?}"
        );
        let all = vec![0xff; curve.scalar_len()];
        assert_eq!(
            EcKey::from_scalar(curve, &all).unwrap_err(),
            Error::BadKey,
            "{curve:?}"
        );
        assert_eq!(
            EcKey::from_scalar(curve, &[0]).unwrap_err(),
            Error::BadKey,
            "{curve:?}"
        );
        let made = EcKey::generate(curve).unwrap();
        made.sign(&digest, &mut signature).unwrap();
        let public = EcKey::from_point(curve, &made.point().unwrap()).unwrap();
        assert_eq!(public.verify(&digest, &signature), Ok(()), "{curve:?}");
        assert_eq!(
            public.sign(&digest, &mut signature),
            Err(Error::Unsupported),
            "{curve:?}"
        );
        assert!(public.scalar().is_err(), "{curve:?}");
        assert_eq!(
            PublicKey::Ec(public).to_spki().unwrap().len(),
            vector("spki").len()
        );
    }
}

#[test]
fn edwards_and_montgomery_keys() {
    let key = PrivateKey::from_pkcs8(answer("Ed25519.pkcs8")).unwrap();
    assert_eq!(*key.to_pkcs8().unwrap(), answer("Ed25519.pkcs8"));
    let PrivateKey::Ed(key) = key else {
        panic!("{key:?}")
    };
    assert_eq!(
        key.sign(EdMode::Pure, answer("message")).unwrap(),
        answer("Ed25519.signature")
    );
    let public = PublicKey::from_spki(answer("Ed25519.spki")).unwrap();
    assert_eq!(public.to_spki().unwrap(), answer("Ed25519.spki"));
    let PublicKey::Ed(public) = public else {
        panic!("{public:?}")
    };
    assert_eq!(public.public(), key.public());

    let key = PrivateKey::from_pkcs8(answer("X25519.pkcs8")).unwrap();
    assert_eq!(*key.to_pkcs8().unwrap(), answer("X25519.pkcs8"));
    let PrivateKey::X(key) = key else {
        panic!("{key:?}")
    };
    let public = PublicKey::from_spki(answer("X25519.spki")).unwrap();
    assert_eq!(public.to_spki().unwrap(), answer("X25519.spki"));
    let PublicKey::X(public) = public else {
        panic!("{public:?}")
    };
    assert_eq!(&public, key.public());
}

#[test]
fn der_that_is_not_a_key() {
    for name in ["rsa2048.pkcs8", "P256.pkcs8", "Ed25519.pkcs8"] {
        let der = answer(name);
        assert!(
            PrivateKey::from_pkcs8(&der[..der.len() - 1]).is_err(),
            "{name}, cut"
        );
        assert!(
            PrivateKey::from_pkcs8(&[der, b"x"].concat()).is_err(),
            "{name}, too long"
        );
        assert!(PublicKey::from_spki(der).is_err(), "{name} is not public");
    }
    assert!(PrivateKey::from_pkcs8(b"").is_err());
}

#[test]
fn one_key_serves_many_threads_at_once() {
    let rsa = rsa_key();
    let ec = EcKey::generate(Curve::P256).unwrap();
    let gcm = hsm_crypto::GcmKey::new(&[1; 16]).unwrap();
    let digest = Hash::Sha256.digest(answer("message"));
    std::thread::scope(|scope| {
        for i in 0..8u8 {
            let (rsa, ec, gcm, digest) = (&rsa, &ec, &gcm, &digest);
            scope.spawn(move || {
                for _ in 0..20 {
                    let mut out = [0; 256];
                    rsa.sign_pkcs1(Hash::Sha256, digest, &mut out).unwrap();
                    assert_eq!(out, answer("rsa2048.sha256.pkcs1"));
                    ec.sign(digest, &mut out).unwrap();
                    assert_eq!(ec.verify(digest, &out[..64]), Ok(()));
                    let (mut sealed, mut back) = ([0; 116], [0; 100]);
                    gcm.seal(&[i; 12], b"", &[i; 100], &mut sealed, 16).unwrap();
                    assert_eq!(gcm.open(&[i; 12], b"", &sealed, &mut back, 16), Ok(100));
                    assert_eq!(back, [i; 100]);
                }
            });
        }
    });
}

#[test]
fn deterministic_ecdsa_of_rfc_6979_a_2() {
    for (curve, hash, scalar, signature) in [
        (
            Curve::P256,
            Hash::Sha256,
            "C9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721",
            "EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716\
             F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8",
        ),
        (
            Curve::P521,
            Hash::Sha512,
            "00FAD06DAA62BA3B25D2FB40133DA757205DE67F5BB0018FEE8C86E1B68C7E75CA\
             A896EB32F1F47C70855836A6D16FCC1466F6D8FBEC67DB89EC0C08B0E996B83538",
            "00C328FAFCBD79DD77850370C46325D987CB525569FB63C5D3BC53950E6D4C5F17\
             4E25A1EE9017B5D450606ADD152B534931D7D4E8455CC91F9B15BF05EC36E377FA\
             00617CCE7CF5064806C467F678D3B4080D6F1CC50AF26CA209417308281B68AF28\
             2623EAA63E5B5C0723D8B8C37FF0777B1A20F8CCB1DCCC43997F1EE0E44DA4A67A",
        ),
    ] {
        let key = EcKey::from_scalar(curve, &hex::decode(scalar).unwrap()).unwrap();
        let mut out = vec![0; curve.signature_len()];
        key.sign_deterministic(hash, &hash.digest(b"sample"), &mut out)
            .unwrap();
        assert_eq!(hex::encode_upper(&out), signature, "{curve:?}");
        assert_eq!(key.verify(&hash.digest(b"sample"), &out), Ok(()));
    }
}
