//! DSA, Diffie-Hellman and their domains by the C functions: copies, and what C_GetObjectSize says of them.

use pkcs11_sys::*;

use crate::raw::{Raw, attr, bytes, p11, plain};

/// A domain of so many bits, made by the token; its numbers.
pub fn domain(raw: &Raw, mech: CK_MECHANISM_TYPE, bits: CK_ULONG) -> (CK_OBJECT_HANDLE, Numbers) {
    let template = vec![attr(CKA_PRIME_BITS, &bits)];
    let made = raw.generated(plain(mech), template).unwrap();
    let numbers = [CKA_PRIME, CKA_BASE, CKA_SUBPRIME]
        .into_iter()
        .filter_map(|ty| Some((ty, raw.get(made, ty).ok()?)));
    (made, numbers.collect())
}

type Numbers = Vec<(CK_ATTRIBUTE_TYPE, Vec<u8>)>;

fn pair(raw: &Raw, mech: CK_MECHANISM_TYPE, numbers: &Numbers) -> [CK_OBJECT_HANDLE; 2] {
    let public = numbers.iter().map(|(ty, n)| bytes(*ty, n)).collect();
    let private = vec![
        attr(CKA_SENSITIVE, &CK_FALSE),
        attr(CKA_EXTRACTABLE, &CK_TRUE),
        attr(CKA_DERIVE, &CK_TRUE),
    ];
    raw.pair(plain(mech), public, private).unwrap()
}

fn size(raw: &Raw, object: CK_OBJECT_HANDLE) -> usize {
    let mut size = 0;
    let rv = p11!(raw, C_GetObjectSize, raw.h, object, &mut size);
    assert_eq!(rv, CKR_OK);
    usize::try_from(size).unwrap()
}

#[test]
fn keys_and_domains_of_finite_fields_are_copied_and_measured() {
    let raw = Raw::new();
    for (key_type, parameters, pairs, bits) in [
        (CKK_DSA, CKM_DSA_PARAMETER_GEN, CKM_DSA_KEY_PAIR_GEN, 1024),
        (
            CKK_DH,
            CKM_DH_PKCS_PARAMETER_GEN,
            CKM_DH_PKCS_KEY_PAIR_GEN,
            2048,
        ),
    ] {
        let (own, numbers) = domain(&raw, parameters, bits);
        let stored: usize = numbers.iter().map(|(_, n)| n.len()).sum();
        let [public, private] = pair(&raw, pairs, &numbers);
        for object in [own, public, private] {
            let values = |of| {
                let shown = [
                    CKA_CLASS,
                    CKA_KEY_TYPE,
                    CKA_PRIME,
                    CKA_SUBPRIME,
                    CKA_BASE,
                    CKA_VALUE,
                    CKA_PRIME_BITS,
                    CKA_SUBPRIME_BITS,
                    CKA_VALUE_BITS,
                    CKA_LOCAL,
                ];
                shown.map(|ty| raw.get(of, ty))
            };
            let len = size(&raw, object);
            assert!(
                (stored..stored + 2048).contains(&len),
                "{key_type:#x}: {len}"
            );
            // A label more is that much more; a token object is as large.
            let label = [b'x'; 100];
            let copy = raw.copied(object, bytes(CKA_LABEL, &label)).unwrap();
            assert_eq!(values(copy), values(object), "{key_type:#x}");
            assert_eq!(raw.get(copy, CKA_LABEL), Ok(label.to_vec()));
            assert_eq!(size(&raw, copy), len + 100);
            let lasting = raw.copied(object, attr(CKA_TOKEN, &CK_TRUE)).unwrap();
            assert_eq!(values(lasting), values(object));
            assert_eq!(size(&raw, lasting), len);
            assert_ne!(raw.get(copy, CKA_UNIQUE_ID), raw.get(object, CKA_UNIQUE_ID));
            // What makes it what it is cannot be other in a copy.
            for (ty, number) in &numbers {
                let mut other = number.clone();
                *other.last_mut().unwrap() ^= 2;
                let refused = raw.copied(object, bytes(*ty, &other));
                assert_eq!(refused, Err(CKR_ATTRIBUTE_READ_ONLY), "{ty:#x}");
            }
            // The copy lives when its original is gone.
            assert_eq!(p11!(raw, C_DestroyObject, raw.h, object), CKR_OK);
            assert_eq!(raw.get(copy, CKA_PRIME), Ok(numbers[0].1.clone()));
        }
    }
}

/// Copies do what their originals did.
#[test]
fn a_copy_signs_and_agrees() {
    let raw = Raw::new();
    let (_, numbers) = domain(&raw, CKM_DSA_PARAMETER_GEN, 1024);
    let [public, private] = pair(&raw, CKM_DSA_KEY_PAIR_GEN, &numbers);
    let copies = [public, private].map(|k| raw.copied(k, attr(CKA_TOKEN, &CK_TRUE)).unwrap());
    let mut digest = [7u8; 20];
    let (d, mut signature, mut len) = (digest.as_mut_ptr(), [0u8; 40], 40);
    let s = signature.as_mut_ptr();
    let mut dsa = plain(CKM_DSA);
    assert_eq!(p11!(raw, C_SignInit, raw.h, &mut dsa, copies[1]), CKR_OK);
    assert_eq!(p11!(raw, C_Sign, raw.h, d, 20, s, &mut len), CKR_OK);
    for key in [public, copies[0]] {
        assert_eq!(p11!(raw, C_VerifyInit, raw.h, &mut dsa, key), CKR_OK);
        assert_eq!(p11!(raw, C_Verify, raw.h, d, 20, s, len), CKR_OK);
    }

    let (_, numbers) = domain(&raw, CKM_DH_PKCS_PARAMETER_GEN, 2048);
    let [one, other] = [(); 2].map(|()| pair(&raw, CKM_DH_PKCS_KEY_PAIR_GEN, &numbers));
    let agreed = |base, peer| {
        let mut y = raw.get(peer, CKA_VALUE).unwrap();
        let mut mech = CK_MECHANISM {
            mechanism: CKM_DH_PKCS_DERIVE,
            pParameter: y.as_mut_ptr().cast(),
            ulParameterLen: y.len() as CK_ULONG,
        };
        let mut template = [
            attr(CKA_CLASS, &CKO_SECRET_KEY),
            attr(CKA_KEY_TYPE, &CKK_GENERIC_SECRET),
            attr(CKA_SENSITIVE, &CK_FALSE),
            attr(CKA_EXTRACTABLE, &CK_TRUE),
        ];
        let (t, mut made) = (template.as_mut_ptr(), 0);
        let rv = p11!(raw, C_DeriveKey, raw.h, &mut mech, base, t, 4, &mut made);
        assert_eq!(rv, CKR_OK);
        raw.get(made, CKA_VALUE).unwrap()
    };
    let copies = one.map(|k| raw.copied(k, attr(CKA_TOKEN, &CK_TRUE)).unwrap());
    let z = agreed(other[1], one[0]);
    assert_eq!(z, agreed(copies[1], other[0]));
    assert_eq!(z, agreed(other[1], copies[0]));
    assert_eq!(p11!(raw, C_CloseSession, raw.h), CKR_OK);
}
