//! ListRetirableGrants.

use aws_json::{Caller, Operation};
use serde::Deserialize;

use super::create_grant::{Entry, Listed};
use super::paging;
use crate::error::Result;
use crate::kms::{Kms, scope};
use crate::records::Grant;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListRetirableGrants {
    retiring_principal: String,
    limit: Option<i64>,
    marker: Option<String>,
}

impl Operation<Kms> for ListRetirableGrants {
    type Output = Listed;

    fn run(self, kms: &Kms, caller: &Caller) -> Result<Listed> {
        let mut grants: Vec<Grant> = kms
            .store
            .view(|rows| rows.list(&scope(caller), "", usize::MAX))?;
        grants.retain(|grant| grant.retiring.as_ref() == Some(&self.retiring_principal));
        let list = format!("ListRetirableGrants {}", self.retiring_principal);
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
