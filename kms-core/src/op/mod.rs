//! The operations, a file each, and the one table of them.
//!
//! By the time an operation runs, the members hold what the service's model asks of them (aws-json's validator); what is checked here is
//! what the model does not say.

mod cancel_key_deletion;
mod connect_custom_key_store;
mod create_alias;
mod create_custom_key_store;
mod create_grant;
mod create_key;
mod decrypt;
mod delete_alias;
mod delete_custom_key_store;
mod describe_custom_key_stores;
mod describe_key;
mod disable_key;
mod disconnect_custom_key_store;
mod enable_key;
mod encrypt;
mod generate_data_key;
mod generate_data_key_without_plaintext;
mod generate_random;
mod get_key_policy;
mod get_key_rotation_status;
mod list_aliases;
mod list_grants;
mod list_key_policies;
mod list_key_rotations;
mod list_keys;
mod list_resource_tags;
mod list_retirable_grants;
mod metadata;
mod paging;
mod policy;
mod put_key_policy;
mod re_encrypt;
mod refusals;
mod retire_grant;
mod revoke_grant;
mod schedule_key_deletion;
mod tag_resource;
mod tags;
mod untag_resource;
mod update_alias;
mod update_custom_key_store;
mod update_key_description;

use std::sync::Arc;

use aws_json::{Api, Service};
use aws_json::{Result, shapes};

use crate::error::{DRY_RUN, INTERNAL};
use crate::kms::Kms;
use crate::records::Key;
use cancel_key_deletion::CancelKeyDeletion;
use connect_custom_key_store::ConnectCustomKeyStore;
use create_alias::CreateAlias;
use create_custom_key_store::CreateCustomKeyStore;
use create_grant::CreateGrant;
use create_key::CreateKey;
use decrypt::Decrypt;
use delete_alias::DeleteAlias;
use delete_custom_key_store::DeleteCustomKeyStore;
use describe_custom_key_stores::DescribeCustomKeyStores;
use describe_key::DescribeKey;
use disable_key::DisableKey;
use disconnect_custom_key_store::DisconnectCustomKeyStore;
use enable_key::EnableKey;
use encrypt::Encrypt;
use generate_data_key::GenerateDataKey;
use generate_data_key_without_plaintext::GenerateDataKeyWithoutPlaintext;
use generate_random::GenerateRandom;
use get_key_policy::GetKeyPolicy;
use get_key_rotation_status::GetKeyRotationStatus;
use list_aliases::ListAliases;
use list_grants::ListGrants;
use list_key_policies::ListKeyPolicies;
use list_key_rotations::ListKeyRotations;
use list_keys::ListKeys;
use list_resource_tags::ListResourceTags;
use list_retirable_grants::ListRetirableGrants;
use put_key_policy::PutKeyPolicy;
use re_encrypt::ReEncrypt;
use refusals::{
    DeleteImportedKeyMaterial, DeriveSharedSecret, DisableKeyRotation, EnableKeyRotation,
    GenerateDataKeyPair, GenerateDataKeyPairWithoutPlaintext, GenerateMac, GetParametersForImport,
    GetPublicKey, ImportKeyMaterial, ReplicateKey, RotateKeyOnDemand, Sign, UpdatePrimaryRegion,
    Verify, VerifyMac,
};
use retire_grant::RetireGrant;
use revoke_grant::RevokeGrant;
use schedule_key_deletion::ScheduleKeyDeletion;
use tag_resource::TagResource;
use untag_resource::UntagResource;
use update_alias::UpdateAlias;
use update_custom_key_store::UpdateCustomKeyStore;
use update_key_description::UpdateKeyDescription;

aws_json::operations! {
    /// Every operation that this service has.
    pub static OPERATIONS: Kms =
        CancelKeyDeletion, ConnectCustomKeyStore, CreateAlias, CreateCustomKeyStore, CreateGrant, CreateKey,
        Decrypt, DeleteAlias, DeleteCustomKeyStore, DeleteImportedKeyMaterial, DeriveSharedSecret,
        DescribeCustomKeyStores, DescribeKey, DisableKey, DisableKeyRotation, DisconnectCustomKeyStore,
        EnableKey, EnableKeyRotation, Encrypt, GenerateDataKey, GenerateDataKeyPair,
        GenerateDataKeyPairWithoutPlaintext, GenerateDataKeyWithoutPlaintext, GenerateMac, GenerateRandom,
        GetKeyPolicy, GetKeyRotationStatus, GetParametersForImport, GetPublicKey, ImportKeyMaterial,
        ListAliases, ListGrants, ListKeyPolicies, ListKeyRotations, ListKeys, ListResourceTags,
        ListRetirableGrants, PutKeyPolicy, ReEncrypt, ReplicateKey, RetireGrant, RevokeGrant,
        RotateKeyOnDemand, ScheduleKeyDeletion, Sign, TagResource, UntagResource, UpdateAlias,
        UpdateCustomKeyStore, UpdateKeyDescription, UpdatePrimaryRegion, Verify, VerifyMac,
}

/// Model, operations and the exception for faults: what [`aws_json::Api::bind`] joins to a service.
pub static API: Api<Kms> = Api {
    model: &shapes::kms::MODEL,
    operations: OPERATIONS,
    internal: INTERNAL,
};

impl Kms {
    /// The service for the HTTP layer.
    pub fn service(self: &Arc<Kms>) -> Arc<dyn Service> {
        API.bind(self.clone())
    }

    /// Changes a key that a management operation names, in one transaction.
    pub(crate) fn change_key(
        &self,
        caller: &aws_json::Caller,
        key_id: &str,
        change: impl Fn(&mut Key) -> Result<()>,
    ) -> Result<Key> {
        let scope = crate::kms::scope(caller);
        self.store.change(|rows| {
            let mut key = crate::keys::find_own(rows, &scope, key_id)?;
            change(&mut key)?;
            rows.save(&key)?;
            Ok(key)
        })
    }

    /// The key of an operation that takes a key id or key ARN only.
    pub(crate) fn own_key(&self, caller: &aws_json::Caller, key_id: &str) -> Result<Key> {
        let scope = crate::kms::scope(caller);
        self.store
            .view(|rows| crate::keys::find_own(rows, &scope, key_id))
    }

    /// The key of an operation that takes all four forms.
    pub(crate) fn any_key(&self, caller: &aws_json::Caller, key_id: &str) -> Result<Key> {
        let scope = crate::kms::scope(caller);
        self.store
            .view(|rows| crate::keys::find(rows, &scope, key_id))
    }
}

/// Ends a request with DryRun=true that would have succeeded. To be called when every refusal has had its turn.
fn dry_run(asked: Option<bool>) -> Result<()> {
    match asked {
        Some(true) => {
            Err(DRY_RUN.says("The request would have succeeded, but the DryRun option is set."))
        }
        _ => Ok(()),
    }
}
