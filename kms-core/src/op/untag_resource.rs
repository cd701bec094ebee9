//! UntagResource: a tag that is not there is no mistake.

use aws_json::{Caller, Operation};
use serde::Deserialize;

use super::tags::reserved;
use crate::error::Result;
use crate::keys;
use crate::kms::Kms;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct UntagResource {
    key_id: String,
    tag_keys: Vec<String>,
}

impl Operation<Kms> for UntagResource {
    type Output = ();

    fn run(self, kms: &Kms, caller: &Caller) -> Result<()> {
        kms.change_key(caller, &self.key_id, |key| {
            keys::not_pending(key)?;
            reserved(self.tag_keys.iter())?;
            key.tags.retain(|tag, _| !self.tag_keys.contains(tag));
            Ok(())
        })?;
        Ok(())
    }
}
