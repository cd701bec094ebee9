//! ListGrants.

use aws_json::{Caller, Operation};
use serde::Deserialize;

use super::create_grant::{Entry, Listed};
use super::paging;
use crate::error::Result;
use crate::kms::Kms;
use crate::records::Grant;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListGrants {
    key_id: String,
    grant_id: Option<String>,
    grantee_principal: Option<String>,
    limit: Option<i64>,
    marker: Option<String>,
}

impl Operation<Kms> for ListGrants {
    type Output = Listed;

    fn run(self, kms: &Kms, caller: &Caller) -> Result<Listed> {
        let key = kms.own_key(caller, &self.key_id)?;
        let mut grants = kms
            .store
            .view(|rows| rows.of::<Grant>(&key.scope, &key.id))?;
        grants.retain(|grant| {
            self.grant_id.as_ref().is_none_or(|id| *id == grant.id)
                && self
                    .grantee_principal
                    .as_ref()
                    .is_none_or(|who| *who == grant.grantee)
        });
        let list = format!("ListGrants {}", key.id);
        let limit = paging::limit(self.limit, 50, 100);
        let page = paging::short(
            &list,
            grants,
            |g| g.id.clone(),
            limit,
            self.marker.as_deref(),
        )?;
        let truncated = page.truncated();
        let grants = page.items.into_iter().map(Entry::from).collect();
        Ok(Listed {
            grants,
            next_marker: page.next,
            truncated,
        })
    }
}
