//! KeyMetadata: what CreateKey and DescribeKey say of a key.

use aws_json::Timestamp;
use serde::Serialize;

use crate::error::Result;
use crate::keys::{self, KeyState};
use crate::kms::Kms;
use crate::records::{Key, KeyStore, Origin};

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct KeyMetadata {
    #[serde(rename = "AWSAccountId")]
    aws_account_id: String,
    key_id: String,
    arn: String,
    creation_date: Timestamp,
    enabled: bool,
    description: String,
    key_usage: &'static str,
    key_state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    deletion_date: Option<Timestamp>,
    origin: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    custom_key_store_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cloud_hsm_cluster_id: Option<String>,
    key_manager: &'static str,
    customer_master_key_spec: &'static str,
    key_spec: &'static str,
    encryption_algorithms: [&'static str; 1],
    multi_region: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    current_key_material_id: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Described {
    key_metadata: KeyMetadata,
}

pub(super) fn describe(kms: &Kms, key: Key) -> Result<Described> {
    let state = keys::state(kms, &key);
    let store: Option<KeyStore> = match key.origin {
        Origin::AwsKms => None,
        Origin::AwsCloudHsm => kms
            .store
            .view(|rows| rows.fetch(&key.scope, &key.key_store))?,
    };
    let material = material_id(&key);
    let key_metadata = KeyMetadata {
        aws_account_id: key.scope.account.clone(),
        arn: key.arn(),
        creation_date: Timestamp(key.created),
        enabled: state == KeyState::Enabled,
        key_usage: "ENCRYPT_DECRYPT",
        key_state: state.name(),
        deletion_date: key.deletion.map(|deletion| Timestamp(deletion.at)),
        origin: key.origin.name(),
        custom_key_store_id: store.as_ref().map(|store| store.id.clone()),
        cloud_hsm_cluster_id: store.map(|store| store.cluster),
        key_manager: "CUSTOMER",
        customer_master_key_spec: "SYMMETRIC_DEFAULT",
        key_spec: "SYMMETRIC_DEFAULT",
        encryption_algorithms: ["SYMMETRIC_DEFAULT"],
        multi_region: false,
        current_key_material_id: material,
        key_id: key.id,
        description: key.description,
    };
    Ok(Described { key_metadata })
}

/// The material's id, which only keys of the service's own HSM (and imported ones) show.
pub(super) fn material_id(key: &Key) -> Option<String> {
    (key.origin == Origin::AwsKms).then(|| hex::encode(key.backing_key))
}
