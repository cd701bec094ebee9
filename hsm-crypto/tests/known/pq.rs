use crate::answer;
use hsm_crypto::pq::{KemSet, MlDsaKey, MlDsaSet, MlKemKey};
use hsm_crypto::{Error, Hash};

#[test]
fn ml_dsa() {
    let message = answer("message");
    for set in MlDsaSet::ALL {
        let seed = answer("ml-dsa.seed");
        let key = MlDsaKey::from_private(set, seed).unwrap();
        let public = key.public().unwrap();
        assert_eq!(
            &*Hash::Sha256.digest(&public),
            answer(&format!("{set:?}.public.sha256")),
            "{set:?}"
        );
        assert_eq!(**key.seed().unwrap(), *seed);
        let public = MlDsaKey::from_public(set, &public).unwrap();
        let theirs = answer(&format!("{set:?}.signature"));
        assert_eq!(
            public.verify(b"context", message, theirs),
            Ok(()),
            "{set:?}"
        );
        assert_eq!(
            public.verify(b"", message, theirs),
            Err(Error::Mismatch),
            "{set:?}"
        );
        assert_eq!(
            public.verify(b"context", message, &theirs[1..]),
            Err(Error::BadLength)
        );

        let expanded = MlDsaKey::from_private(set, &key.expanded().unwrap()).unwrap();
        assert_eq!(expanded.public().unwrap(), key.public().unwrap(), "{set:?}");
        for key in [expanded, MlDsaKey::generate(set).unwrap()] {
            let public = MlDsaKey::from_public(set, &key.public().unwrap()).unwrap();
            let mut out = vec![0; set.lens().2];
            assert_eq!(key.sign(b"", message, &mut out), Ok(out.len()), "{set:?}");
            assert_eq!(public.verify(b"", message, &out), Ok(()), "{set:?}");
            out[1000] ^= 1;
            assert_eq!(
                public.verify(b"", message, &out),
                Err(Error::Mismatch),
                "{set:?}"
            );
            assert_eq!(
                key.sign(&[0; 256], message, &mut out),
                Err(Error::BadLength),
                "{set:?}"
            );
            assert_eq!(
                public.sign(b"", message, &mut out),
                Err(Error::Unsupported),
                "{set:?}"
            );
            assert!(
                public.seed().is_err() && public.expanded().is_err(),
                "{set:?}"
            );
        }
        assert_eq!(
            MlDsaKey::from_private(set, &seed[1..]).unwrap_err(),
            Error::BadKey
        );
    }
}

#[test]
fn ml_kem() {
    for set in KemSet::ALL {
        let key = MlKemKey::generate(set).unwrap();
        let public = MlKemKey::from_public(set, &key.public().unwrap()).unwrap();
        let again = MlKemKey::from_private(set, &key.expanded().unwrap()).unwrap();
        assert_eq!(again.public().unwrap(), key.public().unwrap(), "{set:?}");
        let mut cipher = vec![0; set.lens().2];
        let (len, secret) = public.encapsulate(&mut cipher).unwrap();
        assert_eq!(len, cipher.len());
        assert_eq!(key.decapsulate(&cipher).unwrap(), secret, "{set:?}");
        assert_eq!(again.decapsulate(&cipher).unwrap(), secret, "{set:?}");
        cipher[7] ^= 1;
        assert_ne!(key.decapsulate(&cipher).unwrap(), secret, "{set:?}");
        assert_eq!(key.decapsulate(&cipher[1..]).unwrap_err(), Error::BadLength);
        assert_eq!(public.decapsulate(&cipher).unwrap_err(), Error::Unsupported);
        let mut bad = key.expanded().unwrap();
        bad[set.lens().0] ^= 1;
        assert!(
            MlKemKey::from_private(set, &bad).is_err(),
            "{set:?}, the halves disagree"
        );
    }
}

#[test]
fn ml_kem_from_a_seed() {
    for set in KemSet::ALL {
        let key = MlKemKey::from_private(set, answer("ml-kem.seed")).unwrap();
        assert_eq!(**key.seed().unwrap(), *answer("ml-kem.seed"));
        // OpenSSL's Python does not offer the smallest set.
        if set != KemSet::MlKem512 {
            let digest = Hash::Sha256.digest(&key.public().unwrap());
            assert_eq!(
                &*digest,
                answer(&format!("{set:?}.public.sha256")),
                "{set:?}"
            );
            let secret = key
                .decapsulate(answer(&format!("{set:?}.ciphertext")))
                .unwrap();
            assert_eq!(*secret, answer(&format!("{set:?}.secret")), "{set:?}");
        }
    }
}
