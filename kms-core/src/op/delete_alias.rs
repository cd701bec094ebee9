//! DeleteAlias.

use aws_json::{Caller, Operation};
use serde::Deserialize;

use super::create_alias::check_name;
use crate::error::Result;
use crate::keys;
use crate::kms::{Kms, scope};
use crate::records::Alias;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DeleteAlias {
    alias_name: String,
}

impl Operation<Kms> for DeleteAlias {
    type Output = ();

    fn run(self, kms: &Kms, caller: &Caller) -> Result<()> {
        check_name(&self.alias_name)?;
        let scope = scope(caller);
        kms.store.change(|rows| {
            let alias: Alias = rows
                .fetch(&scope, &self.alias_name)?
                .ok_or_else(|| keys::no_alias(&scope, &self.alias_name))?;
            rows.remove(&alias)
        })
    }
}
