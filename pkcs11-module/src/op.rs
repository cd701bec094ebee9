//! Operation slots: what C_EncryptInit and its like leave behind, and how whole operations and
//! streams run from there. Only this file takes an operation out of its slot.
//!
//! | file | holds |
//! |---|---|
//! | [`message`] | message-based operations |
//! | [`iv`] | the IVs that they make |
//!
//! A whole operation is one request. A stream is opened by the first Update (or a Final without
//! one), so that an Init never costs a hop.

pub mod iv;
pub mod message;

use std::borrow::Cow;
use std::sync::Arc;

use hsm_api::{
    Error, Hidden, KeyFacts, MechId, Mechanism, Op, Params, Request, Result, Rv, StreamId,
};
use hsm_sim::mech::{self, Func, Mech, Step};
use zeroize::Zeroizing;

use crate::ck::{Out, Told, otp};
use crate::personality::Difference;
use crate::session::{Key, Session, State};

/// One operation slot for each kind.
#[derive(Default)]
pub struct Ops {
    slots: [Option<Active>; 7],
    messages: [Option<message::Process>; 4],
}

/// An operation between its Init and its end.
pub struct Active {
    mech: Mechanism<'static>,
    row: &'static Mech,
    key: Option<Arc<Key>>,
    stream: Option<StreamId>,
    /// How many bytes the stream was fed: its length queries are answered from here.
    fed: u64,
    /// A result that the caller's buffer was too short for. Its length could be known only after
    /// the work, and the work is not done twice.
    pending: Option<Zeroizing<Vec<u8>>>,
    /// What C_VerifySignatureInit took in advance.
    signature: Option<Vec<u8>>,
}

/// How a call leaves an operation that did not fail.
enum Then {
    Stays,
    Ends,
}

impl Ops {
    fn slot(&mut self, op: Op) -> &mut Option<Active> {
        &mut self.slots[match op {
            Op::Encrypt => 0,
            Op::Decrypt => 1,
            Op::Sign => 2,
            Op::SignRecover => 3,
            Op::Verify => 4,
            Op::VerifyRecover => 5,
            Op::Digest => 6,
        }]
    }

    fn active(&mut self, op: Op) -> Result<&mut Active> {
        self.slot(op)
            .as_mut()
            .ok_or_else(|| Rv::OPERATION_NOT_INITIALIZED.into())
    }

    /// Whether an operation of this kind is active.
    pub fn is_active(&mut self, op: Op) -> bool {
        self.slot(op).is_some()
    }

    /// Whether an operation with a key is active.
    pub fn any_key(&self) -> bool {
        self.slots.iter().flatten().any(|a| a.key.is_some())
            || self.messages.iter().any(Option::is_some)
    }

    /// The mechanism of an active operation.
    pub fn mechanism(&mut self, op: Op) -> Result<MechId> {
        self.active(op).map(|a| a.mech.id)
    }
}

impl Active {
    fn new(mech: Mechanism<'static>, row: &'static Mech, key: Option<Arc<Key>>) -> Active {
        Active {
            mech,
            row,
            key,
            stream: None,
            fed: 0,
            pending: None,
            signature: None,
        }
    }

    fn begin(&self, op: Op, stream: StreamId) -> Request<'_> {
        Request::Begin {
            stream,
            op,
            mech: Cow::Borrowed(&self.mech),
            key: self.key_ref(),
        }
    }

    /// Whether one-time passwords are made or verified.
    fn is_otp(&self) -> bool {
        self.mech.id.0 == pkcs11_sys::CKM_HOTP
    }

    fn facts(&self) -> Option<&KeyFacts> {
        self.key.as_ref().map(|k| &k.facts)
    }

    /// The longest output of a step, without a hop.
    fn bound(&self, op: Op, len: usize, step: Step) -> usize {
        self.row
            .max_output(op, &self.mech.params, self.facts(), len, step)
    }

    fn key_ref(&self) -> Option<Cow<'_, hsm_api::KeyRef>> {
        self.key.as_ref().map(|k| Cow::Borrowed(&k.key))
    }

    /// Gives what `work` makes, straight into the caller's buffer where it has room for the bound.
    fn give(
        &mut self,
        op: Op,
        bound: usize,
        out: &mut Out<'_>,
        work: impl FnOnce(&Active, &mut [u8]) -> Result<usize>,
    ) -> Result<Told> {
        if let Some(ready) = &self.pending {
            let told = out.answer(ready)?;
            if told != Told::Length {
                self.pending = None;
            }
            return Ok(told);
        }
        // Where padding comes off, the length is known only afterwards; only then is it worth the work to find out.
        let least = || bound.saturating_sub(mech::slack(op, &self.mech));
        if out.asks_length() || out.room() >= bound || out.room() < least() {
            return out.fill(bound, |buf| work(self, buf));
        }
        let mut made = Zeroizing::new(vec![0; bound]);
        let len = work(self, &mut made)?;
        made.truncate(len);
        let told = out.answer(&made);
        if told.is_err() {
            self.pending = Some(made);
        }
        told
    }
}

/// C_XInit. `mech` of `None` cancels what is active, as 3.0 has it.
pub fn init(
    session: &Session,
    state: &mut State,
    op: Op,
    mech: Option<Mechanism<'static>>,
    key: Option<u64>,
) -> Result<()> {
    let Some(mech) = mech else {
        if !state.ops.is_active(op) {
            return Err(Error::new(Rv::ARGUMENTS_BAD, "the mechanism is null"));
        }
        cancel(session, state, op);
        return Ok(());
    };
    if state.ops.is_active(op) {
        return Err(Rv::OPERATION_ACTIVE.into());
    }
    mech::offered(Func::Crypt(op), &mech)?;
    let key = key
        .map(|h| session.key(state, h, Rv::KEY_HANDLE_INVALID))
        .transpose()?;
    let row = mech::check_init(op, &mech, key.as_ref().map(|k| &k.facts))?;
    *state.ops.slot(op) = Some(Active::new(mech, row, key));
    Ok(())
}

/// Ends an operation, if one is active, wherever it stands.
pub fn cancel(session: &Session, state: &mut State, op: Op) {
    if let Some(active) = state.ops.slot(op).take()
        && let Some(stream) = active.stream
    {
        // The HSM may have dropped it by itself, on the error that brought us here.
        let _ = session.done(&Request::Abort { stream });
    }
}

/// Ends the operation unless the call leaves it as it was.
fn settle<T>(session: &Session, state: &mut State, op: Op, result: Result<(T, Then)>) -> Result<T> {
    match result {
        Ok((told, Then::Stays)) => Ok(told),
        Ok((told, Then::Ends)) => {
            if let Some(active) = state.ops.slot(op).take() {
                state.spare.keep(active.mech);
            }
            Ok(told)
        }
        Err(e) => {
            if e.rv != Rv::BUFFER_TOO_SMALL {
                cancel(session, state, op);
            }
            Err(of_its_input(op, e))
        }
    }
}

/// Whoever counts the bytes need not know what they are for: C_Decrypt has a code of its own for too many.
fn of_its_input(op: Op, e: Error) -> Error {
    match e.rv {
        Rv::DATA_LEN_RANGE if op == Op::Decrypt => Error {
            rv: Rv::ENCRYPTED_DATA_LEN_RANGE,
            ..e
        },
        _ => e,
    }
}

fn ends_unless_asked(told: Told) -> (Told, Then) {
    match told {
        Told::Length => (told, Then::Stays),
        Told::Bytes(_) => (told, Then::Ends),
    }
}

/// C_Encrypt, C_Decrypt, C_Digest, C_Sign, C_SignRecover, C_VerifyRecover.
pub fn whole(
    session: &Session,
    state: &mut State,
    op: Op,
    data: &[u8],
    out: &mut Out<'_>,
) -> Result<Told> {
    let result = try_whole(session, state, op, data, out).map(ends_unless_asked);
    settle(session, state, op, result)
}

fn try_whole(
    session: &Session,
    state: &mut State,
    op: Op,
    data: &[u8],
    out: &mut Out<'_>,
) -> Result<Told> {
    let active = state.ops.active(op)?;
    not_begun(active)?;
    takes(session, active, data)?;
    let bound = active.bound(op, data.len(), Step::Whole);
    if active.is_otp() && op == Op::Sign {
        return active.give(op, otp::signature_len(bound), out, |active, buf| {
            let mut made = Zeroizing::new(vec![0; bound]);
            let len = session.written(&crypt(active, op, data, &[]), &mut made)?;
            Ok(otp::lay_out(&made[..len], buf))
        });
    }
    active.give(op, bound, out, |active, buf| {
        session.written(&crypt(active, op, data, &[]), buf)
    })
}

/// C_VerifySignatureInit, after [`init`].
pub fn keep_signature(state: &mut State, signature: &[u8]) -> Result<()> {
    state.ops.active(Op::Verify)?.signature = Some(signature.to_vec());
    Ok(())
}

/// The signature to verify: the one given with C_Verify and C_VerifyFinal, or without one (`None`)
/// that of C_VerifySignatureInit. The two kinds of verification do not mix.
fn signature_of<'a>(active: &'a Active, given: Option<&'a [u8]>) -> Result<&'a [u8]> {
    match (&active.signature, given) {
        (None, Some(given)) => Ok(given),
        (Some(kept), None) => Ok(kept),
        _ => Err(Error::new(
            Rv::OPERATION_NOT_INITIALIZED,
            "the verification that is active was begun by the other Init",
        )),
    }
}

/// Refuses C_VerifyUpdate for C_VerifySignatureInit, and the reverse; the operation stays.
pub fn verifies(state: &mut State, early: bool) -> Result<()> {
    let given: Option<&[u8]> = if early { None } else { Some(&[]) };
    signature_of(state.ops.active(Op::Verify)?, given).map(drop)
}

/// C_Verify, and C_VerifySignature without a signature.
pub fn verify(
    session: &Session,
    state: &mut State,
    data: &[u8],
    signature: Option<&[u8]>,
) -> Result<()> {
    verifies(state, signature.is_none())?;
    let result = state.ops.active(Op::Verify).and_then(|active| {
        not_begun(active)?;
        takes(session, active, data)?;
        let signature = signature_of(active, signature)?;
        session.done(&crypt(active, Op::Verify, data, signature))
    });
    settle(
        session,
        state,
        Op::Verify,
        result.map(|()| ((), Then::Ends)),
    )
}

/// Refuses more data in one call than the personality allows.
fn takes(session: &Session, active: &Active, data: &[u8]) -> Result<()> {
    session
        .slot
        .spec
        .personality
        .takes(active.mech.id, data.len())
}

fn not_begun(active: &Active) -> Result<()> {
    match active.stream {
        None => Ok(()),
        Some(_) => {
            let why = "the operation was begun in parts, and must be ended so";
            Err(Error::new(Rv::OPERATION_ACTIVE, why))
        }
    }
}

fn crypt<'a>(active: &'a Active, op: Op, data: &'a [u8], signature: &'a [u8]) -> Request<'a> {
    Request::Crypt {
        op,
        mech: Cow::Borrowed(&active.mech),
        key: active.key_ref(),
        data: Hidden(data),
        signature: Hidden(signature),
    }
}

/// The operation's stream, begun if it is not.
///
/// # Errors
/// OPERATION_NOT_INITIALIZED, and what the HSM refuses to begin.
pub fn stream_of(session: &Session, state: &mut State, op: Op) -> Result<StreamId> {
    let active = state.ops.active(op)?;
    if let Some(stream) = active.stream {
        return Ok(stream);
    }
    if matches!(active.mech.params, Params::Gcm { .. }) {
        session.slot.allows(Difference::GcmParts)?;
    }
    let stream = state.new_stream(session);
    let active = state.ops.active(op)?;
    session.done(&active.begin(op, stream))?;
    active.stream = Some(stream);
    Ok(stream)
}

/// C_EncryptUpdate, C_DecryptUpdate.
pub fn update(
    session: &Session,
    state: &mut State,
    op: Op,
    data: &[u8],
    out: &mut Out<'_>,
) -> Result<Told> {
    let result = try_update(session, state, op, data, out).map(|told| (told, Then::Stays));
    settle(session, state, op, result)
}

fn try_update(
    session: &Session,
    state: &mut State,
    op: Op,
    data: &[u8],
    out: &mut Out<'_>,
) -> Result<Told> {
    let active = state.ops.active(op)?;
    let fed = active.fed;
    let bound = active.bound(op, data.len(), Step::Update { fed });
    takes(session, active, data)?;
    if out.asks_length() {
        return active.give(op, bound, out, |_, _| Ok(0));
    }
    let stream = stream_of(session, state, op)?;
    let active = state.ops.active(op)?;
    // While a result waits for a longer buffer, its data has been taken in.
    if active.pending.is_none() {
        active.fed = fed + data.len() as u64;
    }
    let data = Hidden(data);
    let told = active.give(op, bound, out, |_, buf| {
        session.written(&Request::Update { stream, data }, buf)
    });
    if told.is_err() && active.pending.is_none() {
        active.fed = fed;
    }
    told
}

/// C_DigestUpdate, C_SignUpdate, C_VerifyUpdate.
pub fn feed(session: &Session, state: &mut State, op: Op, data: &[u8]) -> Result<()> {
    let taken = state
        .ops
        .active(op)
        .and_then(|active| takes(session, active, data));
    let result = taken.and_then(|()| {
        let stream = stream_of(session, state, op)?;
        let data = Hidden(data);
        session.done(&Request::Update { stream, data })
    });
    settle(session, state, op, result.map(|()| ((), Then::Stays)))
}

/// C_DigestKey.
pub fn digest_key(session: &Session, state: &mut State, handle: u64) -> Result<()> {
    state.ops.active(Op::Digest)?;
    let key = session.slot.object(handle).ok_or(Rv::KEY_HANDLE_INVALID)?;
    let result = stream_of(session, state, Op::Digest)
        .and_then(|stream| session.done(&Request::DigestKey { stream, key }));
    settle(
        session,
        state,
        Op::Digest,
        result.map(|()| ((), Then::Stays)),
    )
}

/// C_SetOperationState: what is active ends once the HSM has found the saved state.
pub fn restore(
    session: &Session,
    state: &mut State,
    mech: Mechanism<'static>,
    name: &[u8],
) -> Result<()> {
    let row = mech::check_init(Op::Digest, &mech, None)
        .and_then(|row| session.has(mech.id).map(|()| row))
        .map_err(|e| Error::new(Rv::SAVED_STATE_INVALID, e.why))?;
    let stream = state.new_stream(session);
    session.done(&Request::RestoreState {
        stream,
        state: Hidden(name),
    })?;
    cancel(session, state, Op::Digest);
    *state.ops.slot(Op::Digest) = Some(Active {
        stream: Some(stream),
        ..Active::new(mech, row, None)
    });
    Ok(())
}

/// C_EncryptFinal, C_DecryptFinal, C_DigestFinal, C_SignFinal.
pub fn finish(session: &Session, state: &mut State, op: Op, out: &mut Out<'_>) -> Result<Told> {
    let result = try_finish(session, state, op, out).map(ends_unless_asked);
    settle(session, state, op, result)
}

fn try_finish(session: &Session, state: &mut State, op: Op, out: &mut Out<'_>) -> Result<Told> {
    let active = state.ops.active(op)?;
    if active.is_otp() {
        // There is no data to be fed first: this is the whole operation under another name.
        return try_whole(session, state, op, &[], out);
    }
    let bound = active.bound(op, 0, Step::Finish { fed: active.fed });
    if out.asks_length() {
        return active.give(op, bound, out, |_, _| Ok(0));
    }
    let stream = stream_of(session, state, op)?;
    let signature = Hidden(&[]);
    state.ops.active(op)?.give(op, bound, out, |_, buf| {
        session.written(&Request::Finish { stream, signature }, buf)
    })
}

/// C_VerifyFinal, and C_VerifySignatureFinal without a signature.
pub fn finish_verify(session: &Session, state: &mut State, signature: Option<&[u8]>) -> Result<()> {
    verifies(state, signature.is_none())?;
    if state.ops.active(Op::Verify)?.is_otp() {
        return verify(session, state, &[], signature);
    }
    let result = stream_of(session, state, Op::Verify).and_then(|stream| {
        let signature = Hidden(signature_of(state.ops.active(Op::Verify)?, signature)?);
        session.done(&Request::Finish { stream, signature })
    });
    settle(
        session,
        state,
        Op::Verify,
        result.map(|()| ((), Then::Ends)),
    )
}

#[cfg(test)]
mod tests;
