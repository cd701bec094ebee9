//! Multi-part operations: a value in the link, from Begin to Finish.

use std::sync::Arc;

use hsm_api::{
    Error, KeyRef, Mechanism, ObjectId, Op, Params, Reply, Result, Rv, SessionId, StreamId,
};
use parking_lot::Mutex;

use super::crypt::too_small;
use crate::link::SimLink;
use crate::material::Material;
use crate::mech::{self, Call, Mech, Step, Stream};
use crate::object::Object;
use crate::template;

/// An operation under way.
pub(crate) struct Running {
    op: Op,
    mech: &'static Mech,
    mechanism: Mechanism<'static>,
    key: Option<Arc<Object>>,
    fed: u64,
    stream: Option<Box<dyn Stream>>,
}

impl Running {
    pub(super) fn op(&self) -> Op {
        self.op
    }

    /// The operation as it stands, if its kind can be copied.
    pub(super) fn copy(&self) -> Option<Running> {
        Some(Running {
            op: self.op,
            mech: self.mech,
            mechanism: self.mechanism.clone(),
            key: self.key.clone(),
            fed: self.fed,
            stream: Some(self.stream.as_ref()?.copy()?),
        })
    }

    fn room(&self, len: usize, step: Step) -> usize {
        let facts = self.key.as_ref().map(|k| &k.facts);
        mech::max_output(self.op, &self.mechanism, facts, len, step)
    }
}

/// Runs something with the operation's call.
fn with_call<T>(
    mech: &'static Mech,
    key: Option<&Object>,
    params: &Params<'_>,
    work: impl FnOnce(&Call<'_>) -> Result<T>,
) -> Result<T> {
    let key = key.map_or(Ok(&Material::Nothing), Object::material)?;
    work(&Call { mech, key, params })
}

fn none() -> Error {
    Error::new(
        Rv::OPERATION_NOT_INITIALIZED,
        "there is no such operation in this HSM",
    )
}

impl SimLink {
    pub(crate) fn begin(
        &self,
        session: SessionId,
        id: StreamId,
        op: Op,
        mechanism: &Mechanism<'_>,
        key: Option<&KeyRef>,
    ) -> Result<Reply> {
        let key = key.map(|k| self.kept_key(k)).transpose()?;
        if key.is_none() && op != Op::Digest {
            return Err(Error::new(
                Rv::KEY_HANDLE_INVALID,
                "the operation needs a key",
            ));
        }
        let mech = mech::check_init(op, mechanism, key.as_ref().map(|k| &k.facts))?;
        self.offers(mech)?;
        if matches!(op, Op::Encrypt | Op::Decrypt) {
            self.may_hide(mech)?;
        }
        let open = mech
            .stream
            .filter(|_| !matches!(op, Op::SignRecover | Op::VerifyRecover));
        let open = open.ok_or_else(|| {
            // The specification has no code of its own for this. There is an operation, but none of
            // the type that is asked for; SoftHSM answers the same.
            Error::new(
                Rv::OPERATION_NOT_INITIALIZED,
                format!("{} works in one part only", mech.name),
            )
        })?;
        if let Some(key) = &key {
            self.authenticate(session, key)?;
        }
        let stream = with_call(mech, key.as_deref(), &mechanism.params, |call| {
            open(call, op)
        })?;
        let running = Running {
            op,
            mech,
            mechanism: owned(mechanism),
            key,
            fed: 0,
            stream: Some(stream),
        };
        let mut own = self.own.lock();
        if own.streams.contains_key(&id) {
            return Err(Error::new(
                Rv::OPERATION_ACTIVE,
                "the stream is open already",
            ));
        }
        own.streams
            .insert(id, (session, Arc::new(Mutex::new(running))));
        Ok(Reply::Done)
    }

    pub(super) fn running(&self, id: StreamId) -> Result<Arc<Mutex<Running>>> {
        self.own
            .lock()
            .streams
            .get(&id)
            .map(|(_, r)| Arc::clone(r))
            .ok_or_else(none)
    }

    pub(crate) fn update(&self, id: StreamId, data: &[u8], out: &mut [u8]) -> Result<Reply> {
        let running = self.running(id)?;
        let mut running = running.lock();
        let room = running.room(data.len(), Step::Update { fed: running.fed });
        if out.len() < room {
            return Err(too_small(room));
        }
        let done = running.stream.as_mut().ok_or_else(none)?.update(data, out);
        if done.is_err() {
            self.own.lock().streams.remove(&id);
        }
        running.fed += data.len() as u64;
        done.map(Reply::Written)
    }

    pub(crate) fn finish(&self, id: StreamId, signature: &[u8], out: &mut [u8]) -> Result<Reply> {
        let running = self.running(id)?;
        let mut running = running.lock();
        let room = running.room(0, Step::Finish { fed: running.fed });
        if out.len() < room {
            return Err(too_small(room));
        }
        let stream = running.stream.take().ok_or_else(none)?;
        let done = with_call(
            running.mech,
            running.key.as_deref(),
            &running.mechanism.params,
            |call| {
                if running.op == Op::Verify {
                    return stream.verify(call, signature).map(|()| Reply::Done);
                }
                stream.finish(call, out).map(Reply::Written)
            },
        );
        self.own.lock().streams.remove(&id);
        done
    }

    /// C_DigestKey: a secret key's value as if it were data.
    pub(crate) fn digest_key(&self, id: StreamId, key: ObjectId) -> Result<Reply> {
        let object = self
            .object(key)
            .map_err(|e| Error::new(Rv::KEY_HANDLE_INVALID, e.why))?;
        let running = self.running(id)?;
        let mut running = running.lock();
        let Material::Secret(key) = object.material()? else {
            return Err(Error::new(
                Rv::KEY_INDIGESTIBLE,
                "only secret keys can be digested",
            ));
        };
        if running.op != Op::Digest {
            return Err(none());
        }
        if template::hides_short(&object.attrs) {
            return Err(Error::new(
                Rv::KEY_INDIGESTIBLE,
                "the digest of a hidden key this short would tell it",
            ));
        }
        running
            .stream
            .as_mut()
            .ok_or_else(none)?
            .update(key.value(), &mut [])?;
        Ok(Reply::Done)
    }
}

/// A mechanism that outlives its request.
fn owned(mechanism: &Mechanism<'_>) -> Mechanism<'static> {
    let own = |b: &[u8]| std::borrow::Cow::Owned(b.to_vec());
    let params = match &mechanism.params {
        Params::Iv(iv) => Params::Iv(own(iv)),
        Params::Ctr { bits, block } => Params::Ctr {
            bits: *bits,
            block: *block,
        },
        Params::Gcm { iv, aad, tag_bits } => Params::Gcm {
            iv: own(iv),
            aad: own(aad),
            tag_bits: *tag_bits,
        },
        Params::Ccm {
            data_len,
            nonce,
            aad,
            mac_len,
        } => Params::Ccm {
            data_len: *data_len,
            nonce: own(nonce),
            aad: own(aad),
            mac_len: *mac_len,
        },
        Params::ChaCha20 { counter, nonce } => Params::ChaCha20 {
            counter: *counter,
            nonce: own(nonce),
        },
        Params::ChaCha20Poly1305 { nonce, aad } => Params::ChaCha20Poly1305 {
            nonce: own(nonce),
            aad: own(aad),
        },
        Params::Pss {
            hash,
            mgf,
            salt_len,
        } => Params::Pss {
            hash: *hash,
            mgf: *mgf,
            salt_len: *salt_len,
        },
        Params::MacLen(n) => Params::MacLen(*n),
        Params::EdDsa { prehash, context } => Params::EdDsa {
            prehash: *prehash,
            context: own(context),
        },
        Params::SignContext {
            hedge,
            context,
            hash,
        } => Params::SignContext {
            hedge: *hedge,
            context: own(context),
            hash: *hash,
        },
        // No other shape belongs to a mechanism that can be fed in parts.
        _ => Params::None,
    };
    Mechanism {
        id: mechanism.id,
        params,
    }
}
