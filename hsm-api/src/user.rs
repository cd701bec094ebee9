//! Roles and users of an HSM.

use serde::{Deserialize, Serialize};

/// What a user may do. PKCS#11's security officer is the crypto officer, its normal user a crypto user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Role {
    /// Before activation: may only set the first crypto officer's password.
    PreCo,
    /// Crypto officer: manages users. PKCS#11: CKU_SO.
    Co,
    /// Crypto user: owns and uses keys. PKCS#11: CKU_USER.
    Cu,
    /// Appliance user: carries masked objects between HSMs.
    Au,
}

/// One row of a user list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserInfo {
    /// The HSM's number for the user, from 1.
    pub id: u32,
    /// Its role.
    pub role: Role,
    /// Its name; names ignore case.
    pub name: String,
    /// Wrong passwords since the last right one.
    pub failures: u32,
    /// Too many of them: only a crypto officer's password change unlocks.
    pub locked: bool,
    /// A second factor is required.
    pub second_factor: bool,
    /// A public key for quorum approval is registered.
    pub quorum_key: bool,
    /// Sessions of other links in which the user is logged in now.
    pub logged_in: u32,
}
