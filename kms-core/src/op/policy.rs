//! Key policies as texts: kept and given back; not yet enforced.

use crate::error::{MALFORMED_POLICY, Result, VALIDATION};
use crate::ids::Scope;

/// The only name a key policy has.
pub(super) const NAME: &str = "default";
const MAX: usize = 32 * 1024;

/// The policy of a key that was made without one, as the real service answers it.
pub(super) fn default(scope: &Scope) -> String {
    let root = scope.root_arn();
    format!(
        concat!(
            r#"{{"Version":"2012-10-17","Id":"key-default-1","Statement":[{{"Sid":"Enable IAM User Permissions","#,
            r#""Effect":"Allow","Principal":{{"AWS":"{root}"}},"Action":"kms:*","Resource":"*"}}]}}"#
        ),
        root = root
    )
}

/// The policy if it is a policy document.
pub(super) fn checked(text: String) -> Result<String> {
    if text.len() > MAX {
        return Err(crate::error::LIMIT_EXCEEDED.says("The key policy is longer than 32 KB."));
    }
    let document: serde_json::Value = serde_json::from_str(&text)
        .map_err(|e| MALFORMED_POLICY.says(format!("The policy is not valid JSON: {e}")))?;
    if !document
        .get("Statement")
        .is_some_and(|s| s.is_array() || s.is_object())
    {
        return Err(MALFORMED_POLICY.says("The policy has no Statement."));
    }
    Ok(text)
}

pub(super) fn name_is_default(name: Option<&str>) -> Result<()> {
    match name {
        None | Some(NAME) => Ok(()),
        Some(_) => Err(VALIDATION.says("Policy name must be default")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_policy_is_one() {
        let text = default(&Scope::new("111122223333", "us-east-1"));
        assert!(
            text.contains(r#""AWS":"arn:aws:iam::111122223333:root""#),
            "{text}"
        );
        assert_eq!(checked(text.clone()).unwrap(), text);
        assert_eq!(
            checked("my policy".into()).unwrap_err().name(),
            "MalformedPolicyDocumentException"
        );
        assert!(checked("{}".into()).is_err());
    }
}
