//! How what was made gets to the other nodes: the maker's reply brings sealed changes, and the
//! link carries them on at once. A new token key that fewer than two HSMs hold is taken back.

use hsm_api::{Change, ObjectId, Reply, Request, Rv, SessionId};

use super::balance::{Balance, Done};
use super::homes::{Homes, Place, made};
use super::line::{Line, Terms};
use crate::conn::Failure;

/// How many HSMs must hold a key before it is used.
const ENOUGH: usize = 2;

/// What is to be done with answers of one link.
pub struct Carrier<'a> {
    pub balance: &'a Balance,
    pub homes: &'a Homes,
    pub terms: Terms<'a>,
    pub session: SessionId,
    /// New token keys must be on two HSMs.
    pub availability_check: bool,
}

impl Carrier<'_> {
    /// Sees to it that the others hear of what was made, changed or destroyed.
    ///
    /// # Errors
    /// FUNCTION_FAILED if the availability rule cannot be kept; then nothing has been made.
    pub fn settle(&self, request: &Request<'_>, done: Done) -> hsm_api::Result<Reply> {
        let place = Place {
            node: done.node,
            link: done.link,
        };
        let Reply::Made {
            mut changes,
            written,
        } = done.reply
        else {
            return Ok(done.reply);
        };
        let mut new_keys = Vec::new();
        made(request, &mut |id| {
            if changes.iter().any(|change| change.id == id) {
                new_keys.push(id);
            } else {
                self.homes.keep_object(id, place, self.session);
            }
        });
        if let Request::Destroy { id } = request {
            self.homes.forget_object(*id);
        }
        if done.doubtful {
            self.outrank(&new_keys, place, &mut changes);
        }
        if !changes.is_empty() {
            let held = self.spread(place.node, &changes, !new_keys.is_empty());
            if let Err(shortage) = held
                && self.availability_check
                && !new_keys.is_empty()
            {
                self.undo(&new_keys, place);
                let key = new_keys[0].0;
                return Err(hsm_api::Error::new(
                    Rv::FUNCTION_FAILED,
                    format!(
                        "Key {key:032x} does not meet the availability requirements - The key must \
                         be available on at least 2 HSMs before being used. ({shortage}. Add or \
                         repair an HSM, or disable the key availability check.)"
                    ),
                ));
            }
        }
        Ok(Reply::Made {
            changes: Vec::new(),
            written,
        })
    }

    /// Gives changes to all other nodes. `Err` says why fewer than two hold them now.
    fn spread(&self, maker: usize, changes: &[Change], must: bool) -> Result<(), String> {
        let lines = &self.balance.lines;
        let mut holders = 1;
        let mut shortage = format!("{} of {} HSMs took it", holders, lines.len());
        // Nodes that rest come last, and only if the rule cannot be kept without them.
        for resting in [false, true] {
            if resting && (!must || holders >= ENOUGH) {
                break;
            }
            let others = lines.iter().enumerate().filter(|(node, _)| *node != maker);
            let wanted: Vec<&Line> = others
                .map(|(_, line)| line)
                .filter(|line| line.is_resting() == resting)
                .collect();
            for line in wanted {
                let apply = Request::Apply {
                    changes: changes.to_vec(),
                };
                match line.call(self.terms, self.session, &apply, &mut []) {
                    Ok(_) => holders += 1,
                    Err(Failure::Refused(why) | Failure::Lost { why, .. }) => {
                        shortage = why.to_string();
                    }
                }
            }
        }
        if holders >= ENOUGH {
            Ok(())
        } else {
            Err(shortage)
        }
    }

    /// A node that cannot be asked may have made objects of the same ids with other key material, and
    /// catch-up keeps the newer of two. A change of nothing makes ours the newer one.
    fn outrank(&self, ids: &[ObjectId], place: Place, changes: &mut [Change]) {
        for &id in ids {
            let touch = Request::SetAttributes {
                id,
                template: Vec::new(),
            };
            if let Ok((Reply::Made { changes: newer, .. }, _)) = self.at(place, &touch) {
                for newer in newer {
                    if let Some(change) = changes.iter_mut().find(|change| change.id == newer.id) {
                        *change = newer;
                    }
                }
            }
        }
    }

    /// Destroys what the rule does not allow to stay, wherever it got to.
    fn undo(&self, ids: &[ObjectId], place: Place) {
        for &id in ids {
            // Where this fails the node is gone, and a key that nobody was told of stays unused.
            if let Ok((Reply::Made { changes, .. }, _)) = self.at(place, &Request::Destroy { id }) {
                let _ = self.spread(place.node, &changes, false);
            }
        }
    }

    fn at(&self, place: Place, request: &Request<'_>) -> super::line::Answer {
        self.balance.lines[place.node].call(self.terms, self.session, request, &mut [])
    }
}
