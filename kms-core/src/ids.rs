//! Whose a thing is and how it is named: accounts and regions, key ids, ARNs, and the forms of `KeyId`.

use std::fmt;

use aws_json::{ServiceError, partition};
use uuid::Uuid;

use crate::error::{INVALID_ARN, NOT_FOUND, Result};

/// An account in a region: nothing is seen across it.
#[derive(
    Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
pub struct Scope {
    /// The 12-digit account.
    pub account: String,
    /// The region.
    pub region: String,
}

impl Scope {
    /// The scope of an account in a region.
    pub fn new(account: &str, region: &str) -> Scope {
        Scope {
            account: account.to_owned(),
            region: region.to_owned(),
        }
    }

    /// The scope's place in the store.
    pub fn path(&self) -> String {
        format!("{}/{}", self.account, self.region)
    }

    /// `arn:aws:kms:REGION:ACCOUNT:key/ID`.
    pub fn key_arn(&self, id: &str) -> String {
        self.arn("kms", &format!("key/{id}"))
    }

    /// `arn:aws:kms:REGION:ACCOUNT:alias/NAME`; `name` begins with `alias/`.
    pub fn alias_arn(&self, name: &str) -> String {
        self.arn("kms", name)
    }

    fn arn(&self, service: &str, resource: &str) -> String {
        let Scope { account, region } = self;
        format!(
            "arn:{}:{service}:{region}:{account}:{resource}",
            partition(region)
        )
    }

    /// `arn:aws:iam::ACCOUNT:root`.
    pub fn root_arn(&self) -> String {
        format!("arn:{}:iam::{}:root", partition(&self.region), self.account)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.account, self.region)
    }
}

/// What a `KeyId` member names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyRef {
    /// A key by its id.
    Key(String),
    /// An alias by its name, `alias/` included.
    Alias(String),
}

impl KeyRef {
    /// Reads any of the four forms: key id, key ARN, alias name, alias ARN.
    ///
    /// # Errors
    /// NotFoundException in the service's words for what is malformed or of another region or account.
    pub fn parse(text: &str, scope: &Scope) -> Result<KeyRef> {
        let resource = match text.strip_prefix("arn:") {
            Some(_) => of_arn(text, scope)?,
            None => text,
        };
        if resource.starts_with("alias/") {
            return Ok(KeyRef::Alias(resource.to_owned()));
        }
        let id = match (text.starts_with("arn:"), resource.strip_prefix("key/")) {
            (true, Some(id)) => id,
            (true, None) => return Err(invalid_arn(text)),
            (false, _) => resource,
        };
        if is_key_id(id) {
            return Ok(KeyRef::Key(id.to_owned()));
        }
        Err(NOT_FOUND.says(format!("Invalid keyId '{text}'")))
    }
}

/// Whether the text has the form of a key's ARN, of whatever account and region.
pub(crate) fn is_key_arn(text: &str) -> bool {
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    let ["arn", part, "kms", region, account, resource] = parts[..] else {
        return false;
    };
    part == partition(region)
        && account.len() == 12
        && account.bytes().all(|b| b.is_ascii_digit())
        && resource.strip_prefix("key/").is_some_and(is_key_id)
}

fn invalid_arn(text: &str) -> ServiceError {
    INVALID_ARN.says(format!("Invalid arn {text}"))
}

fn of_arn<'a>(text: &'a str, scope: &Scope) -> Result<&'a str> {
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    let [_, _, "kms", region, account, resource] = parts[..] else {
        return Err(invalid_arn(text));
    };
    if region != scope.region {
        return Err(NOT_FOUND.says(format!("Invalid arn {region}")));
    }
    if account != scope.account {
        // Another account's key is not told apart from one that does not exist.
        return Err(NOT_FOUND.says(format!("Key '{text}' does not exist")));
    }
    Ok(resource)
}

fn is_key_id(id: &str) -> bool {
    if let Some(hex) = id.strip_prefix("mrk-") {
        return hex.len() == 32 && hex.bytes().all(|b| b.is_ascii_hexdigit());
    }
    id.len() == 36 && Uuid::try_parse(id).is_ok()
}

/// A new key id.
pub fn new_key_id() -> String {
    Uuid::new_v4().to_string()
}

/// A new key store id: `cks-` and 17 hexadecimal digits.
pub fn new_store_id() -> String {
    format!("cks-{:017x}", rand::random::<u128>() & ((1 << 68) - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "1234abcd-12ab-34cd-56ef-1234567890ab";

    fn scope() -> Scope {
        Scope::new("111122223333", "us-west-2")
    }

    #[test]
    fn the_four_forms_are_read() {
        let s = scope();
        let key = KeyRef::Key(ID.to_owned());
        let alias = KeyRef::Alias("alias/x".to_owned());
        assert_eq!(KeyRef::parse(ID, &s), Ok(key.clone()));
        assert_eq!(KeyRef::parse(&s.key_arn(ID), &s), Ok(key));
        assert_eq!(KeyRef::parse("alias/x", &s), Ok(alias.clone()));
        assert_eq!(KeyRef::parse(&s.alias_arn("alias/x"), &s), Ok(alias));
    }

    #[test]
    fn refusals_use_the_services_words() {
        let s = scope();
        let message = |text: &str| KeyRef::parse(text, &s).unwrap_err().message.unwrap();
        assert_eq!(message("fake-key-id"), "Invalid keyId 'fake-key-id'");
        assert_eq!(
            message(&ID.replace('-', "")),
            format!("Invalid keyId '{}'", ID.replace('-', ""))
        );
        assert_eq!(message("mrk-12"), "Invalid keyId 'mrk-12'");
        let elsewhere = Scope::new("111122223333", "eu-west-1").key_arn(ID);
        assert_eq!(message(&elsewhere), "Invalid arn eu-west-1");
    }

    #[test]
    fn store_ids_have_the_real_shape() {
        let id = new_store_id();
        assert_eq!(id.len(), 21);
        assert!(
            id[4..]
                .bytes()
                .all(|b| b.is_ascii_hexdigit() && !b.is_ascii_uppercase())
        );
    }
}
