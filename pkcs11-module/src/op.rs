//! Operation slots: what C_EncryptInit and its like leave behind, and how whole operations and
//! streams run from there. Only this file takes an operation out of its slot.
//!
//! A whole operation is one request. A stream is opened by the first Update (or a Final without
//! one), so that an Init never costs a hop.

use std::borrow::Cow;
use std::sync::Arc;

use hsm_api::{
    Error, Hidden, KeyFacts, MechId, Mechanism, Op, Params, Request, Result, Rv, StreamId,
};
use hsm_sim::mech::{self, Step};
use zeroize::Zeroizing;

use crate::ck::{Out, Told};
use crate::personality::{Difference, GCM_LENGTH};
use crate::session::{Key, Session, State};

/// One operation slot for each kind.
#[derive(Default)]
pub struct Ops([Option<Active>; 7]);

/// An operation between its Init and its end.
pub struct Active {
    mech: Mechanism<'static>,
    key: Option<Arc<Key>>,
    stream: Option<StreamId>,
    /// How many bytes the stream was fed: its length queries are answered from here.
    fed: u64,
    /// A result that the caller's buffer was too short for. Its length could be known only after
    /// the work, and the work is not done twice.
    pending: Option<Zeroizing<Vec<u8>>>,
}

/// How a call leaves an operation that did not fail.
enum Then {
    Stays,
    Ends,
}

impl Ops {
    fn slot(&mut self, op: Op) -> &mut Option<Active> {
        &mut self.0[match op {
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
        self.0.iter().flatten().any(|a| a.key.is_some())
    }

    /// The mechanism of an active operation.
    pub fn mechanism(&mut self, op: Op) -> Result<MechId> {
        self.active(op).map(|a| a.mech.id)
    }
}

impl Active {
    fn facts(&self) -> Option<&KeyFacts> {
        self.key.as_ref().map(|k| &k.facts)
    }

    /// The longest output of a step, without a hop.
    fn bound(&self, op: Op, len: usize, step: Step) -> usize {
        mech::max_output(op, &self.mech, self.facts(), len, step)
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
        if out.asks_length() || out.room() >= bound || !may_be_less(op) {
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

/// Where padding comes off, the length is known only afterwards.
fn may_be_less(op: Op) -> bool {
    matches!(op, Op::Decrypt | Op::VerifyRecover)
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
    let key = key
        .map(|h| session.key(state, h, Rv::KEY_HANDLE_INVALID))
        .transpose()?;
    mech::check_init(op, &mech, key.as_ref().map(|k| &k.facts))?;
    *state.ops.slot(op) = Some(Active {
        mech,
        key,
        stream: None,
        fed: 0,
        pending: None,
    });
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
            state.ops.slot(op).take();
            Ok(told)
        }
        Err(e) => {
            if e.rv != Rv::BUFFER_TOO_SMALL && e.rv != Rv::OPERATION_NOT_INITIALIZED {
                cancel(session, state, op);
            }
            Err(e)
        }
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
    if matches!(active.mech.params, Params::Gcm { .. }) && data.len() > GCM_LENGTH {
        session.slot.allows(Difference::GcmLength)?;
    }
    let bound = active.bound(op, data.len(), Step::Whole);
    active.give(op, bound, out, |active, buf| {
        session.written(&crypt(active, op, data, &[]), buf)
    })
}

/// C_Verify.
pub fn verify(session: &Session, state: &mut State, data: &[u8], signature: &[u8]) -> Result<()> {
    let result = state.ops.active(Op::Verify).and_then(|active| {
        not_begun(active)?;
        session.done(&crypt(active, Op::Verify, data, signature))
    });
    settle(
        session,
        state,
        Op::Verify,
        result.map(|()| ((), Then::Ends)),
    )
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
    session.done(&Request::Begin {
        stream,
        op,
        mech: Cow::Borrowed(&active.mech),
        key: active.key_ref(),
    })?;
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
    let result = stream_of(session, state, op).and_then(|stream| {
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

/// C_EncryptFinal, C_DecryptFinal, C_DigestFinal, C_SignFinal.
pub fn finish(session: &Session, state: &mut State, op: Op, out: &mut Out<'_>) -> Result<Told> {
    let result = try_finish(session, state, op, out).map(ends_unless_asked);
    settle(session, state, op, result)
}

fn try_finish(session: &Session, state: &mut State, op: Op, out: &mut Out<'_>) -> Result<Told> {
    let active = state.ops.active(op)?;
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

/// C_VerifyFinal.
pub fn finish_verify(session: &Session, state: &mut State, signature: &[u8]) -> Result<()> {
    let result = stream_of(session, state, Op::Verify).and_then(|stream| {
        let signature = Hidden(signature);
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
mod tests {
    use super::*;
    use crate::fake::{Fake, PADDING};
    use crate::module::Module;
    use crate::personality::Personality;
    use crate::session::{Entered, Session};
    use crate::token::PinForm;

    const CBC_PAD: MechId = MechId(0x1085);

    fn session(fake: &Arc<Fake>) -> (Module, Arc<Session>) {
        let m = fake.module(PinForm::Plain, Personality::Standard);
        let h = m.sessions.open(&m.slot(0).unwrap(), true).unwrap();
        let session = m.session(h).unwrap();
        (m, session)
    }

    fn begin(session: &Session, state: &mut State, op: Op) {
        let mech = Mechanism {
            id: CBC_PAD,
            params: Params::Iv(vec![0; 16].into()),
        };
        let key = session.slot.handle(hsm_api::ObjectId(7));
        init(session, state, op, Some(mech), Some(key)).unwrap();
    }

    fn short(result: Result<Told>) -> bool {
        result.is_err_and(|e| e.rv == Rv::BUFFER_TOO_SMALL)
    }

    #[test]
    fn a_length_known_afterwards_costs_the_work_once() {
        let fake = Arc::new(Fake::default());
        let (_m, s) = session(&fake);
        let mut state = s.enter().unwrap();
        begin(&s, &mut state, Op::Decrypt);
        assert_eq!(
            fake.asked(),
            ["other", "Resolve"],
            "TokenInfo, the key, and no more for an Init"
        );
        let (data, mut len) = ([1u8; 32], 0);
        let told = whole(
            &s,
            &mut state,
            Op::Decrypt,
            &data,
            &mut Out::lent(None, &mut len),
        );
        assert_eq!(
            (told, len),
            (Ok(Told::Length), 32),
            "the bound answers a query"
        );
        let mut small = [0u8; 4];
        let mut out = Out::lent(Some(&mut small), &mut len);
        assert!(short(whole(&s, &mut state, Op::Decrypt, &data, &mut out)));
        assert_eq!((len as usize, fake.asked()), (32 - PADDING, vec!["Crypt"]));
        let mut enough = [0u8; 32 - PADDING];
        let mut out = Out::lent(Some(&mut enough), &mut len);
        let told = whole(&s, &mut state, Op::Decrypt, &data, &mut out);
        assert_eq!(told, Ok(Told::Bytes(32 - PADDING)));
        assert_eq!(
            (enough, fake.asked()),
            ([0xD0; 32 - PADDING], vec![]),
            "from the cache"
        );
        assert!(!state.ops.is_active(Op::Decrypt));
    }

    #[test]
    fn an_exact_length_costs_no_work_when_the_buffer_is_short() {
        let fake = Arc::new(Fake::default());
        let (_m, s) = session(&fake);
        let mut state = s.enter().unwrap();
        begin(&s, &mut state, Op::Encrypt);
        fake.asked();
        let (mut buf, mut len) = ([0u8; 31], 0);
        let mut out = Out::lent(Some(&mut buf), &mut len);
        assert!(short(whole(
            &s,
            &mut state,
            Op::Encrypt,
            &[1; 16],
            &mut out
        )));
        assert_eq!((len, fake.asked()), (32, vec![]));
        assert!(
            state.ops.is_active(Op::Encrypt),
            "a short buffer ends nothing"
        );
    }

    fn update_with(
        s: &Session,
        state: &mut Entered<'_>,
        data: &[u8],
        room: usize,
    ) -> (Result<Told>, usize) {
        let (mut buf, mut len) = (vec![0; room], 0);
        let told = update(
            s,
            state,
            Op::Encrypt,
            data,
            &mut Out::lent(Some(&mut buf), &mut len),
        );
        (told, len as usize)
    }

    #[test]
    fn a_stream_begins_late_and_errors_end_it() {
        let fake = Arc::new(Fake::default());
        let (_m, s) = session(&fake);
        let mut state = s.enter().unwrap();
        begin(&s, &mut state, Op::Encrypt);
        fake.asked();
        let (told, len) = update_with(&s, &mut state, &[1; 20], 15);
        assert!(short(told) && len == 16);
        assert_eq!(
            update_with(&s, &mut state, &[1; 20], 16).0,
            Ok(Told::Bytes(16))
        );
        let (told, len) = update_with(&s, &mut state, &[1; 12], 0);
        assert!(
            short(told) && len == 16,
            "4 bytes waited: 12 more make a block, and not 0"
        );
        assert_eq!(fake.asked(), ["Begin", "Update"]);
        let one_shot = whole(
            &s,
            &mut state,
            Op::Encrypt,
            &[1],
            &mut Out::lent(None, &mut 0),
        );
        assert_eq!(one_shot.unwrap_err().rv, Rv::OPERATION_ACTIVE);
        assert_eq!(fake.asked(), ["Abort"]);
        assert!(!state.ops.is_active(Op::Encrypt));

        begin(&s, &mut state, Op::Encrypt);
        assert_eq!(
            update_with(&s, &mut state, &[1; 16], 16).0,
            Ok(Told::Bytes(16))
        );
        let mut len = 0;
        let told = finish(&s, &mut state, Op::Encrypt, &mut Out::lent(None, &mut len));
        assert_eq!((told, len), (Ok(Told::Length), 16));
        *fake.fail.lock() = Some(Rv::DEVICE_REMOVED);
        let mut buf = [0; 16];
        let told = finish(
            &s,
            &mut state,
            Op::Encrypt,
            &mut Out::lent(Some(&mut buf), &mut len),
        );
        assert_eq!(told.unwrap_err().rv, Rv::DEVICE_REMOVED);
        assert!(
            !state.ops.is_active(Op::Encrypt),
            "and the session lives on"
        );
        begin(&s, &mut state, Op::Encrypt);
    }

    #[test]
    fn a_panic_leaves_no_operation_behind() {
        let fake = Arc::new(Fake::default());
        let (_m, s) = session(&fake);
        begin(&s, &mut s.enter().unwrap(), Op::Encrypt);
        *fake.panic.lock() = true;
        let work = std::panic::AssertUnwindSafe(|| {
            let (mut buf, mut len) = ([0; 32], 0);
            let mut state = s.enter().unwrap();
            let mut out = Out::lent(Some(&mut buf), &mut len);
            whole(&s, &mut state, Op::Encrypt, &[1; 16], &mut out)
        });
        assert!(std::panic::catch_unwind(work).is_err());
        assert!(!s.enter().unwrap().ops.is_active(Op::Encrypt));
    }

    #[test]
    fn a_null_mechanism_cancels() {
        let fake = Arc::new(Fake::default());
        let (_m, s) = session(&fake);
        let mut state = s.enter().unwrap();
        let none = init(&s, &mut state, Op::Encrypt, None, None);
        assert_eq!(none.unwrap_err().rv, Rv::ARGUMENTS_BAD);
        begin(&s, &mut state, Op::Encrypt);
        init(&s, &mut state, Op::Encrypt, None, None).unwrap();
        assert!(!state.ops.is_active(Op::Encrypt));
    }
}
