//! DescribeCustomKeyStores.

use aws_json::{Caller, Operation, Timestamp};
use serde::{Deserialize, Serialize};

use super::paging;
use crate::clusters::ConnectionErrorCode;
use crate::error::Result;
use crate::kms::{Kms, scope};
use crate::records::{ConnectionState, KeyStore};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DescribeCustomKeyStores {
    custom_key_store_id: Option<String>,
    custom_key_store_name: Option<String>,
    limit: Option<i64>,
    marker: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    custom_key_store_id: String,
    custom_key_store_name: String,
    cloud_hsm_cluster_id: String,
    trust_anchor_certificate: String,
    connection_state: ConnectionState,
    #[serde(skip_serializing_if = "Option::is_none")]
    connection_error_code: Option<ConnectionErrorCode>,
    creation_date: Timestamp,
    custom_key_store_type: &'static str,
}

impl From<KeyStore> for Entry {
    fn from(store: KeyStore) -> Entry {
        Entry {
            connection_error_code: store
                .error
                .filter(|_| store.state == ConnectionState::Failed),
            connection_state: store.state,
            custom_key_store_id: store.id,
            custom_key_store_name: store.name,
            cloud_hsm_cluster_id: store.cluster,
            trust_anchor_certificate: store.trust_anchor,
            creation_date: Timestamp(store.created),
            custom_key_store_type: "AWS_CLOUDHSM",
        }
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Listed {
    custom_key_stores: Vec<Entry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_marker: Option<String>,
    truncated: bool,
}

impl Operation<Kms> for DescribeCustomKeyStores {
    type Output = Listed;

    fn run(self, kms: &Kms, caller: &Caller) -> Result<Listed> {
        let stores = kms.key_stores.describe(
            &scope(caller),
            self.custom_key_store_id.as_deref(),
            self.custom_key_store_name.as_deref(),
        )?;
        let limit = paging::limit(self.limit, 100, 1000);
        let marker = self.marker.as_deref();
        let page = paging::short(
            "DescribeCustomKeyStores",
            stores,
            |s| s.id.clone(),
            limit,
            marker,
        )?;
        let truncated = page.truncated();
        let custom_key_stores = page.items.into_iter().map(Entry::from).collect();
        Ok(Listed {
            custom_key_stores,
            next_marker: page.next,
            truncated,
        })
    }
}
