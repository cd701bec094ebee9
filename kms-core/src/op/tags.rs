//! Tags: the rules that TagResource and CreateKey share.

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};

use crate::error::{Result, TAG};

const MAX: usize = 50;

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Tag {
    pub(super) tag_key: String,
    pub(super) tag_value: String,
}

/// Adds `new` to a key's tags, in the service's words where it refuses.
pub(super) fn merge(tags: &mut BTreeMap<String, String>, new: &[Tag]) -> Result<()> {
    let mut seen = HashSet::new();
    if !new.iter().all(|tag| seen.insert(&tag.tag_key)) {
        return Err(TAG.says("Duplicate tag keys"));
    }
    reserved(new.iter().map(|tag| &tag.tag_key))?;
    tags.extend(
        new.iter()
            .map(|tag| (tag.tag_key.clone(), tag.tag_value.clone())),
    );
    if tags.len() > MAX {
        return Err(TAG.says("Too many tags"));
    }
    Ok(())
}

pub(super) fn reserved<'a>(mut keys: impl Iterator<Item = &'a String>) -> Result<()> {
    let aws = |key: &String| {
        key.get(..4)
            .is_some_and(|start| start.eq_ignore_ascii_case("aws:"))
    };
    if keys.any(aws) {
        return Err(TAG.says("Tags beginning with aws: are reserved"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_have_their_words() {
        let tag = |key: &str| Tag {
            tag_key: key.into(),
            tag_value: "v".into(),
        };
        let refused = |new: &[Tag]| {
            merge(&mut BTreeMap::new(), new)
                .unwrap_err()
                .message
                .unwrap()
        };
        assert_eq!(refused(&[tag("a"), tag("a")]), "Duplicate tag keys");
        assert_eq!(
            refused(&[tag("aws:x")]),
            "Tags beginning with aws: are reserved"
        );
        let many: Vec<Tag> = (0..51).map(|i| tag(&i.to_string())).collect();
        assert_eq!(refused(&many), "Too many tags");
        let mut tags = BTreeMap::from([("a".to_owned(), "old".to_owned())]);
        merge(&mut tags, &[tag("a")]).unwrap();
        assert_eq!(tags["a"], "v");
    }
}
