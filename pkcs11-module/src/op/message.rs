//! Message-based operations: an Init names mechanism and key once, then come any number of messages,
//! each whole or in parts, until a Final (PKCS#11 3.2, "Message-based encryption functions" and its
//! sisters). To the HSM each message is an operation as any other.

use std::sync::Arc;

use hsm_api::{Error, Hidden, MechId, Mechanism, Op, Request, Result, Rv};
use hsm_sim::mech::{self, Mech, Step};
use zeroize::Zeroizing;

use super::iv::Ivs;
use super::{Active, Ops, crypt, of_its_input};
use crate::ck::message::{Given, Message, specimen};
use crate::ck::{Out, Told};
use crate::session::{Key, Session, State};

/// What a C_MessageXInit leaves behind.
pub(super) struct Process {
    /// For signatures and MACs with the parameters of the Init; a cipher's come with each message.
    mech: Mechanism<'static>,
    row: &'static Mech,
    key: Arc<Key>,
    ivs: Ivs,
    /// A message in parts, under way.
    message: Option<Active>,
}

impl Process {
    fn active(&self, mech: Mechanism<'static>) -> Active {
        Active::new(mech, self.row, Some(self.key.clone()))
    }

    fn idle(&self) -> Result<()> {
        match self.message {
            None => Ok(()),
            Some(_) => Err(Error::new(Rv::OPERATION_ACTIVE, "a message is under way")),
        }
    }

    fn under_way(&mut self) -> Result<&mut Active> {
        let why = "no message was begun";
        let none = || Error::new(Rv::OPERATION_NOT_INITIALIZED, why);
        self.message.as_mut().ok_or_else(none)
    }

    /// The next message's IV, and the operation that it makes.
    fn prepare(
        &mut self,
        session: &Session,
        op: Op,
        message: &Message<'_>,
        aad: &[u8],
    ) -> Result<(Vec<u8>, Active)> {
        let id = self.mech.id;
        let iv = match op {
            Op::Encrypt => {
                let random = |iv: &mut [u8]| session.written(&Request::Random, iv).map(drop);
                let (generator, fixed) = (message.generator, message.fixed_bits);
                self.ivs.next(generator, &message.iv, fixed, random)?
            }
            _ => message.iv.clone(),
        };
        let active = self.active(message.mechanism(id, &iv, aad));
        Ok((iv, active))
    }
}

impl Ops {
    fn process(&mut self, op: Op) -> &mut Option<Process> {
        &mut self.messages[match op {
            Op::Encrypt => 0,
            Op::Decrypt => 1,
            Op::Sign => 2,
            _ => 3,
        }]
    }

    fn open(&mut self, op: Op) -> Result<&mut Process> {
        let none = || Rv::OPERATION_NOT_INITIALIZED.into();
        self.process(op).as_mut().ok_or_else(none)
    }
}

/// C_MessageXInit for encryption and decryption: the mechanism by its number, for its parameters come
/// with each message. `None` cancels.
pub fn init_cipher(
    session: &Session,
    state: &mut State,
    op: Op,
    mech: Option<MechId>,
    key: u64,
) -> Result<()> {
    let mech = mech.map(specimen).transpose()?;
    init(session, state, op, mech, key)
}

/// C_MessageXInit for signing and verifying.
pub fn init(
    session: &Session,
    state: &mut State,
    op: Op,
    mech: Option<Mechanism<'static>>,
    key: u64,
) -> Result<()> {
    let Some(mech) = mech else {
        if state.ops.process(op).is_none() {
            return Err(Error::new(Rv::ARGUMENTS_BAD, "the mechanism is null"));
        }
        cancel(session, state, op);
        return Ok(());
    };
    if state.ops.process(op).is_some() {
        return Err(Rv::OPERATION_ACTIVE.into());
    }
    let key = session.key(state, key, Rv::KEY_HANDLE_INVALID)?;
    let row = mech::check_init(op, &mech, Some(&key.facts))?;
    if row.output == mech::Output::Otp {
        let why = "a one-time password is of no message";
        return Err(Error::new(Rv::MECHANISM_INVALID, why));
    }
    *state.ops.process(op) = Some(Process {
        mech,
        row,
        key,
        ivs: Ivs::default(),
        message: None,
    });
    Ok(())
}

/// Ends the process and the message that is under way in it.
pub fn cancel(session: &Session, state: &mut State, op: Op) {
    drop_message(session, state, op);
    *state.ops.process(op) = None;
}

/// C_MessageXFinal.
pub fn end(state: &mut State, op: Op) -> Result<()> {
    state.ops.open(op)?.idle()?;
    *state.ops.process(op) = None;
    Ok(())
}

fn drop_message(session: &Session, state: &mut State, op: Op) {
    let process = state.ops.process(op).as_mut();
    if let Some(message) = process.and_then(|p| p.message.take())
        && let Some(stream) = message.stream
    {
        // The HSM may have dropped it by itself, on the error that brought us here.
        let _ = session.done(&Request::Abort { stream });
    }
}

/// Ends the message under way if it is finished, or failed for more than a short buffer.
fn settle<T>(session: &Session, state: &mut State, op: Op, result: Result<(T, bool)>) -> Result<T> {
    match result {
        Ok((told, false)) => Ok(told),
        Ok((told, true)) => {
            if let Some(process) = state.ops.process(op) {
                process.message = None;
            }
            Ok(told)
        }
        Err(e) => {
            if e.rv != Rv::BUFFER_TOO_SMALL {
                drop_message(session, state, op);
            }
            Err(of_its_input(op, e))
        }
    }
}

/// A wrong tag has a code of its own here.
fn forged(e: Error) -> Error {
    match e.rv {
        Rv::ENCRYPTED_DATA_INVALID => Error::new(Rv::AEAD_DECRYPT_FAILED, e.why),
        _ => e,
    }
}

/// C_EncryptMessage, C_DecryptMessage.
pub fn whole(
    session: &Session,
    state: &mut State,
    op: Op,
    (given, aad): (Given<'_>, &[u8]),
    data: &[u8],
    out: &mut Out<'_>,
) -> Result<()> {
    let process = state.ops.open(op)?;
    process.idle()?;
    let message = given.read(process.mech.id, op == Op::Encrypt)?;
    // Lengths do not depend on the IV's value, and a query must not use one up.
    let draft = process.active(message.mechanism(process.mech.id, &message.iv, aad));
    mech::check_init(op, &draft.mech, draft.facts())?;
    if op == Op::Decrypt {
        let sealed = [data, &message.tag()].concat();
        let bound = draft.bound(op, sealed.len(), Step::Whole);
        let work = |buf: &mut [u8]| session.written(&crypt(&draft, op, &sealed, &[]), buf);
        return out.fill(bound, work).map(drop).map_err(forged);
    }
    let bound = draft.bound(op, data.len(), Step::Whole);
    let body = bound.saturating_sub(message.tag_len());
    let work = |buf: &mut [u8]| {
        let (iv, active) = process.prepare(session, op, &message, aad)?;
        let mut sealed = vec![0; bound];
        let len = session.written(&crypt(&active, op, data, &[]), &mut sealed)?;
        let len = part(&message, &sealed[..len], buf)?;
        message.give_iv(&iv);
        Ok(len)
    };
    out.fill(body, work).map(drop)
}

/// Parts a ciphertext from the tag behind it.
fn part(message: &Message<'_>, sealed: &[u8], buf: &mut [u8]) -> Result<usize> {
    let at = sealed.len().checked_sub(message.tag_len());
    let (body, tag) = at
        .and_then(|at| sealed.split_at_checked(at))
        .ok_or(Rv::GENERAL_ERROR)?;
    buf.get_mut(..body.len())
        .ok_or(Rv::GENERAL_ERROR)?
        .copy_from_slice(body);
    message.give_tag(tag);
    Ok(body.len())
}

/// C_EncryptMessageBegin, C_DecryptMessageBegin.
pub fn begin(
    session: &Session,
    state: &mut State,
    op: Op,
    given: Given<'_>,
    aad: &[u8],
) -> Result<()> {
    let process = state.ops.open(op)?;
    process.idle()?;
    let message = given.read(process.mech.id, op == Op::Encrypt)?;
    let (iv, active) = process.prepare(session, op, &message, aad)?;
    mech::check_init(op, &active.mech, active.facts())?;
    start(session, state, op, active)?;
    if op == Op::Encrypt {
        message.give_iv(&iv);
    }
    Ok(())
}

/// Opens a message's stream.
fn start(session: &Session, state: &mut State, op: Op, mut active: Active) -> Result<()> {
    let stream = state.new_stream(session);
    session.done(&active.begin(op, stream))?;
    active.stream = Some(stream);
    state.ops.open(op)?.message = Some(active);
    Ok(())
}

/// C_EncryptMessageNext, C_DecryptMessageNext; `last` with CKF_END_OF_MESSAGE.
pub fn next(
    session: &Session,
    state: &mut State,
    op: Op,
    given: Given<'_>,
    data: &[u8],
    last: bool,
    out: &mut Out<'_>,
) -> Result<()> {
    let id = state.ops.open(op)?.mech.id;
    state.ops.open(op)?.under_way()?;
    let result = given.read(id, op == Op::Encrypt).and_then(|message| {
        let active = state.ops.open(op)?.under_way()?;
        match op {
            Op::Decrypt => decrypt_next(session, active, &message, data, last, out),
            _ => encrypt_next(session, active, &message, data, last, out),
        }
    });
    let result = result.map(|told| (told, last && told != Told::Length));
    settle(session, state, op, result).map(drop)
}

fn encrypt_next(
    session: &Session,
    active: &mut Active,
    message: &Message<'_>,
    data: &[u8],
    last: bool,
    out: &mut Out<'_>,
) -> Result<Told> {
    let op = Op::Encrypt;
    let fed = active.fed;
    let stream = active.stream.ok_or(Rv::OPERATION_NOT_INITIALIZED)?;
    let first = active.bound(op, data.len(), Step::Update { fed });
    let fed = fed + data.len() as u64;
    let request = Request::Update {
        stream,
        data: Hidden(data),
    };
    if !last {
        let told = out.fill(first, |buf| session.written(&request, buf))?;
        if told != Told::Length {
            active.fed = fed;
        }
        return Ok(told);
    }
    let rest = active.bound(op, 0, Step::Finish { fed });
    let body = (first + rest).saturating_sub(message.tag_len());
    out.fill(body, |buf| {
        let mut sealed = vec![0; first + rest];
        let len = session.written(&request, &mut sealed[..first])?;
        let finish = finish(stream);
        let len = len + session.written(&finish, &mut sealed[len..])?;
        part(message, &sealed[..len], buf)
    })
}

fn decrypt_next(
    session: &Session,
    active: &mut Active,
    message: &Message<'_>,
    data: &[u8],
    last: bool,
    out: &mut Out<'_>,
) -> Result<Told> {
    let op = Op::Decrypt;
    let fed = active.fed;
    let stream = active.stream.ok_or(Rv::OPERATION_NOT_INITIALIZED)?;
    // The tag follows the last ciphertext, as it does in a stream without messages.
    let data = match last {
        true => [data, &message.tag()].concat(),
        false => data.to_vec(),
    };
    let first = active.bound(op, data.len(), Step::Update { fed });
    let fed = fed + data.len() as u64;
    let rest = match last {
        true => active.bound(op, 0, Step::Finish { fed }),
        false => 0,
    };
    let told = out.fill(first + rest, |buf| {
        let request = Request::Update {
            stream,
            data: Hidden(&data),
        };
        // Plaintext waits here until the tag is known to be right.
        let mut plain = Zeroizing::new(vec![0; first + rest]);
        let mut len = session.written(&request, &mut plain[..first])?;
        if last {
            len += session.written(&finish(stream), &mut plain[len..])?;
        }
        buf[..len].copy_from_slice(&plain[..len]);
        Ok(len)
    });
    if told.as_ref().is_ok_and(|t| *t != Told::Length) {
        active.fed = fed;
    }
    told.map_err(forged)
}

fn finish(stream: hsm_api::StreamId) -> Request<'static> {
    let signature = Hidden(&[]);
    Request::Finish { stream, signature }
}

/// C_SignMessage.
pub fn sign(
    session: &Session,
    state: &mut State,
    given: Given<'_>,
    data: &[u8],
    out: &mut Out<'_>,
) -> Result<()> {
    let process = state.ops.open(Op::Sign)?;
    process.idle()?;
    given.nothing()?;
    let active = process.active(process.mech.clone());
    let bound = active.bound(Op::Sign, data.len(), Step::Whole);
    let request = crypt(&active, Op::Sign, data, &[]);
    out.fill(bound, |buf| session.written(&request, buf))
        .map(drop)
}

/// C_VerifyMessage.
pub fn verify(
    session: &Session,
    state: &mut State,
    given: Given<'_>,
    data: &[u8],
    signature: &[u8],
) -> Result<()> {
    let process = state.ops.open(Op::Verify)?;
    process.idle()?;
    given.nothing()?;
    let active = process.active(process.mech.clone());
    session.done(&crypt(&active, Op::Verify, data, signature))
}

/// C_SignMessageBegin, C_VerifyMessageBegin.
pub fn begin_sign(session: &Session, state: &mut State, op: Op, given: Given<'_>) -> Result<()> {
    let process = state.ops.open(op)?;
    process.idle()?;
    given.nothing()?;
    let active = process.active(process.mech.clone());
    start(session, state, op, active)
}

/// C_SignMessageNext: with `out` the last part.
pub fn sign_next(
    session: &Session,
    state: &mut State,
    given: Given<'_>,
    data: &[u8],
    out: Option<&mut Out<'_>>,
) -> Result<()> {
    let op = Op::Sign;
    let active = state.ops.open(op)?.under_way()?;
    let stream = active.stream.ok_or(Rv::OPERATION_NOT_INITIALIZED)?;
    let bound = active.bound(op, data.len(), Step::Whole);
    let data = Hidden(data);
    let result = given.nothing().and_then(|()| match out {
        None => session
            .done(&Request::Update { stream, data })
            .map(|()| (Told::Length, false)),
        Some(out) => {
            let told = out.fill(bound, |buf| {
                session.done(&Request::Update { stream, data })?;
                session.written(&finish(stream), buf)
            })?;
            Ok((told, told != Told::Length))
        }
    });
    settle(session, state, op, result).map(drop)
}

/// C_VerifyMessageNext: with a signature the last part.
pub fn verify_next(
    session: &Session,
    state: &mut State,
    given: Given<'_>,
    data: &[u8],
    signature: Option<&[u8]>,
) -> Result<()> {
    let op = Op::Verify;
    let active = state.ops.open(op)?.under_way()?;
    let stream = active.stream.ok_or(Rv::OPERATION_NOT_INITIALIZED)?;
    let data = Hidden(data);
    let result = given.nothing().and_then(|()| {
        session.done(&Request::Update { stream, data })?;
        if let Some(signature) = signature {
            let signature = Hidden(signature);
            session.done(&Request::Finish { stream, signature })?;
        }
        Ok(((), signature.is_some()))
    });
    settle(session, state, op, result)
}
