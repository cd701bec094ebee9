//! Holds a request against its shape and says what is wrong as the real service does.
//!
//! Everything that is wrong is collected, as the service does, in the model's order of members.
//! A value of the wrong JSON type is another matter: the service cannot even read the request.

use crate::error::{Result, VALIDATION};
use crate::rule::{Measured, decoded_len, measure, rules};
use crate::shape::{Member, Shape};
use serde_json::Value;
use std::fmt;

/// Checks a request, whose `null` members were taken out, against the input's shape.
///
/// # Errors
/// `SerializationException` for a wrong JSON type, else `ValidationException` with everything
/// that breaks a constraint.
pub fn validate(shape: &'static Shape, input: &Value) -> Result<()> {
    let mut walk = Walk { broken: Vec::new() };
    walk.value(shape, input, "")?;
    match walk.broken.as_slice() {
        [] => Ok(()),
        [one] => Err(VALIDATION.says(format!("1 validation error detected: {one}"))),
        many => {
            let (count, list) = (many.len(), many.join("; "));
            Err(VALIDATION.says(format!("{count} validation errors detected: {list}")))
        }
    }
}

struct Walk {
    broken: Vec<String>,
}

impl Walk {
    fn value(&mut self, shape: &'static Shape, value: &Value, path: &str) -> Result<()> {
        let measured = measure(shape, value, path)?;
        self.check(shape, value, path, &measured);
        match (shape, value) {
            (Shape::Structure(members), Value::Object(given)) => {
                for Member {
                    name,
                    required,
                    shape,
                } in *members
                {
                    let path = || join(path, &camel(name));
                    match given.get(*name) {
                        Some(value) => self.value(shape, value, &path())?,
                        None if *required => self.broken.push(format!(
                            "Value null at '{}' failed to satisfy constraint: \
                             Member must not be null",
                            path()
                        )),
                        None => (),
                    }
                }
            }
            (Shape::List { member, .. }, Value::Array(items)) => {
                self.items(member, items, path, value)?;
            }
            (
                Shape::Map {
                    key, value: inner, ..
                },
                Value::Object(given),
            ) => {
                for (name, value) in given {
                    self.value(key, &Value::String(name.clone()), path)?;
                    self.value(inner, value, &join(path, &format!("{name}.member")))?;
                }
            }
            _ => (),
        }
        Ok(())
    }

    /// Items that are structures have a path of their own. Of plain ones the service shows the
    /// whole list with all rules, whichever item breaks whichever.
    fn items(
        &mut self,
        member: &'static Shape,
        items: &[Value],
        path: &str,
        list: &Value,
    ) -> Result<()> {
        let mut all_hold = true;
        for (at, item) in items.iter().enumerate() {
            match member {
                Shape::Structure(_) | Shape::List { .. } | Shape::Map { .. } => {
                    self.value(member, item, &format!("{path}.{}.member", at + 1))?;
                }
                _ => {
                    let measured = measure(member, item, path)?;
                    all_hold &= rules(member).all(|rule| rule.holds(&measured));
                }
            }
        }
        if !all_hold {
            let all: Vec<_> = rules(member).map(|rule| rule.to_string()).collect();
            let rule = format!("Member must satisfy constraint: [{}]", all.join(", "));
            self.report(member, list, path, &rule);
        }
        Ok(())
    }

    fn check(&mut self, shape: &'static Shape, value: &Value, path: &str, measured: &Measured<'_>) {
        for rule in rules(shape).filter(|rule| !rule.holds(measured)) {
            self.report(shape, value, path, &rule);
        }
    }

    fn report(&mut self, shape: &Shape, value: &Value, path: &str, rule: &dyn fmt::Display) {
        let shown = show(shape, value);
        self.broken.push(format!(
            "Value{shown} at '{path}' failed to satisfy constraint: {rule}"
        ));
    }
}

/// The value as messages show it, with its leading space; nothing where it is sensitive.
fn show(shape: &Shape, value: &Value) -> String {
    match (shape, value) {
        _ if holds_secrets(shape) => String::new(),
        (Shape::Blob { .. }, Value::String(text)) => {
            // Clients have seen the service's own buffers named here for ten years.
            let len = decoded_len(text).unwrap_or(0);
            format!(" 'java.nio.HeapByteBuffer[pos=0 lim={len} cap={len}]'")
        }
        (_, value) => format!(" '{}'", plain(value)),
    }
}

fn holds_secrets(shape: &Shape) -> bool {
    match shape {
        Shape::Text { sensitive, .. } | Shape::Blob { sensitive, .. } => *sensitive,
        Shape::List { member, .. } => holds_secrets(member),
        Shape::Map { key, value, .. } => holds_secrets(key) || holds_secrets(value),
        Shape::Structure(members) => members.iter().any(|m| holds_secrets(m.shape)),
        Shape::Integer(_) | Shape::Boolean | Shape::Timestamp => false,
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            format!(
                "[{}]",
                items.iter().map(plain).collect::<Vec<_>>().join(", ")
            )
        }
        Value::Object(members) => {
            let members = members
                .iter()
                .map(|(name, value)| format!("{name}={}", plain(value)));
            format!("{{{}}}", members.collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

/// `KeyId` is `keyId` in messages.
fn camel(name: &str) -> String {
    let mut chars = name.chars();
    chars
        .next()
        .map(|first| first.to_ascii_lowercase())
        .into_iter()
        .chain(chars)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::SERIALIZATION;
    use crate::shapes::{cloudhsmv2, kms};
    use proptest::prelude::*;
    use serde_json::json;

    fn refusal(operation: &str, input: Value) -> String {
        let shape = kms::MODEL
            .input(operation)
            .or(cloudhsmv2::MODEL.input(operation))
            .unwrap();
        match validate(shape, &input) {
            Ok(()) => "accepted".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    /// What follows the exception's name and the count, when one thing is wrong.
    fn one(operation: &str, input: Value) -> String {
        let refusal = refusal(operation, input);
        let one = refusal.strip_prefix("ValidationException: 1 validation error detected: ");
        one.unwrap_or_else(|| panic!("{refusal}")).to_owned()
    }

    #[test]
    fn recorded_messages() {
        for (bytes, bound) in [
            (0, "greater than or equal to 1"),
            (-3, "greater than or equal to 1"),
            (1025, "less than or equal to 1024"),
        ] {
            assert_eq!(
                one("GenerateRandom", json!({ "NumberOfBytes": bytes })),
                format!(
                    "Value '{bytes}' at 'numberOfBytes' failed to satisfy constraint: \
                     Member must have value {bound}"
                )
            );
        }
        assert_eq!(
            one("DescribeKey", json!({})),
            "Value null at 'keyId' failed to satisfy constraint: Member must not be null"
        );
        assert_eq!(
            one(
                "GenerateDataKey",
                json!({ "KeyId": "k", "KeySpec": "AES_512" })
            ),
            "Value 'AES_512' at 'keySpec' failed to satisfy constraint: \
             Member must satisfy enum value set: [AES_256, AES_128]"
        );
        assert_eq!(
            one(
                "CreateAlias",
                json!({ "AliasName": "alias/a b", "TargetKeyId": "k" })
            ),
            "Value 'alias/a b' at 'aliasName' failed to satisfy constraint: \
             Member must satisfy regular expression pattern: ^[a-zA-Z0-9:/_-]+$"
        );
        assert_eq!(
            one("CreateKey", json!({ "Description": "x".repeat(8193) })),
            format!(
                "Value '{}' at 'description' failed to satisfy constraint: \
                 Member must have length less than or equal to 8192",
                "x".repeat(8193)
            )
        );
    }

    #[test]
    fn secrets_are_not_repeated() {
        let long = base64_of(4097);
        assert_eq!(
            one("Encrypt", json!({ "KeyId": "k", "Plaintext": long })),
            "Value at 'plaintext' failed to satisfy constraint: \
             Member must have length less than or equal to 4096"
        );
        let store = json!({ "CustomKeyStoreId": "cks-1", "KeyStorePassword": "hunter" });
        assert_eq!(
            one("UpdateCustomKeyStore", store),
            "Value at 'keyStorePassword' failed to satisfy constraint: \
             Member must have length greater than or equal to 7"
        );
    }

    fn base64_of(bytes: usize) -> String {
        serde_json::to_value(crate::Blob(vec![0; bytes]))
            .unwrap()
            .as_str()
            .unwrap()
            .to_owned()
    }

    #[test]
    fn blobs_are_measured_in_bytes() {
        for bytes in [1, 2, 3, 4094, 4095, 4096] {
            let input = json!({ "KeyId": "k", "Plaintext": base64_of(bytes) });
            assert_eq!(refusal("Encrypt", input), "accepted", "{bytes}");
        }
        assert_eq!(
            one("Decrypt", json!({ "CiphertextBlob": "" })),
            "Value 'java.nio.HeapByteBuffer[pos=0 lim=0 cap=0]' at 'ciphertextBlob' \
             failed to satisfy constraint: Member must have length greater than or equal to 1"
        );
        for bad in ["AA=", "A===", "AA==AA==", "A-==", "AAA", "=AAA"] {
            assert_eq!(
                refusal("Decrypt", json!({ "CiphertextBlob": bad })),
                "SerializationException: Member 'ciphertextBlob' is not base64.",
                "{bad}"
            );
        }
    }

    #[test]
    fn several_errors_stand_in_the_models_order() {
        assert_eq!(
            refusal("CreateAlias", json!({ "AliasName": "" })),
            "ValidationException: 3 validation errors detected: \
             Value '' at 'aliasName' failed to satisfy constraint: \
             Member must have length greater than or equal to 1; \
             Value '' at 'aliasName' failed to satisfy constraint: \
             Member must satisfy regular expression pattern: ^[a-zA-Z0-9:/_-]+$; \
             Value null at 'targetKeyId' failed to satisfy constraint: Member must not be null"
        );
    }

    #[test]
    fn nested_members_have_a_path() {
        let tags = json!([
            { "TagKey": "good", "TagValue": "" },
            { "TagKey": "", "TagValue": "v" },
            { "TagKey": "k" },
        ]);
        assert_eq!(
            refusal("TagResource", json!({ "KeyId": "k", "Tags": tags })),
            "ValidationException: 2 validation errors detected: \
             Value '' at 'tags.2.member.tagKey' failed to satisfy constraint: \
             Member must have length greater than or equal to 1; \
             Value null at 'tags.3.member.tagValue' failed to satisfy constraint: \
             Member must not be null"
        );
        assert_eq!(
            one(
                "RevokeGrant",
                json!({ "KeyId": "k", "GrantId": "g".repeat(129) })
            ),
            format!(
                "Value '{}' at 'grantId' failed to satisfy constraint: \
                 Member must have length less than or equal to 128",
                "g".repeat(129)
            )
        );
        let grant =
            json!({ "KeyId": "k", "GranteePrincipal": "p", "Operations": ["Fly", "Encrypt"] });
        let refused = one("CreateGrant", grant);
        assert!(
            refused.starts_with(
                "Value '[Fly, Encrypt]' at 'operations' failed to satisfy constraint: \
                 Member must satisfy constraint: [Member must satisfy enum value set: [Decrypt, "
            ),
            "{refused}"
        );
    }

    #[test]
    fn plain_items_are_shown_with_all_their_rules() {
        let keys = json!({ "KeyId": "k", "TagKeys": ["good", ""] });
        assert_eq!(
            one("UntagResource", keys),
            "Value '[good, ]' at 'tagKeys' failed to satisfy constraint: \
             Member must satisfy constraint: [Member must have length less than or equal to 128, \
             Member must have length greater than or equal to 1]"
        );
        let cluster = json!({ "HsmType": "hsm2m.medium", "SubnetIds": ["subnet-x", 5] });
        assert_eq!(
            refusal("CreateCluster", cluster),
            "SerializationException: Member 'subnetIds' is a number, not a string."
        );
    }

    #[test]
    fn cloudhsm_counts_its_lists() {
        let cluster = json!({ "HsmType": "hsm2m.medium", "SubnetIds": [] });
        assert_eq!(
            one("CreateCluster", cluster),
            "Value '[]' at 'subnetIds' failed to satisfy constraint: \
             Member must have length greater than or equal to 1"
        );
        let cluster =
            json!({ "HsmType": "hsm2m.medium", "SubnetIds": ["subnet-0123456789abcdef0"] });
        assert_eq!(refusal("CreateCluster", cluster), "accepted");
        let filters = json!({ "Filters": { "clusterIds": ["cluster-abcdefghijk"], "b d": [] } });
        assert_eq!(
            one("DescribeClusters", filters),
            "Value 'b d' at 'filters' failed to satisfy constraint: \
             Member must satisfy regular expression pattern: [a-zA-Z0-9_-]+"
        );
        let pem = "-----BEGIN CERTIFICATE-----\nMIIB+/=\r\n-----END CERTIFICATE-----\n";
        let init =
            json!({ "ClusterId": "cluster-abcdefghijk", "SignedCert": pem, "TrustAnchor": pem });
        assert_eq!(refusal("InitializeCluster", init), "accepted");
    }

    #[test]
    fn wrong_types_cannot_be_read() {
        for (operation, input, text) in [
            (
                "DescribeKey",
                json!({ "KeyId": 5 }),
                "Member 'keyId' is a number, not a string.",
            ),
            (
                "DescribeKey",
                json!([]),
                "The request is a list, not an object.",
            ),
            (
                "DescribeKey",
                json!("x"),
                "The request is a string, not an object.",
            ),
            (
                "ListKeys",
                json!({ "Limit": "5" }),
                "Member 'limit' is a string, not a number.",
            ),
            (
                "ListKeys",
                json!({ "Limit": 1.5 }),
                "Member 'limit' is not a whole number.",
            ),
            (
                "ListKeys",
                json!({ "Limit": 1e30 }),
                "Member 'limit' is not a whole number.",
            ),
            (
                "Encrypt",
                json!({ "KeyId": "k", "Plaintext": "AA==", "EncryptionContext": { "a": 1 } }),
                "Member 'encryptionContext.a.member' is a number, not a string.",
            ),
            (
                "CreateKey",
                json!({ "MultiRegion": "true" }),
                "Member 'multiRegion' is a string, not a boolean.",
            ),
            (
                "TagResource",
                json!({ "KeyId": "k", "Tags": [null] }),
                "Member 'tags.1.member' is null, not an object.",
            ),
        ] {
            let wanted = format!("SerializationException: {text}");
            assert_eq!(refusal(operation, input), wanted);
        }
    }

    #[test]
    fn unknown_members_are_ignored() {
        assert_eq!(
            refusal("ListKeys", json!({ "Colour": [1, { "a": null }] })),
            "accepted"
        );
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "\\PC{0,12}".prop_map(Value::from),
            "[A-Za-z0-9+/]{0,8}={0,2}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 20, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::btree_map("[A-Z][a-z]{0,6}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        /// Whatever stands in a member, each operation's answer is one of the two exceptions.
        #[test]
        fn any_value_is_accepted_or_refused(value in any_json()) {
            for model in [&kms::MODEL, &cloudhsmv2::MODEL] {
                for (_, shape) in model.operations {
                    let Shape::Structure(members) = shape else { panic!("no structure") };
                    for member in *members {
                        let input = json!({ member.name: value.clone() });
                        if let Err(error) = validate(shape, &input) {
                            prop_assert!([VALIDATION, SERIALIZATION].contains(&error.exception));
                        }
                    }
                }
            }
        }
    }
}
