//! Operations that no key of this service can do: each is one row with its reason.
//!
//! The key is looked up first, so a key that does not exist is said to not exist. Keys here are symmetric, single-Region and not
//! imported; what the real service does for other keys arrives with those keys, each operation then in a file of its own.

use aws_json::{Caller, NoMembers, Operation, ServiceError};
use serde::Deserialize;

use crate::error::{INVALID_KEY_USAGE, Result, UNSUPPORTED_OPERATION};
use crate::kms::Kms;
use crate::records::{Key, Origin};

macro_rules! refusals {
    ($($operation:ident because $reason:ident)*) => {
        $(
            #[derive(Debug, Deserialize)]
            #[serde(rename_all = "PascalCase")]
            pub(super) struct $operation {
                key_id: String,
            }

            impl Operation<Kms> for $operation {
                type Output = NoMembers;

                fn run(self, kms: &Kms, caller: &Caller) -> Result<NoMembers> {
                    let key = kms.any_key(caller, &self.key_id)?;
                    Err($reason(&key, stringify!($operation)))
                }
            }
        )*
    };
}

refusals! {
    DeleteImportedKeyMaterial because of_its_origin
    DeriveSharedSecret because of_its_usage
    DisableKeyRotation because of_its_place
    EnableKeyRotation because of_its_place
    GenerateDataKeyPair because of_its_place
    GenerateDataKeyPairWithoutPlaintext because of_its_place
    GenerateMac because of_its_usage
    GetParametersForImport because of_its_origin
    GetPublicKey because it_is_symmetric
    ImportKeyMaterial because of_its_origin
    ReplicateKey because it_is_of_one_region
    RotateKeyOnDemand because of_its_place
    Sign because of_its_usage
    UpdatePrimaryRegion because it_is_of_one_region
    Verify because of_its_usage
    VerifyMac because of_its_usage
}

fn of_its_usage(key: &Key, operation: &str) -> ServiceError {
    INVALID_KEY_USAGE.says(format!(
        "{} key usage is ENCRYPT_DECRYPT which is not valid for {operation}.",
        key.arn()
    ))
}

pub(super) fn of_its_origin(key: &Key, _: &str) -> ServiceError {
    UNSUPPORTED_OPERATION.says(format!(
        "{} origin is {} which is not valid for this operation.",
        key.arn(),
        key.origin.name()
    ))
}

/// Refused by the real service for keys in key stores; for others it is not there yet.
fn of_its_place(key: &Key, operation: &str) -> ServiceError {
    match key.origin {
        Origin::AwsCloudHsm => of_its_origin(key, operation),
        Origin::AwsKms => UNSUPPORTED_OPERATION.says(format!("{operation} is not implemented.")),
    }
}

fn it_is_of_one_region(key: &Key, _: &str) -> ServiceError {
    UNSUPPORTED_OPERATION.says(format!("{} is not a multi-region primary key.", key.arn()))
}

fn it_is_symmetric(key: &Key, _: &str) -> ServiceError {
    UNSUPPORTED_OPERATION.says(format!(
        "{} is a symmetric key, which has no public key.",
        key.arn()
    ))
}
