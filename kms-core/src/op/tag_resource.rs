//! TagResource.

use aws_json::{Caller, Operation};
use serde::Deserialize;

use super::tags::{Tag, merge};
use crate::error::Result;
use crate::keys;
use crate::kms::Kms;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TagResource {
    key_id: String,
    tags: Vec<Tag>,
}

impl Operation<Kms> for TagResource {
    type Output = ();

    fn run(self, kms: &Kms, caller: &Caller) -> Result<()> {
        kms.change_key(caller, &self.key_id, |key| {
            keys::not_pending(key)?;
            merge(&mut key.tags, &self.tags)
        })?;
        Ok(())
    }
}
