//! What the public library of the real service refuses, in tables. A client that relies on what
//! CloudHSM refuses must fail here too, and the log says by which rule.
//!
//! | file | table |
//! |---|---|
//! | this one | functions and conditions |
//! | [`mechanisms`] | mechanisms with their functions and longest data, sizes of keys |
//! | [`attributes`] | attributes with their defaults |

pub mod attributes;
pub mod mechanisms;

use hsm_api::{Error, Result, Rv};
use serde::Deserialize;

/// Whose behaviour a token shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Personality {
    /// All that PKCS#11 gives.
    #[default]
    Standard,
    /// What CloudHSM's client library gives (SDK 5), refusals included.
    CloudHsm,
}

/// A point where the personalities differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Difference {
    ReadOnlySession,
    InitToken,
    InitPin,
    SetPin,
    SetAttributes,
    Copy,
    ObjectSize,
    SeedRandom,
    Recover,
    Dual,
    OperationState,
    DigestKey,
    LoginUser,
    SoLogin,
    CallerIv,
    GcmParts,
    Sessions,
    Messages,
    Encapsulate,
    VerifySignature,
}

use Difference as D;

/// Difference, what CloudHSM answers, and the rule for the log.
const CLOUDHSM: &[(Difference, Rv, &str)] = &[
    (
        D::ReadOnlySession,
        Rv::FUNCTION_FAILED,
        "sessions are read-write: set CKF_RW_SESSION",
    ),
    (
        D::InitToken,
        Rv::FUNCTION_NOT_SUPPORTED,
        "the cluster's management tools do this",
    ),
    (
        D::InitPin,
        Rv::FUNCTION_NOT_SUPPORTED,
        "crypto users are made by the management tools",
    ),
    (
        D::SetPin,
        Rv::FUNCTION_NOT_SUPPORTED,
        "passwords are changed by the management tools",
    ),
    (
        D::SetAttributes,
        Rv::FUNCTION_NOT_SUPPORTED,
        "attributes are set at creation",
    ),
    (
        D::Copy,
        Rv::FUNCTION_NOT_SUPPORTED,
        "objects cannot be copied",
    ),
    (
        D::ObjectSize,
        Rv::FUNCTION_NOT_SUPPORTED,
        "an object's size is not told",
    ),
    (
        D::SeedRandom,
        Rv::FUNCTION_NOT_SUPPORTED,
        "the HSM takes no seed",
    ),
    (
        D::Recover,
        Rv::FUNCTION_NOT_SUPPORTED,
        "there is no signing with recovery",
    ),
    (
        D::Dual,
        Rv::FUNCTION_NOT_SUPPORTED,
        "there are no dual-function operations",
    ),
    (
        D::OperationState,
        Rv::FUNCTION_NOT_SUPPORTED,
        "operations cannot be saved",
    ),
    (
        D::DigestKey,
        Rv::FUNCTION_NOT_SUPPORTED,
        "keys cannot be digested",
    ),
    (
        D::LoginUser,
        Rv::FUNCTION_NOT_SUPPORTED,
        "the user's name is part of the PIN",
    ),
    (
        D::SoLogin,
        Rv::USER_TYPE_INVALID,
        "crypto officers use the management tools",
    ),
    (
        D::CallerIv,
        Rv::MECHANISM_PARAM_INVALID,
        "the HSM makes GCM's IV: pass 12 zero bytes",
    ),
    (
        D::GcmParts,
        Rv::MECHANISM_INVALID,
        "AES-GCM works in one part only",
    ),
    (
        D::Sessions,
        Rv::SESSION_COUNT,
        "an application has at most 1,024 sessions",
    ),
    (
        D::Messages,
        Rv::FUNCTION_NOT_SUPPORTED,
        "the library is one of PKCS#11 2.40, without messages",
    ),
    (
        D::Encapsulate,
        Rv::FUNCTION_NOT_SUPPORTED,
        "the library is one of PKCS#11 2.40, without encapsulation",
    ),
    (
        D::VerifySignature,
        Rv::FUNCTION_NOT_SUPPORTED,
        "the library is one of PKCS#11 2.40: use C_VerifyInit",
    ),
];

/// How many sessions an application may have under CloudHSM's personality.
pub const SESSIONS: u64 = 1_024;

/// A refusal by a rule.
fn refuse(rv: Rv, rule: &str) -> Error {
    Error::new(rv, format!("personality cloudhsm: {rule}"))
}

impl Personality {
    /// Refuses what this personality does not have.
    ///
    /// # Errors
    /// The code and the rule of the table.
    pub fn allows(self, what: Difference) -> Result<()> {
        if self == Personality::Standard {
            return Ok(());
        }
        match CLOUDHSM.iter().find(|(d, ..)| *d == what) {
            None => Ok(()),
            Some((_, rv, rule)) => Err(refuse(*rv, rule)),
        }
    }

    /// Whether GCM's IV is made by the HSM and written back into the caller's parameters.
    pub fn makes_iv(self) -> bool {
        self == Personality::CloudHsm
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_cloudhsm_refuses() {
        for (what, rv, _) in CLOUDHSM {
            assert_eq!(Personality::Standard.allows(*what), Ok(()));
            let refused = Personality::CloudHsm.allows(*what).unwrap_err();
            assert_eq!(refused.rv, *rv, "{what:?}");
            assert!(refused.why.starts_with("personality cloudhsm: "));
        }
    }
}
