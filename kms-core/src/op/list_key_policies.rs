//! ListKeyPolicies: there is one, `default`.

use aws_json::{Caller, Operation};
use serde::{Deserialize, Serialize};

use super::{paging, policy};
use crate::error::Result;
use crate::kms::Kms;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListKeyPolicies {
    key_id: String,
    limit: Option<i64>,
    marker: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Listed {
    policy_names: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_marker: Option<String>,
    truncated: bool,
}

impl Operation<Kms> for ListKeyPolicies {
    type Output = Listed;

    fn run(self, kms: &Kms, caller: &Caller) -> Result<Listed> {
        let key = kms.own_key(caller, &self.key_id)?;
        let list = format!("ListKeyPolicies {}", key.id);
        let limit = paging::limit(self.limit, 100, 1000);
        let names = vec![policy::NAME];
        let page = paging::short(
            &list,
            names,
            |n| (*n).to_owned(),
            limit,
            self.marker.as_deref(),
        )?;
        let truncated = page.truncated();
        Ok(Listed {
            policy_names: page.items,
            next_marker: page.next,
            truncated,
        })
    }
}
