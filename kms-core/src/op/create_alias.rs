//! CreateAlias, and the rules of names that the alias operations share.

use aws_json::{Caller, Operation};
use serde::Deserialize;

use crate::error::{ALREADY_EXISTS, LIMIT_EXCEEDED, NOT_AUTHORIZED, Result, VALIDATION};
use crate::keys;
use crate::kms::{Kms, scope};
use crate::records::Alias;

/// Aliases a key may have.
const QUOTA: usize = 50;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct CreateAlias {
    alias_name: String,
    target_key_id: String,
}

/// What a user may call an alias.
pub(super) fn check_name(name: &str) -> Result<()> {
    let Some(rest) = name.strip_prefix("alias/") else {
        return Err(VALIDATION.says(
            "Alias must start with the prefix \"alias/\". Please see https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html",
        ));
    };
    if rest.starts_with("aws/") {
        return Err(NOT_AUTHORIZED.bare());
    }
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'_' | b'-');
    if rest.is_empty() || !rest.bytes().all(allowed) {
        return Err(VALIDATION.says(format!(
            "1 validation error detected: Value '{name}' at 'aliasName' failed to satisfy constraint: Member must satisfy regular expression pattern: ^alias/[a-zA-Z0-9/_-]+$"
        )));
    }
    Ok(())
}

impl Operation<Kms> for CreateAlias {
    type Output = ();

    fn run(self, kms: &Kms, caller: &Caller) -> Result<()> {
        check_name(&self.alias_name)?;
        let scope = scope(caller);
        let now = kms.clock.now();
        kms.store.change(|rows| {
            if rows.fetch::<Alias>(&scope, &self.alias_name)?.is_some() {
                let arn = scope.alias_arn(&self.alias_name);
                return Err(
                    ALREADY_EXISTS.says(format!("An alias with the name {arn} already exists"))
                );
            }
            let key = keys::find_own(rows, &scope, &self.target_key_id)?;
            keys::not_pending(&key)?;
            if rows.of::<Alias>(&scope, &key.id)?.len() >= QUOTA {
                return Err(LIMIT_EXCEEDED.says(format!(
                    "{} has {QUOTA} aliases, which is the limit.",
                    key.arn()
                )));
            }
            rows.save(&Alias {
                scope: scope.clone(),
                name: self.alias_name.clone(),
                key: key.id,
                created: now,
                updated: now,
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_held_to_the_rules() {
        assert!(check_name("alias/a/b_c-1").is_ok());
        assert!(
            check_name("x")
                .unwrap_err()
                .message
                .unwrap()
                .starts_with("Alias must start with the prefix \"alias/\".")
        );
        assert_eq!(
            check_name("alias/aws/s3").unwrap_err().name(),
            "NotAuthorizedException"
        );
        assert_eq!(
            check_name("alias/a:b").unwrap_err().name(),
            "ValidationException"
        );
        assert!(check_name("alias/").is_err());
    }
}
