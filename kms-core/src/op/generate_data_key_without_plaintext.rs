//! GenerateDataKeyWithoutPlaintext. The API's text excludes keys in custom key stores, the guide includes them: so do we.

use aws_json::{Blob, Caller, Operation};
use serde::{Deserialize, Serialize};

use super::generate_data_key::Order;
use super::metadata::material_id;
use crate::error::Result;
use crate::kms::Kms;

#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct GenerateDataKeyWithoutPlaintext {
    order: Order,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Generated {
    ciphertext_blob: Blob,
    key_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_material_id: Option<String>,
}

impl Operation<Kms> for GenerateDataKeyWithoutPlaintext {
    type Output = Generated;

    fn run(self, kms: &Kms, caller: &Caller) -> Result<Generated> {
        let made = self.order.run(kms, caller)?;
        Ok(Generated {
            ciphertext_blob: Blob(made.blob),
            key_id: made.key.arn(),
            key_material_id: material_id(&made.key),
        })
    }
}
