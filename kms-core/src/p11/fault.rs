//! One mapping from `cryptoki::Error` to what it means for KMS, by function, code and the module's row.

use cryptoki::context::Function;
use cryptoki::error::{Error, RvError};

use crate::quirks::{Quirks, TagCode};

/// Why a call on a token failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What it means.
    pub kind: FaultKind,
    /// Which call and which code, for the log.
    pub why: String,
}

/// What a failed call means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// The ciphertext does not belong to this key and context.
    BadTag,
    /// The token has no such key.
    KeyGone,
    /// The token has several keys of this label.
    KeyAmbiguous,
    /// A cached key handle is stale.
    StaleHandle,
    /// The session is stale.
    StaleSession,
    /// The HSMs cannot be reached.
    Unreachable,
    /// The login was lost.
    LoggedOut,
    /// No free session or no memory: retry later.
    Exhausted,
    /// The password is wrong.
    WrongPassword,
    /// The user is locked.
    LockedOut,
    /// There is no such user.
    NoUser,
    /// The user is logged in elsewhere.
    LoggedIn,
    /// The token refuses the new password.
    PasswordRefused,
    /// Everything else: a defect of ours or of the module.
    Internal,
}

impl Fault {
    /// A fault of our own finding.
    pub fn new(kind: FaultKind, why: impl Into<String>) -> Fault {
        Fault {
            kind,
            why: why.into(),
        }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.why)
    }
}

impl std::error::Error for Fault {}

/// CKR_AEAD_DECRYPT_FAILED of PKCS#11 3.0.
const AEAD_DECRYPT_FAILED: u64 = 0x42;

pub(super) fn fault(error: Error, quirks: &Quirks) -> Fault {
    let Error::Pkcs11(code, function) = error else {
        return Fault::new(FaultKind::Internal, format!("{}: {error}", quirks.name));
    };
    Fault::new(
        kind(code, function, quirks),
        format!("{}: C_{function:?} answered {}", quirks.name, ckr(&code)),
    )
}

/// The name that the specification gives a return code: `PinIncorrect` is CKR_PIN_INCORRECT.
pub fn ckr(code: &RvError) -> String {
    let mut name = String::from("CKR");
    for c in format!("{code:?}").chars() {
        if c.is_ascii_uppercase() {
            name.push('_');
        }
        name.push(c.to_ascii_uppercase());
    }
    name
}

fn kind(code: RvError, function: Function, quirks: &Quirks) -> FaultKind {
    use FaultKind as K;
    if matches!(function, Function::Decrypt)
        && tag_code(code).is_some_and(|tag| quirks.bad_tag.contains(&tag))
    {
        return K::BadTag;
    }
    match (function, code) {
        (_, RvError::PinIncorrect) => K::WrongPassword,
        (_, RvError::PinLocked) => K::LockedOut,
        (Function::Login, RvError::UserPinNotInitialized | RvError::UserTypeInvalid) => K::NoUser,
        // An HSM of ours lets a user log in twice, and refuses the change of a password that another login uses.
        (
            Function::Login | Function::SetPIN,
            RvError::UserAlreadyLoggedIn
            | RvError::UserAnotherAlreadyLoggedIn
            | RvError::UserTooManyTypes,
        ) => K::LoggedIn,
        // A login with a password of a form that the token would never have accepted is a wrong password.
        (Function::Login, RvError::PinLenRange | RvError::PinInvalid | RvError::PinExpired) => {
            K::WrongPassword
        }
        (_, RvError::PinLenRange | RvError::PinInvalid | RvError::PinTooWeak) => K::PasswordRefused,
        (_, RvError::KeyHandleInvalid | RvError::ObjectHandleInvalid) => K::StaleHandle,
        (_, RvError::SessionHandleInvalid | RvError::SessionClosed) => K::StaleSession,
        (_, RvError::UserNotLoggedIn) => K::LoggedOut,
        (_, RvError::SessionCount | RvError::DeviceMemory | RvError::HostMemory) => K::Exhausted,
        (
            _,
            RvError::DeviceError
            | RvError::DeviceRemoved
            | RvError::TokenNotPresent
            | RvError::TokenNotRecognized
            | RvError::SlotIdInvalid
            | RvError::FunctionFailed
            | RvError::FunctionCanceled,
        ) => K::Unreachable,
        _ => K::Internal,
    }
}

fn tag_code(code: RvError) -> Option<TagCode> {
    match code {
        RvError::EncryptedDataInvalid => Some(TagCode::EncryptedDataInvalid),
        RvError::EncryptedDataLenRange => Some(TagCode::EncryptedDataLenRange),
        RvError::GeneralError => Some(TagCode::GeneralError),
        RvError::UnknownErrorCode(AEAD_DECRYPT_FAILED) => Some(TagCode::AeadDecryptFailed),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_function_and_the_module_decide_what_a_code_means() {
        let softhsm = Quirks::of("SoftHSM", "");
        let keystead = Quirks::of("Keystead", "");
        let of = |code, function, quirks| kind(code, function, quirks);
        assert_eq!(
            of(RvError::GeneralError, Function::Decrypt, softhsm),
            FaultKind::BadTag
        );
        assert_eq!(
            of(RvError::GeneralError, Function::Encrypt, softhsm),
            FaultKind::Internal
        );
        assert_eq!(
            of(RvError::GeneralError, Function::Decrypt, keystead),
            FaultKind::Internal
        );
        assert_eq!(
            of(RvError::EncryptedDataInvalid, Function::Decrypt, keystead),
            FaultKind::BadTag
        );
        assert_eq!(
            of(RvError::PinLenRange, Function::Login, softhsm),
            FaultKind::WrongPassword
        );
        assert_eq!(
            of(RvError::PinLenRange, Function::SetPIN, softhsm),
            FaultKind::PasswordRefused
        );
    }
}
