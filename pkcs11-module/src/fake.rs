//! An HSM for unit tests: it keeps a list of what it was asked, and answers with bytes that show where
//! they come from. It is no HSM: what a request does is tested against the real one.

use std::sync::Arc;

use hsm_api::reply::TokenInfo;
use hsm_api::{
    Class, Hello, Hsm, KeyFacts, KeyRef, KeyType, Link, ObjectId, Op, Reply, Request, Result, Rv,
    SessionId, Uses,
};
use parking_lot::Mutex;

use crate::module::Module;
use crate::personality::Personality;
use crate::selection::Selection;
use crate::token::{PinForm, SlotSpec};

/// What was asked, by name, and how to fail.
#[derive(Default)]
pub struct Fake {
    /// Names of the requests since the last [`Fake::asked`].
    asked: Mutex<Vec<&'static str>>,
    /// Answers the next Crypt, Update, Finish or InitToken instead.
    pub fail: Mutex<Option<Rv>>,
    /// Panics at the next Crypt.
    pub panic: Mutex<bool>,
    /// A login, and the token's initialisation, takes until this can be had.
    pub slow: Mutex<()>,
}

/// How many bytes of padding a decryption of the fake's takes off.
pub const PADDING: usize = 5;

impl Fake {
    /// A module with one slot on this HSM.
    pub fn module(self: &Arc<Fake>, pins: PinForm, personality: Personality) -> Module {
        let spec = SlotSpec {
            key: "fake".into(),
            description: "fake".into(),
            hsm: Arc::new(Opener(self.clone())),
            pins,
            personality,
            mechanisms: Selection::All,
        };
        Module::with_slots(vec![spec]).unwrap()
    }

    /// Names of the requests since the last question.
    pub fn asked(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.asked.lock())
    }

    fn give(&self, op: Option<Op>, len: usize, out: &mut [u8]) -> Result<Reply> {
        if let Some(rv) = self.fail.lock().take() {
            return Err(rv.into());
        }
        let len = if op == Some(Op::Decrypt) {
            len.saturating_sub(PADDING)
        } else {
            len
        };
        let len = len.min(out.len());
        out[..len].fill(0xD0);
        Ok(Reply::Written(len))
    }
}

struct Opener(Arc<Fake>);

impl Hsm for Opener {
    fn open(&self, _who: &Hello) -> Result<Arc<dyn Link>> {
        Ok(self.0.clone())
    }
}

impl Link for Fake {
    fn call(&self, _session: SessionId, request: &Request<'_>, out: &mut [u8]) -> Result<Reply> {
        let text = format!("{request:?}");
        let known = [
            "Crypt",
            "Begin",
            "Update",
            "Finish",
            "Abort",
            "Resolve",
            "Login",
            "Logout",
            "InitToken",
        ];
        let name = known
            .into_iter()
            .find(|n| text.split([' ', '{']).next() == Some(n));
        self.asked.lock().push(name.unwrap_or("other"));
        match request {
            Request::TokenInfo => Ok(Reply::Token(TokenInfo {
                label: "fake".into(),
                serial: "1".into(),
                model: "fake".into(),
                initialized: true,
                user_pin_set: true,
                user_failures: 0,
                user_locked: false,
                so_failures: 0,
                so_locked: false,
                max_failures: 10,
                min_pin: 4,
                max_pin: 255,
            })),
            Request::Find { .. } => Ok(Reply::Objects((1..=3).map(ObjectId).collect())),
            Request::Resolve { id } => Ok(Reply::Key(
                KeyRef::by_id(*id),
                KeyFacts {
                    class: Class(4),
                    key_type: KeyType(0x1F),
                    bits: 256,
                    sub_bits: 0,
                    uses: Uses(u32::MAX),
                    token: true,
                    private: true,
                    modifiable: true,
                    always_authenticate: false,
                    allowed: None,
                    named_curve: false,
                },
            )),
            Request::Login { name, pin, .. } => {
                drop(self.slow.lock());
                match (name, pin.0) {
                    (None | Some("cu1"), b"right:pin") => Ok(Reply::Done),
                    _ => Err(Rv::PIN_INCORRECT.into()),
                }
            }
            Request::InitToken { .. } => {
                drop(self.slow.lock());
                self.fail
                    .lock()
                    .take()
                    .map_or(Ok(Reply::Done), |rv| Err(rv.into()))
            }
            Request::Crypt { .. } if std::mem::take(&mut *self.panic.lock()) => {
                panic!("the fake was told to")
            }
            Request::Crypt { op, data, .. } => self.give(Some(*op), data.len(), out),
            Request::Update { data, .. } => self.give(None, data.len(), out),
            Request::Finish { .. } => self.give(None, out.len(), out),
            _ => Ok(Reply::Done),
        }
    }
}
