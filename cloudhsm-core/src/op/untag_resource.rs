//! UntagResource. A key that is not there is no error.

use aws_json::{Caller, NoMembers, Operation, Result};
use serde::Deserialize;

use super::{scope, tags};
use crate::control::CloudHsm;
use crate::error::Refused;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct UntagResource {
    resource_id: String,
    tag_key_list: Vec<String>,
}

impl Operation<CloudHsm> for UntagResource {
    type Output = NoMembers;

    fn run(self, hsm: &CloudHsm, caller: &Caller) -> Result<NoMembers> {
        hsm.store
            .change(|state| {
                let old = tags(state.realm_mut(&scope(caller)), &self.resource_id)?;
                old.retain(|t| !self.tag_key_list.contains(&t.key));
                Ok::<_, Refused>(NoMembers {})
            })
            .map_err(Into::into)
    }
}
