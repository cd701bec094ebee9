//! RetireGrant: by its token, or by key ARN and id.

use aws_json::{Caller, Operation};
use serde::Deserialize;
use subtle::ConstantTimeEq;

use super::revoke_grant::remove;
use crate::error::{INVALID_GRANT_TOKEN, Result, VALIDATION};
use crate::kms::{Kms, scope};
use crate::records::Grant;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct RetireGrant {
    grant_token: Option<String>,
    key_id: Option<String>,
    grant_id: Option<String>,
    dry_run: Option<bool>,
}

impl Operation<Kms> for RetireGrant {
    type Output = ();

    fn run(self, kms: &Kms, caller: &Caller) -> Result<()> {
        let (key, id) = match (self.grant_token, self.key_id, self.grant_id) {
            (Some(token), None, None) => {
                let grants: Vec<Grant> = kms
                    .store
                    .view(|rows| rows.list(&scope(caller), "", usize::MAX))?;
                let grant = grants
                    .into_iter()
                    // A token is a bearer's right: it is not told letter by letter.
                    .find(|grant| grant.token.as_bytes().ct_eq(token.as_bytes()).into())
                    .ok_or_else(|| INVALID_GRANT_TOKEN.says("Invalid grant token"))?;
                (grant.key, grant.id)
            }
            (None, Some(key), Some(id)) => (key, id),
            _ => {
                return Err(
                    VALIDATION.says("Specify either a GrantToken, or a KeyId and a GrantId.")
                );
            }
        };
        let key = kms.own_key(caller, &key)?;
        remove(kms, &key, &id, self.dry_run)
    }
}
