//! What a refusal of the algorithms means to a PKCS#11 caller: it depends on what was asked.

use hsm_api::{Error, Rv};
use hsm_crypto::Error as Fault;

fn other(fault: Fault) -> Error {
    let rv = match fault {
        Fault::BadKey => Rv::KEY_TYPE_INCONSISTENT,
        Fault::Unsupported => Rv::KEY_FUNCTION_NOT_PERMITTED,
        Fault::BadLength => Rv::DATA_LEN_RANGE,
        _ => Rv::FUNCTION_FAILED,
    };
    Error::new(rv, fault.to_string())
}

/// While signing, hashing or encrypting.
pub(crate) fn data(fault: Fault) -> Error {
    match fault {
        Fault::BadLength | Fault::TooLarge => Error::new(
            Rv::DATA_LEN_RANGE,
            "the data's length does not suit the mechanism or the key",
        ),
        _ => other(fault),
    }
}

/// While decrypting.
pub(crate) fn cipher(fault: Fault) -> Error {
    match fault {
        Fault::BadLength => Error::new(
            Rv::ENCRYPTED_DATA_LEN_RANGE,
            "no ciphertext of this mechanism has this length",
        ),
        Fault::Mismatch | Fault::BadPadding | Fault::TooLarge => Error::new(
            Rv::ENCRYPTED_DATA_INVALID,
            "the ciphertext, its tag or the key is wrong",
        ),
        _ => other(fault),
    }
}

/// While verifying.
pub(crate) fn signature(fault: Fault) -> Error {
    match fault {
        Fault::BadLength => Error::new(Rv::SIGNATURE_LEN_RANGE, "the signature's length is wrong"),
        Fault::Mismatch | Fault::BadPadding | Fault::TooLarge => Error::new(
            Rv::SIGNATURE_INVALID,
            "the signature does not belong to the data and the key",
        ),
        _ => other(fault),
    }
}

/// While a key is made from a template's values.
pub(crate) fn template(fault: Fault) -> Error {
    let rv = match fault {
        Fault::Unsupported => Rv::CURVE_NOT_SUPPORTED,
        Fault::BadKey | Fault::BadLength | Fault::TooLarge => Rv::ATTRIBUTE_VALUE_INVALID,
        _ => Rv::FUNCTION_FAILED,
    };
    Error::new(rv, fault.to_string())
}
