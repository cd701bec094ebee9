//! Which of RFC 8032's schemes CKM_EDDSA is, by curve and parameter (PKCS#11 3.2, 6.3, "Mapping to RFC 8032 Signature Schemes").

use std::borrow::Cow;

use hsm_api::{Attr, MechId, Mechanism, ObjectId, Op, Params, Request, Rv};
use hsm_sim::{attr, mech};

use super::rig::*;

/// RFC 8032, 7.2: the seed and the message whose signature under the context "foo" is there.
const SEED: &str = "0305334e381af78f141cb666f6199f57bc3495335a256a95bd2a55bf546663f6";
const MESSAGE: &str = "f726936d19c800494e3fdaff20b276a8";
const FOO: &str = "55a4cc2f70a54e04288c5f4cd1e45a7bb520b36292911876cada7323198dd87a\
                   8b36950b95130022907a7fb7c4e9b2d5f6cca685a587b4b21f4b888e4e7edb0d";
/// Of the same seed and message, by RFC 8032's definitions written in Python's integers: Ed25519ctx with an empty context, Ed25519.
const EMPTY: &str = "cc5e63a27e94afd3418338d2486fa92af9917c2d989e06e50277721c343818b4\
                     2196bc292e68f34d859bbead179f54542d4b04dcfbfa4a684e3950fb1ccd8d0d";
const PURE: &str = "143504d685910135b4cfcdc91d48d1bd5d292cf54ab3d369a5a8122aa9133e97\
                    01eab40163055ce5a64d74a210cf7d42268d8dc2b42e11c21a305170d0b4c70f";

const NAMED_25519: &[u8] = b"\x13\x0cedwards25519";
const ID_25519: &[u8] = &[6, 3, 0x2b, 0x65, 0x70];
const NAMED_448: &[u8] = b"\x13\x0aedwards448";
const ID_448: &[u8] = &[6, 3, 0x2b, 0x65, 0x71];

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

fn eddsa(params: Params<'static>) -> Mechanism<'static> {
    let id = MechId(0x1057);
    Mechanism { id, params }
}

fn with(context: &'static [u8]) -> Params<'static> {
    Params::EdDsa {
        prehash: false,
        context: Cow::Borrowed(context),
    }
}

fn key(link: &impl Ask, more: &[Attr]) -> ObjectId {
    let new = id();
    let mut template = vec![
        n(attr::CLASS, 3),
        n(attr::KEY_TYPE, 0x40),
        b(attr::SIGN, true),
    ];
    template.extend_from_slice(more);
    link.made(&Request::Create { id: new, template });
    new
}

#[test]
fn ed25519_by_curve_and_parameter() {
    let dir = tempfile::tempdir().unwrap();
    let (_engine, link) = token(dir.path());
    for (curve, params, wanted) in [
        (NAMED_25519, Params::None, PURE),
        (NAMED_25519, with(b""), EMPTY),
        (NAMED_25519, with(b"foo"), FOO),
        // "For curves according to [RFC 8410], the mechanism is implicitly given by the curve, which is EdDSA in pure mode."
        (ID_25519, Params::None, PURE),
        (ID_25519, with(b""), PURE),
    ] {
        let what = format!("{curve:02x?} {params:?}");
        let key = key(
            &link,
            &[
                bytes(attr::EC_PARAMS, curve),
                bytes(attr::VALUE, &unhex(SEED)),
            ],
        );
        let signature = link.crypt(Op::Sign, &eddsa(params), key, &unhex(MESSAGE));
        assert_eq!(signature.unwrap(), unhex(wanted), "{what}");
    }
}

#[test]
fn ed448_on_a_named_curve_needs_its_parameter() {
    let dir = tempfile::tempdir().unwrap();
    let (_engine, link) = token(dir.path());
    let signature = |curve: &[u8], params| {
        let key = key(
            &link,
            &[bytes(attr::EC_PARAMS, curve), bytes(attr::VALUE, &[7; 57])],
        );
        let facts = link.key(key).1;
        let mech = eddsa(params);
        // C_SignInit asks this of the facts, before any request.
        let init = mech::check_init(Op::Sign, &mech, Some(&facts)).map(drop);
        let signature = link.crypt(Op::Sign, &mech, key, b"abc");
        assert_eq!(
            init.map_err(|e| e.rv),
            signature.as_ref().map(drop).map_err(|e| e.rv)
        );
        signature.map_err(|e| e.rv)
    };
    let plain = signature(ID_448, Params::None).unwrap();
    assert_eq!(plain.len(), 114);
    assert_eq!(signature(NAMED_448, with(b"")), Ok(plain.clone()));
    assert_ne!(signature(NAMED_448, with(b"foo")).unwrap(), plain);
    assert_eq!(
        signature(NAMED_448, Params::None),
        Err(Rv::MECHANISM_PARAM_INVALID)
    );
}
