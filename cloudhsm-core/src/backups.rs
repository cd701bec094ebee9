//! Backups: records in the state, sealed content in `backups/ID`, and the house-keeping that ages
//! them. When a backup is taken is the worker's matter; nobody can ask for one (as at AWS).

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::control::Control;
use crate::error::Refused;
use crate::ids;
use crate::model::{Backup, BackupState, Cluster, ClusterState, Time};
use crate::state::{Place, write_durably};

const DAY: Time = 86_400.0;

/// How long DeleteBackup can be taken back.
pub const RESTORABLE: Time = 7.0 * DAY;

/// How long a deleted cluster is still shown.
const SHOWN: Time = 3_600.0;

/// Where a backup's content is.
pub(crate) fn file(control: &Control, id: &str) -> PathBuf {
    control.config.data_dir.join("backups").join(id)
}

/// Whether the cluster is to be backed up now: a day has passed, or its first one got lost in a crash.
pub(crate) fn due(control: &Control, place: &Place) -> bool {
    let (newest, from_backup) = control.store.read(|s| {
        let own = s.realm(&place.scope).map(|r| r.backups.values());
        let own = own
            .into_iter()
            .flatten()
            .filter(|b| b.cluster == place.cluster && b.state != BackupState::Creating);
        let cluster = s.cluster(place);
        (
            own.map(|b| b.created).max_by(f64::total_cmp),
            cluster.and_then(|c| c.source_backup.as_ref().map(|_| c.since)),
        )
    });
    let every = control.config.backup_every.as_secs_f64();
    newest
        .or(from_backup)
        .is_none_or(|t| control.now() - t >= every)
}

/// Removes what a crash left: backups that were being made, content and node directories without a
/// record. Before anything runs.
pub(crate) fn sweep(control: &Control) -> io::Result<()> {
    let half = |b: &Backup| b.state == BackupState::Creating;
    let scopes: Vec<_> = control.store.read(|s| {
        let halves = s.realms().filter(|(_, r)| r.backups.values().any(half));
        halves.map(|(scope, _)| scope).collect()
    });
    if !scopes.is_empty() {
        control.store.change(|s| {
            for scope in &scopes {
                s.realm_mut(scope).backups.retain(|_, b| !half(b));
            }
            Ok::<_, io::Error>(())
        })?;
    }
    let known: BTreeSet<String> = control.store.read(|s| {
        let of = s.realms().flat_map(|(_, realm)| {
            let hsms = realm
                .clusters
                .values()
                .flat_map(|c| c.hsms.iter().map(|h| h.id.clone()));
            hsms.chain(realm.backups.keys().cloned())
                .collect::<Vec<_>>()
        });
        of.collect()
    });
    for dir in ["backups", "nodes"] {
        for entry in fs::read_dir(control.config.data_dir.join(dir))? {
            let entry = entry?;
            if known.contains(&*entry.file_name().to_string_lossy()) {
                continue;
            }
            match entry.file_type()?.is_dir() {
                true => fs::remove_dir_all(entry.path())?,
                false => fs::remove_file(entry.path())?,
            }
        }
    }
    Ok(())
}

/// Keeps the content that an HSM of the cluster gave.
pub(crate) fn keep(control: &Control, place: &Place, data: &[u8]) -> Result<(), Refused> {
    let id = ids::base32("backup");
    let created = control.now();
    let began = control.store.change(|s| {
        let realm = s.realm_mut(&place.scope);
        let Some(cluster) = realm.clusters.get(&place.cluster) else {
            return Ok::<_, Refused>(false);
        };
        let backup = Backup {
            id: id.clone(),
            state: BackupState::Creating,
            cluster: cluster.id.clone(),
            hsm_type: cluster.hsm_type.clone(),
            mode: cluster.mode,
            created,
            copied: None,
            source: None,
            never_expires: false,
            delete_at: None,
            tags: Vec::new(),
            certificate: cluster.certificate.clone().unwrap_or_default(),
            anchor: cluster.anchor.clone().unwrap_or_default(),
            retention_days: cluster.retention_days,
        };
        realm.backups.insert(id.clone(), backup);
        Ok(true)
    })?;
    if !began {
        return Ok(());
    }
    write_durably(&file(control, &id), data)?;
    control.store.change(|s| {
        if let Some(backup) = s.realm_mut(&place.scope).backups.get_mut(&id) {
            backup.state = BackupState::Ready;
        }
        Ok(())
    })
}

/// What a cluster without a serving HSM is filled from: its own newest backup, else the one that it
/// was made from.
pub(crate) fn newest(
    control: &Control,
    place: &Place,
    cluster: &Cluster,
) -> Result<Vec<u8>, String> {
    let id = control.store.read(|s| {
        let realm = s.realm(&place.scope)?;
        let own = realm
            .backups
            .values()
            .filter(|b| b.cluster == cluster.id && b.state == BackupState::Ready);
        let own = own
            .max_by(|a, b| a.created.total_cmp(&b.created))
            .map(|b| b.id.clone());
        own.or_else(|| cluster.source_backup.clone())
    });
    let id = id.ok_or("The cluster has no HSM and no backup to restore from.")?;
    fs::read(file(control, &id)).map_err(|e| format!("{id}: {e}"))
}

/// Ages backups and deleted clusters, once a minute.
pub(crate) fn keep_house(control: &Control) {
    while !control.stopping() {
        if let Err(Refused(e)) = age(control) {
            control.log(&format!("house-keeping: {e}"));
        }
        control.pause(Duration::from_secs(60));
    }
}

/// Removes what is over: expired backups but for a cluster's last, deleted ones after their seven
/// days, halves of backups that a crash left, and clusters that were deleted a while ago.
pub(crate) fn age(control: &Control) -> Result<(), Refused> {
    let now = control.now();
    let over = control.store.read(|s| {
        let mut over = Vec::new();
        for (scope, realm) in s.realms() {
            for backup in realm.backups.values() {
                let newer = |b: &&Backup| {
                    b.cluster == backup.cluster
                        && b.state == BackupState::Ready
                        && b.created > backup.created
                };
                let gone = match backup.state {
                    BackupState::Creating => now - backup.created > 3_600.0,
                    BackupState::PendingDeletion => backup.delete_at.is_some_and(|t| t <= now),
                    BackupState::Ready => {
                        !backup.never_expires
                            && now - backup.created > f64::from(backup.retention_days) * DAY
                            && realm.backups.values().any(|b| newer(&b))
                    }
                    BackupState::Deleted => true,
                };
                if gone {
                    over.push((scope.clone(), backup.id.clone()));
                }
            }
        }
        over
    });
    if !over.is_empty() {
        control.store.change(|s| {
            for (scope, id) in &over {
                s.realm_mut(scope).backups.remove(id);
            }
            Ok::<_, Refused>(())
        })?;
    }
    for (_, id) in &over {
        match fs::remove_file(file(control, id)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e.into()),
            _ => {}
        }
    }
    let shown = |c: &Cluster| c.state != ClusterState::Deleted || now - c.since < SHOWN;
    let scopes: Vec<_> = control.store.read(|s| {
        let stale = s.realms().filter(|(_, r)| !r.clusters.values().all(shown));
        stale.map(|(scope, _)| scope).collect()
    });
    if scopes.is_empty() {
        return Ok(());
    }
    control.store.change(|s| {
        for scope in &scopes {
            s.realm_mut(scope).clusters.retain(|_, c| shown(c));
        }
        Ok(())
    })
}
