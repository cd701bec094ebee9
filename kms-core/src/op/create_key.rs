//! CreateKey.

use std::collections::BTreeMap;

use aws_json::{Caller, Operation};
use serde::Deserialize;

use super::metadata::{Described, describe};
use super::policy;
use super::tags::{self, Tag};
use crate::error::{Result, UNSUPPORTED_OPERATION, VALIDATION, internal, told};
use crate::ids::new_key_id;
use crate::keys;
use crate::kms::{Kms, scope};
use crate::records::{Key, Origin};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct CreateKey {
    policy: Option<String>,
    #[serde(default)]
    description: String,
    key_usage: Option<String>,
    customer_master_key_spec: Option<String>,
    key_spec: Option<String>,
    origin: Option<String>,
    custom_key_store_id: Option<String>,
    #[serde(default)]
    tags: Vec<Tag>,
    #[serde(default)]
    multi_region: bool,
    xks_key_id: Option<String>,
}

impl CreateKey {
    fn spec(&self) -> Result<&str> {
        match (&self.key_spec, &self.customer_master_key_spec) {
            (Some(_), Some(_)) => Err(VALIDATION.says(
                "You cannot specify KeySpec and CustomerMasterKeySpec in the same request. CustomerMasterKeySpec is deprecated.",
            )),
            (Some(spec), None) | (None, Some(spec)) => Ok(spec),
            (None, None) => Ok("SYMMETRIC_DEFAULT"),
        }
    }

    /// Where the material is to be made. Which exception the service has for members that contradict each other is not published:
    /// here it is ValidationException, and UnsupportedOperationException for what is understood but cannot be done.
    fn place(&self) -> Result<Origin> {
        let spec = self.spec()?;
        let origin = self.origin.as_deref().unwrap_or("AWS_KMS");
        let in_store = self.custom_key_store_id.is_some();
        if spec != "SYMMETRIC_DEFAULT" && self.key_usage.is_none() && !spec.starts_with("HMAC") {
            return Err(VALIDATION.says(
                "You must specify a KeyUsage value for all KMS keys except for symmetric encryption keys.",
            ));
        }
        let unsupported = |what: String| Err(UNSUPPORTED_OPERATION.says(what));
        if in_store && (spec != "SYMMETRIC_DEFAULT" || self.multi_region) {
            return unsupported(
                "A custom key store holds symmetric encryption keys of a single Region only."
                    .into(),
            );
        }
        if let (Some(usage), "SYMMETRIC_DEFAULT") = (&self.key_usage, spec)
            && usage != "ENCRYPT_DECRYPT"
        {
            return Err(VALIDATION.says(format!(
                "KeyUsage {usage} is not compatible with KeySpec {spec}"
            )));
        }
        if spec != "SYMMETRIC_DEFAULT" {
            return unsupported(format!("Keys of KeySpec {spec} are not implemented."));
        }
        if self.multi_region {
            return unsupported("Multi-Region keys are not implemented.".into());
        }
        match (origin, in_store) {
            ("AWS_KMS", false) => Ok(Origin::AwsKms),
            ("AWS_CLOUDHSM", true) if self.xks_key_id.is_none() => Ok(Origin::AwsCloudHsm),
            ("AWS_CLOUDHSM", true) => {
                Err(VALIDATION.says("XksKeyId is valid only with Origin EXTERNAL_KEY_STORE."))
            }
            ("AWS_CLOUDHSM", false) => Err(VALIDATION
                .says("You must specify a CustomKeyStoreId when the Origin is AWS_CLOUDHSM.")),
            ("AWS_KMS", true) => Err(VALIDATION.says(
                "The Origin must be AWS_CLOUDHSM to create a KMS key in an AWS CloudHSM key store.",
            )),
            ("EXTERNAL", true) => {
                unsupported("Key material cannot be imported into a custom key store.".into())
            }
            (other, _) => unsupported(format!("Keys of origin {other} are not implemented.")),
        }
    }
}

impl Operation<Kms> for CreateKey {
    type Output = Described;

    fn run(self, kms: &Kms, caller: &Caller) -> Result<Described> {
        let scope = scope(caller);
        let origin = self.place()?;
        let policy = match self.policy {
            Some(text) => policy::checked(text)?,
            None => policy::default(&scope),
        };
        let mut labels = BTreeMap::new();
        tags::merge(&mut labels, &self.tags)?;
        let store = self.custom_key_store_id.unwrap_or_default();
        let token = match origin {
            Origin::AwsKms => kms.own.clone(),
            Origin::AwsCloudHsm => {
                let (store, token) = kms.key_stores.connected(&scope, &store, "CreateKey")?;
                kms.key_stores.fit_for_keys(&store)?;
                token
            }
        };
        let key = Key {
            scope,
            id: new_key_id(),
            description: self.description,
            enabled: true,
            created: kms.clock.now(),
            origin,
            key_store: store,
            backing_key: rand::random(),
            deletion: None,
            policy,
            tags: labels,
        };
        let arn = key.arn();
        token
            .generate_aes(&arn, &key.backing_key)
            .map_err(|fault| keys::failed(&key, fault))?;
        let saved = kms.store.change(|rows| {
            // The store may have been deleted since it was looked at: a key must not outlive it.
            let there = origin == Origin::AwsKms
                || rows
                    .fetch::<crate::records::KeyStore>(&key.scope, &key.key_store)?
                    .is_some();
            if there {
                rows.save(&key)
            } else {
                Err(internal("the key store was deleted"))
            }
        });
        if let Err(lost) = saved {
            let left = token.destroy(&arn).err();
            let why = format!("{}; its material was not destroyed: {left:?}", told(&lost));
            return Err(if left.is_some() {
                lost.caused_by(why)
            } else {
                lost
            });
        }
        describe(kms, key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn contradicting_members_are_refused() {
        let place = |input| serde_json::from_value::<CreateKey>(input).unwrap().place();
        let name = |input| place(input).unwrap_err().name();
        assert_eq!(place(json!({})).unwrap(), Origin::AwsKms);
        assert_eq!(
            place(json!({"Origin": "AWS_CLOUDHSM", "CustomKeyStoreId": "cks-1"})).unwrap(),
            Origin::AwsCloudHsm
        );
        assert_eq!(
            name(json!({"Origin": "AWS_CLOUDHSM"})),
            "ValidationException"
        );
        assert_eq!(
            name(json!({"CustomKeyStoreId": "cks-1"})),
            "ValidationException"
        );
        assert_eq!(
            name(
                json!({"Origin": "AWS_CLOUDHSM", "CustomKeyStoreId": "cks-1", "MultiRegion": true})
            ),
            "UnsupportedOperationException"
        );
        assert_eq!(
            name(
                json!({"Origin": "AWS_CLOUDHSM", "CustomKeyStoreId": "c", "KeySpec": "RSA_2048", "KeyUsage": "ENCRYPT_DECRYPT"})
            ),
            "UnsupportedOperationException"
        );
        assert_eq!(name(json!({"KeySpec": "RSA_2048"})), "ValidationException");
        assert_eq!(
            place(json!({"KeyUsage": "SIGN_VERIFY"}))
                .unwrap_err()
                .message
                .unwrap(),
            "KeyUsage SIGN_VERIFY is not compatible with KeySpec SYMMETRIC_DEFAULT"
        );
    }
}
