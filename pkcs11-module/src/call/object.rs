//! Object management functions.

use hsm_api::reply::AttrReply;
use hsm_api::{Attr, Reply, Request, Result, Rv, Template};

use crate::ck::{Asked, Batch, Place};
use crate::module::{Module, new_id};
use crate::personality::Difference;
use crate::personality::attributes::Making;
use crate::session::{Find, token_wish};
use crate::token::unexpected;

/// C_CreateObject.
pub fn create(m: &Module, h: u64, mut template: Template, to: Place<'_, u64>) -> Result<()> {
    let session = m.session(h)?;
    let mut state = session.enter()?;
    session.dress(Making::Create, &mut template)?;
    let lasting = session.may_make(&template)?;
    let id = new_id()?;
    session.done(&Request::Create { id, template })?;
    to.set(session.adopt(&mut state, id, lasting));
    Ok(())
}

/// C_CopyObject.
pub fn copy(m: &Module, h: u64, from: u64, template: Template, to: Place<'_, u64>) -> Result<()> {
    let session = m.session(h)?;
    let mut state = session.enter()?;
    session.slot.allows(Difference::Copy)?;
    let from = session.key(&mut state, from, Rv::OBJECT_HANDLE_INVALID)?;
    let lasting = token_wish(&template).unwrap_or(from.facts.token);
    session.may_change(lasting)?;
    let id = new_id()?;
    let from = from.key.id;
    session.done(&Request::Copy { from, id, template })?;
    to.set(session.adopt(&mut state, id, lasting));
    Ok(())
}

/// C_DestroyObject.
pub fn destroy(m: &Module, h: u64, object: u64) -> Result<()> {
    let session = m.session(h)?;
    let mut state = session.enter()?;
    let key = session.key(&mut state, object, Rv::OBJECT_HANDLE_INVALID)?;
    session.may_change(key.facts.token)?;
    let id = key.key.id;
    session.done(&Request::Destroy { id })?;
    state.forget(id);
    session.slot.forget([id]);
    Ok(())
}

/// C_GetObjectSize.
pub fn size(m: &Module, h: u64, object: u64, to: Place<'_, u64>) -> Result<()> {
    let session = m.session(h)?;
    let _state = session.enter()?;
    session.slot.allows(Difference::ObjectSize)?;
    let id = session.object(object)?;
    match session.call(&Request::ObjectSize { id }, &mut [])? {
        Reply::Size(size) => to.set(size),
        other => return Err(unexpected(&other)),
    }
    Ok(())
}

/// C_GetAttributeValue.
pub fn attributes(m: &Module, h: u64, object: u64, asked: Asked<'_>) -> Result<()> {
    let session = m.session(h)?;
    let _state = session.enter()?;
    let id = session.object(object)?;
    let types = asked.types();
    let personality = session.slot.spec.personality;
    match session.call(&Request::Attributes { id, types }, &mut [])? {
        Reply::Attributes(mut replies) => {
            for reply in &mut replies {
                if let AttrReply::Is(Attr { ty, .. }) = reply
                    && !personality.shows(*ty)
                {
                    *reply = AttrReply::Withheld(*ty, Rv::ATTRIBUTE_TYPE_INVALID);
                }
            }
            asked.answer(&replies)
        }
        other => Err(unexpected(&other)),
    }
}

/// C_SetAttributeValue.
pub fn set_attributes(m: &Module, h: u64, object: u64, template: Template) -> Result<()> {
    let session = m.session(h)?;
    let mut state = session.enter()?;
    session.slot.allows(Difference::SetAttributes)?;
    let key = session.key(&mut state, object, Rv::OBJECT_HANDLE_INVALID)?;
    session.may_change(key.facts.token)?;
    let id = key.key.id;
    session.done(&Request::SetAttributes { id, template })?;
    session.slot.forget_keys();
    Ok(())
}

/// C_FindObjectsInit: what matches now is found now, and given bit by bit.
pub fn find_init(m: &Module, h: u64, template: Template) -> Result<()> {
    let session = m.session(h)?;
    let mut state = session.enter()?;
    if state.find.is_some() {
        return Err(Rv::OPERATION_ACTIVE.into());
    }
    match session.call(&Request::Find { template }, &mut [])? {
        Reply::Objects(mut ids) => {
            // What is not listed is not found either.
            let listed = |mech| session.slot.spec.lists(mech);
            ids.retain(|id| hsm_sim::builtin::mechanism_of(*id).is_none_or(listed));
            state.find = Some(Find::new(session.slot.handles(&ids)));
        }
        other => return Err(unexpected(&other)),
    }
    Ok(())
}

/// C_FindObjects.
pub fn find(m: &Module, h: u64, batch: Batch<'_, u64>) -> Result<()> {
    let session = m.session(h)?;
    let mut state = session.enter()?;
    let find = state.find.as_mut().ok_or(Rv::OPERATION_NOT_INITIALIZED)?;
    let handles = find.next(batch.max());
    batch.set(handles);
    Ok(())
}

/// C_FindObjectsFinal.
pub fn find_final(m: &Module, h: u64) -> Result<()> {
    let session = m.session(h)?;
    let mut state = session.enter()?;
    match state.find.take() {
        Some(_) => Ok(()),
        None => Err(Rv::OPERATION_NOT_INITIALIZED.into()),
    }
}
