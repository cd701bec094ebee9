//! The threads that connect key stores, what they write when they are done, and their end.
//!
//! A worker holds its store's turn from begin to end, so two never overlap, and writes its outcome only if no disconnect raised the store's
//! attempt number meanwhile.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::clusters::{ConnectFailure, ConnectionErrorCode};
use crate::connect::Stop;
use crate::error::{Result, told};
use crate::p11::Token;
use crate::records::{ConnectionState as State, KeyStore};
use crate::stores::{KeyStores, must};

/// Pause between two tries of a reconnect after a restart.
const RECONNECT_PAUSE: Duration = Duration::from_millis(500);

impl KeyStores {
    /// After a restart: what was connected connects again, what was being disconnected is disconnected to the end.
    pub(crate) fn resume(self: &Arc<Self>) -> Result<()> {
        let stores = self.store.change(|rows| {
            let mut stores = rows.every::<KeyStore>()?;
            stores.retain(|store| !matches!(store.state, State::Disconnected | State::Failed));
            for store in &mut stores {
                if store.state != State::Disconnecting {
                    store.state = State::Connecting;
                }
                store.attempt += 1;
                rows.save(store)?;
            }
            Ok(stores)
        })?;
        for store in stores {
            match store.state {
                State::Disconnecting => self.take_down(&store),
                _ => self.spawn(store, self.reconnect_for),
            }
        }
        Ok(())
    }

    pub(crate) fn spawn(self: &Arc<Self>, store: KeyStore, patience: Duration) {
        let this = self.clone();
        self.keep(std::thread::spawn(move || this.work(&store, patience)));
    }

    pub(crate) fn keep(&self, worker: JoinHandle<()>) {
        let mut workers = self.live.workers.lock();
        workers.retain(|worker| !worker.is_finished());
        workers.push(worker);
    }

    pub(crate) fn turn(&self, id: &str) -> Arc<Mutex<()>> {
        self.live
            .turns
            .lock()
            .entry(id.to_owned())
            .or_default()
            .clone()
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
                // The HSMs may start beside us, or not have noticed yet that the process before us is gone.
                ConnectionErrorCode::NetworkErrors
                    | ConnectionErrorCode::InsufficientCloudhsmHsms
                    | ConnectionErrorCode::UserLoggedIn
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
                self.live
                    .tokens
                    .write()
                    .insert(store.id.clone(), Arc::new(token));
            }
            Err(failure) => {
                (self.log)(&format!(
                    "{}: {:?}: {}",
                    store.id, failure.code, failure.why
                ));
            }
        }
        let written =
            self.store.change(
                |rows| match rows.fetch::<KeyStore>(&store.scope, &store.id)? {
                    Some(mut now) if now.attempt == store.attempt => {
                        now.state = state;
                        now.error = error;
                        rows.save(&now)?;
                        Ok(true)
                    }
                    _ => Ok(false),
                },
            );
        match written {
            Ok(true) => {}
            Ok(false) => self.forget(&store.id),
            Err(lost) => {
                self.forget(&store.id);
                (self.log)(&format!(
                    "{}: {state:?} could not be written: {}",
                    store.id,
                    told(&lost)
                ));
            }
        }
    }

    pub(crate) fn forget(&self, id: &str) {
        let token = self.live.tokens.write().remove(id);
        if let Some(token) = token {
            token.logout();
        }
    }

    /// The records of all key stores are gone. A connect that is under way finds that out when it is done.
    pub(crate) fn forget_all(&self) {
        let tokens = std::mem::take(&mut *self.live.tokens.write());
        for token in tokens.into_values() {
            token.logout();
        }
        self.live.refused.lock().clear();
    }

    pub(crate) fn stopping(&self) -> bool {
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
