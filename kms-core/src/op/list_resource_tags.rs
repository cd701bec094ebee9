//! ListResourceTags.

use aws_json::{Caller, Operation};
use serde::{Deserialize, Serialize};

use super::paging;
use super::tags::Tag;
use crate::error::Result;
use crate::kms::Kms;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListResourceTags {
    key_id: String,
    limit: Option<i64>,
    marker: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Listed {
    tags: Vec<Tag>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_marker: Option<String>,
    truncated: bool,
}

impl Operation<Kms> for ListResourceTags {
    type Output = Listed;

    fn run(self, kms: &Kms, caller: &Caller) -> Result<Listed> {
        let key = kms.own_key(caller, &self.key_id)?;
        let list = format!("ListResourceTags {}", key.id);
        let tags = key
            .tags
            .into_iter()
            .map(|(tag_key, tag_value)| Tag { tag_key, tag_value })
            .collect();
        let limit = paging::limit(self.limit, 50, 50);
        let page = paging::short(
            &list,
            tags,
            |tag| tag.tag_key.clone(),
            limit,
            self.marker.as_deref(),
        )?;
        let truncated = page.truncated();
        Ok(Listed {
            tags: page.items,
            next_marker: page.next,
            truncated,
        })
    }
}
