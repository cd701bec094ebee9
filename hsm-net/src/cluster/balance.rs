//! Which node is asked, and who is asked next. Only a transport failure, or an object that a node does
//! not have yet, moves a request on; a node that answered, even with an error, has answered.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use hsm_api::{Error, Replay, Reply, Request, Result, Rv, SessionId};

use super::line::{Line, Terms};
use crate::conn::{self, Failure};

/// An answered request.
pub struct Done {
    pub reply: Reply,
    /// Who answered.
    pub node: usize,
    /// In which link of its.
    pub link: u64,
    /// Another node may have carried out the same request, and cannot be asked.
    pub doubtful: bool,
}

/// The nodes of a link, and whose turn it is among the equally busy.
pub struct Balance {
    pub lines: Vec<Line>,
    turn: AtomicUsize,
}

impl Balance {
    pub fn new(lines: Vec<Line>) -> Self {
        // Many short-lived processes must not all begin with the same node.
        Balance {
            lines,
            turn: AtomicUsize::new(rand::random::<u16>().into()),
        }
    }

    /// Asks one node, and others as far as the request's replay class allows.
    pub fn ask(
        &self,
        terms: Terms<'_>,
        session: SessionId,
        request: &Request<'_>,
        out: &mut [u8],
    ) -> Result<Done> {
        let mut tried = 0_u64;
        let mut unknown: Option<Error> = None;
        let mut lost: Option<Error> = None;
        let mut doubtful = false;
        while let Some(node) = self.choose(tried) {
            tried |= 1 << node;
            match self.lines[node].call(terms, session, request, out) {
                Ok((reply, link)) => {
                    return Ok(Done {
                        reply,
                        node,
                        link,
                        doubtful,
                    });
                }
                // A clone may be on its way to this one.
                Err(Failure::Refused(e)) if is_unknown_object(e.rv) => {
                    if doubtful && matches!(request, Request::Destroy { .. }) {
                        // Destroyed by the node that could not tell us any more; catch-up spreads it.
                        let reply = Reply::Made {
                            changes: Vec::new(),
                            written: 0,
                        };
                        return Ok(Done {
                            reply,
                            node,
                            link: 0,
                            doubtful,
                        });
                    }
                    unknown.get_or_insert(e);
                }
                Err(Failure::Refused(e)) => return Err(e),
                Err(Failure::Lost { sent, why }) => {
                    if sent && request.replay() == Replay::Never {
                        return Err(Error::new(
                            Rv::DEVICE_ERROR,
                            format!(
                                "{why}: the answer was lost; the request may have been carried out"
                            ),
                        ));
                    }
                    doubtful |= sent;
                    // Why a node that was reached could not be used tells more than that others were not.
                    if lost
                        .as_ref()
                        .is_none_or(|before| conn::is_transport(before.rv))
                    {
                        lost = Some(why);
                    }
                }
            }
        }
        Err(unknown
            .or(lost.map(conn::unusable))
            .unwrap_or_else(|| Rv::DEVICE_ERROR.into()))
    }

    /// The least busy untried node; one that is resting only if no other is left.
    fn choose(&self, tried: u64) -> Option<usize> {
        let count = self.lines.len();
        let turn = self.turn.fetch_add(1, Relaxed);
        (0..count)
            .map(|i| turn.wrapping_add(i) % count)
            .filter(|node| tried & (1 << node) == 0)
            .min_by_key(|&node| (self.lines[node].is_resting(), self.lines[node].busy()))
    }
}

fn is_unknown_object(rv: Rv) -> bool {
    matches!(
        rv,
        Rv::KEY_HANDLE_INVALID
            | Rv::OBJECT_HANDLE_INVALID
            | Rv::WRAPPING_KEY_HANDLE_INVALID
            | Rv::UNWRAPPING_KEY_HANDLE_INVALID
    )
}
