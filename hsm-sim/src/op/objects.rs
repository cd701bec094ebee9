//! Objects looked at, searched, changed, destroyed.

use std::any::Any;
use std::sync::Arc;

use hsm_api::reply::AttrReply;
use hsm_api::{
    Attr, AttrType, Error, KeyRef, MechId, ObjectId, Reply, Result, Rv, SessionId, Template, Value,
};

use crate::attr::{self, When};
use crate::builtin;
use crate::code::class;
use crate::link::SimLink;
use crate::mech;
use crate::object::{Attrs, Object, Origin};
use crate::policy;
use crate::roles;
use crate::table::matches;
use crate::template;

impl SimLink {
    pub(crate) fn resolve(&self, id: ObjectId) -> Result<Reply> {
        let object = self.object(id)?;
        let facts = object.facts.clone();
        let pin: Arc<dyn Any + Send + Sync> = object;
        Ok(Reply::Key(KeyRef { id, pin: Some(pin) }, facts))
    }

    pub(crate) fn attributes(&self, id: ObjectId, types: &[AttrType]) -> Result<Reply> {
        let object = self.object(id)?;
        if builtin::get(id, self.who().node).is_some() {
            // Looked at once, however often the call names it: the counter rises with each reading.
            let value = match types.contains(&attr::VALUE) {
                true => builtin::value(&self.inner.store, &object)?,
                false => None,
            };
            let show = |ty: &AttrType| {
                let value = match *ty {
                    attr::VALUE => value.as_ref(),
                    ty => object.attrs.get(ty),
                };
                let absent = AttrReply::Withheld(*ty, Rv::ATTRIBUTE_TYPE_INVALID);
                value
                    .cloned()
                    .map_or(absent, |value| AttrReply::Is(Attr { ty: *ty, value }))
            };
            return Ok(Reply::Attributes(types.iter().map(show).collect()));
        }
        let secrets = policy::may_read_secrets(self.who());
        let show = |ty: &AttrType| show(&object.attrs, *ty, secrets);
        Ok(Reply::Attributes(types.iter().map(show).collect()))
    }

    pub(crate) fn set_attributes(&self, id: ObjectId, template: &Template) -> Result<Reply> {
        if builtin::get(id, self.who().node).is_some() {
            let why = "the object is the token's own";
            return Err(Error::new(Rv::ACTION_PROHIBITED, why));
        }
        let who = self.who();
        let change = |old: &Object| {
            if who.node && who.is_officer() {
                if template.iter().any(|a| a.ty != attr::TRUSTED) {
                    return Err(Error::new(
                        Rv::FUNCTION_REJECTED,
                        "an officer may set CKA_TRUSTED and nothing else",
                    ));
                }
            } else {
                policy::may_write(who, old.facts.private)?;
                policy::may_dispose(who, old)?;
                if !old.facts.modifiable {
                    return Err(Error::new(
                        Rv::ACTION_PROHIBITED,
                        "the object is not CKA_MODIFIABLE",
                    ));
                }
            }
            let attrs = template::change(&old.attrs, template, When::LATER, who.is_officer())?;
            if self.inner.separate_roles {
                roles::stay(&old.attrs, &attrs)?;
            }
            Ok((old.origin.clone(), attrs))
        };
        let old = self.object(id)?;
        if old.facts.token {
            // What is refused is refused without a write.
            change(&old)?;
        }
        self.replace(&old, &mut |old| change(old))
    }

    /// Makes an object's next version out of the newest, nobody else's coming between.
    pub(super) fn replace(
        &self,
        old: &Object,
        next: &mut dyn FnMut(&Object) -> Result<(Origin, Attrs)>,
    ) -> Result<Reply> {
        let id = old.id;
        if old.facts.token {
            self.inner.update(id, next)?;
            return self.made(&[id]);
        }
        let mut own = self.own.lock();
        let (_, place) = own.objects.get_mut(&id).ok_or_else(crate::table::absent)?;
        let (origin, attrs) = next(place)?;
        place.retire();
        *place = Arc::new(Object::new(id, origin, attrs));
        drop(own);
        self.made(&[])
    }

    pub(crate) fn find(&self, template: &Template) -> Result<Reply> {
        for want in template {
            let fits = attr::row(want.ty).is_none_or(|r| r.kind.fits(&want.value));
            if !fits {
                return Err(Error::new(
                    Rv::ATTRIBUTE_VALUE_INVALID,
                    format!("a value of another form for {:#x}", want.ty.0),
                ));
            }
        }
        let offered = |mech| mech::find(MechId(mech)).is_some_and(|m| self.offers(m).is_ok());
        if let Some(found) = builtin::find(template, self.who().node, offered) {
            return Ok(Reply::Objects(found));
        }
        let who = self.who();
        let see = |object: &Object| policy::may_see(who, object);
        let mut found = self.inner.table.read().find(template, see);
        let own = self.own.lock();
        let mut session: Vec<(SessionId, ObjectId)> = own
            .objects
            .values()
            .filter(|(_, o)| see(o) && matches(o, template))
            .map(|(s, o)| (*s, o.id))
            .collect();
        session.sort_unstable();
        found.extend(session.into_iter().map(|(_, id)| id));
        Ok(Reply::Objects(found))
    }

    pub(crate) fn destroy(&self, id: ObjectId) -> Result<Reply> {
        if self.who().node && self.inner.table.read().gone(id).is_some() {
            // A repeat, or another HSM's tombstone has come already.
            return self.made(&[id]);
        }
        let object = self.object(id)?;
        policy::may_write(self.who(), object.facts.private)?;
        policy::may_dispose(self.who(), &object)?;
        if !object.attrs.is(attr::DESTROYABLE) {
            return Err(Error::new(
                Rv::ACTION_PROHIBITED,
                "the object is not CKA_DESTROYABLE",
            ));
        }
        if object.facts.token {
            if !self.inner.destroy(id)? {
                return Err(crate::table::absent());
            }
            return self.made(&[id]);
        }
        object.retire();
        self.own.lock().objects.remove(&id);
        self.made(&[])
    }

    pub(crate) fn size(&self, id: ObjectId) -> Result<Reply> {
        let object = self.object(id)?;
        let bytes = |value: &Value| match value {
            Value::Bool(_) => 1,
            Value::Ulong(_) => 8,
            Value::Bytes(b) => b.len(),
            Value::Template(t) => t.len() * 24,
            Value::Mechs(m) => m.len() * 8,
        };
        Ok(Reply::Size(
            object
                .attrs
                .iter()
                .map(|a| 8 + bytes(&a.value) as u64)
                .sum(),
        ))
    }
}

/// One attribute, or why it is withheld.
fn show(attrs: &Attrs, ty: AttrType, secrets: bool) -> AttrReply {
    let Some(row) = attr::row(ty) else {
        return AttrReply::Withheld(ty, Rv::ATTRIBUTE_TYPE_INVALID);
    };
    let of = attrs.class();
    let Some(rule) = row.rule(of, attrs.kind()) else {
        return AttrReply::Withheld(ty, Rv::ATTRIBUTE_TYPE_INVALID);
    };
    let private = !secrets && of != class::CERTIFICATE;
    if row.secret && (private || attr::hides(of) && attrs.hides_value()) {
        return AttrReply::Withheld(ty, Rv::ATTRIBUTE_SENSITIVE);
    }
    match attrs.get(ty) {
        Some(value) => AttrReply::Is(Attr {
            ty,
            value: value.clone(),
        }),
        // Kept before the attribute had a row: it is what it would be if nobody had said anything.
        None => match rule.unsaid.value(When::NEVER) {
            Some(value) => AttrReply::Is(Attr { ty, value }),
            None => AttrReply::Withheld(ty, Rv::ATTRIBUTE_TYPE_INVALID),
        },
    }
}
