//! Key management functions: keys generated, wrapped, unwrapped, derived, encapsulated.

use hsm_api::reply::AttrReply;
use hsm_api::{
    Attr, AttrType, Error, Hidden, MechId, ObjectId, Params, Reply, Request, Result, Rv, Template,
    Value,
};
use hsm_sim::attr;
use zeroize::Zeroizing;

use super::read;
use hsm_sim::mech::{Func, offered};
use pkcs11_sys::{CKF_DERIVE, CKF_GENERATE, CKF_GENERATE_KEY_PAIR, CKF_UNWRAP, CKF_WRAP};

use crate::ck::message::{self, Generator, Message};
use crate::ck::{Given, In, Out, Place, Told};
use crate::module::{Module, new_id};
use crate::op::iv::Ivs;
use crate::personality::Difference;
use crate::personality::attributes::{Making, pair_is_complete};
use crate::session::{Session, State};

/// A wrapped key is at most this long, in steps: the length is the HSM's secret until it is done.
const WRAPPED: [usize; 3] = [4 << 10, 64 << 10, 1 << 20];

/// C_GenerateKey.
pub fn generate(
    m: &Module,
    h: u64,
    mech: Given<'_>,
    mut template: Template,
    to: Place<'_, u64>,
) -> Result<()> {
    let session = m.session(h)?;
    let mut state = session.enter()?;
    let mech = read(&session, mech, false)?;
    session.offers(&mech, CKF_GENERATE)?;
    session.slot.spec.personality.makes(mech.id, &template)?;
    session.dress(Making::Generate, &mut template)?;
    let lasting = session.may_make(&template)?;
    let id = new_id()?;
    session.done(&Request::GenerateKey { mech, id, template })?;
    to.set(session.adopt(&mut state, id, lasting));
    Ok(())
}

/// C_GenerateKeyPair.
pub fn generate_pair(
    m: &Module,
    h: u64,
    mech: Given<'_>,
    templates: (Template, Template),
    to: (Place<'_, u64>, Place<'_, u64>),
) -> Result<()> {
    let session = m.session(h)?;
    let mut state = session.enter()?;
    let mech = read(&session, mech, false)?;
    session.offers(&mech, CKF_GENERATE_KEY_PAIR)?;
    let (mut public_template, mut private_template) = templates;
    let personality = session.slot.spec.personality;
    pair_is_complete(personality, mech.id.0, &public_template)?;
    personality.makes(mech.id, &public_template)?;
    session.dress(Making::PublicHalf, &mut public_template)?;
    session.dress(Making::PrivateHalf, &mut private_template)?;
    let public_lasts = session.may_make(&public_template)?;
    let private_lasts = session.may_make(&private_template)?;
    let (public, private) = (new_id()?, new_id()?);
    session.done(&Request::GenerateKeyPair {
        mech,
        public,
        public_template,
        private,
        private_template,
    })?;
    to.0.set(session.adopt(&mut state, public, public_lasts));
    to.1.set(session.adopt(&mut state, private, private_lasts));
    Ok(())
}

/// C_WrapKey.
pub fn wrap(
    m: &Module,
    h: u64,
    mech: Given<'_>,
    with: u64,
    key: u64,
    mut out: Out<'_>,
) -> Result<()> {
    let session = m.session(h)?;
    let mut state = session.enter()?;
    if let Some((message, aad)) = of_wrapping(&session, &mech, true)? {
        let id = mech.id();
        session.offers(&message.mechanism(id, &message.iv, &aad), CKF_WRAP)?;
        let (iv, sealed) = seal(&session, &mut state, (id, &message, &aad), (with, key))?;
        if out.answer(&sealed)? != Told::Length {
            message.give_iv(&iv);
        }
        return Ok(());
    }
    // A query must not use an IV up that the HSM makes for one wrapping.
    let mech = read(&session, mech, !out.asks_length())?;
    session.offers(&mech, CKF_WRAP)?;
    let with = session
        .key(&mut state, with, Rv::WRAPPING_KEY_HANDLE_INVALID)?
        .key
        .clone();
    let key = session.slot.object(key).ok_or(Rv::KEY_HANDLE_INVALID)?;
    let aad = Hidden(&[]);
    let request = Request::Wrap {
        mech,
        with,
        key,
        aad,
    };
    out.answer(&wrapped(&session, &request)?).map(drop)
}

/// Parameters of 3.2's own shape for wrapping (CK_GCM_WRAP_PARAMS, CK_CCM_WRAP_PARAMS), where the slot's personality has
/// what came with message-based encryption.
fn of_wrapping<'a>(
    session: &Session,
    mech: &'a Given<'_>,
    makes_iv: bool,
) -> Result<Option<(Message<'a>, Vec<u8>)>> {
    session.has(mech.id())?;
    if session.slot.allows(Difference::Messages).is_err() {
        return Ok(None);
    }
    mech.message().of_wrapping(mech.id(), makes_iv)
}

/// Wraps a key under the IV that the parameters give or want made: the IV, and the wrapped key with its tag.
fn seal(
    session: &Session,
    state: &mut State,
    (id, message, aad): (MechId, &Message<'_>, &[u8]),
    (with, key): (u64, u64),
) -> Result<(Vec<u8>, Zeroizing<Vec<u8>>)> {
    if matches!(
        message.generator,
        Generator::Counter | Generator::CounterXor
    ) {
        let why = "each wrapping would count from zero again, with the same IV: use CKG_GENERATE";
        return Err(Error::new(Rv::MECHANISM_PARAM_INVALID, why));
    }
    let random = |iv: &mut [u8]| session.written(&Request::Random, iv).map(drop);
    let (generator, fixed) = (message.generator, message.fixed_bits);
    let iv = Ivs::default().next(generator, &message.iv, fixed, random)?;
    let with = session
        .key(state, with, Rv::WRAPPING_KEY_HANDLE_INVALID)?
        .key
        .clone();
    let key = session.slot.object(key).ok_or(Rv::KEY_HANDLE_INVALID)?;
    let request = Request::Wrap {
        mech: message.mechanism(id, &iv, aad),
        with,
        key,
        aad: Hidden(&[]),
    };
    let sealed = wrapped(session, &request)?;
    Ok((iv, sealed))
}

/// What the HSM answers to a Wrap, whose length is not known before.
fn wrapped(session: &Session, request: &Request<'_>) -> Result<Zeroizing<Vec<u8>>> {
    let mut last = Rv::DEVICE_MEMORY.into();
    for room in WRAPPED {
        let mut wrapped = Zeroizing::new(vec![0; room]);
        match session.written(request, &mut wrapped) {
            Ok(len) => {
                wrapped.truncate(len);
                return Ok(wrapped);
            }
            Err(e) if e.rv == Rv::BUFFER_TOO_SMALL => last = e,
            Err(e) => return Err(e),
        }
    }
    Err(Error::new(Rv::KEY_SIZE_RANGE, last.why))
}

/// C_WrapKeyAuthenticated: the mechanism's parameters are those of a message, and the tag goes there.
pub fn wrap_authenticated(
    m: &Module,
    h: u64,
    mech: Given<'_>,
    (with, key): (u64, u64),
    aad: Vec<u8>,
    mut out: Out<'_>,
) -> Result<()> {
    let session = m.session(h)?;
    let mut state = session.enter()?;
    session.slot.allows(Difference::Messages)?;
    let id = mech.id();
    message::specimen(id)?;
    session.has(id)?;
    let message = mech.message().read(id, true)?;
    let (iv, sealed) = seal(&session, &mut state, (id, &message, &aad), (with, key))?;
    let at = sealed.len().checked_sub(message.tag_len());
    let (body, tag) = at
        .and_then(|at| sealed.split_at_checked(at))
        .ok_or(Rv::GENERAL_ERROR)?;
    if out.answer(body)? != Told::Length {
        message.give_iv(&iv);
        message.give_tag(tag);
    }
    Ok(())
}

/// Adds what the key's own template makes of keys that come out of it. The HSM holds to it anyway; here it must be
/// known before a personality's defaults could contradict it, and whether it makes a token object.
fn bind(session: &Session, id: ObjectId, rule: AttrType, template: &mut Template) -> Result<()> {
    let types = vec![rule];
    let Reply::Attributes(replies) = session.call(&Request::Attributes { id, types }, &mut [])?
    else {
        return Ok(());
    };
    if let Some(AttrReply::Is(Attr {
        value: Value::Template(rule),
        ..
    })) = replies.first()
    {
        for must in rule {
            if template.iter().all(|given| given.ty != must.ty) {
                template.push(must.clone());
            }
        }
    }
    Ok(())
}

/// C_UnwrapKey.
pub fn unwrap(
    m: &Module,
    h: u64,
    mech: Given<'_>,
    with: u64,
    wrapped: In<'_>,
    mut template: Template,
    to: Place<'_, u64>,
) -> Result<()> {
    let session = m.session(h)?;
    let mut state = session.enter()?;
    let mech = match of_wrapping(&session, &mech, false)? {
        Some((message, aad)) => message.mechanism(mech.id(), &message.iv, &aad),
        None => read(&session, mech, false)?,
    };
    session.offers(&mech, CKF_UNWRAP)?;
    let with = session
        .key(&mut state, with, Rv::UNWRAPPING_KEY_HANDLE_INVALID)?
        .key
        .clone();
    bind(&session, with.id, attr::UNWRAP_TEMPLATE, &mut template)?;
    session.dress(Making::Unwrap, &mut template)?;
    let lasting = session.may_make(&template)?;
    let id = new_id()?;
    session.done(&Request::Unwrap {
        mech,
        with,
        wrapped: wrapped.hidden(),
        aad: Hidden(&[]),
        id,
        template,
    })?;
    to.set(session.adopt(&mut state, id, lasting));
    Ok(())
}

/// C_UnwrapKeyAuthenticated.
pub fn unwrap_authenticated(
    m: &Module,
    h: u64,
    mech: Given<'_>,
    with: u64,
    (wrapped, aad): (In<'_>, Vec<u8>),
    mut template: Template,
    to: Place<'_, u64>,
) -> Result<()> {
    let session = m.session(h)?;
    let mut state = session.enter()?;
    session.slot.allows(Difference::Messages)?;
    let id = mech.id();
    message::specimen(id)?;
    session.has(id)?;
    let message = mech.message().read(id, false)?;
    let with = session
        .key(&mut state, with, Rv::UNWRAPPING_KEY_HANDLE_INVALID)?
        .key
        .clone();
    bind(&session, with.id, attr::UNWRAP_TEMPLATE, &mut template)?;
    let lasting = session.may_make(&template)?;
    let id_made = new_id()?;
    let sealed = [&wrapped[..], &message.tag()].concat();
    session.done(&Request::Unwrap {
        mech: message.mechanism(id, &message.iv, &aad),
        with,
        wrapped: Hidden(&sealed),
        aad: Hidden(&[]),
        id: id_made,
        template,
    })?;
    to.set(session.adopt(&mut state, id_made, lasting));
    Ok(())
}

/// C_EncapsulateKey. No key is made when the ciphertext finds no room.
pub fn encapsulate(
    m: &Module,
    h: u64,
    mech: Given<'_>,
    public: u64,
    mut template: Template,
    mut out: Out<'_>,
    to: Option<Place<'_, u64>>,
) -> Result<()> {
    let session = m.session(h)?;
    let mut state = session.enter()?;
    session.slot.allows(Difference::Encapsulate)?;
    let mech = read(&session, mech, false)?;
    offered(Func::Encapsulate, &mech)?;
    let public = session.key(&mut state, public, Rv::KEY_HANDLE_INVALID)?;
    let rule = attr::ENCAPSULATE_TEMPLATE;
    bind(&session, public.key.id, rule, &mut template)?;
    let lasting = session.may_make(&template)?;
    let id = new_id()?;
    // A key that encapsulates nothing: the HSM knows whether to blame it or the mechanism.
    let bound = hsm_sim::mech::encapsulated(&public.facts).unwrap_or(0);
    let request = Request::Encapsulate {
        mech,
        public: public.key.clone(),
        id,
        template,
    };
    if out.asks_length() {
        // Without room the HSM makes nothing, but says whether it could.
        return match session.written(&request, &mut []) {
            Err(e) if e.rv != Rv::BUFFER_TOO_SMALL => Err(e),
            _ => out.fill(bound, |_| Ok(0)).map(drop),
        };
    }
    let to = to.ok_or_else(|| crate::ck::null("the place for the new key's handle is null"))?;
    let told = out.fill(bound, |buf| session.written(&request, buf))?;
    debug_assert!(told != Told::Length, "a buffer was there");
    to.set(session.adopt(&mut state, id, lasting));
    Ok(())
}

/// C_DecapsulateKey.
pub fn decapsulate(
    m: &Module,
    h: u64,
    mech: Given<'_>,
    private: u64,
    mut template: Template,
    ciphertext: In<'_>,
    to: Place<'_, u64>,
) -> Result<()> {
    let session = m.session(h)?;
    let mut state = session.enter()?;
    session.slot.allows(Difference::Encapsulate)?;
    let mech = read(&session, mech, false)?;
    offered(Func::Decapsulate, &mech)?;
    let private = session
        .key(&mut state, private, Rv::KEY_HANDLE_INVALID)?
        .key
        .clone();
    let rule = attr::DECAPSULATE_TEMPLATE;
    bind(&session, private.id, rule, &mut template)?;
    let lasting = session.may_make(&template)?;
    let id = new_id()?;
    session.done(&Request::Decapsulate {
        mech,
        private,
        ciphertext: ciphertext.hidden(),
        id,
        template,
    })?;
    to.set(session.adopt(&mut state, id, lasting));
    Ok(())
}

/// C_DeriveKey.
pub fn derive(
    m: &Module,
    h: u64,
    mech: Given<'_>,
    base: u64,
    mut template: Template,
    to: Place<'_, u64>,
) -> Result<()> {
    let session = m.session(h)?;
    let mut state = session.enter()?;
    session.has(mech.id())?;
    let places = mech.derived()?;
    let mut mech = read(&session, mech, false)?;
    session.offers(&mech, CKF_DERIVE)?;
    if let Params::Kbkdf(params) = &mut mech.params {
        for (_, template) in &mut params.more {
            session.dress(Making::Derive, template)?;
        }
    }
    let base = session
        .key(&mut state, base, Rv::KEY_HANDLE_INVALID)?
        .key
        .clone();
    bind(&session, base.id, attr::DERIVE_TEMPLATE, &mut template)?;
    session.dress(Making::Derive, &mut template)?;
    let lasting = session.may_make(&template)?;
    let mut more = Vec::new();
    if let Params::Kbkdf(params) = &mech.params {
        for (id, template) in &params.more {
            more.push((*id, session.may_make(template)?));
        }
    }
    let id = new_id()?;
    let request = Request::Derive {
        mech,
        base,
        id,
        template,
    };
    session.done(&request)?;
    to.set(session.adopt(&mut state, id, lasting));
    for (place, (id, lasting)) in places.into_iter().zip(more) {
        place.set(session.adopt(&mut state, id, lasting));
    }
    Ok(())
}
