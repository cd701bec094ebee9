//! The control plane as a value: its configuration, state, nodes and threads. What happens to a
//! cluster is in `worker`; what callers ask is in `op`, `facts` and `admin`.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hsm_api::{Link, Result as HsmResult, Rv};
use parking_lot::Mutex;

use crate::ca::Ca;
use crate::hold::UserLocks;
use crate::link::{Appliance, Dial, NetDial};
use crate::model::{Cluster, ClusterState, Hsm, HsmState, Time};
use crate::node::{Conditions, Listen, NodeCommand, NodeSpec, PeerSpec};
use crate::process::Spawner;
use crate::state::{Place, Scope, State, Store, private_dir};
use crate::supervisor::Supervisor;
use crate::{backups, worker};

/// What may be set.
#[derive(Clone)]
pub struct Config {
    /// Holds `state.json`, `service/`, `nodes/` and `backups/`.
    pub data_dir: PathBuf,
    /// How long each transitional state is shown, so that callers who poll see it.
    pub transition: Duration,
    /// How often nodes are looked at.
    pub poll: Duration,
    /// How long a dead HSM stays DEGRADED before it is replaced.
    pub replace_after: Duration,
    /// An ACTIVE cluster without a backup for so long gets one.
    pub backup_every: Duration,
    /// Of an account in a region.
    pub max_clusters: usize,
    /// Of an account in a region, over all clusters.
    pub max_hsms: usize,
    /// Whom `/_keystead/` requests mean that name nobody.
    pub scope: Scope,
    /// The time of day, in seconds since 1970.
    pub clock: Arc<dyn Fn() -> Time + Send + Sync>,
    /// Where a line goes when something happens by itself.
    pub log: Arc<dyn Fn(&str) + Send + Sync>,
}

impl Config {
    /// The usual values.
    pub fn new(data_dir: impl Into<PathBuf>) -> Config {
        Config {
            data_dir: data_dir.into(),
            transition: Duration::from_millis(200),
            poll: Duration::from_millis(100),
            replace_after: Duration::from_secs(10),
            backup_every: Duration::from_secs(24 * 3600),
            max_clusters: 4,
            max_hsms: 6,
            scope: Scope::new(aws_json::DEFAULT_ACCOUNT, "us-east-1"),
            clock: Arc::new(now),
            log: Arc::new(|line| eprintln!("cloudhsm: {line}")),
        }
    }
}

/// To the millisecond, as the API shows it.
fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    aws_json::Timestamp::from_millis(since.map_or(0, |d| d.as_millis() as i64)).0
}

/// The CloudHSM service. Dropping it ends its nodes in good order.
pub struct CloudHsm(Arc<Control>);

impl std::ops::Deref for CloudHsm {
    type Target = Control;
    fn deref(&self) -> &Control {
        &self.0
    }
}

/// What [`CloudHsm`] and its threads share.
pub struct Control {
    pub(crate) config: Config,
    pub(crate) store: Store,
    pub(crate) nodes: Supervisor,
    pub(crate) ca: Ca,
    dial: Box<dyn Dial>,
    lines: Mutex<HashMap<String, Arc<dyn Link>>>,
    stopping: AtomicBool,
    threads: Mutex<Vec<(Option<Place>, JoinHandle<()>)>>,
    /// Held as long as we live: two services on one directory would take each other's HSMs.
    _lock: fs::File,
    pub(crate) users: UserLocks,
}

impl CloudHsm {
    /// Opens the data directory and brings everything in it to life again; returns at once.
    ///
    /// # Errors
    /// The directory or its state cannot be used.
    pub fn open(config: Config, spawner: Box<dyn Spawner>) -> io::Result<CloudHsm> {
        private_dir(&config.data_dir)?;
        let ca = Ca::open(&config.data_dir)?;
        let dial = NetDial::new(&ca).map_err(io::Error::other)?;
        CloudHsm::open_with(config, spawner, Box::new(dial))
    }

    /// The same, with another line to the nodes.
    ///
    /// # Errors
    /// As `open`.
    pub fn open_with(
        config: Config,
        spawner: Box<dyn Spawner>,
        dial: Box<dyn Dial>,
    ) -> io::Result<CloudHsm> {
        for dir in ["", "nodes", "backups"] {
            private_dir(&config.data_dir.join(dir))?;
        }
        let lock = fs::File::create(config.data_dir.join("lock"))?;
        // A child between fork and exec has its parent's lock for a moment, also a dead parent's.
        let end = Instant::now() + Duration::from_secs(5);
        while lock.try_lock().is_err() {
            if Instant::now() > end {
                let dir = config.data_dir.display();
                return Err(io::Error::new(
                    io::ErrorKind::ResourceBusy,
                    format!("{dir} is served by another process"),
                ));
            }
            thread::sleep(Duration::from_millis(10));
        }
        let control = Arc::new(Control {
            _lock: lock,
            ca: Ca::open(&config.data_dir)?,
            store: Store::open(&config.data_dir)?,
            nodes: Supervisor::new(spawner),
            dial,
            lines: Mutex::default(),
            stopping: AtomicBool::new(false),
            threads: Mutex::default(),
            users: UserLocks::default(),
            config,
        });
        backups::sweep(&control)?;
        let service = CloudHsm(control);
        service.begin();
        Ok(service)
    }

    fn begin(&self) {
        let control = Arc::clone(&self.0);
        let keeper = thread::spawn(move || backups::keep_house(&control));
        self.0.threads.lock().push((None, keeper));
        for place in self.places() {
            self.watch(place);
        }
    }

    /// A thread for a cluster that came to be.
    pub(crate) fn watch(&self, place: Place) {
        let control = Arc::clone(&self.0);
        let at = place.clone();
        let thread = thread::spawn(move || worker::run(&control, &at));
        let mut threads = self.0.threads.lock();
        threads.retain(|(_, t)| !t.is_finished());
        threads.push((Some(place), thread));
    }

    /// Forgets everything but the service's own certificates: for test suites that start afresh.
    ///
    /// # Errors
    /// Files cannot be removed.
    pub fn reset(&self) -> io::Result<()> {
        self.halt();
        let emptied = self.empty();
        // Whatever is left is looked after as before.
        self.0.stopping.store(false, Ordering::SeqCst);
        self.begin();
        emptied
    }

    fn empty(&self) -> io::Result<()> {
        self.0.store.change(|s| {
            s.clear();
            Ok::<_, io::Error>(())
        })?;
        for dir in ["nodes", "backups"] {
            let dir = self.0.config.data_dir.join(dir);
            fs::remove_dir_all(&dir)?;
            private_dir(&dir)?;
        }
        Ok(())
    }

    /// Ends threads and nodes in good order; the state stays as it is. Once is enough.
    pub fn halt(&self) {
        self.0.stopping.store(true, Ordering::SeqCst);
        self.0.store.ring();
        let threads = std::mem::take(&mut *self.0.threads.lock());
        for (_, thread) in threads {
            // A thread that panicked has said so itself.
            let _ = thread.join();
        }
        self.0.lines.lock().clear();
        self.0.nodes.stop_all(Duration::from_secs(5));
    }
}

impl Drop for CloudHsm {
    fn drop(&mut self) {
        self.halt();
    }
}

impl Control {
    pub(crate) fn now(&self) -> Time {
        (self.config.clock)()
    }

    pub(crate) fn log(&self, line: &str) {
        (self.config.log)(line);
    }

    pub(crate) fn stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// Sleeps, unless the service stops.
    pub(crate) fn pause(&self, time: Duration) {
        let end = Instant::now() + time;
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            if self.stopping() {
                return;
            }
            self.store.wait(left);
        }
    }

    /// Every cluster that is not deleted.
    pub(crate) fn places(&self) -> Vec<Place> {
        self.store.read(|s| {
            let of = |(scope, realm): (Scope, &crate::model::Realm)| {
                let live = realm
                    .clusters
                    .values()
                    .filter(|c| c.state != ClusterState::Deleted);
                let ids: Vec<String> = live.map(|c| c.id.clone()).collect();
                ids.into_iter().map(move |cluster| Place {
                    scope: scope.clone(),
                    cluster,
                })
            };
            s.realms().flat_map(of).collect()
        })
    }

    /// Waits until every HSM that should serve does and no state is transitional.
    pub fn settle(&self, timeout: Duration) -> bool {
        let end = Instant::now() + timeout;
        loop {
            let settled = self.places().iter().all(|place| {
                let cluster = self.store.read(|s| s.cluster(place).cloned());
                cluster.is_none_or(|c| {
                    !c.state.name().ends_with("_IN_PROGRESS")
                        && c.hsms.iter().all(|h| match h.state {
                            HsmState::Active => self.nodes.alive(&h.id),
                            HsmState::Degraded => self.nodes.held_down(&h.id),
                            _ => false,
                        })
                })
            });
            if settled || Instant::now() >= end {
                return settled;
            }
            self.store.wait(Duration::from_millis(10));
        }
    }

    pub(crate) fn node_dir(&self, hsm_id: &str) -> PathBuf {
        self.config.data_dir.join("nodes").join(hsm_id)
    }

    /// Starts an HSM's process.
    pub(crate) fn start_node(&self, place: &Place, hsm_id: &str) -> io::Result<()> {
        let dir = self.node_dir(hsm_id);
        let data_dir = dir.join("data");
        private_dir(&data_dir)?;
        let gone = || io::Error::other(format!("{hsm_id} is gone"));
        let spec = self.store.read(|s| {
            let cluster = s.cluster(place)?;
            let hsm = cluster.hsm(hsm_id)?;
            let [client, service, management] = reach(s, place, hsm)?;
            let peers = peers(s, place, cluster, hsm_id);
            Some((
                cluster.clone(),
                hsm.clone(),
                Listen {
                    client,
                    service,
                    management,
                },
                peers,
            ))
        });
        let (cluster, hsm, listen, peers) = spec.ok_or_else(gone)?;
        let spec = NodeSpec {
            hsm_id: hsm.id.clone(),
            cluster_id: cluster.id,
            account: place.scope.account.clone(),
            region: place.scope.region.clone(),
            zone: hsm.zone,
            origin: hsm.origin,
            hsm_type: cluster.hsm_type,
            fips: cluster.mode == crate::model::Mode::Fips,
            data_dir,
            listen,
            service_ca: self.ca.certificate(),
            credentials: self.ca.node(&dir, &hsm.id)?,
            hardware: self.ca.hardware(&dir, &hsm.serial)?,
            serial: hsm.serial,
            backup_key: self.ca.backup_key(),
            preco_password: cluster.preco_password,
            peers,
            conditions: Conditions::default(),
        };
        self.lines.lock().remove(hsm_id);
        self.nodes.start(&dir.join("spec.json"), spec)
    }

    /// Tells every HSM of a cluster who the others are.
    pub(crate) fn introduce(&self, place: &Place) {
        let told: Vec<(String, Vec<PeerSpec>)> = self.store.read(|s| {
            let Some(cluster) = s.cluster(place) else {
                return Vec::new();
            };
            let of = |h: &Hsm| (h.id.clone(), peers(s, place, cluster, &h.id));
            cluster.hsms.iter().map(of).collect()
        });
        for (hsm, peers) in told {
            self.nodes.send(&hsm, &NodeCommand::Peers(peers));
        }
    }

    /// Asks an HSM over a line that is kept; one that broke is opened anew next time.
    pub(crate) fn peek<T>(
        &self,
        place: &Place,
        hsm_id: &str,
        ask: impl FnOnce(Appliance<'_>) -> HsmResult<T>,
    ) -> HsmResult<T> {
        let kept = self.lines.lock().get(hsm_id).cloned();
        let line = match kept {
            Some(line) => line,
            None => {
                let line = self.line(place, hsm_id)?;
                self.lines
                    .lock()
                    .insert(hsm_id.to_owned(), Arc::clone(&line));
                line
            }
        };
        let answer = ask(Appliance(line.as_ref()));
        if answer.is_err() {
            self.lines.lock().remove(hsm_id);
        }
        answer
    }

    /// Asks an HSM over a line of its own: for what takes long or must not meet a stale connection.
    pub(crate) fn ask<T>(
        &self,
        place: &Place,
        hsm_id: &str,
        ask: impl FnOnce(Appliance<'_>) -> HsmResult<T>,
    ) -> HsmResult<T> {
        ask(Appliance(self.line(place, hsm_id)?.as_ref()))
    }

    fn line(&self, place: &Place, hsm_id: &str) -> HsmResult<Arc<dyn Link>> {
        let found = self.store.read(|s| {
            let cluster = s.cluster(place)?;
            let [_, service, _] = reach(s, place, cluster.hsm(hsm_id)?)?;
            let pending = cluster.pending.as_ref().map(|p| p.anchor.clone());
            Some((service, cluster.anchor.clone().or(pending)))
        });
        let (address, anchor) = found.ok_or(Rv::TOKEN_NOT_PRESENT)?;
        self.dial.dial(address, anchor.as_deref())
    }
}

/// Where an HSM's three ports are.
pub(crate) fn reach(state: &State, place: &Place, hsm: &Hsm) -> Option<[SocketAddr; 3]> {
    let vpc = &state.realm(&place.scope)?.vpc;
    Some(vpc.enis.get(&hsm.eni)?.reach)
}

/// The others that hold the cluster's keys.
fn peers(state: &State, place: &Place, cluster: &Cluster, but: &str) -> Vec<PeerSpec> {
    let others = cluster.hsms.iter().filter(|h| {
        h.id != but && h.furnished && matches!(h.state, HsmState::Active | HsmState::Degraded)
    });
    let row = |h: &Hsm| {
        Some(PeerSpec {
            hsm_id: h.id.clone(),
            origin: h.origin,
            address: reach(state, place, h)?[1],
        })
    };
    others.filter_map(row).collect()
}
