//! Saved states of digests (C_GetOperationState). A state stays in the HSM, for keys may have gone into
//! the digest (C_DigestKey); what leaves is a number by which the same application finds it again,
//! until it logs out or goes.

use std::collections::VecDeque;
use std::sync::Arc;

use hsm_api::{Error, Op, Reply, Result, Rv, SessionId, StreamId};
use parking_lot::Mutex;

use super::stream::Running;
use crate::link::SimLink;
use crate::store::seal::random;

/// How many states an application may have saved; the oldest makes room.
const MOST: usize = 1024;

/// The saved states of a link, the oldest first.
#[derive(Default)]
pub(crate) struct Saved(VecDeque<([u8; 16], Running)>);

impl Saved {
    fn put(&mut self, state: Running) -> Result<[u8; 16]> {
        let name = random()?;
        if self.0.len() == MOST {
            self.0.pop_front();
        }
        self.0.push_back((name, state));
        Ok(name)
    }

    fn copy(&self, name: &[u8]) -> Option<Running> {
        self.0.iter().find(|(n, _)| n == name)?.1.copy()
    }

    /// Forgets all.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

impl SimLink {
    pub(crate) fn save_state(&self, id: StreamId) -> Result<Reply> {
        let running = self.running(id)?;
        let copy = running.lock().copy();
        let copy = copy.filter(|c| c.op() == Op::Digest).ok_or_else(|| {
            Error::new(
                Rv::STATE_UNSAVEABLE,
                "only the states of digests can be saved",
            )
        })?;
        let name = self.own.lock().saved.put(copy)?;
        Ok(Reply::Bytes(name.to_vec()))
    }

    pub(crate) fn restore_state(
        &self,
        session: SessionId,
        id: StreamId,
        name: &[u8],
    ) -> Result<Reply> {
        let mut own = self.own.lock();
        let running = own.saved.copy(name).ok_or_else(|| {
            Error::new(
                Rv::SAVED_STATE_INVALID,
                "this HSM has no such state, or no longer",
            )
        })?;
        if own.streams.contains_key(&id) {
            return Err(Error::new(
                Rv::OPERATION_ACTIVE,
                "the stream is open already",
            ));
        }
        let running = Arc::new(Mutex::new(running));
        own.streams.insert(id, (session, running));
        Ok(Reply::Done)
    }
}
