//! CreateGrant, and how a grant is shown.

use aws_json::{Caller, Operation, Timestamp};
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::keys;
use crate::kms::Kms;
use crate::records::Grant;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct CreateGrant {
    key_id: String,
    grantee_principal: String,
    retiring_principal: Option<String>,
    operations: Vec<String>,
    constraints: Option<serde_json::Value>,
    name: Option<String>,
    dry_run: Option<bool>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Created {
    grant_token: String,
    grant_id: String,
}

/// A grant in ListGrants and ListRetirableGrants.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Entry {
    key_id: String,
    grant_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    creation_date: Timestamp,
    grantee_principal: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    retiring_principal: Option<String>,
    issuing_account: String,
    operations: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    constraints: Option<serde_json::Value>,
}

/// A page of grants.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Listed {
    pub(super) grants: Vec<Entry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next_marker: Option<String>,
    pub(super) truncated: bool,
}

impl From<Grant> for Entry {
    fn from(grant: Grant) -> Entry {
        Entry {
            key_id: grant.scope.key_arn(&grant.key),
            issuing_account: grant.scope.root_arn(),
            grant_id: grant.id,
            name: grant.name,
            creation_date: Timestamp(grant.created),
            grantee_principal: grant.grantee,
            retiring_principal: grant.retiring,
            operations: grant.operations,
            constraints: grant.constraints,
        }
    }
}

impl Operation<Kms> for CreateGrant {
    type Output = Created;

    fn run(self, kms: &Kms, caller: &Caller) -> Result<Created> {
        let key = kms.own_key(caller, &self.key_id)?;
        keys::not_pending(&key)?;
        keys::enabled(&key)?;
        super::dry_run(self.dry_run)?;
        let new = Grant {
            scope: key.scope.clone(),
            id: hex::encode(rand::random::<[u8; 32]>()),
            token: hex::encode(rand::random::<[u8; 64]>()),
            key: key.id.clone(),
            name: self.name,
            grantee: self.grantee_principal,
            retiring: self.retiring_principal,
            operations: self.operations,
            constraints: self.constraints,
            created: kms.clock.now(),
        };
        let grant = kms.store.change(|rows| {
            // A repeated request with a name finds what the first one made.
            let same = |old: &Grant| {
                new.name.is_some()
                    && Grant {
                        id: new.id.clone(),
                        token: new.token.clone(),
                        created: new.created,
                        ..old.clone()
                    } == new
            };
            if let Some(old) = rows
                .of::<Grant>(&key.scope, &key.id)?
                .into_iter()
                .find(same)
            {
                return Ok(old);
            }
            rows.save(&new)?;
            Ok(new.clone())
        })?;
        Ok(Created {
            grant_token: grant.token,
            grant_id: grant.id,
        })
    }
}
