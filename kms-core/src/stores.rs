//! The custom key store's state machine: which operation is legal when, and what it does (aws-facts A2 to A9).
//!
//! State lives in the database; a connection (a logged-in token) lives here. `connect.rs` is what a connect does, `worker.rs` on which
//! thread and what is written afterwards; here is when it may.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::JoinHandle;
use std::time::Duration;

use aws_json::{Exception, ServiceError};
use parking_lot::{Mutex, RwLock};
use subtle::ConstantTimeEq;

use crate::clock::Clock;
use crate::clusters::{ClusterFacts, Clusters, unfit};
use crate::connect::Interrupt;
use crate::error::*;
use crate::ids::{Scope, new_store_id};
use crate::p11::{Modules, Token};
use crate::records::{ConnectionState as State, Key, KeyStore};
use crate::seal::Sealer;
use crate::store::{Rows, Store};

/// Key stores an account may have in a region.
const QUOTA: usize = 10;

/// Where diagnostics go, one line a call.
pub type Log = Arc<dyn Fn(&str) + Send + Sync>;

/// All key stores of the service.
pub struct KeyStores {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clusters: Arc<dyn Clusters>,
    pub(crate) modules: Arc<Modules>,
    pub(crate) sealer: Sealer,
    pub(crate) interrupt: Option<Interrupt>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) connect_takes: Duration,
    pub(crate) reconnect_for: Duration,
    pub(crate) log: Log,
    pub(crate) live: Live,
}

/// What exists only while the process runs.
#[derive(Default)]
pub(crate) struct Live {
    pub(crate) tokens: RwLock<HashMap<String, Arc<Token>>>,
    pub(crate) turns: Mutex<HashMap<String, Arc<Mutex<()>>>>,
    pub(crate) workers: Mutex<Vec<JoinHandle<()>>>,
    pub(crate) stopping: AtomicBool,
    /// By key store, the label of a token that refused kmsuser: each further try would bring the lock nearer.
    pub(crate) refused: Mutex<HashMap<String, String>>,
    /// Create and update look at all stores, then write: one at a time.
    naming: Mutex<()>,
}

/// What CreateCustomKeyStore is given.
#[allow(missing_docs)]
pub struct NewStore {
    pub name: String,
    pub cluster: String,
    pub password: zeroize::Zeroizing<String>,
    pub trust_anchor: String,
}

/// What UpdateCustomKeyStore is given.
#[derive(Default)]
#[allow(missing_docs)]
pub struct Changes {
    pub name: Option<String>,
    pub password: Option<zeroize::Zeroizing<String>>,
    pub cluster: Option<String>,
}

fn refuse<T>(exception: Exception, message: impl Into<String>) -> Result<T> {
    Err(exception.says(message))
}

fn wrong_state(store: &KeyStore, what: &str) -> ServiceError {
    let state = match store.state {
        State::Disconnected => "DISCONNECTED",
        State::Connecting => "CONNECTING",
        State::Connected => "CONNECTED",
        State::Disconnecting => "DISCONNECTING",
        State::Failed => "FAILED",
    };
    STORE_INVALID_STATE.says(format!(
        "The custom key store {} is in state {state}, which is not valid for {what}.",
        store.id
    ))
}

pub(crate) fn must(rows: &dyn Rows, scope: &Scope, id: &str) -> Result<KeyStore> {
    rows.fetch(scope, id)?.ok_or_else(|| no_store(id))
}

fn no_store(id_or_name: &str) -> ServiceError {
    STORE_NOT_FOUND.says(format!(
        "The custom key store {id_or_name} does not exist in this account and Region."
    ))
}

fn all_of(rows: &dyn Rows, scope: &Scope) -> Result<Vec<KeyStore>> {
    rows.list(scope, "", usize::from(u16::MAX))
}

fn name_is_free(stores: &[KeyStore], name: &str, own: &str) -> Result<()> {
    match stores
        .iter()
        .any(|store| store.name == name && store.id != own)
    {
        false => Ok(()),
        true => refuse(
            STORE_NAME_IN_USE,
            format!(
                "The custom key store name {name} is already in use in this account and Region."
            ),
        ),
    }
}

impl KeyStores {
    /// CreateCustomKeyStore: gives the id.
    ///
    /// # Errors
    /// In the order of aws-facts A4.
    pub fn create(&self, scope: &Scope, new: &NewStore) -> Result<String> {
        let _naming = self.live.naming.lock();
        let stores = self.store.view(|rows| all_of(rows, scope))?;
        if let Some(same) = self.same_as(&stores, new)? {
            return Ok(same);
        }
        name_is_free(&stores, &new.name, "")?;
        if stores.len() >= QUOTA {
            let text = format!(
                "The account has {QUOTA} custom key stores in this Region, which is its limit."
            );
            return refuse(LIMIT_EXCEEDED, text);
        }
        let facts = self.active_cluster(scope, &new.cluster)?;
        let taken = stores.iter().any(|store| {
            store.cluster == new.cluster || store.cluster_certificate == facts.cluster_certificate
        });
        if taken {
            return refuse(
                CLUSTER_IN_USE,
                format!(
                    "The cluster {} or a cluster that shares its backup history is already associated with a custom key store.",
                    new.cluster
                ),
            );
        }
        if let Some(why) = unfit(&facts, 2) {
            return refuse(CLUSTER_INVALID_CONFIGURATION, why);
        }
        if !self
            .clusters
            .anchored(scope, &new.cluster, &new.trust_anchor)
        {
            return refuse(
                INCORRECT_TRUST_ANCHOR,
                "The trust anchor certificate is not the one that signed the certificate of the cluster.",
            );
        }
        let id = new_store_id();
        let record = KeyStore {
            scope: scope.clone(),
            name: new.name.clone(),
            cluster: new.cluster.clone(),
            cluster_certificate: facts.cluster_certificate,
            trust_anchor: new.trust_anchor.clone(),
            state: State::Disconnected,
            error: None,
            created: self.clock.now(),
            password: self.sealer.seal(&id, &new.password)?,
            pending: None,
            pending_refused: false,
            attempt: 0,
            id: id.clone(),
        };
        self.store.change(|rows| {
            // Looked at again inside the transaction: other processes may share the database.
            name_is_free(&all_of(rows, scope)?, &record.name, "")?;
            rows.save(&record)
        })?;
        Ok(id)
    }

    /// A repeated request finds the store that the first one made, if every property is the same and it is disconnected.
    fn same_as(&self, stores: &[KeyStore], new: &NewStore) -> Result<Option<String>> {
        for store in stores {
            let alike = store.state == State::Disconnected
                && store.name == new.name
                && store.cluster == new.cluster
                && store.trust_anchor == new.trust_anchor;
            if !alike {
                continue;
            }
            let kept = self.sealer.open(&store.id, &store.password)?;
            if kept.as_bytes().ct_eq(new.password.as_bytes()).into() {
                return Ok(Some(store.id.clone()));
            }
        }
        Ok(None)
    }

    fn active_cluster(&self, scope: &Scope, cluster: &str) -> Result<ClusterFacts> {
        let Some(facts) = self.clusters.facts(scope, cluster) else {
            let text = format!("The cluster {cluster} does not exist in this account and Region.");
            return refuse(CLUSTER_NOT_FOUND, text);
        };
        if !facts.active {
            let text = format!("The cluster {cluster} is not active.");
            return refuse(CLUSTER_NOT_ACTIVE, text);
        }
        Ok(facts)
    }

    /// DescribeCustomKeyStores: one by id, one by name, or all.
    ///
    /// # Errors
    /// CustomKeyStoreNotFoundException.
    pub fn describe(
        &self,
        scope: &Scope,
        id: Option<&str>,
        name: Option<&str>,
    ) -> Result<Vec<KeyStore>> {
        self.store.view(|rows| match (id, name) {
            (Some(id), None) => Ok(vec![must(rows, scope, id)?]),
            (None, Some(name)) => {
                let found: Vec<_> = all_of(rows, scope)?
                    .into_iter()
                    .filter(|store| store.name == name)
                    .collect();
                if found.is_empty() {
                    return Err(no_store(name));
                }
                Ok(found)
            }
            (None, None) => all_of(rows, scope),
            (Some(_), Some(_)) => refuse(
                VALIDATION,
                "Specify either CustomKeyStoreId or CustomKeyStoreName, not both.",
            ),
        })
    }

    /// ConnectCustomKeyStore: answers when the work has begun.
    ///
    /// # Errors
    /// What can be said at once: unknown, wrong state, cluster not active, cluster not fit.
    pub fn connect(self: &Arc<Self>, scope: &Scope, id: &str) -> Result<()> {
        let store = self.store.view(|rows| must(rows, scope, id))?;
        match store.state {
            State::Connected | State::Connecting => return Ok(()),
            State::Disconnecting | State::Failed => {
                return Err(wrong_state(&store, "ConnectCustomKeyStore"));
            }
            State::Disconnected => {}
        }
        // A cluster that is gone is found on the way (CLUSTER_NOT_FOUND), as the service does it: its exceptions have no word for that here.
        if let Some(facts) = self.clusters.facts(scope, &store.cluster) {
            if !facts.active {
                let text = format!("The cluster {} is not active.", store.cluster);
                return refuse(CLUSTER_NOT_ACTIVE, text);
            }
            if let Some(why) = unfit(&facts, 1) {
                return refuse(CLUSTER_INVALID_CONFIGURATION, why);
            }
            if !self
                .clusters
                .anchored(scope, &store.cluster, &store.trust_anchor)
            {
                return refuse(
                    CLUSTER_INVALID_CONFIGURATION,
                    "The trust anchor of the key store did not sign the certificate of the cluster.",
                );
            }
        }
        let begun = self.store.change(|rows| {
            let mut store = must(rows, scope, id)?;
            match store.state {
                State::Disconnected => {
                    store.state = State::Connecting;
                    store.attempt += 1;
                    rows.save(&store)?;
                    Ok(Some(store))
                }
                State::Connected | State::Connecting => Ok(None),
                _ => Err(wrong_state(&store, "ConnectCustomKeyStore")),
            }
        })?;
        if let Some(store) = begun {
            self.spawn(store, Duration::ZERO);
        }
        Ok(())
    }

    /// DisconnectCustomKeyStore.
    ///
    /// # Errors
    /// Unknown, wrong state.
    pub fn disconnect(self: &Arc<Self>, scope: &Scope, id: &str) -> Result<()> {
        let (store, was) = self.store.change(|rows| {
            let mut store = must(rows, scope, id)?;
            let was = store.state;
            if matches!(was, State::Disconnected | State::Disconnecting) {
                return Err(wrong_state(&store, "DisconnectCustomKeyStore"));
            }
            store.state = State::Disconnecting;
            store.error = None;
            store.attempt += 1;
            rows.save(&store)?;
            Ok((store, was))
        })?;
        if was == State::Connecting {
            // The worker has the turn until it notices; the caller need not wait for that.
            let this = self.clone();
            self.keep(std::thread::spawn(move || this.take_down(&store)));
        } else {
            self.take_down(&store);
        }
        Ok(())
    }

    pub(crate) fn take_down(&self, store: &KeyStore) {
        let turn = self.turn(&store.id);
        let _turn = turn.lock();
        self.forget(&store.id);
        self.clusters
            .detach(&store.scope, &store.id, &store.cluster);
        let done = self.store.change(|rows| {
            if let Some(mut now) = rows.fetch::<KeyStore>(&store.scope, &store.id)?
                && now.attempt == store.attempt
            {
                now.state = State::Disconnected;
                rows.save(&now)?;
            }
            Ok(())
        });
        if let Err(lost) = done {
            (self.log)(&format!(
                "{}: DISCONNECTED could not be written: {}",
                store.id,
                told(&lost)
            ));
        }
    }

    /// UpdateCustomKeyStore.
    ///
    /// # Errors
    /// Those of aws-facts A3 and A7.
    pub fn update(&self, scope: &Scope, id: &str, changes: &Changes) -> Result<()> {
        let _naming = self.live.naming.lock();
        let store = self.store.view(|rows| must(rows, scope, id))?;
        let name_only = changes.password.is_none() && changes.cluster.is_none();
        if name_only && changes.name.is_none() {
            return Err(VALIDATION.says(
                "Specify at least one of NewCustomKeyStoreName, KeyStorePassword and CloudHsmClusterId.",
            ));
        }
        let legal = |store: &KeyStore| match store.state {
            State::Disconnected => Ok(()),
            // The current API lets a connected store be renamed; the older guide did not.
            State::Connected if name_only => Ok(()),
            _ => Err(wrong_state(store, "UpdateCustomKeyStore")),
        };
        legal(&store)?;
        let certificate = match &changes.cluster {
            None => None,
            Some(cluster) => {
                let facts = self.active_cluster(scope, cluster)?;
                if facts.cluster_certificate != store.cluster_certificate {
                    let text = format!(
                        "The cluster {cluster} does not share a backup history with the cluster {} of the custom key store.",
                        store.cluster
                    );
                    return refuse(CLUSTER_NOT_RELATED, text);
                }
                if let Some(why) = unfit(&facts, 2) {
                    return refuse(CLUSTER_INVALID_CONFIGURATION, why);
                }
                Some(facts.cluster_certificate)
            }
        };
        let sealed = changes
            .password
            .as_ref()
            .map(|password| self.sealer.seal(id, password))
            .transpose()?;
        self.store.change(|rows| {
            let mut store = must(rows, scope, id)?;
            legal(&store)?;
            if let Some(name) = &changes.name {
                name_is_free(&all_of(rows, scope)?, name, id)?;
                store.name = name.clone();
            }
            if let (Some(cluster), Some(certificate)) = (&changes.cluster, &certificate) {
                store.cluster = cluster.clone();
                store.cluster_certificate = certificate.clone();
                // Another cluster, made of another backup: what the old one refused may be right there.
                store.pending_refused = false;
            }
            if let Some(sealed) = &sealed {
                store.password = sealed.clone();
                // The user says what the password is now; what was pending is history.
                store.pending = None;
                store.pending_refused = false;
            }
            rows.save(&store)
        })
    }

    /// DeleteCustomKeyStore.
    ///
    /// # Errors
    /// Unknown; not disconnected, which is looked at first; has keys, those that wait for their deletion included.
    pub fn delete(&self, scope: &Scope, id: &str) -> Result<()> {
        self.store.change(|rows| {
            let store = must(rows, scope, id)?;
            if store.state != State::Disconnected {
                return Err(wrong_state(&store, "DeleteCustomKeyStore"));
            }
            if !rows.of::<Key>(scope, id)?.is_empty() {
                return refuse(
                    STORE_HAS_KEYS,
                    format!("The custom key store {id} contains KMS keys."),
                );
            }
            rows.remove(&store)
        })
    }

    /// The token of a CONNECTED store.
    pub fn token(&self, id: &str) -> Option<Arc<Token>> {
        self.live.tokens.read().get(id).cloned()
    }

    /// The token of a store in which something is to be made: it must be CONNECTED.
    ///
    /// # Errors
    /// Unknown, wrong state.
    pub fn connected(&self, scope: &Scope, id: &str, what: &str) -> Result<(KeyStore, Arc<Token>)> {
        let store = self.store.view(|rows| must(rows, scope, id))?;
        match self.token(id) {
            Some(token) if store.state == State::Connected => Ok((store, token)),
            _ => Err(wrong_state(&store, what)),
        }
    }

    /// Whether a new key may be made in the store's cluster: two active HSMs in two zones.
    ///
    /// # Errors
    /// CloudHsmClusterInvalidConfigurationException.
    pub fn fit_for_keys(&self, store: &KeyStore) -> Result<()> {
        let gone = || Some(format!("The cluster {} does not exist.", store.cluster));
        match self
            .clusters
            .facts(&store.scope, &store.cluster)
            .map_or_else(gone, |f| unfit(&f, 2))
        {
            None => Ok(()),
            Some(why) => refuse(CLUSTER_INVALID_CONFIGURATION, why),
        }
    }
}
