//! ListAliases: of the account, or of one key.

use aws_json::{Caller, Operation, Timestamp};
use serde::{Deserialize, Serialize};

use super::paging;
use crate::error::Result;
use crate::kms::{Kms, scope};
use crate::records::Alias;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListAliases {
    key_id: Option<String>,
    limit: Option<i64>,
    marker: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    alias_name: String,
    alias_arn: String,
    target_key_id: String,
    creation_date: Timestamp,
    last_updated_date: Timestamp,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Listed {
    aliases: Vec<Entry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_marker: Option<String>,
    truncated: bool,
}

impl Operation<Kms> for ListAliases {
    type Output = Listed;

    fn run(self, kms: &Kms, caller: &Caller) -> Result<Listed> {
        let limit = paging::limit(self.limit, 50, 100);
        let marker = self.marker.as_deref();
        let scope = scope(caller);
        let page = match &self.key_id {
            None => paging::page::<Alias>(kms, &scope, "ListAliases", limit, marker)?,
            Some(key_id) => {
                let key = kms.own_key(caller, key_id)?;
                let aliases = kms.store.view(|rows| rows.of::<Alias>(&scope, &key.id))?;
                let list = format!("ListAliases {}", key.id);
                paging::short(&list, aliases, |alias| alias.name.clone(), limit, marker)?
            }
        };
        let truncated = page.truncated();
        let entry = |alias: Alias| Entry {
            alias_arn: scope.alias_arn(&alias.name),
            alias_name: alias.name,
            target_key_id: alias.key,
            creation_date: Timestamp(alias.created),
            last_updated_date: Timestamp(alias.updated),
        };
        let aliases = page.items.into_iter().map(entry).collect();
        Ok(Listed {
            aliases,
            next_marker: page.next,
            truncated,
        })
    }
}
