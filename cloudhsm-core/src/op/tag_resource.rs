//! TagResource.

use aws_json::{Caller, NoMembers, Operation, Result};
use serde::Deserialize;

use super::{scope, tagged, tags};
use crate::control::CloudHsm;
use crate::error::Refused;
use crate::model::Tag;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TagResource {
    resource_id: String,
    tag_list: Vec<Tag>,
}

impl Operation<CloudHsm> for TagResource {
    type Output = NoMembers;

    fn run(self, hsm: &CloudHsm, caller: &Caller) -> Result<NoMembers> {
        hsm.store
            .change(|state| {
                let old = tags(state.realm_mut(&scope(caller)), &self.resource_id)?;
                *old = tagged(old, self.tag_list)?;
                Ok::<_, Refused>(NoMembers {})
            })
            .map_err(Into::into)
    }
}
