//! Between two HSMs of a cluster, users travel only as a whole copy: an HSM that comes back, or is new, is filled from one
//! that serves. A password that changes while the copy is on its way would be the old one on the filled HSM. So
//! whoever changes kmsuser's password holds the cluster, and filling waits.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::lock_api::{ArcRwLockReadGuard, ArcRwLockWriteGuard};
use parking_lot::{Mutex, RawRwLock, RwLock};

use crate::control::Control;
use crate::state::{Place, Scope};

/// One lock a cluster, made at first use: held shared by those who change passwords, alone by who copies users.
pub(crate) type UserLocks = Mutex<HashMap<Place, Arc<RwLock<()>>>>;

/// Keeps a cluster's users where they are while it lives.
pub type Hold = ArcRwLockReadGuard<RawRwLock, ()>;

/// The worker has other things to do; it asks again.
const PATIENCE: Duration = Duration::from_millis(500);

impl Control {
    /// While the returned value lives, no HSM of the cluster is filled from another.
    pub fn hold(&self, scope: &Scope, cluster_id: &str) -> Hold {
        let place = Place {
            scope: scope.clone(),
            cluster: cluster_id.to_owned(),
        };
        self.user_lock(&place).read_arc()
    }

    /// The right to copy users; none for now while somebody holds the cluster.
    pub(crate) fn alone(&self, place: &Place) -> Option<ArcRwLockWriteGuard<RawRwLock, ()>> {
        self.user_lock(place).try_write_arc_for(PATIENCE)
    }

    fn user_lock(&self, place: &Place) -> Arc<RwLock<()>> {
        self.users.lock().entry(place.clone()).or_default().clone()
    }
}
