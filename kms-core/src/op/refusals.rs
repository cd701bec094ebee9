//! Operations that no key of this service can do: each is one row with its reason.
//!
//! The key is looked up first, so a key that does not exist is said to not exist; `own_key` takes a key id or ARN only, as the service's
//! management operations do, `any_key` an alias too. Keys here are symmetric, single-Region and not
//! imported; what the real service does for other keys arrives with those keys, each operation then in a file of its own.

use aws_json::{Caller, NoMembers, Operation, ServiceError};
use serde::Deserialize;

use crate::error::{INVALID_KEY_USAGE, Result, UNSUPPORTED_OPERATION};
use crate::kms::Kms;
use crate::records::{Key, Origin};

macro_rules! refusals {
    ($($operation:ident of $key:ident because $reason:ident)*) => {
        $(
            #[derive(Debug, Deserialize)]
            #[serde(rename_all = "PascalCase")]
            pub(super) struct $operation {
                key_id: String,
            }

            impl Operation<Kms> for $operation {
                type Output = NoMembers;

                fn run(self, kms: &Kms, caller: &Caller) -> Result<NoMembers> {
                    let key = kms.$key(caller, &self.key_id)?;
                    Err($reason(&key, stringify!($operation)))
                }
            }
        )*
    };
}

refusals! {
    DeleteImportedKeyMaterial of own_key because of_its_origin
    DeriveSharedSecret of any_key because of_its_usage
    DisableKeyRotation of own_key because of_its_place
    EnableKeyRotation of own_key because of_its_place
    GenerateDataKeyPair of any_key because of_its_place
    GenerateDataKeyPairWithoutPlaintext of any_key because of_its_place
    GenerateMac of any_key because of_its_usage
    GetParametersForImport of own_key because of_its_origin
    GetPublicKey of any_key because it_is_symmetric
    ImportKeyMaterial of own_key because of_its_origin
    ReplicateKey of own_key because it_is_of_one_region
    RotateKeyOnDemand of own_key because of_its_place
    Sign of any_key because of_its_usage
    UpdatePrimaryRegion of own_key because it_is_of_one_region
    Verify of any_key because of_its_usage
    VerifyMac of any_key because of_its_usage
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
