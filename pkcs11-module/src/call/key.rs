//! Key management functions: keys generated, wrapped, unwrapped, derived.

use hsm_api::{Error, Hidden, Request, Result, Rv, Template};
use zeroize::Zeroizing;

use super::read;
use crate::ck::{Given, In, Out, Place};
use crate::module::{Module, new_id};

/// A wrapped key is at most this long, in steps: the length is the HSM's secret until it is done.
const WRAPPED: [usize; 3] = [4 << 10, 64 << 10, 1 << 20];

/// C_GenerateKey.
pub fn generate(
    m: &Module,
    h: u64,
    mech: Given<'_>,
    template: Template,
    to: Place<'_, u64>,
) -> Result<()> {
    let session = m.session(h)?;
    let mut state = session.enter()?;
    let mech = read(&session, mech, false)?;
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
    let (public_template, private_template) = templates;
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
    // A query must not use an IV up that the HSM makes for one wrapping.
    let mech = read(&session, mech, !out.asks_length())?;
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
    let mut last = Rv::DEVICE_MEMORY.into();
    for room in WRAPPED {
        let mut wrapped = Zeroizing::new(vec![0; room]);
        match session.written(&request, &mut wrapped) {
            Ok(len) => return out.answer(&wrapped[..len]).map(drop),
            Err(e) if e.rv == Rv::BUFFER_TOO_SMALL => last = e,
            Err(e) => return Err(e),
        }
    }
    Err(Error::new(Rv::KEY_SIZE_RANGE, last.why))
}

/// C_UnwrapKey.
pub fn unwrap(
    m: &Module,
    h: u64,
    mech: Given<'_>,
    with: u64,
    wrapped: In<'_>,
    template: Template,
    to: Place<'_, u64>,
) -> Result<()> {
    let session = m.session(h)?;
    let mut state = session.enter()?;
    let mech = read(&session, mech, false)?;
    let with = session
        .key(&mut state, with, Rv::UNWRAPPING_KEY_HANDLE_INVALID)?
        .key
        .clone();
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

/// C_DeriveKey.
pub fn derive(
    m: &Module,
    h: u64,
    mech: Given<'_>,
    base: u64,
    template: Template,
    to: Place<'_, u64>,
) -> Result<()> {
    let session = m.session(h)?;
    let mut state = session.enter()?;
    let mech = read(&session, mech, false)?;
    let base = session
        .key(&mut state, base, Rv::KEY_HANDLE_INVALID)?
        .key
        .clone();
    let lasting = session.may_make(&template)?;
    let id = new_id()?;
    let request = Request::Derive {
        mech,
        base,
        id,
        template,
    };
    session.done(&request)?;
    to.set(session.adopt(&mut state, id, lasting));
    Ok(())
}
