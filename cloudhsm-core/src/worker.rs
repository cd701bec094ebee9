//! The life of one cluster: a thread looks at the persisted state, does the one next thing that it
//! asks for, writes what came of it, and looks again. Nothing of it lives in memory only, so after a
//! crash at any instruction the next start continues at the same step.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use hsm_api::Result as HsmResult;

use crate::control::Control;
use crate::error::Refused;
use crate::model::{Cluster, ClusterState, Hsm, HsmState, Realm};
use crate::state::{Place, State};
use crate::{backups, model};

/// What the worker does after a step.
#[derive(PartialEq)]
enum Next {
    Look,
    Rest,
    End,
}

/// Runs until the cluster is deleted or the service stops.
pub(crate) fn run(control: &Control, place: &Place) {
    while !control.stopping() {
        // A panic is a mistake of ours in one step: the state is whole, and the cluster goes on.
        let stepped = catch_unwind(AssertUnwindSafe(|| step(control, place)));
        match stepped {
            Ok(Ok(Next::Look)) => {}
            Ok(Ok(Next::Rest)) => control.store.wait(control.config.poll),
            Ok(Ok(Next::End)) => return,
            // The disk refuses: the record stands as it was, and it is tried again.
            Ok(Err(Refused(e))) => {
                let cause = e.cause.as_deref().unwrap_or_default();
                control.log(&format!("{}: {e} {cause}", place.cluster));
                control.pause(Duration::from_secs(1));
            }
            Err(_) => control.pause(Duration::from_secs(1)),
        }
    }
}

fn step(control: &Control, place: &Place) -> Result<Next, Refused> {
    let Some(cluster) = control.store.read(|s| s.cluster(place).cloned()) else {
        return Ok(Next::End);
    };
    match cluster.state {
        ClusterState::Deleted => return Ok(Next::End),
        ClusterState::Creating => {
            // With a cluster certificate from a backup there is nothing left to initialize.
            let next = match cluster.certificate {
                Some(_) => ClusterState::Initialized,
                None => ClusterState::Uninitialized,
            };
            control.pause(control.config.transition);
            return advance(control, place, next);
        }
        ClusterState::Deleting => {
            control.pause(control.config.transition);
            control.change_realm(place, |realm| {
                for attachment in
                    std::mem::take(&mut cluster_of(realm, place)?.attached).into_values()
                {
                    crate::facts::drop_attachment(&mut realm.vpc, &attachment);
                }
                realm.vpc.groups.remove(&cluster.group);
                Some(())
            })?;
            return advance(control, place, ClusterState::Deleted);
        }
        ClusterState::Modifying => {
            for hsm in &cluster.hsms {
                control.nodes.stop(&hsm.id, Duration::from_secs(5));
            }
            control.pause(control.config.transition);
            return advance(control, place, ClusterState::Active);
        }
        _ => {}
    }
    if let Some(next) = tend_hsms(control, place, &cluster)? {
        return Ok(next);
    }
    match cluster.state {
        ClusterState::Uninitialized if cluster.certificates.is_none() => {
            identify(control, place, &cluster)
        }
        ClusterState::Initializing => initialize(control, place, &cluster),
        ClusterState::Initialized => activate(control, place, &cluster),
        ClusterState::Active if backups::due(control, place) => {
            match serving(control, &cluster, "") {
                Some(hsm) => backup(control, place, hsm).map(|()| Next::Rest),
                None => Ok(Next::Rest),
            }
        }
        _ => Ok(Next::Rest),
    }
}

/// The one next thing for an HSM, if there is one.
fn tend_hsms(control: &Control, place: &Place, cluster: &Cluster) -> Result<Option<Next>, Refused> {
    let in_state = |state| cluster.hsms.iter().filter(move |h| h.state == state);
    // First those that serve: the others are filled from them.
    for hsm in in_state(HsmState::Active) {
        let seen = control.nodes.seen(&hsm.id);
        if control.nodes.alive(&hsm.id) || control.stopping() {
            continue;
        }
        let why = match seen {
            true => "The HSM does not respond.".to_owned(),
            false => match control.start_node(place, &hsm.id) {
                Ok(()) => return Ok(Some(Next::Look)),
                Err(e) => e.to_string(),
            },
        };
        degrade(control, place, hsm, &why)?;
        return Ok(Some(Next::Look));
    }
    if let Some(hsm) = in_state(HsmState::Deleting).next() {
        remove(control, place, cluster, hsm)?;
        return Ok(Some(Next::Look));
    }
    // The last that died knows most: it comes back first, and the others are filled from it.
    let mut down: Vec<&Hsm> = in_state(HsmState::Degraded)
        .filter(|h| control.nodes.may_start(&h.id))
        .collect();
    down.sort_by(|a, b| b.since.total_cmp(&a.since));
    if let Some(hsm) = down.first() {
        let waited = control.now() - hsm.since >= control.config.replace_after.as_secs_f64();
        if waited || control.nodes.wanted(&hsm.id) {
            revive(control, place, cluster, hsm)?;
            return Ok(Some(Next::Look));
        }
    }
    if let Some(hsm) = in_state(HsmState::Creating).next() {
        furnish(control, place, cluster, hsm)?;
        return Ok(Some(Next::Look));
    }
    Ok(None)
}

/// An HSM of the cluster that can be copied from.
fn serving<'a>(control: &Control, cluster: &'a Cluster, but: &str) -> Option<&'a Hsm> {
    let mut hsms = cluster.hsms.iter();
    hsms.find(|h| h.id != but && serves(control, h))
}

fn serves(control: &Control, hsm: &Hsm) -> bool {
    hsm.furnished && hsm.state == HsmState::Active && control.nodes.alive(&hsm.id)
}

/// Whether a dead HSM may know what a serving one does not: it died while the other was down, and the
/// other came back without it. A copy would lose that, so there is none: users may differ then, and
/// the nodes exchange their keys by themselves.
fn lacks(serving: &Hsm, dead: &Hsm) -> bool {
    serving
        .behind
        .is_some_and(|t| t < dead.since && dead.since < serving.since)
}

/// CreateHsm's work: a process, and in it all that the cluster's other HSMs hold.
fn furnish(control: &Control, place: &Place, cluster: &Cluster, hsm: &Hsm) -> Result<(), Refused> {
    control.pause(control.config.transition);
    let Some(_alone) = control.alone(place) else {
        return Ok(());
    };
    let mut certificates = None;
    let mut copied = None;
    let filled = (|| -> Result<bool, String> {
        if !control.nodes.alive(&hsm.id) {
            control
                .start_node(place, &hsm.id)
                .map_err(|e| e.to_string())?;
        }
        if hsm.furnished {
            return Ok(true);
        }
        if cluster.certificate.is_none() {
            // Only one HSM of a new cluster makes the key that is to be certified.
            let first = cluster.certificates.is_none();
            if first {
                let own = control.ask(place, &hsm.id, |a| a.certificates());
                certificates = Some(own.map_err(|e| e.to_string())?);
            }
            return Ok(first);
        }
        let data = match serving(control, cluster, &hsm.id) {
            Some(other) => {
                let data = control.ask(place, &other.id, |a| a.backup());
                copied = Some(data.map_err(|e| format!("{}: {e}", other.id))?);
                copied.clone().unwrap_or_default()
            }
            None => backups::newest(control, place, cluster)?,
        };
        let restored = control.ask(place, &hsm.id, |a| a.restore(&data));
        restored.map(|()| true).map_err(|e| e.to_string())
    })();
    if control.stopping() {
        return Ok(());
    }
    let furnished = match filled {
        Ok(furnished) => furnished,
        Err(why) => return degrade(control, place, hsm, &why),
    };
    let now = control.now();
    control.change_cluster(place, |cluster| {
        if let Some(certificates) = certificates {
            cluster.certificates = Some(certificates);
        }
        // It may have been deleted meanwhile; then that comes next.
        if let Some(hsm) = cluster.hsm_mut(&hsm.id) {
            hsm.furnished = furnished;
            if hsm.state == HsmState::Creating {
                hsm.state = HsmState::Active;
                hsm.message = Some("HSM created.".into());
                hsm.since = now;
            }
        }
    })?;
    control.introduce(place);
    match copied {
        Some(data) if cluster.state == ClusterState::Active => backups::keep(control, place, &data),
        _ => Ok(()),
    }
}

/// The first HSM was deleted before it was initialized: another one's CSR is to be signed.
fn identify(control: &Control, place: &Place, cluster: &Cluster) -> Result<Next, Refused> {
    let active = |h: &&Hsm| h.state == HsmState::Active && control.nodes.alive(&h.id);
    let Some(hsm) = cluster.hsms.iter().find(active) else {
        return Ok(Next::Rest);
    };
    let Ok(certificates) = control.ask(place, &hsm.id, |a| a.certificates()) else {
        return Ok(Next::Rest);
    };
    control.change_cluster(place, |cluster| {
        cluster.certificates = Some(certificates);
        if let Some(hsm) = cluster.hsm_mut(&hsm.id) {
            hsm.furnished = true;
        }
    })?;
    Ok(Next::Look)
}

/// InitializeCluster's work.
fn initialize(control: &Control, place: &Place, cluster: &Cluster) -> Result<Next, Refused> {
    control.pause(control.config.transition);
    let (Some(pending), Some(hsm)) = (&cluster.pending, serving(control, cluster, "")) else {
        return Ok(Next::Rest);
    };
    if control.stopping() {
        return Ok(Next::End);
    }
    let installed = control.ask(place, &hsm.id, |a| {
        // After a crash between the two, the HSM has it already.
        if a.info()?.installed {
            return Ok(());
        }
        a.install(&pending.certificate, &pending.anchor)
    });
    if let Err(e) = installed {
        control.log(&format!("{}: {}: {e}", cluster.id, hsm.id));
        control.change_cluster(place, |cluster| {
            cluster.pending = None;
            cluster.state = ClusterState::Uninitialized;
            cluster.message = Some(format!("The HSM refused the certificate: {e}"));
        })?;
        return Ok(Next::Look);
    }
    for other in cluster
        .hsms
        .iter()
        .filter(|h| h.state == HsmState::Active && !h.furnished)
    {
        if let Err(e) = copy(control, place, hsm, other) {
            degrade(control, place, other, &e.to_string())?;
        }
    }
    let now = control.now();
    control.change_cluster(place, |cluster| {
        if let Some(pending) = cluster.pending.take() {
            cluster.certificate = Some(pending.certificate);
            cluster.anchor = Some(pending.anchor);
            cluster.state = ClusterState::Initialized;
            cluster.message = None;
            cluster.since = now;
        }
    })?;
    control.introduce(place);
    Ok(Next::Look)
}

/// Fills one HSM from another.
fn copy(control: &Control, place: &Place, from: &Hsm, to: &Hsm) -> Result<(), String> {
    let copied: HsmResult<()> = (|| {
        let data = control.ask(place, &from.id, |a| a.backup())?;
        control.ask(place, &to.id, |a| a.restore(&data))
    })();
    copied.map_err(|e| e.to_string())?;
    let marked = control.change_cluster(place, |cluster| {
        if let Some(hsm) = cluster.hsm_mut(&to.id) {
            hsm.furnished = true;
        }
    });
    marked.map_err(|Refused(e)| e.to_string())
}

/// Activation is the customer's act on the HSM; the service only sees that it happened.
fn activate(control: &Control, place: &Place, cluster: &Cluster) -> Result<Next, Refused> {
    let Some(hsm) = serving(control, cluster, "") else {
        return Ok(Next::Rest);
    };
    match control.peek(place, &hsm.id, |a| a.info()) {
        Ok(info) if info.activated => {
            advance(control, place, ClusterState::Active)?;
            // A cluster from a backup has just been filled from one.
            if cluster.source_backup.is_none() {
                backup(control, place, hsm)?;
            }
            Ok(Next::Look)
        }
        _ => Ok(Next::Rest),
    }
}

/// A dead HSM comes back with its own store, and with what the others learnt meanwhile.
fn revive(control: &Control, place: &Place, cluster: &Cluster, hsm: &Hsm) -> Result<(), Refused> {
    let others = cluster.hsms.iter();
    let peers: Vec<&Hsm> = others
        .filter(|p| p.id != hsm.id && serves(control, p))
        .collect();
    let source = peers.iter().find(|p| !lacks(p, hsm));
    let Some(_alone) = control.alone(place) else {
        return Ok(());
    };
    let mut behind = None;
    let revived = (|| {
        if !control.nodes.alive(&hsm.id) {
            control
                .start_node(place, &hsm.id)
                .map_err(|e| e.to_string())?;
        }
        match source {
            _ if cluster.certificate.is_none() => Ok(()),
            Some(peer) => {
                behind = peer.behind;
                copy(control, place, peer, hsm)
            }
            None if !hsm.furnished => {
                let data = backups::newest(control, place, cluster)?;
                let restored = control.ask(place, &hsm.id, |a| a.restore(&data));
                restored.map_err(|e| e.to_string())
            }
            None if peers.is_empty() => {
                behind = Some(hsm.since);
                Ok(())
            }
            None => Ok(()),
        }
    })();
    if control.stopping() {
        return Ok(());
    }
    if let Err(why) = revived {
        control.nodes.back_off(
            &hsm.id,
            control.config.replace_after.max(control.config.poll),
        );
        return degrade(control, place, hsm, &why);
    }
    let now = control.now();
    control.change_cluster(place, |cluster| {
        let ours = cluster.certificate.is_some();
        if let Some(hsm) = cluster.hsm_mut(&hsm.id) {
            hsm.furnished |= ours;
            hsm.behind = behind;
            if hsm.state == HsmState::Degraded {
                hsm.state = HsmState::Active;
                hsm.message = Some("HSM replaced.".into());
                hsm.since = now;
            }
        }
    })?;
    control.log(&format!("{}: {} is ACTIVE again", cluster.id, hsm.id));
    control.introduce(place);
    Ok(())
}

/// DeleteHsm's work.
fn remove(control: &Control, place: &Place, cluster: &Cluster, hsm: &Hsm) -> Result<(), Refused> {
    control.pause(control.config.transition);
    if cluster.state == ClusterState::Active && hsm.furnished && control.nodes.alive(&hsm.id) {
        backup(control, place, hsm)?;
    }
    control.nodes.stop(&hsm.id, Duration::from_secs(5));
    control.change_realm(place, |realm| {
        realm.vpc.enis.remove(&hsm.eni);
        let cluster = cluster_of(realm, place)?;
        cluster.hsms.retain(|h| h.id != hsm.id);
        if hsm.furnished && cluster.certificate.is_none() {
            cluster.certificates = None;
        }
        Some(())
    })?;
    control.introduce(place);
    // The record is gone: what is left of the directory hurts nobody.
    if let Err(e) = std::fs::remove_dir_all(control.node_dir(&hsm.id)) {
        control.log(&format!("{}: {}: {e}", cluster.id, hsm.id));
    }
    Ok(())
}

/// Takes a backup of one HSM. An HSM that cannot give one is no reason to stop.
fn backup(control: &Control, place: &Place, hsm: &Hsm) -> Result<(), Refused> {
    match control.ask(place, &hsm.id, |a| a.backup()) {
        Ok(data) => backups::keep(control, place, &data),
        Err(e) => {
            control.log(&format!("{}: no backup of {}: {e}", place.cluster, hsm.id));
            Ok(())
        }
    }
}

fn degrade(control: &Control, place: &Place, hsm: &Hsm, why: &str) -> Result<(), Refused> {
    control.log(&format!("{}: {} is DEGRADED: {why}", place.cluster, hsm.id));
    let now = control.now();
    control.change_cluster(place, |cluster| {
        if let Some(hsm) = cluster.hsm_mut(&hsm.id)
            && hsm.state != HsmState::Deleting
        {
            // The time of its death stays: by that the one that knows most is found.
            if hsm.state != HsmState::Degraded {
                hsm.since = now;
            }
            hsm.state = HsmState::Degraded;
            hsm.message = Some(why.chars().take(300).collect());
        }
    })?;
    control.introduce(place);
    Ok(())
}

fn advance(control: &Control, place: &Place, to: ClusterState) -> Result<Next, Refused> {
    if control.stopping() {
        return Ok(Next::End);
    }
    let now = control.now();
    control.change_cluster(place, |cluster| {
        cluster.state = to;
        cluster.message = None;
        cluster.since = now;
    })?;
    Ok(Next::Look)
}

fn cluster_of<'a>(realm: &'a mut Realm, place: &Place) -> Option<&'a mut model::Cluster> {
    realm.clusters.get_mut(&place.cluster)
}

impl Control {
    /// Changes a cluster that may be gone.
    pub(crate) fn change_cluster(
        &self,
        place: &Place,
        f: impl FnOnce(&mut Cluster),
    ) -> Result<(), Refused> {
        self.store.change(|s: &mut State| {
            if let Some(cluster) = s.cluster_mut(place) {
                f(cluster);
            }
            Ok(())
        })
    }

    /// Changes a cluster and the network around it.
    pub(crate) fn change_realm(
        &self,
        place: &Place,
        f: impl FnOnce(&mut Realm) -> Option<()>,
    ) -> Result<(), Refused> {
        self.store.change(|s: &mut State| {
            f(s.realm_mut(&place.scope));
            Ok(())
        })
    }
}
