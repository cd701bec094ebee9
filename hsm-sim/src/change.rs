//! Objects on their way between HSMs, sealed under the cluster's masking key.
//!
//! Every HSM that has seen the same changes, in whatever order and however often, holds the same
//! state: a destruction beats everything, then the higher version wins, then the higher origin. What only
//! rises (a one-time password's counter) is the highest of all states that were seen, whichever wins: where
//! the loser's is higher, the winner gets it in a version of its own.

use std::borrow::Cow;

use hsm_api::{Change, Error, ObjectId, Result, Rv, Value};

use crate::attr;
use crate::encode;
use crate::object::{Attrs, Object, Origin};
use crate::store::record::Record;
use crate::store::seal::SealKey;
use crate::table::Newest;

/// A change whose seal was good.
#[derive(Clone)]
pub(crate) struct Opened {
    pub(crate) id: ObjectId,
    version: u64,
    origin: u64,
    /// `None`: destroyed.
    state: Option<(Origin, Attrs)>,
}

fn aad(id: ObjectId, version: u64, origin: u64, alive: bool) -> Vec<u8> {
    let mut aad = Vec::with_capacity(33);
    aad.extend_from_slice(&id.0.to_be_bytes());
    aad.extend_from_slice(&version.to_be_bytes());
    aad.extend_from_slice(&origin.to_be_bytes());
    aad.push(u8::from(alive));
    aad
}

/// Seals an object's newest state; a tombstone gets its tag.
pub(crate) fn seal(masking: &SealKey, newest: &Newest) -> Result<Change> {
    let object = match newest {
        Newest::Is(object) => object,
        &Newest::Gone(id, version, origin) => {
            return Ok(Change {
                id,
                version,
                origin,
                sealed: None,
                tag: masking.seal(&aad(id, version, origin, false), &[])?,
            });
        }
    };
    let Origin {
        version, origin, ..
    } = object.origin;
    let plain = encode::secret(&(&object.origin, &*object.attrs))?;
    let sealed = masking.seal(&aad(object.id, version, origin, true), &plain)?;
    Ok(Change {
        id: object.id,
        version,
        origin,
        sealed: Some(sealed),
        tag: Vec::new(),
    })
}

/// Checks the seal.
///
/// # Errors
/// WRAPPED_KEY_INVALID where it is not this cluster's.
pub(crate) fn open(masking: &SealKey, change: &Change) -> Result<Opened> {
    let Change {
        id,
        version,
        origin,
        sealed,
        tag,
    } = change;
    let bad = || {
        Error::new(
            Rv::WRAPPED_KEY_INVALID,
            "the change is not sealed under this cluster's masking key",
        )
    };
    let aad = aad(*id, *version, *origin, sealed.is_some());
    let plain = masking
        .open(&aad, sealed.as_ref().unwrap_or(tag))
        .ok_or_else(bad)?;
    let state = match sealed {
        Some(_) => Some(postcard::from_bytes(&plain).map_err(|_| bad())?),
        None => None,
    };
    Ok(Opened {
        id: *id,
        version: *version,
        origin: *origin,
        state,
    })
}

/// What no change may lower; 0 where there is nothing of the kind.
fn rising(attrs: &Attrs) -> u64 {
    let counter = attrs.bytes(attr::OTP_COUNTER).unwrap_or_default();
    counter.try_into().map_or(0, u64::from_be_bytes)
}

impl Opened {
    /// Whether it replaces what one has.
    pub(crate) fn beats(&self, version: u64, origin: u64, alive: bool) -> bool {
        match (self.state.is_some(), alive) {
            (true, false) => false,
            (false, true) => true,
            _ => (self.version, self.origin) > (version, origin),
        }
    }

    /// Whether the winner of two living states may want something of the loser's.
    pub(crate) fn rises(&self) -> bool {
        self.state.as_ref().is_some_and(|(_, a)| rising(a) != 0)
    }

    /// The state to write over one's own, which lives: this one, or the winner with the loser's counter as
    /// `here`'s version; `None` where one's own stays as it is.
    pub(crate) fn over(&self, own: &Object, here: u64) -> Option<Cow<'_, Opened>> {
        let wins = self.beats(own.origin.version, own.origin.origin, true);
        let Some((origin, attrs)) = &self.state else {
            return wins.then_some(Cow::Borrowed(self));
        };
        let (theirs, ours) = (rising(attrs), rising(&own.attrs));
        let (mut origin, mut attrs, loser) = match wins {
            true if ours <= theirs => return Some(Cow::Borrowed(self)),
            false if theirs <= ours => return None,
            true => (origin.clone(), attrs.clone(), ours),
            false => (own.origin.clone(), (*own.attrs).clone(), theirs),
        };
        attrs.set(
            attr::OTP_COUNTER,
            Value::Bytes(loser.to_be_bytes().to_vec()),
        );
        origin.version += 1;
        origin.origin = here;
        Some(Cow::Owned(Opened {
            id: self.id,
            version: origin.version,
            origin: here,
            state: Some((origin, attrs)),
        }))
    }

    /// As one's own store keeps it.
    pub(crate) fn record(&self, device: &SealKey, token: Option<&SealKey>) -> Result<Record> {
        match &self.state {
            None => Ok(Record::tombstone(self.id, self.version, self.origin)),
            Some((origin, attrs)) => {
                let object = Object::new(self.id, origin.clone(), attrs.clone());
                Record::seal(&object, device, token)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(version: u64, origin: u64, alive: bool) -> Opened {
        let state = alive.then(|| (Origin::default(), Attrs::default()));
        Opened {
            id: ObjectId(1),
            version,
            origin,
            state,
        }
    }

    #[test]
    fn one_state_wins_whatever_the_order() {
        let states = [
            (1, 1, true),
            (2, 1, true),
            (2, 2, true),
            (2, 2, false),
            (5, 1, true),
        ];
        for a in states {
            for b in states {
                let ab = opened(a.0, a.1, a.2).beats(b.0, b.1, b.2);
                let ba = opened(b.0, b.1, b.2).beats(a.0, a.1, a.2);
                assert_eq!(ab != ba, a != b, "{a:?} {b:?}");
            }
        }
        assert!(
            !opened(9, 9, true).beats(1, 1, false),
            "nothing destroyed returns"
        );
    }

    /// Three HSMs use a key, and the state of one reaches another now and then, in any order.
    #[test]
    fn a_counter_never_falls_and_all_agree_in_the_end() {
        fn state(node: &Object) -> Opened {
            Opened {
                id: node.id,
                version: node.origin.version,
                origin: node.origin.origin,
                state: Some((node.origin.clone(), (*node.attrs).clone())),
            }
        }
        fn take(node: &mut Object, here: u64, change: &Opened) {
            let before = rising(&node.attrs);
            if let Some(next) = change.over(node, here) {
                let (origin, attrs) = next.state.clone().unwrap();
                assert!(
                    (origin.version, origin.origin) > (node.origin.version, node.origin.origin)
                );
                *node = Object::new(node.id, origin, attrs);
            }
            let after = rising(&node.attrs);
            assert_eq!(after, before.max(rising(&change.state.as_ref().unwrap().1)));
        }
        for round in 0..200_u32 {
            let mut random = round.wrapping_mul(2_654_435_761) | 1;
            let mut draw = |below: u32| {
                random ^= random << 13;
                random ^= random >> 17;
                random ^= random << 5;
                (random % below) as usize
            };
            let mut attrs = Attrs::default();
            attrs.set(attr::OTP_COUNTER, Value::Bytes(vec![0; 8]));
            let born = Origin {
                version: 1,
                origin: 1,
                ..Origin::default()
            };
            let new = |_| Object::new(ObjectId(1), born.clone(), attrs.clone());
            let mut nodes: Vec<Object> = (0..3).map(new).collect();
            for _ in 0..40 {
                let (at, from) = (draw(3), draw(3));
                let here = at as u64 + 1;
                let mut origin = nodes[at].origin.clone();
                let mut attrs = (*nodes[at].attrs).clone();
                match draw(3) {
                    0 => {
                        let change = state(&nodes[from]);
                        take(&mut nodes[at], here, &change);
                        continue;
                    }
                    1 => {
                        let next = rising(&attrs) + 1 + draw(3) as u64;
                        attrs.set(attr::OTP_COUNTER, Value::Bytes(next.to_be_bytes().to_vec()));
                    }
                    _ => attrs.set(attr::LABEL, Value::Bytes(vec![draw(256) as u8])),
                }
                (origin.version, origin.origin) = (origin.version + 1, here);
                nodes[at] = Object::new(ObjectId(1), origin, attrs);
            }
            let highest = nodes.iter().map(|node| rising(&node.attrs)).max();
            // As HSMs catch up: each takes what is newer than its own, twice around.
            for _ in 0..2 {
                for at in 0..3 {
                    for from in 0..3 {
                        let change = state(&nodes[from]);
                        take(&mut nodes[at], at as u64 + 1, &change);
                    }
                }
            }
            for node in &nodes {
                assert_eq!(node.origin, nodes[0].origin, "round {round}");
                assert_eq!(*node.attrs, *nodes[0].attrs, "round {round}");
                assert_eq!(Some(rising(&node.attrs)), highest, "round {round}");
            }
        }
    }

    #[test]
    fn a_tombstone_needs_the_masking_key_too() {
        let (ours, theirs) = (SealKey::generate().unwrap(), SealKey::generate().unwrap());
        let tag = ours.seal(&aad(ObjectId(1), 2, 1, false), &[]).unwrap();
        let change = Change {
            id: ObjectId(1),
            version: 2,
            origin: 1,
            sealed: None,
            tag,
        };
        assert!(open(&ours, &change).is_ok());
        assert_eq!(
            open(&theirs, &change).err().map(|e| e.rv),
            Some(Rv::WRAPPED_KEY_INVALID)
        );
        let forged = Change {
            version: 3,
            ..change
        };
        assert!(open(&ours, &forged).is_err());
    }
}
