//! ListKeys.

use aws_json::{Caller, Operation};
use serde::{Deserialize, Serialize};

use super::paging;
use crate::error::Result;
use crate::kms::{Kms, scope};
use crate::records::Key;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListKeys {
    limit: Option<i64>,
    marker: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    key_id: String,
    key_arn: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Listed {
    keys: Vec<Entry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_marker: Option<String>,
    truncated: bool,
}

impl Operation<Kms> for ListKeys {
    type Output = Listed;

    fn run(self, kms: &Kms, caller: &Caller) -> Result<Listed> {
        let limit = paging::limit(self.limit, 100, 1000);
        let page = paging::page::<Key>(
            kms,
            &scope(caller),
            "ListKeys",
            limit,
            self.marker.as_deref(),
        )?;
        let truncated = page.truncated();
        let keys = page
            .items
            .into_iter()
            .map(|key| Entry {
                key_arn: key.arn(),
                key_id: key.id,
            })
            .collect();
        Ok(Listed {
            keys,
            next_marker: page.next,
            truncated,
        })
    }
}
