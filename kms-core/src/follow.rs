//! A connected key store goes where its cluster goes: HSMs that were made since it connected serve it, and those that it began with may be
//! deleted one after the other.
//!
//! A slot of the module keeps the HSMs that it was made with, so the store logs in on another slot and then lets go of the first. The
//! password is not rotated for that: the login goes to HSMs that were filled from the others and have the same users.

use std::sync::Arc;

use crate::error::{Result, internal, told};
use crate::p11::{FaultKind, Token};
use crate::records::{ConnectionState as State, KeyStore};
use crate::stores::KeyStores;

impl KeyStores {
    /// Looks at every connected store. One that cannot follow now keeps what it has, and the log learns why.
    ///
    /// # Errors
    /// KMSInternalException if the database failed.
    pub(crate) fn follow(&self) -> Result<()> {
        for store in self.store.view(|rows| rows.every::<KeyStore>())? {
            if let Err(error) = self.follow_one(&store) {
                let why = told(&error);
                (self.log)(&format!("{}: not all HSMs serve it: {why}", store.id));
            }
        }
        Ok(())
    }

    fn follow_one(&self, store: &KeyStore) -> Result<()> {
        let turn = self.turn(&store.id);
        // Whoever has the turn connects or disconnects, and sees the cluster as it is now.
        let Some(_turn) = turn.try_lock() else {
            return Ok(());
        };
        let record = self
            .store
            .view(|rows| rows.fetch::<KeyStore>(&store.scope, &store.id))?;
        let (Some(record), Some(token)) = (
            record.filter(|record| record.state == State::Connected),
            self.token(&store.id),
        ) else {
            return Ok(());
        };
        let moved = self.clusters.moved(
            &record.scope,
            &record.id,
            &record.cluster,
            &record.trust_anchor,
            token.label(),
        );
        let Some(attachment) = moved.map_err(|failure| internal(failure.why))? else {
            return Ok(());
        };
        let label = &attachment.module.token_label;
        if self.live.refused.lock().get(&record.id) == Some(label) {
            return Ok(());
        }
        let module = self
            .modules
            .load(&attachment.module.path, attachment.module.config.as_deref())?;
        let password = self.sealer.open(&record.id, &record.password)?;
        let token = Token::login(&module, &attachment.module, &attachment.pin, &password);
        let token = token.inspect_err(|fault| {
            let passing = matches!(
                fault.kind,
                FaultKind::Unreachable | FaultKind::StaleSession | FaultKind::Exhausted
            );
            if !passing {
                let mut refused = self.live.refused.lock();
                refused.insert(record.id.clone(), label.clone());
            }
        })?;
        if !self.stopping() {
            // The one that it replaces logs out when the last operation that uses it is done.
            let mut tokens = self.live.tokens.write();
            tokens.insert(record.id.clone(), Arc::new(token));
            drop(tokens);
            // All may have been reset meanwhile, which waits for nobody's turn.
            let still = self
                .store
                .view(|rows| rows.fetch::<KeyStore>(&store.scope, &store.id))?;
            if still.is_none() {
                self.forget(&store.id);
            }
        }
        Ok(())
    }
}
