//! Who sent the request, as far as its signature tells.

/// The account of a caller whose access key id is not an account number itself. It is the one
/// that the test suites of other emulators expect.
pub const DEFAULT_ACCOUNT: &str = "123456789012";

/// The identity and the request it came with. Made by the HTTP layer, read by operations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Twelve digits.
    pub account: String,
    /// From the signature's scope, such as `us-east-1`.
    pub region: String,
    /// The access key id that signed the request.
    pub access_key: String,
    /// The principal: the account's root, or the user that a credentials file names.
    pub arn: String,
    /// The id that the answer carries in `x-amzn-RequestId`.
    pub request_id: String,
}

impl Caller {
    /// The caller behind an access key: twelve digits name the account, anything else belongs to
    /// [`DEFAULT_ACCOUNT`]. `user` is the name that a credentials file gives the key.
    pub fn new(access_key: &str, region: &str, user: Option<&str>, request_id: &str) -> Self {
        let is_account = access_key.len() == 12 && access_key.bytes().all(|b| b.is_ascii_digit());
        let account = if is_account {
            access_key
        } else {
            DEFAULT_ACCOUNT
        };
        let partition = partition(region);
        let arn = match user {
            Some(user) => format!("arn:{partition}:iam::{account}:user/{user}"),
            None => format!("arn:{partition}:iam::{account}:root"),
        };
        Self {
            account: account.to_owned(),
            region: region.to_owned(),
            access_key: access_key.to_owned(),
            arn,
            request_id: request_id.to_owned(),
        }
    }

    /// The ARN of a resource in the caller's account and region: `arn_of("kms", "key/...")`.
    pub fn arn_of(&self, service: &str, resource: &str) -> String {
        let Self {
            account, region, ..
        } = self;
        format!(
            "arn:{}:{service}:{region}:{account}:{resource}",
            partition(region)
        )
    }
}

/// The ARN partition that a region lies in.
pub fn partition(region: &str) -> &'static str {
    match region {
        r if r.starts_with("cn-") => "aws-cn",
        r if r.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twelve_digits_are_the_account() {
        let caller = Caller::new("000011112222", "eu-west-1", None, "r");
        assert_eq!(caller.account, "000011112222");
        assert_eq!(caller.arn, "arn:aws:iam::000011112222:root");
        assert_eq!(
            caller.arn_of("kms", "key/k"),
            "arn:aws:kms:eu-west-1:000011112222:key/k"
        );
    }

    #[test]
    fn other_keys_share_the_default_account() {
        for key in [
            "AKIDEXAMPLE",
            "00001111222",
            "0000111122223",
            "00001111222x",
        ] {
            assert_eq!(
                Caller::new(key, "us-east-1", None, "r").account,
                DEFAULT_ACCOUNT
            );
        }
        let caller = Caller::new("AKIDEXAMPLE", "cn-north-1", Some("alice"), "r");
        assert_eq!(caller.arn, "arn:aws-cn:iam::123456789012:user/alice");
    }
}
