//! What PKCS#11 modules do differently, as rows.
//!
//! Everything else in the crate treats all modules alike; a new module that needs special care costs one row here and no `if` elsewhere.
//! Not here: the calls themselves (`p11/`), and how a user's PIN is spelled, which the cluster decides ([`PinForm`] in an attachment).

use zeroize::Zeroizing;

/// Who chooses the IV of an AES-GCM encryption.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IvMaker {
    /// We pass twelve random bytes.
    Caller,
    /// We pass twelve zero bytes and the module writes its own IV there.
    Module,
}

/// The codes by which modules report that a GCM tag did not verify.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TagCode {
    /// CKR_ENCRYPTED_DATA_INVALID, which the specification names.
    EncryptedDataInvalid,
    /// CKR_ENCRYPTED_DATA_LEN_RANGE.
    EncryptedDataLenRange,
    /// CKR_GENERAL_ERROR: the module has no finer word for it.
    GeneralError,
    /// CKR_AEAD_DECRYPT_FAILED of PKCS#11 3.0, which the binding does not name.
    AeadDecryptFailed,
}

/// One module's row.
#[derive(Debug)]
pub struct Quirks {
    /// The module's name in messages.
    pub name: &'static str,
    /// A word of the manufacturer or of the library description that tells the module.
    told_by: &'static [&'static str],
    /// Who makes the GCM IV.
    pub iv: IvMaker,
    /// What C_Decrypt answers to a wrong tag.
    pub bad_tag: &'static [TagCode],
}

const SPEC_TAG: &[TagCode] = &[
    TagCode::EncryptedDataInvalid,
    TagCode::AeadDecryptFailed,
    TagCode::EncryptedDataLenRange,
];

static ROWS: [Quirks; 3] = [
    // SoftHSM2 has one code for every failure inside its crypto library, a wrong tag among them.
    Quirks {
        name: "SoftHSM2",
        told_by: &["SoftHSM"],
        iv: IvMaker::Caller,
        bad_tag: &[
            TagCode::EncryptedDataInvalid,
            TagCode::GeneralError,
            TagCode::EncryptedDataLenRange,
        ],
    },
    // The CloudHSM client library refuses a caller's IV.
    Quirks {
        name: "CloudHSM",
        told_by: &["CloudHSM", "Cavium", "Marvell"],
        iv: IvMaker::Module,
        bad_tag: SPEC_TAG,
    },
    Quirks {
        name: "Keystead",
        told_by: &["Keystead"],
        iv: IvMaker::Caller,
        bad_tag: SPEC_TAG,
    },
];

/// A module that we do not know is held to the specification.
static UNKNOWN: Quirks = Quirks {
    name: "PKCS#11 module",
    told_by: &[],
    iv: IvMaker::Caller,
    bad_tag: SPEC_TAG,
};

impl Quirks {
    /// The row for a module by what C_GetInfo says of it.
    ///
    /// A library description that says `cloudhsm` wins over the manufacturer: our own module in its cloudhsm personality says both.
    pub fn of(manufacturer: &str, description: &str) -> &'static Quirks {
        let has = |text: &str, word: &str| {
            text.to_ascii_lowercase()
                .contains(&word.to_ascii_lowercase())
        };
        let by = |text: &str| {
            ROWS.iter()
                .find(|row| row.told_by.iter().any(|w| has(text, w)))
        };
        let cloudhsm = ROWS
            .iter()
            .find(|row| row.name == "CloudHSM" && has(description, row.name));
        cloudhsm
            .or_else(|| by(manufacturer))
            .or_else(|| by(description))
            .unwrap_or(&UNKNOWN)
    }
}

/// How the PIN given to C_Login is spelled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PinForm {
    /// The password alone: a token with one user.
    Plain,
    /// `user:password`, as CloudHSM's library wants it.
    User(String),
}

impl PinForm {
    /// The PIN for C_Login.
    pub fn login_pin(&self, password: &str) -> Zeroizing<String> {
        Zeroizing::new(match self {
            PinForm::Plain => password.to_owned(),
            PinForm::User(user) => format!("{user}:{password}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_is_told_by_what_it_says_of_itself() {
        assert_eq!(
            Quirks::of("SoftHSM", "Implementation of PKCS11").name,
            "SoftHSM2"
        );
        assert_eq!(
            Quirks::of("Keystead", "Keystead PKCS#11 module").iv,
            IvMaker::Caller
        );
        assert_eq!(
            Quirks::of("Keystead", "Keystead, cloudhsm personality").iv,
            IvMaker::Module
        );
        assert_eq!(Quirks::of("Somebody", "else").name, "PKCS#11 module");
    }

    #[test]
    fn a_pin_carries_the_user_where_the_module_wants_it() {
        assert_eq!(
            *PinForm::User("kmsuser".into()).login_pin("pw"),
            "kmsuser:pw"
        );
        assert_eq!(*PinForm::Plain.login_pin("pw"), "pw");
    }
}
