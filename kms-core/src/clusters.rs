//! What KMS needs to know of the CloudHSM service: a trait, so that this crate has no arrow to it.
//!
//! The server implements it over the control plane; a server that was given a foreign PKCS#11 module implements it over that one token, where
//! zones and subnets mean nothing and are reported as [`Network::NotSimulated`]. Tests implement it over a few variables.
//!
//! Each ConnectionErrorCode has one true cause. Those of the network and the cluster come from [`Clusters::attach`]; those of the login
//! come from C_Login's own answer, and where PKCS#11 has no word for the cause, from [`Clusters::kmsuser`], which, like
//! `listUsers`, needs no login and is asked *before* an attempt, so that a missing or locked user costs no failed login.

use std::any::Any;

use crate::ids::Scope;
use crate::p11::ModuleSpec;
use crate::quirks::PinForm;

/// Why a key store is FAILED.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[allow(missing_docs)]
pub enum ConnectionErrorCode {
    InternalError,
    NetworkErrors,
    InvalidCredentials,
    ClusterNotFound,
    InsufficientCloudhsmHsms,
    InsufficientFreeAddressesInSubnet,
    SubnetNotFound,
    UserNotFound,
    UserLockedOut,
    UserLoggedIn,
}

/// A ConnectionErrorCode and what happened, for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectFailure {
    /// What DescribeCustomKeyStores shows.
    pub code: ConnectionErrorCode,
    /// What the log says.
    pub why: String,
}

impl ConnectFailure {
    /// A failure with its cause.
    pub fn new(code: ConnectionErrorCode, why: impl Into<String>) -> ConnectFailure {
        ConnectFailure {
            code,
            why: why.into(),
        }
    }
}

/// The network around a cluster, as the create and connect checks see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Network {
    /// There is no network to check: a module that an operator named.
    NotSimulated,
    /// Subnets in two zones, a security group with its rules.
    Sound,
    /// What is wrong with it, in a sentence for the user.
    Unsound(String),
}

/// What KMS asks of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterFacts {
    /// Whether its state is ACTIVE: created, initialized and activated.
    pub active: bool,
    /// The zone of each ACTIVE HSM, one entry an HSM.
    pub active_hsm_zones: Vec<String>,
    /// The certificate by which clusters of one backup history are known.
    pub cluster_certificate: String,
    /// The state of subnets and security group.
    pub network: Network,
}

/// The crypto user `kmsuser` as one HSM knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KmsUser {
    /// Which HSM, for the log.
    pub hsm: String,
    /// Whether the HSM has the user.
    pub present: bool,
    /// Whether the user is locked.
    pub locked: bool,
    /// Whether somebody other than KMS is logged in as the user.
    pub logged_in: bool,
    /// Whether a second factor is asked, which KMS cannot give.
    pub second_factor: bool,
    /// How many logins failed since the last good one, for the log.
    pub failed_logins: u32,
}

/// How to reach an attached cluster's token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// Module, configuration, token label.
    pub module: ModuleSpec,
    /// How the PIN is spelled.
    pub pin: PinForm,
}

/// The CloudHSM service as KMS sees it.
pub trait Clusters: Send + Sync {
    /// The facts of a cluster of this account and region; `None` if there is none (or it was deleted).
    fn facts(&self, scope: &Scope, cluster_id: &str) -> Option<ClusterFacts>;

    /// Whether the certificate in `trust_anchor` (PEM) signed the cluster's certificate.
    fn anchored(&self, scope: &Scope, cluster_id: &str, trust_anchor: &str) -> bool;

    /// Makes the cluster reachable for a key store: interfaces in its subnets, certificate checked against the anchor.
    ///
    /// Called again for a store that is attached already (after a restart), it answers the same.
    ///
    /// # Errors
    /// CLUSTER_NOT_FOUND, INSUFFICIENT_CLOUDHSM_HSMS, SUBNET_NOT_FOUND, INSUFFICIENT_FREE_ADDRESSES_IN_SUBNET, NETWORK_ERRORS, INTERNAL_ERROR.
    fn attach(
        &self,
        scope: &Scope,
        store_id: &str,
        cluster_id: &str,
        trust_anchor: &str,
    ) -> Result<Attachment, ConnectFailure>;

    /// Another way to a connected store's token, if its cluster has HSMs that the token labelled `in_use` does not reach: they were made, or
    /// came back, after the store connected. `in_use` itself stays good. `None` if it reaches all there are.
    ///
    /// # Errors
    /// INTERNAL_ERROR if the way cannot be written down.
    fn moved(
        &self,
        scope: &Scope,
        store_id: &str,
        cluster_id: &str,
        trust_anchor: &str,
        in_use: &str,
    ) -> Result<Option<Attachment>, ConnectFailure>;

    /// While the returned value lives, no HSM of the cluster is filled with the users of another: a copy made before
    /// kmsuser's password changes, and restored after, would bring the old one back on that HSM alone.
    fn hold(&self, _scope: &Scope, _cluster_id: &str) -> Box<dyn Any> {
        Box::new(())
    }

    /// `kmsuser` on each active HSM that answers, found without a login. Empty where it cannot be known: then C_Login's answer alone decides.
    fn kmsuser(&self, scope: &Scope, cluster_id: &str) -> Vec<KmsUser>;

    /// Takes away what `attach` made. Never fails: what is gone is gone.
    fn detach(&self, scope: &Scope, store_id: &str, cluster_id: &str);
}

/// The sentence about a cluster's configuration if it is not fit for a key store that needs `hsms` active HSMs in as many zones.
pub(crate) fn unfit(facts: &ClusterFacts, hsms: usize) -> Option<String> {
    match &facts.network {
        Network::NotSimulated => return None,
        Network::Unsound(why) => return Some(why.clone()),
        Network::Sound => {}
    }
    let mut zones: Vec<&String> = facts.active_hsm_zones.iter().collect();
    zones.sort();
    zones.dedup();
    if zones.len() >= hsms {
        return None;
    }
    Some(match hsms {
        1 => "The cluster must contain at least one active HSM.".to_owned(),
        _ => "The cluster must contain at least two active HSMs, each in a different Availability Zone."
            .to_owned(),
    })
}

/// What the users' state says before any attempt to log in.
pub(crate) fn refused_before_login(users: &[KmsUser]) -> Option<ConnectFailure> {
    let on = |test: fn(&KmsUser) -> bool| users.iter().find(|user| test(user));
    let fail = |code, user: &KmsUser, what: &str| {
        Some(ConnectFailure::new(
            code,
            format!("kmsuser {what} on {}", user.hsm),
        ))
    };
    if let Some(user) = on(|u| !u.present) {
        return fail(ConnectionErrorCode::UserNotFound, user, "does not exist");
    }
    if let Some(user) = on(|u| u.locked) {
        return fail(ConnectionErrorCode::UserLockedOut, user, "is locked");
    }
    if let Some(user) = on(|u| u.logged_in) {
        return fail(ConnectionErrorCode::UserLoggedIn, user, "is logged in");
    }
    // Which code the service has for a second factor is not published; to the login it is a credential that does not do.
    if let Some(user) = on(|u| u.second_factor) {
        return fail(
            ConnectionErrorCode::InvalidCredentials,
            user,
            "asks a second factor",
        );
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(zones: &[&str], network: Network) -> ClusterFacts {
        ClusterFacts {
            active: true,
            active_hsm_zones: zones.iter().map(|z| (*z).to_owned()).collect(),
            cluster_certificate: String::new(),
            network,
        }
    }

    #[test]
    fn two_hsms_in_one_zone_are_one() {
        assert_eq!(unfit(&facts(&["a", "b"], Network::Sound), 2), None);
        assert!(
            unfit(&facts(&["a", "a"], Network::Sound), 2)
                .unwrap()
                .contains("two active HSMs")
        );
        assert_eq!(unfit(&facts(&["a"], Network::Sound), 1), None);
        assert!(unfit(&facts(&[], Network::Sound), 1).is_some());
        assert_eq!(unfit(&facts(&[], Network::NotSimulated), 2), None);
    }

    #[test]
    fn a_user_on_one_of_two_hsms_is_not_found() {
        let user = |hsm: &str| KmsUser {
            hsm: hsm.into(),
            present: true,
            locked: false,
            logged_in: false,
            second_factor: false,
            failed_logins: 0,
        };
        let code = |users: &[KmsUser]| refused_before_login(users).map(|f| f.code);
        assert_eq!(code(&[user("a"), user("b")]), None);
        assert_eq!(
            code(&[
                user("a"),
                KmsUser {
                    present: false,
                    ..user("b")
                }
            ]),
            Some(ConnectionErrorCode::UserNotFound)
        );
        assert_eq!(
            code(&[
                KmsUser {
                    locked: true,
                    ..user("a")
                },
                user("b")
            ]),
            Some(ConnectionErrorCode::UserLockedOut)
        );
        assert_eq!(
            code(&[KmsUser {
                logged_in: true,
                ..user("a")
            }]),
            Some(ConnectionErrorCode::UserLoggedIn)
        );
        assert_eq!(code(&[]), None);
    }
}
