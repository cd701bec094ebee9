//! Objects come to be: create, copy, generate, derive, unwrap. All end in `keep`.

use std::cell::RefCell;
use std::sync::Arc;

use hsm_api::{
    Error, KeyRef, KeyType, Mechanism, ObjectId, Params, Reply, Result, Rv, SessionId, Template,
    Uses, Value,
};
use zeroize::Zeroizing;

use crate::attr::{self, When};
use crate::code::{class, key_type as kt};
use crate::link::SimLink;
use crate::mech::{self, Call, Cut, Func, Mech, Output, Shape, Wanted};
use crate::object::{Attrs, Object, Origin};
use crate::policy;
use crate::roles;
use crate::template::{self, Birth, Past};

impl SimLink {
    pub(super) fn birth(
        &self,
        when: When,
        class: Option<hsm_api::Class>,
        key_type: Option<KeyType>,
    ) -> Birth {
        Birth {
            when,
            class,
            key_type,
            officer: self.who().is_officer(),
        }
    }

    /// What a template says and its defaults; under the setting, with one role. In FIPS mode there are no keys whose
    /// mechanisms it leaves out.
    pub(super) fn begun(&self, template: &Template, birth: &Birth) -> Result<Attrs> {
        let mut attrs = template::begin(template, birth)?;
        if self.fips() && matches!(attrs.key_type(), kt::DSA | kt::DH) {
            return Err(Error::new(
                Rv::ATTRIBUTE_VALUE_INVALID,
                "FIPS mode has no DSA and no Diffie-Hellman keys: use elliptic curves",
            ));
        }
        if self.inner.separate_roles {
            roles::part(&[template], &mut attrs, birth.when)?;
        }
        Ok(attrs)
    }

    /// A repeat of a request whose answer was lost gets that answer.
    pub(super) fn repeated(&self, ids: &[ObjectId]) -> Result<Option<Reply>> {
        let known = |id: &&ObjectId| {
            let own = self.own.lock().objects.contains_key(id);
            own || self.inner.table.read().version(**id).is_some()
        };
        match ids.iter().filter(known).count() {
            0 => return Ok(None),
            n if n == ids.len() => {}
            // The other half was a session object, and went with its session or its HSM. A new one would
            // not fit the half that is left.
            _ => {
                return Err(Error::new(
                    Rv::FUNCTION_FAILED,
                    "one half of this key pair was made before and the other is gone: make a new pair",
                ));
            }
        }
        for id in ids {
            self.object(*id)?;
        }
        self.made(ids).map(Some)
    }

    pub(super) fn made(&self, ids: &[ObjectId]) -> Result<Reply> {
        Ok(Reply::Made {
            changes: self.inner.changes(ids)?,
            written: 0,
        })
    }

    /// Keeps new objects: on the token in one transaction, in the session, or some here and some there.
    pub(super) fn keep(&self, session: SessionId, new: Vec<(ObjectId, Attrs)>) -> Result<Reply> {
        let who = self.who();
        let owner = if who.node { who.mark } else { 0 };
        let origin = Origin {
            version: 1,
            origin: self.inner.origin(),
            owner,
            shared: Vec::new(),
        };
        let objects: Vec<Arc<Object>> = new
            .into_iter()
            .map(|(id, attrs)| Arc::new(Object::new(id, origin.clone(), attrs)))
            .collect();
        for object in &objects {
            policy::may_write(who, object.facts.private)?;
        }
        let ids: Vec<ObjectId> = objects.iter().map(|o| o.id).collect();
        let (lasting, passing): (Vec<_>, Vec<_>) = objects.into_iter().partition(|o| o.facts.token);
        if !lasting.is_empty() {
            self.inner.add(lasting)?;
        }
        let mut own = self.own.lock();
        for object in passing {
            own.objects.insert(object.id, (session, object));
        }
        drop(own);
        self.made(&ids)
    }

    pub(crate) fn create(
        &self,
        session: SessionId,
        id: ObjectId,
        template: &Template,
    ) -> Result<Reply> {
        if let Some(reply) = self.repeated(&[id])? {
            return Ok(reply);
        }
        let mut attrs = self.begun(template, &self.birth(When::CREATE, None, None))?;
        template::complete(id, &mut attrs, &Past::Foreign)?;
        self.keep(session, vec![(id, attrs)])
    }

    pub(crate) fn copy(
        &self,
        session: SessionId,
        from: ObjectId,
        id: ObjectId,
        template: &Template,
    ) -> Result<Reply> {
        if let Some(reply) = self.repeated(&[id])? {
            return Ok(reply);
        }
        let from = self.object(from)?;
        policy::may_dispose(self.who(), &from)?;
        // A one-time password key that was made before it was never CKA_COPYABLE is not copied either.
        if !from.attrs.is(attr::COPYABLE) || from.facts.class == class::OTP {
            return Err(Error::new(
                Rv::ACTION_PROHIBITED,
                "the object is not CKA_COPYABLE",
            ));
        }
        let officer = self.who().is_officer();
        let mut attrs = template::change(&from.attrs, template, When::COPY, officer)?;
        if self.inner.separate_roles {
            roles::stay(&from.attrs, &attrs)?;
        }
        let unique = format!("{:032x}", id.0).into_bytes();
        attrs.set(attr::UNIQUE_ID, Value::Bytes(unique));
        self.keep(session, vec![(id, attrs)])
    }

    pub(crate) fn generate(
        &self,
        session: SessionId,
        mechanism: &Mechanism<'_>,
        id: ObjectId,
        template: &Template,
    ) -> Result<Reply> {
        let mech = mech::check(Func::Generate, mechanism, None)?;
        self.offers(mech)?;
        if let Some(reply) = self.repeated(&[id])? {
            return Ok(reply);
        }
        let key_type = made_type(mech, template)?;
        let birth = self.birth(When::GENERATE, Some(mech.makes), Some(key_type));
        let mut attrs = self.begun(template, &birth)?;
        if self.inner.separate_roles && mech.params == Shape::Pbkdf2 {
            // Made of what the caller knows, whatever function it goes by.
            roles::part(&[template], &mut attrs, When::DERIVE)?;
        }
        policy::may_write(self.who(), attrs.is(attr::PRIVATE))?;
        let generate = mech.generate.ok_or(Rv::MECHANISM_INVALID)?;
        generate(mech, &mechanism.params, &mut attrs)?;
        template::complete(id, &mut attrs, &Past::Fresh(mech.id))?;
        self.keep(session, vec![(id, attrs)])
    }

    pub(crate) fn generate_pair(
        &self,
        session: SessionId,
        mechanism: &Mechanism<'_>,
        (public_id, public): (ObjectId, &Template),
        (private_id, private): (ObjectId, &Template),
    ) -> Result<Reply> {
        let mech = mech::check(Func::GeneratePair, mechanism, None)?;
        self.offers(mech)?;
        if let Some(reply) = self.repeated(&[public_id, private_id])? {
            return Ok(reply);
        }
        let key_type = made_type(mech, public)?;
        let birth = |class| self.birth(When::GENERATE, Some(class), Some(key_type));
        let said = [public, private];
        let mut public = template::begin(public, &birth(class::PUBLIC))?;
        // The domain belongs in the public half's template; many callers say it in both.
        let domain =
            |a: &&hsm_api::Attr| attr::SHARED.contains(&a.ty) && public.get(a.ty) == Some(&a.value);
        let private: Template = private.iter().filter(|a| !domain(a)).cloned().collect();
        let mut private = template::begin(&private, &birth(class::PRIVATE))?;
        if self.inner.separate_roles {
            for half in [&mut public, &mut private] {
                roles::part(&said, half, When::GENERATE)?;
            }
        }
        for half in [&public, &private] {
            policy::may_write(self.who(), half.is(attr::PRIVATE))?;
        }
        let generate = mech.generate_pair.ok_or(Rv::MECHANISM_INVALID)?;
        generate(mech, &mechanism.params, &mut public, &mut private)?;
        template::complete(public_id, &mut public, &Past::Fresh(mech.id))?;
        if let Some(info) = public.get(attr::PUBLIC_KEY_INFO) {
            private.set(attr::PUBLIC_KEY_INFO, info.clone());
        }
        template::complete(private_id, &mut private, &Past::Fresh(mech.id))?;
        self.keep(session, vec![(public_id, public), (private_id, private)])
    }

    pub(crate) fn derive(
        &self,
        session: SessionId,
        mechanism: &Mechanism<'_>,
        base: &KeyRef,
        id: ObjectId,
        template: &Template,
    ) -> Result<Reply> {
        let base = self.key(base)?;
        let mech = mech::check(Func::Derive, mechanism, Some(&base.facts))?;
        self.offers(mech)?;
        let more: &[(ObjectId, Template)] = match &mechanism.params {
            Params::Kbkdf(params) => &params.more,
            _ => &[],
        };
        let ids: Vec<ObjectId> = std::iter::once(id)
            .chain(more.iter().map(|(id, _)| *id))
            .collect();
        if let Some(reply) = self.repeated(&ids)? {
            return Ok(reply);
        }
        self.authenticate(session, &base)?;
        if mech.publish.is_some() {
            return self.derive_public(session, mech, &base, id, template);
        }
        let rule = base.attrs.get(attr::DERIVE_TEMPLATE);
        let mut made = vec![self.begin_derived(mech, template, rule)?];
        for (_, template) in more {
            made.push(self.begin_derived(mech, template, rule)?);
        }
        let mut lens = Vec::new();
        for (_, want) in &made[1..] {
            lens.push(want.ok_or_else(|| {
                Error::new(Rv::TEMPLATE_INCOMPLETE, "each key needs CKA_VALUE_LEN")
            })?);
        }
        let call = Call {
            mech,
            key: base.material()?,
            params: &mechanism.params,
        };
        let others = RefCell::new(Vec::new());
        let wanted = Wanted {
            len: made[0].1,
            more: &lens,
            key: &|id| {
                let other = self.base_key(id)?;
                others.borrow_mut().push(Arc::clone(&other));
                Ok(other)
            },
        };
        let derive = mech.derive.ok_or(Rv::MECHANISM_INVALID)?;
        let secret = derive(&call, &wanted)?;
        let mut whole = secret.expose();
        let others = others.into_inner();
        let bases: Vec<&Attrs> = std::iter::once(&*base.attrs)
            .chain(others.iter().map(|o| &*o.attrs))
            .collect();
        let several = made.len() > 1;
        let mut new = Vec::with_capacity(made.len());
        for (id, (mut attrs, want)) in ids.into_iter().zip(made) {
            let value = match want {
                // Several keys lie one behind another.
                Some(len) if several => {
                    let (value, rest) = whole.split_at_checked(len).ok_or(Rv::KEY_SIZE_RANGE)?;
                    whole = rest;
                    value
                }
                want => cut(mech, attrs.key_type(), want, whole)?,
            };
            let mut value = value.to_vec();
            if matches!(attrs.key_type(), kt::DES | kt::DES2 | kt::DES3) {
                hsm_crypto::des::set_parity(&mut value);
            }
            attrs.set(attr::VALUE, Value::Bytes(value));
            if mech.inherits {
                inherit(&mut attrs, template, &bases)?;
                whole_enough(mechanism, &attrs, &bases)?;
            }
            template::complete(id, &mut attrs, &Past::From(&bases)).map_err(|e| match e.rv {
                // The template is right; the secret has not the length for such a key.
                Rv::ATTRIBUTE_VALUE_INVALID => Error::new(Rv::KEY_SIZE_RANGE, e.why),
                _ => e,
            })?;
            new.push((id, attrs));
        }
        self.keep(session, new)
    }

    /// A derived object but for its value, and how long that is to be.
    pub(super) fn begin_derived(
        &self,
        mech: &Mech,
        template: &Template,
        rule: Option<&Value>,
    ) -> Result<(Attrs, Option<usize>)> {
        let mut template = template::impose(template, rule)?;
        let said = template.iter().find(|a| a.ty == attr::VALUE_LEN);
        let said = said.and_then(|a| a.value.as_ulong());
        if mech.makes == class::DATA {
            // A data object has no such attribute, but its length must be said somewhere.
            template.retain(|a| a.ty != attr::VALUE_LEN);
        } else {
            template = with_key_type(template);
        }
        let birth = self.birth(When::DERIVE, Some(mech.makes), None);
        let attrs = self.begun(&template, &birth)?;
        policy::may_write(self.who(), attrs.is(attr::PRIVATE))?;
        let want = match said {
            Some(0) => {
                return Err(Error::new(
                    Rv::ATTRIBUTE_VALUE_INVALID,
                    "CKA_VALUE_LEN is 0",
                ));
            }
            Some(n) => Some(usize::try_from(n).map_err(|_| Rv::KEY_SIZE_RANGE)?),
            None => kt::fixed_len(attrs.key_type()),
        };
        Ok((attrs, want))
    }

    /// Another key that goes into a derivation: what it tells about the result, it must allow.
    fn base_key(&self, id: ObjectId) -> Result<Arc<Object>> {
        let key = self
            .object(id)
            .map_err(|e| Error::new(Rv::KEY_HANDLE_INVALID, e.why))?;
        if key.facts.class != class::SECRET {
            return Err(Error::new(
                Rv::KEY_TYPE_INCONSISTENT,
                "the other key is no secret key",
            ));
        }
        if !key.facts.uses.allows(Uses::DERIVE) {
            return Err(Error::new(
                Rv::KEY_FUNCTION_NOT_PERMITTED,
                "the other key is not CKA_DERIVE",
            ));
        }
        Ok(key)
    }

    pub(crate) fn unwrap(
        &self,
        session: SessionId,
        mechanism: &Mechanism<'_>,
        with: &KeyRef,
        (wrapped, aad): (&[u8], &[u8]),
        id: ObjectId,
        template: &Template,
    ) -> Result<Reply> {
        if let Some(reply) = self.repeated(&[id])? {
            return Ok(reply);
        }
        super::wrap::no_aad(aad)?;
        let with = self
            .key(with)
            .map_err(|e| Error::new(Rv::UNWRAPPING_KEY_HANDLE_INVALID, e.why))?;
        let mech =
            mech::check(Func::Unwrap, mechanism, Some(&with.facts)).map_err(|e| match e.rv {
                Rv::KEY_TYPE_INCONSISTENT => {
                    Error::new(Rv::UNWRAPPING_KEY_TYPE_INCONSISTENT, e.why)
                }
                Rv::KEY_SIZE_RANGE => Error::new(Rv::UNWRAPPING_KEY_SIZE_RANGE, e.why),
                Rv::KEY_HANDLE_INVALID => Error::new(Rv::UNWRAPPING_KEY_HANDLE_INVALID, e.why),
                _ => e,
            })?;
        self.offers(mech)?;
        self.may_hide(mech)?;
        if self.inner.separate_roles {
            roles::may_wrap(mechanism)?;
        }
        self.authenticate(session, &with)?;
        let template = template::impose(template, with.attrs.get(attr::UNWRAP_TEMPLATE))?;
        let mut attrs = self.begun(
            &template,
            &self.birth(When::UNWRAP, unwrapped_class(mech), None),
        )?;
        if !attr::hides(attrs.class()) {
            return Err(Error::new(
                Rv::TEMPLATE_INCONSISTENT,
                "only secret and private keys are unwrapped",
            ));
        }
        policy::may_write(self.who(), attrs.is(attr::PRIVATE))?;
        let call = Call {
            mech,
            key: with.material()?,
            params: &mechanism.params,
        };
        let unwrap = mech.unwrap.ok_or(Rv::MECHANISM_INVALID)?;
        let mut plain = Zeroizing::new(vec![0; wrapped.len().max(with.facts.bits as usize / 8)]);
        let len = unwrap(&call, wrapped, &mut plain).map_err(|e| match e.rv {
            Rv::ENCRYPTED_DATA_INVALID if padded(mech) => not_padded(),
            Rv::ENCRYPTED_DATA_INVALID => Error::new(Rv::WRAPPED_KEY_INVALID, e.why),
            Rv::ENCRYPTED_DATA_LEN_RANGE => Error::new(Rv::WRAPPED_KEY_LEN_RANGE, e.why),
            _ => e,
        })?;
        let block = super::wrap::block(mech);
        crate::encode::decode(&plain[..len], block, &mut attrs).map_err(|e| match e.rv {
            Rv::WRAPPED_KEY_LEN_RANGE if padded(mech) => not_padded(),
            _ => e,
        })?;
        if bare(mech) && template::guessable(&attrs) {
            return Err(Error::new(
                Rv::WRAPPED_KEY_INVALID,
                "a key this short may be the front of a longer one: wrap it by a mechanism that pads or authenticates",
            ));
        }
        template::complete(id, &mut attrs, &Past::Foreign).map_err(|e| match e.rv {
            Rv::ATTRIBUTE_VALUE_INVALID | Rv::DOMAIN_PARAMS_INVALID => {
                Error::new(Rv::WRAPPED_KEY_INVALID, e.why)
            }
            _ => e,
        })?;
        self.keep(session, vec![(id, attrs)])
    }
}

/// Whether anybody can make a ciphertext of this mechanism, whose padding then is looked at.
fn padded(mech: &Mech) -> bool {
    matches!(mech.output, Output::Padded | Output::Padded8)
}

/// Wrong padding and right padding around a wrong length look the same: who could tell them apart would read, byte by byte,
/// what a key that may only unwrap has encrypted (Vaudenay), though its CKA_UNWRAP_TEMPLATE fixes the type.
fn not_padded() -> Error {
    Error::new(
        Rv::WRAPPED_KEY_INVALID,
        "the padding or the length of what was unwrapped is wrong",
    )
}

/// What the mechanism makes: what the template says if it is among that, else the first.
fn made_type(mech: &Mech, template: &Template) -> Result<KeyType> {
    let said = template
        .iter()
        .find(|a| a.ty == attr::KEY_TYPE)
        .and_then(|a| a.value.as_ulong());
    match said.map(KeyType) {
        Some(t) if !mech.keys.contains(&t) => Err(Error::new(
            Rv::TEMPLATE_INCONSISTENT,
            format!("{} makes no keys of type {:#x}", mech.name, t.0),
        )),
        Some(t) => Ok(t),
        None => mech
            .keys
            .first()
            .copied()
            .ok_or_else(|| Rv::MECHANISM_INVALID.into()),
    }
}

/// The class of an unwrapped key where the mechanism contributes it: PKCS #1 v1.5 and OAEP carry secret keys only (6.1).
fn unwrapped_class(mech: &Mech) -> Option<hsm_api::Class> {
    let rsa = mech.keys == [kt::RSA] && mech.params != Shape::RsaAesKeyWrap;
    rsa.then_some(class::SECRET)
}

fn with_key_type(mut template: Template) -> Template {
    if !template.iter().any(|a| a.ty == attr::KEY_TYPE) {
        let value = Value::Ulong(kt::GENERIC_SECRET.0);
        template.push(hsm_api::Attr {
            ty: attr::KEY_TYPE,
            value,
        });
    }
    template
}

/// As much of a secret as the key takes: what it says, or all, or the longest AES key.
pub(super) fn cut<'s>(
    mech: &Mech,
    key_type: KeyType,
    want: Option<usize>,
    whole: &'s [u8],
) -> Result<&'s [u8]> {
    let len = match want {
        Some(len) => len,
        None if key_type == kt::AES => [32, 24, 16]
            .into_iter()
            .find(|n| *n <= whole.len())
            .unwrap_or(whole.len()),
        None => whole.len(),
    };
    let surplus = whole.len().checked_sub(len).ok_or_else(|| {
        Error::new(
            Rv::KEY_SIZE_RANGE,
            format!("the secret has only {} bytes", whole.len()),
        )
    })?;
    Ok(match mech.cut {
        Cut::Leading => &whole[surplus..],
        Cut::Trailing => &whole[..len],
    })
}

/// Whether what the mechanism makes can be cut anywhere, and is a key again.
fn bare(mech: &Mech) -> bool {
    matches!(mech.output, Output::Same | Output::Block | Output::Block8)
}

/// Of a base that hides its value no part may come out that can be guessed: part by part it would tell the
/// whole (Clulow's reduction of the key space).
fn whole_enough(mechanism: &Mechanism<'_>, attrs: &Attrs, bases: &[&Attrs]) -> Result<()> {
    let len = |attrs: &Attrs| attrs.bytes(attr::VALUE).map_or(0, <[u8]>::len);
    let hidden: Vec<&Attrs> = bases.iter().copied().filter(|b| b.hides_value()).collect();
    // What stands in front and is known takes room from what is not.
    let known = match (&mechanism.params, bases.first()) {
        (Params::Data(data), _) if mechanism.id == mech::DATA_FIRST => data.len(),
        (Params::Key(_), Some(base)) if !base.hides_value() => len(base),
        _ => 0,
    };
    let shown = len(attrs).saturating_sub(known);
    // Of a key from elsewhere, or derived from such a one, the caller may know all but a few bytes: no part of it
    // comes out, however long.
    let all: usize = hidden.iter().map(|base| len(base)).sum();
    if shown < all && !hidden.iter().all(|base| base.is(attr::LOCAL)) {
        return Err(Error::new(
            Rv::KEY_SIZE_RANGE,
            "a part of a key that hides its value comes out only where this token has generated it",
        ));
    }
    let longest = hidden.iter().map(|base| len(base)).max();
    if longest.is_none_or(|longest| shown >= longest.min(template::GUESSABLE)) {
        return Ok(());
    }
    Err(Error::new(
        Rv::KEY_SIZE_RANGE,
        format!(
            "so short a part of a key that hides its value could be guessed: take {} bytes",
            template::GUESSABLE
        ),
    ))
}

/// A key that shows its base, or much of it, is guarded as its base is. A template that says
/// otherwise is wrong.
fn inherit(attrs: &mut Attrs, template: &Template, bases: &[&Attrs]) -> Result<()> {
    let sensitive = bases.iter().any(|b| b.is(attr::SENSITIVE));
    let guarded = bases.iter().any(|b| !b.is(attr::EXTRACTABLE));
    for (must, ty, to) in [
        (sensitive, attr::SENSITIVE, true),
        (guarded, attr::EXTRACTABLE, false),
    ] {
        if !must {
            continue;
        }
        if template
            .iter()
            .any(|a| a.ty == ty && a.value != Value::Bool(to))
        {
            return Err(Error::new(
                Rv::TEMPLATE_INCONSISTENT,
                "the derived key must be guarded as the base key is",
            ));
        }
        attrs.set(ty, Value::Bool(to));
    }
    Ok(())
}
