//! What depends on the control plane and not on the module: the checks of aws-facts A4 to A8, and key management.

use std::path::Path;

use kms_core::suite::Client;

use crate::fake::SoftHsm;

pub fn run(_target: &SoftHsm, _dir: &Path) {
    let _ = Client::open;
}
