//! The custom key store's state machine: which operation is legal when, and what it does (aws-facts A2 to A9).
//!
//! State lives in the database; a connection (a logged-in token) lives here. `connect.rs` is what a connect does; here is when it may,
//! on which thread, and what is written afterwards. A connect worker holds the store's turn from begin to end, so two never overlap, and
//! writes its outcome only if no disconnect raised the store's attempt number meanwhile.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use aws_json::{Exception, ServiceError};
use parking_lot::{Mutex, RwLock};

use crate::clock::Clock;
use crate::clusters::{ClusterFacts, Clusters, ConnectFailure, ConnectionErrorCode, unfit};
use crate::connect::{Interrupt, Stop};
use crate::error::*;
use crate::ids::{Scope, new_store_id};
use crate::p11::{Modules, Token};
use crate::records::{ConnectionState as State, Key, KeyStore};
use crate::seal::Sealer;
use crate::store::{Rows, Store};

/// Key stores an account may have in a region.
const QUOTA: usize = 10;
/// Pause between two tries of a reconnect after a restart.
const RECONNECT_PAUSE: Duration = Duration::from_millis(500);

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
    tokens: RwLock<HashMap<String, Arc<Token>>>,
    turns: Mutex<HashMap<String, Arc<Mutex<()>>>>,
    workers: Mutex<Vec<JoinHandle<()>>>,
    stopping: AtomicBool,
    /// Create and update look at all stores, then write: one at a time.
    naming: Mutex<()>,
}

/// What CreateCustomKeyStore is given.
#[derive(Debug)]
#[allow(missing_docs)]
pub struct NewStore {
    pub name: String,
    pub cluster: String,
    pub password: zeroize::Zeroizing<String>,
    pub trust_anchor: String,
}

/// What UpdateCustomKeyStore is given.
#[derive(Debug, Default)]
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
    STORE_INVALID_STATE.says(format!("The custom key store {} is in state {state}, which is not valid for {what}.", store.id),
    )
}

fn must(rows: &dyn Rows, scope: &Scope, id: &str) -> Result<KeyStore> {
    rows.fetch(scope, id)?.ok_or_else(|| {
        STORE_NOT_FOUND.says(format!("The custom key store {id} does not exist in this account and Region."),
        )
    })
}

fn all_of(rows: &dyn Rows, scope: &Scope) -> Result<Vec<KeyStore>> {
    rows.list(scope, "", usize::from(u16::MAX))
}

fn name_is_free(stores: &[KeyStore], name: &str, own: &str) -> Result<()> {
    match stores.iter().any(|store| store.name == name && store.id != own) {
        false => Ok(()),
        true => refuse(
            STORE_NAME_IN_USE,
            format!("The custom key store name {name} is already in use in this account and Region."),
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
            let text = format!("The account has {QUOTA} custom key stores in this Region, which is its limit.");
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
        if !self.clusters.anchored(scope, &new.cluster, &new.trust_anchor) {
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
            if alike && *self.sealer.open(&store.id, &store.password)? == *new.password {
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
    pub fn describe(&self, scope: &Scope, id: Option<&str>, name: Option<&str>) -> Result<Vec<KeyStore>> {
        self.store.view(|rows| match (id, name) {
            (Some(id), None) => Ok(vec![must(rows, scope, id)?]),
            (None, Some(name)) => {
                let found: Vec<_> =
                    all_of(rows, scope)?.into_iter().filter(|store| store.name == name).collect();
                if found.is_empty() {
                    return must(rows, scope, name).map(|store| vec![store]);
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
            if !self.clusters.anchored(scope, &store.cluster, &store.trust_anchor) {
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

    fn take_down(&self, store: &KeyStore) {
        let turn = self.turn(&store.id);
        let _turn = turn.lock();
        let token = self.live.tokens.write().remove(&store.id);
        if let Some(token) = token {
            token.logout();
        }
        self.clusters.detach(&store.scope, &store.id, &store.cluster);
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
            (self.log)(&format!("{}: DISCONNECTED could not be written: {}", store.id, told(&lost)));
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
        let sealed =
            changes.password.as_ref().map(|password| self.sealer.seal(id, password)).transpose()?;
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
            }
            if let Some(sealed) = &sealed {
                store.password = sealed.clone();
                // The user says what the password is now; what was pending is history.
                store.pending = None;
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
        match self.clusters.facts(&store.scope, &store.cluster).map_or_else(gone, |f| unfit(&f, 2)) {
            None => Ok(()),
            Some(why) => refuse(CLUSTER_INVALID_CONFIGURATION, why),
        }
    }

    /// After a restart: what was connected connects again, what was being disconnected is.
    pub(crate) fn resume(self: &Arc<Self>) -> Result<()> {
        let again = self.store.change(|rows| {
            let mut again = Vec::new();
            for mut store in rows.every::<KeyStore>()? {
                match store.state {
                    State::Connected | State::Connecting => {
                        store.state = State::Connecting;
                        store.attempt += 1;
                        again.push(store.clone());
                    }
                    State::Disconnecting => store.state = State::Disconnected,
                    State::Disconnected | State::Failed => continue,
                }
                rows.save(&store)?;
            }
            Ok(again)
        })?;
        for store in again {
            self.spawn(store, self.reconnect_for);
        }
        Ok(())
    }

    fn spawn(self: &Arc<Self>, store: KeyStore, patience: Duration) {
        let this = self.clone();
        self.keep(std::thread::spawn(move || this.work(&store, patience)));
    }

    fn keep(&self, worker: JoinHandle<()>) {
        let mut workers = self.live.workers.lock();
        workers.retain(|worker| !worker.is_finished());
        workers.push(worker);
    }

    fn turn(&self, id: &str) -> Arc<Mutex<()>> {
        self.live.turns.lock().entry(id.to_owned()).or_default().clone()
    }

    /// One connect, from its begin to what is written of it.
    fn work(&self, store: &KeyStore, patience: Duration) {
        let turn = self.turn(&store.id);
        let _turn = turn.lock();
        let begun = Instant::now();
        let outcome = loop {
            // Read anew: an earlier attempt, or an update, may have changed the passwords.
            let record = self.store.view(|rows| must(rows, &store.scope, &store.id));
            let outcome = match record {
                Ok(record) if record.attempt == store.attempt => self.connect_now(&record),
                Ok(_) => Err(Stop::Unwanted),
                Err(error) => Err(error.into()),
            };
            let transient = matches!(&outcome, Err(Stop::Failed(failure)) if matches!(
                failure.code,
                ConnectionErrorCode::NetworkErrors | ConnectionErrorCode::InsufficientCloudhsmHsms
            ));
            if !transient || begun.elapsed() >= patience || self.stopping() {
                break outcome;
            }
            std::thread::sleep(RECONNECT_PAUSE);
        };
        // A connect that takes no time at all hides CONNECTING, and with it mistakes in scripts that do not wait.
        while begun.elapsed() < self.connect_takes && !self.stopping() {
            std::thread::sleep(Duration::from_millis(5).min(self.connect_takes));
        }
        let outcome = match outcome {
            Ok(token) => Ok(token),
            Err(Stop::Unwanted) => return,
            Err(Stop::Failed(failure)) => Err(failure),
        };
        self.finish(store, outcome);
    }

    fn finish(&self, store: &KeyStore, outcome: Result<Token, ConnectFailure>) {
        let (state, error) = match &outcome {
            Ok(_) => (State::Connected, None),
            Err(failure) => (State::Failed, Some(failure.code)),
        };
        match outcome {
            Ok(token) => {
                // Before the state is written, so that nobody sees CONNECTED without a token.
                self.live.tokens.write().insert(store.id.clone(), Arc::new(token));
            }
            Err(failure) => {
                (self.log)(&format!("{}: {:?}: {}", store.id, failure.code, failure.why));
            }
        }
        let written = self.store.change(|rows| {
            match rows.fetch::<KeyStore>(&store.scope, &store.id)? {
                Some(mut now) if now.attempt == store.attempt => {
                    now.state = state;
                    now.error = error;
                    rows.save(&now)?;
                    Ok(true)
                }
                _ => Ok(false),
            }
        });
        match written {
            Ok(true) => {}
            Ok(false) => self.forget(&store.id),
            Err(lost) => {
                self.forget(&store.id);
                (self.log)(&format!("{}: {state:?} could not be written: {}", store.id, told(&lost)));
            }
        }
    }

    fn forget(&self, id: &str) {
        // A token that an operation still holds logs out when that operation ends.
        let token = self.live.tokens.write().remove(id);
        drop(token);
    }

    fn stopping(&self) -> bool {
        self.live.stopping.load(Ordering::Relaxed)
    }

    /// Ends the workers and logs out everywhere; states stay as they are, so that a restart connects again.
    pub(crate) fn stop(&self) {
        self.live.stopping.store(true, Ordering::Relaxed);
        let workers = std::mem::take(&mut *self.live.workers.lock());
        for worker in workers {
            // A worker that panicked has said so on its own.
            let _ = worker.join();
        }
        let tokens = std::mem::take(&mut *self.live.tokens.write());
        for token in tokens.into_values() {
            token.logout();
        }
    }
}
