//! DescribeKey.

use aws_json::{Caller, Operation};
use serde::Deserialize;

use super::metadata::{Described, describe};
use crate::error::Result;
use crate::kms::Kms;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DescribeKey {
    key_id: String,
}

impl Operation<Kms> for DescribeKey {
    type Output = Described;

    fn run(self, kms: &Kms, caller: &Caller) -> Result<Described> {
        describe(kms, kms.any_key(caller, &self.key_id)?)
    }
}
