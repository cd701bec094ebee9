//! Group commit: token objects that threads make or destroy at the same time share one transaction, and so one wait for
//! the disk. Whoever gets the leader's lock first commits for all who queue; the others find it done.

use std::sync::{Arc, OnceLock};

use hsm_api::{Error, ObjectId, Result, Rv};
use parking_lot::Mutex;

use crate::engine::Inner;
use crate::object::Object;
use crate::store::record::{self, Record};
use crate::store::{self, Tx};

/// What one call wants written.
pub(crate) enum Work {
    /// New objects, sealed under the keys of that epoch; all of them or none.
    Add {
        objects: Vec<Arc<Object>>,
        records: Vec<Record>,
        epoch: u64,
    },
    /// The tombstone of an object, made by this HSM.
    Destroy { id: ObjectId, origin: u64 },
}

/// What was written for it; nothing where the store had it so already.
#[derive(Clone)]
enum Written {
    Object(Arc<Object>),
    Tombstone(ObjectId, u64, u64),
}

struct Waiting {
    work: Work,
    done: Arc<OnceLock<Result<Vec<Written>>>>,
}

/// Who waits for the next transaction.
#[derive(Default)]
pub(crate) struct Commits {
    queue: Mutex<Vec<Waiting>>,
    /// Held from taking the queue until everyone in it has his answer. Locked before the store and the table.
    leader: Mutex<()>,
}

impl Inner {
    /// Writes, durably; whether there was anything to write.
    ///
    /// # Errors
    /// What the work itself is refused for; the store's faults, for all that shared the transaction.
    pub(crate) fn commit(&self, work: Work) -> Result<bool> {
        let done = Arc::new(OnceLock::new());
        self.commits.queue.lock().push(Waiting {
            work,
            done: Arc::clone(&done),
        });
        let leader = self.commits.leader.lock();
        if done.get().is_none() {
            let group = std::mem::take(&mut *self.commits.queue.lock());
            self.commit_all(group);
        }
        drop(leader);
        let answer = done.get().cloned();
        // The leader answers everyone it takes from the queue, and we are in it until we are taken.
        let answer = answer.unwrap_or_else(|| Err(Error::new(Rv::DEVICE_ERROR, "no answer")));
        answer.map(|written| !written.is_empty())
    }

    fn commit_all(&self, group: Vec<Waiting>) {
        let committed = self.store.write(|tx| {
            let answers = group.iter().map(|w| w.work.write(tx));
            let answers = answers.collect::<Result<Vec<_>>>()?;
            Ok((tx.seq, store::epoch(tx.sql())?, answers))
        });
        match committed {
            Err(fault) => {
                for waiting in &group {
                    let _ = waiting.done.set(Err(fault.clone()));
                }
            }
            Ok((seq, epoch, answers)) => {
                let written = answers.iter().flatten().flatten();
                let known = self.learn(seq, epoch, written);
                for (waiting, answer) in group.iter().zip(answers) {
                    let _ = waiting.done.set(known.clone().and(answer));
                }
            }
        }
    }

    /// Takes our own commit into the table, without reading it back where it is the next one.
    fn learn<'a>(
        &self,
        seq: u64,
        epoch: u64,
        written: impl Iterator<Item = &'a Written>,
    ) -> Result<()> {
        let mut table = self.table.write();
        if table.epoch != epoch || table.seq + 1 != seq || self.token().is_none() {
            drop(table);
            return self.refresh();
        }
        for written in written {
            match written {
                Written::Object(object) => table.put(Arc::clone(object)),
                Written::Tombstone(id, version, origin) => table.bury(*id, *version, *origin),
            }
        }
        table.seq = seq;
        self.applied(seq);
        Ok(())
    }
}

impl Work {
    /// Inner errors are refusals of this work alone, and leave nothing written; outer ones are the store's.
    fn write(&self, tx: &Tx<'_>) -> Result<Result<Vec<Written>>> {
        match self {
            Work::Add {
                objects,
                records,
                epoch,
            } => {
                let fresh = match Work::fresh(tx, records, *epoch) {
                    Ok(fresh) => fresh,
                    // A fault of the store is everybody's: the transaction may be gone with it.
                    Err(fault) if fault.rv == Rv::DEVICE_ERROR => return Err(fault),
                    Err(refusal) => return Ok(Err(refusal)),
                };
                let mut written = Vec::with_capacity(records.len());
                for ((object, record), _) in
                    objects.iter().zip(records).zip(fresh).filter(|(_, f)| *f)
                {
                    record::put(tx, record)?;
                    written.push(Written::Object(Arc::clone(object)));
                }
                Ok(Ok(written))
            }
            Work::Destroy { id, origin } => {
                let Some(old) = record::find(tx.sql(), *id)?.filter(|r| r.body.is_some()) else {
                    return Ok(Ok(Vec::new()));
                };
                let version = old.version + 1;
                record::put(tx, &Record::tombstone(*id, version, *origin))?;
                Ok(Ok(vec![Written::Tombstone(*id, version, *origin)]))
            }
        }
    }

    /// Which of them the store does not have yet. An id that it has is a repeat: it stays as it is.
    fn fresh(tx: &Tx<'_>, records: &[Record], epoch: u64) -> Result<Vec<bool>> {
        tx.still(epoch)?;
        let absent = |record: &Record| match record::find(tx.sql(), record.id)? {
            None => Ok(true),
            Some(old) if old.body.is_some() => Ok(false),
            Some(_) => Err(Error::new(
                Rv::OBJECT_HANDLE_INVALID,
                "an object of this id was destroyed: choose another",
            )),
        };
        records.iter().map(absent).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Settings;
    use crate::engine::Engine;
    use crate::object::{Attrs, Origin};
    use hsm_api::{AttrType, Value};
    use std::thread;
    use std::time::Duration;

    fn object(id: u128) -> Object {
        let mut attrs = Attrs::default();
        attrs.set(crate::attr::CLASS, Value::Ulong(0));
        attrs.set(AttrType(crate::attr::TOKEN.0), Value::Bool(true));
        let origin = Origin {
            version: 1,
            ..Origin::default()
        };
        Object::new(ObjectId(id), origin, attrs)
    }

    /// What was destroyed is forgotten after a while, by every process: also by one that slept meanwhile, and
    /// would otherwise know the dead as living.
    #[test]
    fn the_destroyed_are_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let open = || {
            let engine = Engine::embedded(dir.path(), Settings::default()).unwrap();
            engine.0.store.forget_after(100);
            engine
        };
        let (busy, sleeper) = (open(), open());
        let inner = &busy.0;
        let tombstones = || {
            let count = "SELECT count(*) FROM objects WHERE sealed IS NULL";
            let count = |sql: &rusqlite::Connection| {
                sql.query_row(count, [], |row| row.get::<_, u32>(0))
                    .map_err(store::fault)
            };
            inner.store.read(count).unwrap()
        };
        let here = |engine: &Engine, id| {
            engine.0.refresh().unwrap();
            engine.0.find(ObjectId(id)).is_some()
        };
        inner.add(vec![Arc::new(object(1))]).unwrap();
        inner.add(vec![Arc::new(object(2))]).unwrap();
        assert!(here(&sleeper, 1) && here(&sleeper, 2));
        inner.destroy(ObjectId(1)).unwrap();
        for id in 3..603 {
            inner.add(vec![Arc::new(object(id))]).unwrap();
            inner.destroy(ObjectId(id)).unwrap();
        }
        // Those of the last hundred transactions, and of as many as pass between two sweeps.
        assert!(
            (50..=(100 + 256) / 2).contains(&tombstones()),
            "{}",
            tombstones()
        );
        let table = inner.table.read();
        assert_eq!(table.digest().len(), 1);
        assert!(table.births() < 260, "{} births", table.births());
        drop(table);
        assert!(
            !here(&sleeper, 1),
            "its tombstone is gone, and it is known all the same"
        );
        assert!(here(&sleeper, 2) && !here(&sleeper, 602));
        // Found in the order of creation, also after births were numbered anew.
        let late = [5000, 4000, 4500];
        for id in late {
            inner.add(vec![Arc::new(object(id))]).unwrap();
        }
        let class = vec![hsm_api::Attr {
            ty: crate::attr::CLASS,
            value: Value::Ulong(0),
        }];
        let expected: Vec<ObjectId> = [2].into_iter().chain(late).map(ObjectId).collect();
        for engine in [&busy, &sleeper, &open()] {
            engine.0.refresh().unwrap();
            let table = engine.0.table.read();
            assert_eq!(table.find(&class, |_| true), expected);
            assert_eq!(table.find(&Vec::new(), |_| true), expected);
        }
    }

    #[test]
    fn who_waits_together_shares_a_transaction_and_not_a_refusal() {
        let dir = tempfile::tempdir().unwrap();
        let engine = Engine::embedded(dir.path(), Settings::default()).unwrap();
        let inner = &engine.0;
        inner.add(vec![Arc::new(object(9))]).unwrap();
        assert!(inner.destroy(ObjectId(9)).unwrap());
        assert!(!inner.destroy(ObjectId(9)).unwrap());
        let before = inner.store.generation();
        let leader = inner.commits.leader.lock();
        thread::scope(|scope| {
            let adds: Vec<_> = (1..=4)
                .map(|id| scope.spawn(move || inner.add(vec![Arc::new(object(id))])))
                .collect();
            // Half new, half destroyed before: nothing of it may be kept.
            let refused = scope.spawn(|| inner.add(vec![Arc::new(object(8)), Arc::new(object(9))]));
            while inner.commits.queue.lock().len() < 5 {
                thread::sleep(Duration::from_millis(1));
            }
            drop(leader);
            for add in adds {
                add.join().unwrap().unwrap();
            }
            let refusal = refused.join().unwrap().unwrap_err();
            assert_eq!(refusal.rv, Rv::OBJECT_HANDLE_INVALID);
        });
        assert_eq!(inner.store.generation(), before + 1);
        let again = Engine::embedded(dir.path(), Settings::default()).unwrap();
        for engine in [&engine, &again] {
            let here = |id| engine.0.find(ObjectId(id)).is_some();
            assert_eq!(
                [1, 2, 3, 4, 8, 9].map(here),
                [true, true, true, true, false, false]
            );
        }
    }
}
