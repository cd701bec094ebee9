//! A PKCS#11 module that the operator named (SoftHSM2, say) in the place of a cluster. It is one token: zones, subnets,
//! certificates and a second HSM mean nothing there, so those checks are skipped, and DescribeClusters says so.

use std::path::PathBuf;

use aws_json::{Caller, Exception, Response, Service, ServiceError};
use kms_core::clusters::{
    Attachment, ClusterFacts, Clusters, ConnectFailure, ConnectionErrorCode, KmsUser, Network,
};
use kms_core::ids::Scope;
use kms_core::p11::ModuleSpec;
use kms_core::quirks::PinForm;
use serde_json::json;
use zeroize::Zeroizing;

/// What DescribeClusters says of the one cluster of such a service.
const STATE_MESSAGE: &str = "This cluster is one token of a PKCS#11 module. Availability Zones, subnets, security groups, \
    certificates, HSM management and backups have no meaning there and are skipped.";

/// The one cluster of such a service, the same in every account and region.
pub const CLUSTER_ID: &str = "cluster-softmodule2";

/// A named module as KMS sees it.
pub struct Foreign {
    module: PathBuf,
    label: String,
}

impl Foreign {
    /// The token with this label, of the module in this file.
    pub fn new(module: PathBuf, label: &str) -> Foreign {
        Foreign {
            module,
            label: label.to_owned(),
        }
    }
}

/// CloudHSM v2 where a module stands in for the clusters: it describes the one cluster, and refuses the rest.
pub struct ForeignCloudHsm {
    /// The module's file, for the description.
    pub module: PathBuf,
}

const REFUSED: Exception = Exception::new("CloudHsmInvalidRequestException", 400);

impl Service for ForeignCloudHsm {
    fn target_prefix(&self) -> &str {
        cloudhsm_core::API.model.target_prefix
    }

    fn signing_name(&self) -> &str {
        cloudhsm_core::API.model.signing_name
    }

    fn operation(&self, name: &str) -> Option<&'static str> {
        cloudhsm_core::op::OPERATIONS
            .iter()
            .map(|row| row.name)
            .find(|known| *known == name)
    }

    fn call(&self, operation: &str, _: &[u8], _: &Caller) -> Response {
        if operation != "DescribeClusters" {
            return self
                .refuse(REFUSED.says(format!("{operation} has no meaning here. {STATE_MESSAGE}")));
        }
        let cluster = json!({
            "ClusterId": CLUSTER_ID, "State": "ACTIVE", "StateMessage": format!("{STATE_MESSAGE} Module: {}", self.module.display()),
            "Hsms": [], "SubnetMapping": {}, "Certificates": {},
        });
        Response {
            status: 200,
            body: Zeroizing::new(json!({ "Clusters": [cluster] }).to_string().into_bytes()),
            error: None,
        }
    }

    fn refuse(&self, error: ServiceError) -> Response {
        Response::refusal(error, "Message")
    }
}

impl Clusters for Foreign {
    fn facts(&self, _: &Scope, cluster_id: &str) -> Option<ClusterFacts> {
        (cluster_id == CLUSTER_ID).then(|| ClusterFacts {
            active: true,
            active_hsm_zones: Vec::new(),
            cluster_certificate: format!("{}#{}", self.module.display(), self.label),
            network: Network::NotSimulated,
        })
    }

    fn anchored(&self, _: &Scope, _: &str, trust_anchor: &str) -> bool {
        // There is no certificate to check; but what is no certificate at all is a user's mistake here too.
        trust_anchor.contains("-----BEGIN CERTIFICATE-----")
    }

    fn attach(
        &self,
        _: &Scope,
        _: &str,
        cluster_id: &str,
        _: &str,
    ) -> Result<Attachment, ConnectFailure> {
        if cluster_id != CLUSTER_ID {
            let why = format!("{cluster_id} does not exist");
            return Err(ConnectFailure::new(
                ConnectionErrorCode::ClusterNotFound,
                why,
            ));
        }
        Ok(Attachment {
            module: ModuleSpec {
                path: self.module.clone(),
                config: None,
                token_label: self.label.clone(),
            },
            pin: PinForm::Plain,
        })
    }

    /// A token has no HSMs that come and go.
    fn moved(
        &self,
        _: &Scope,
        _: &str,
        _: &str,
        _: &str,
        _: &str,
    ) -> Result<Option<Attachment>, ConnectFailure> {
        Ok(None)
    }

    fn kmsuser(&self, _: &Scope, _: &str) -> Vec<KmsUser> {
        Vec::new()
    }

    fn detach(&self, _: &Scope, _: &str, _: &str) {}
}
