//! The slots against an HSM that keeps a list.

use super::*;
use crate::fake::{Fake, PADDING};
use crate::module::Module;
use crate::personality::Personality;
use crate::session::{Entered, Session};
use crate::token::PinForm;

const CBC_PAD: MechId = MechId(0x1085);

fn session(fake: &Arc<Fake>) -> (Module, Arc<Session>) {
    let m = fake.module(PinForm::Plain, Personality::Standard);
    let h = m.sessions.open(&m.slot(0).unwrap(), true).unwrap();
    let session = m.session(h).unwrap();
    (m, session)
}

fn begin(session: &Session, state: &mut State, op: Op) {
    let mech = Mechanism {
        id: CBC_PAD,
        params: Params::Iv(vec![0; 16].into()),
    };
    let key = session.slot.handle(hsm_api::ObjectId(7));
    init(session, state, op, Some(mech), Some(key)).unwrap();
}

fn short(result: Result<Told>) -> bool {
    result.is_err_and(|e| e.rv == Rv::BUFFER_TOO_SMALL)
}

#[test]
fn a_length_known_afterwards_costs_the_work_once() {
    let fake = Arc::new(Fake::default());
    let (_m, s) = session(&fake);
    let mut state = s.enter().unwrap();
    begin(&s, &mut state, Op::Decrypt);
    assert_eq!(
        fake.asked(),
        ["other", "Resolve"],
        "TokenInfo, the key, and no more for an Init"
    );
    let (data, mut len) = ([1u8; 32], 0);
    let told = whole(
        &s,
        &mut state,
        Op::Decrypt,
        &data,
        &mut Out::lent(None, &mut len),
    );
    assert_eq!(
        (told, len),
        (Ok(Told::Length), 32),
        "the bound answers a query"
    );
    let mut hopeless = [0u8; 15];
    let mut out = Out::lent(Some(&mut hopeless), &mut len);
    assert!(short(whole(&s, &mut state, Op::Decrypt, &data, &mut out)));
    assert_eq!(
        (len as usize, fake.asked()),
        (32, vec![]),
        "a block at most is padding"
    );
    let mut small = [0u8; 20];
    let mut out = Out::lent(Some(&mut small), &mut len);
    assert!(short(whole(&s, &mut state, Op::Decrypt, &data, &mut out)));
    assert_eq!((len as usize, fake.asked()), (32 - PADDING, vec!["Crypt"]));
    let mut enough = [0u8; 32 - PADDING];
    let mut out = Out::lent(Some(&mut enough), &mut len);
    let told = whole(&s, &mut state, Op::Decrypt, &data, &mut out);
    assert_eq!(told, Ok(Told::Bytes(32 - PADDING)));
    assert_eq!(
        (enough, fake.asked()),
        ([0xD0; 32 - PADDING], vec![]),
        "from the cache"
    );
    assert!(!state.ops.is_active(Op::Decrypt));
}

#[test]
fn an_exact_length_costs_no_work_when_the_buffer_is_short() {
    let fake = Arc::new(Fake::default());
    let (_m, s) = session(&fake);
    let mut state = s.enter().unwrap();
    begin(&s, &mut state, Op::Encrypt);
    fake.asked();
    let (mut buf, mut len) = ([0u8; 31], 0);
    let mut out = Out::lent(Some(&mut buf), &mut len);
    assert!(short(whole(
        &s,
        &mut state,
        Op::Encrypt,
        &[1; 16],
        &mut out
    )));
    assert_eq!((len, fake.asked()), (32, vec![]));
    assert!(
        state.ops.is_active(Op::Encrypt),
        "a short buffer ends nothing"
    );
}

fn update_with(
    s: &Session,
    state: &mut Entered<'_>,
    data: &[u8],
    room: usize,
) -> (Result<Told>, usize) {
    let (mut buf, mut len) = (vec![0; room], 0);
    let told = update(
        s,
        state,
        Op::Encrypt,
        data,
        &mut Out::lent(Some(&mut buf), &mut len),
    );
    (told, len as usize)
}

#[test]
fn a_stream_begins_late_and_errors_end_it() {
    let fake = Arc::new(Fake::default());
    let (_m, s) = session(&fake);
    let mut state = s.enter().unwrap();
    begin(&s, &mut state, Op::Encrypt);
    fake.asked();
    let (told, len) = update_with(&s, &mut state, &[1; 20], 15);
    assert!(short(told) && len == 16);
    assert_eq!(
        update_with(&s, &mut state, &[1; 20], 16).0,
        Ok(Told::Bytes(16))
    );
    let (told, len) = update_with(&s, &mut state, &[1; 12], 0);
    assert!(
        short(told) && len == 16,
        "4 bytes waited: 12 more make a block, and not 0"
    );
    assert_eq!(fake.asked(), ["Begin", "Update"]);
    let one_shot = whole(
        &s,
        &mut state,
        Op::Encrypt,
        &[1],
        &mut Out::lent(None, &mut 0),
    );
    assert_eq!(one_shot.unwrap_err().rv, Rv::OPERATION_ACTIVE);
    assert_eq!(fake.asked(), ["Abort"]);
    assert!(!state.ops.is_active(Op::Encrypt));

    begin(&s, &mut state, Op::Encrypt);
    assert_eq!(
        update_with(&s, &mut state, &[1; 16], 16).0,
        Ok(Told::Bytes(16))
    );
    let mut len = 0;
    let told = finish(&s, &mut state, Op::Encrypt, &mut Out::lent(None, &mut len));
    assert_eq!((told, len), (Ok(Told::Length), 16));
    *fake.fail.lock() = Some(Rv::DEVICE_REMOVED);
    let mut buf = [0; 16];
    let told = finish(
        &s,
        &mut state,
        Op::Encrypt,
        &mut Out::lent(Some(&mut buf), &mut len),
    );
    assert_eq!(told.unwrap_err().rv, Rv::DEVICE_REMOVED);
    assert!(
        !state.ops.is_active(Op::Encrypt),
        "and the session lives on"
    );
    begin(&s, &mut state, Op::Encrypt);
}

#[test]
fn a_panic_leaves_no_operation_behind() {
    let fake = Arc::new(Fake::default());
    let (_m, s) = session(&fake);
    begin(&s, &mut s.enter().unwrap(), Op::Encrypt);
    *fake.panic.lock() = true;
    let work = std::panic::AssertUnwindSafe(|| {
        let (mut buf, mut len) = ([0; 32], 0);
        let mut state = s.enter().unwrap();
        let mut out = Out::lent(Some(&mut buf), &mut len);
        whole(&s, &mut state, Op::Encrypt, &[1; 16], &mut out)
    });
    assert!(std::panic::catch_unwind(work).is_err());
    assert!(!s.enter().unwrap().ops.is_active(Op::Encrypt));
}

#[test]
fn a_null_mechanism_cancels() {
    let fake = Arc::new(Fake::default());
    let (_m, s) = session(&fake);
    let mut state = s.enter().unwrap();
    let none = init(&s, &mut state, Op::Encrypt, None, None);
    assert_eq!(none.unwrap_err().rv, Rv::ARGUMENTS_BAD);
    begin(&s, &mut state, Op::Encrypt);
    init(&s, &mut state, Op::Encrypt, None, None).unwrap();
    assert!(!state.ops.is_active(Op::Encrypt));
}
