//! CreateCustomKeyStore.

use aws_json::{Caller, Operation, SecretString};
use serde::{Deserialize, Serialize};

use crate::error::{Result, UNSUPPORTED_OPERATION, VALIDATION};
use crate::kms::{Kms, scope};
use crate::stores::NewStore;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct CreateCustomKeyStore {
    custom_key_store_name: String,
    cloud_hsm_cluster_id: Option<String>,
    trust_anchor_certificate: Option<String>,
    key_store_password: Option<SecretString>,
    custom_key_store_type: Option<String>,
    #[serde(flatten)]
    xks: XksMembers,
}

/// Members of external key stores, which a CloudHSM key store must not be given.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct XksMembers {
    xks_proxy_uri_endpoint: Option<String>,
    xks_proxy_uri_path: Option<String>,
    xks_proxy_vpc_endpoint_service_name: Option<String>,
    xks_proxy_vpc_endpoint_service_owner: Option<String>,
    xks_proxy_authentication_credential: Option<serde::de::IgnoredAny>,
    xks_proxy_connectivity: Option<String>,
}

impl XksMembers {
    /// Refuses them; the service's own words are not published.
    pub(super) fn none(&self) -> Result<()> {
        let given = [
            ("XksProxyUriEndpoint", self.xks_proxy_uri_endpoint.is_some()),
            ("XksProxyUriPath", self.xks_proxy_uri_path.is_some()),
            (
                "XksProxyVpcEndpointServiceName",
                self.xks_proxy_vpc_endpoint_service_name.is_some(),
            ),
            (
                "XksProxyVpcEndpointServiceOwner",
                self.xks_proxy_vpc_endpoint_service_owner.is_some(),
            ),
            (
                "XksProxyAuthenticationCredential",
                self.xks_proxy_authentication_credential.is_some(),
            ),
            (
                "XksProxyConnectivity",
                self.xks_proxy_connectivity.is_some(),
            ),
        ];
        match given.iter().find(|(_, given)| *given) {
            None => Ok(()),
            Some((member, _)) => Err(VALIDATION.says(format!(
                "{member} is not valid for a custom key store of type AWS_CLOUDHSM."
            ))),
        }
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Created {
    custom_key_store_id: String,
}

/// A password that kmsuser can have: letters and digits (the length is the model's).
pub(super) fn alphanumeric(password: &str) -> Result<()> {
    if password.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return Ok(());
    }
    Err(VALIDATION.says("KeyStorePassword must consist of letters and digits only."))
}

impl Operation<Kms> for CreateCustomKeyStore {
    type Output = Created;

    fn run(self, kms: &Kms, caller: &Caller) -> Result<Created> {
        if self.custom_key_store_type.as_deref() == Some("EXTERNAL_KEY_STORE") {
            return Err(UNSUPPORTED_OPERATION.says("External key stores are not implemented."));
        }
        self.xks.none()?;
        let missing = |member: &str| {
            VALIDATION.says(format!(
                "{member} is required for a custom key store of type AWS_CLOUDHSM."
            ))
        };
        let new = NewStore {
            name: self.custom_key_store_name,
            cluster: self
                .cloud_hsm_cluster_id
                .ok_or_else(|| missing("CloudHsmClusterId"))?,
            password: self
                .key_store_password
                .ok_or_else(|| missing("KeyStorePassword"))?
                .0,
            trust_anchor: self
                .trust_anchor_certificate
                .ok_or_else(|| missing("TrustAnchorCertificate"))?,
        };
        alphanumeric(&new.password)?;
        let custom_key_store_id = kms.key_stores.create(&scope(caller), &new)?;
        Ok(Created {
            custom_key_store_id,
        })
    }
}
