//! UpdateAlias. All keys of this service are of one kind yet, so any may take another's place.

use aws_json::{Caller, Operation};
use serde::Deserialize;

use super::create_alias::check_name;
use crate::error::Result;
use crate::keys;
use crate::kms::{Kms, scope};
use crate::records::Alias;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct UpdateAlias {
    alias_name: String,
    target_key_id: String,
}

impl Operation<Kms> for UpdateAlias {
    type Output = ();

    fn run(self, kms: &Kms, caller: &Caller) -> Result<()> {
        check_name(&self.alias_name)?;
        let scope = scope(caller);
        let now = kms.clock.now();
        kms.store.change(|rows| {
            let alias: Alias = rows
                .fetch(&scope, &self.alias_name)?
                .ok_or_else(|| keys::no_alias(&scope, &self.alias_name))?;
            let key = keys::find_own(rows, &scope, &self.target_key_id)?;
            keys::not_pending(&key)?;
            rows.save(&Alias {
                key: key.id,
                updated: now,
                ..alias
            })
        })
    }
}
