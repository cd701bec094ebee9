//! ListKeyRotations. A key's first material is no rotation, and there are no others yet.

use aws_json::{Caller, Operation};
use serde::{Deserialize, Serialize};

use super::paging;
use super::refusals::of_its_origin;
use crate::error::Result;
use crate::kms::Kms;
use crate::records::Origin;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListKeyRotations {
    key_id: String,
    marker: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Listed {
    rotations: [(); 0],
    truncated: bool,
}

impl Operation<Kms> for ListKeyRotations {
    type Output = Listed;

    fn run(self, kms: &Kms, caller: &Caller) -> Result<Listed> {
        let key = kms.own_key(caller, &self.key_id)?;
        if key.origin == Origin::AwsCloudHsm {
            return Err(of_its_origin(&key, ""));
        }
        // An empty list makes no markers, so any that is given is foreign.
        let list = format!("ListKeyRotations {}", key.id);
        paging::short(
            &list,
            Vec::<String>::new(),
            String::clone,
            1,
            self.marker.as_deref(),
        )?;
        Ok(Listed {
            rotations: [],
            truncated: false,
        })
    }
}
