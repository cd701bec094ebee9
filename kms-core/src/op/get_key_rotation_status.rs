//! GetKeyRotationStatus. Rotation cannot be switched on yet, so it is off.

use aws_json::{Caller, Operation};
use serde::{Deserialize, Serialize};

use super::refusals::of_its_origin;
use crate::error::Result;
use crate::kms::Kms;
use crate::records::Origin;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct GetKeyRotationStatus {
    key_id: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Status {
    key_rotation_enabled: bool,
    key_id: String,
}

impl Operation<Kms> for GetKeyRotationStatus {
    type Output = Status;

    fn run(self, kms: &Kms, caller: &Caller) -> Result<Status> {
        let key = kms.own_key(caller, &self.key_id)?;
        match key.origin {
            Origin::AwsCloudHsm => Err(of_its_origin(&key, "")),
            Origin::AwsKms => Ok(Status {
                key_rotation_enabled: false,
                key_id: key.arn(),
            }),
        }
    }
}
