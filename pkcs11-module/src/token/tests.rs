use super::*;
use crate::call::{self, object, session};
use crate::fake::Fake;
use crate::module::Module;

fn module(pins: PinForm, personality: Personality) -> (Arc<Fake>, Module) {
    let fake = Arc::new(Fake::default());
    let module = fake.module(pins, personality);
    (fake, module)
}

fn open(m: &Module, read_write: bool) -> Result<u64> {
    m.sessions.open(&m.slot(0)?, read_write)
}

fn rv<T>(result: Result<T>) -> Option<Rv> {
    result.err().map(|e| e.rv)
}

#[test]
fn login_is_shared_and_goes_with_the_last_session() {
    let (fake, m) = module(PinForm::Plain, Personality::Standard);
    let (ro, rw) = (open(&m, false).unwrap(), open(&m, true).unwrap());
    let pin = b"right:pin";
    let login = |h, user| session::login(&m, h, user, None, pin);
    assert_eq!(rv(login(rw, 0)), Some(Rv::SESSION_READ_ONLY_EXISTS));
    assert_eq!(
        rv(session::login(&m, rw, 1, None, b"wrong")),
        Some(Rv::PIN_INCORRECT)
    );
    assert_eq!(rv(login(rw, 9)), Some(Rv::USER_TYPE_INVALID));
    assert_eq!(rv(login(rw, 2)), Some(Rv::USER_NOT_LOGGED_IN));
    login(rw, 1).unwrap();
    assert_eq!(rv(login(ro, 1)), Some(Rv::USER_ALREADY_LOGGED_IN));
    assert_eq!(rv(login(ro, 0)), Some(Rv::USER_ANOTHER_ALREADY_LOGGED_IN));
    assert_eq!(rv(login(ro, 2)), Some(Rv::OPERATION_NOT_INITIALIZED));
    assert_eq!(
        m.session(ro).unwrap().ck_state(),
        pkcs11_sys::CKS_RO_USER_FUNCTIONS
    );
    m.sessions.close(rw).unwrap();
    assert!(!fake.asked().contains(&"Logout"));
    m.sessions.close(ro).unwrap();
    assert!(fake.asked().contains(&"Logout"));
    assert_eq!(rv(m.sessions.close(ro)), Some(Rv::SESSION_HANDLE_INVALID));

    let rw = open(&m, true).unwrap();
    assert_eq!(
        m.session(rw).unwrap().ck_state(),
        pkcs11_sys::CKS_RW_PUBLIC_SESSION
    );
    login(rw, 0).unwrap();
    assert_eq!(rv(open(&m, false)), Some(Rv::SESSION_READ_WRITE_SO_EXISTS));
    session::logout(&m, rw).unwrap();
    assert_eq!(rv(session::logout(&m, rw)), Some(Rv::USER_NOT_LOGGED_IN));
}

/// A PIN is checked slowly, and an HSM may not answer at all for a while.
#[test]
fn a_login_under_way_stops_no_other_session() {
    let (fake, m) = module(PinForm::Plain, Personality::Standard);
    let h = open(&m, true).unwrap();
    let (enough, ended) = std::sync::mpsc::channel();
    std::thread::scope(|threads| {
        let slow = fake.slow.lock();
        let login = threads.spawn(|| session::login(&m, h, 1, None, b"right:pin"));
        while !fake.asked().contains(&"Login") {
            std::thread::yield_now();
        }
        let m = &m;
        threads.spawn(move || {
            let other = open(m, false).unwrap();
            let state = m.session(other).unwrap().ck_state();
            m.sessions.close(other).unwrap();
            enough.send(state).unwrap();
        });
        let state = ended.recv_timeout(std::time::Duration::from_secs(10));
        drop(slow);
        assert_eq!(state, Ok(pkcs11_sys::CKS_RO_PUBLIC_SESSION));
        login.join().unwrap().unwrap();
    });
    assert_eq!(m.slot(0).unwrap().login_state(), Some(Login::User));
}

#[test]
fn no_session_opens_while_the_token_is_initialised() {
    let (fake, m) = module(PinForm::Plain, Personality::Standard);
    let init = || rv(call::slot::init_token(&m, 0, b"right:pin", &[b' '; 32]));
    let (opened, open_ended) = std::sync::mpsc::channel();
    std::thread::scope(|threads| {
        let slow = fake.slow.lock();
        let works = threads.spawn(init);
        while !fake.asked().contains(&"InitToken") {
            std::thread::yield_now();
        }
        let m = &m;
        threads.spawn(move || opened.send(open(m, true)).unwrap());
        let early = open_ended.recv_timeout(std::time::Duration::from_millis(200));
        drop(slow);
        assert!(early.is_err(), "a session of a token that is being wiped");
        assert_eq!(works.join().unwrap(), None);
        let late = open_ended.recv_timeout(std::time::Duration::from_secs(10));
        late.unwrap().unwrap();
    });
    assert_eq!(init(), Some(Rv::SESSION_EXISTS));
    m.sessions.close_all(None);
    // One that fails lets sessions in again.
    *fake.fail.lock() = Some(Rv::PIN_INCORRECT);
    assert_eq!(init(), Some(Rv::PIN_INCORRECT));
    open(&m, true).unwrap();
}

/// The rules hold for what is true when the PIN was checked.
#[test]
fn an_officer_does_not_log_in_beside_a_reader_that_came_meanwhile() {
    let (fake, m) = module(PinForm::Plain, Personality::Standard);
    let h = open(&m, true).unwrap();
    std::thread::scope(|threads| {
        let slow = fake.slow.lock();
        let login = threads.spawn(|| session::login(&m, h, 0, None, b"right:pin"));
        while !fake.asked().contains(&"Login") {
            std::thread::yield_now();
        }
        open(&m, false).unwrap();
        drop(slow);
        let refused = rv(login.join().unwrap());
        assert_eq!(refused, Some(Rv::SESSION_READ_ONLY_EXISTS));
    });
    assert!(fake.asked().contains(&"Logout"), "of what was let in");
    assert_eq!(m.slot(0).unwrap().login_state(), None);
}

#[test]
fn an_unexpected_answer_is_not_told_to_the_log() {
    let why = |reply| unexpected(&reply).why.into_owned();
    let said = why(Reply::Bytes(vec![0x41; 9]));
    assert!(said.ends_with("form: Bytes"), "{said}");
    assert!(why(Reply::Done).ends_with("form: Done"));
}

#[test]
fn a_cluster_pin_names_its_user() {
    let (_fake, m) = module(PinForm::UserAndPassword, Personality::Standard);
    let h = open(&m, true).unwrap();
    let login = |pin: &[u8]| session::login(&m, h, 1, None, pin);
    assert_eq!(rv(login(b"nocolon")), Some(Rv::PIN_INCORRECT));
    assert_eq!(rv(login(b":right:pin")), Some(Rv::PIN_INCORRECT));
    login(b"cu1:right:pin").unwrap();
    let slot = m.slot(0).unwrap();
    assert_eq!(slot.own_pin(b"cu1:new"), b"new");
    assert_eq!(slot.own_pin(b"CU1:new"), b"new", "names ignore case");
    assert_eq!(slot.own_pin(b"new"), b"new");
    assert_eq!(slot.own_pin(b"cu2:new"), b"cu2:new");
}

#[test]
fn cloudhsm_takes_read_write_sessions_of_users_only() {
    let (_fake, m) = module(PinForm::UserAndPassword, Personality::CloudHsm);
    assert_eq!(rv(open(&m, false)), Some(Rv::FUNCTION_FAILED));
    let h = open(&m, true).unwrap();
    let so = session::login(&m, h, 0, None, b"cu1:right:pin");
    assert_eq!(rv(so), Some(Rv::USER_TYPE_INVALID));
}

#[test]
fn handles_stay_and_searches_are_snapshots() {
    let (_fake, m) = module(PinForm::Plain, Personality::Standard);
    let (a, b) = (open(&m, true).unwrap(), open(&m, false).unwrap());
    let found = |h| {
        object::find_init(&m, h, Vec::new()).unwrap();
        let again = object::find_init(&m, h, Vec::new());
        assert_eq!(rv(again), Some(Rv::OPERATION_ACTIVE));
        let session = m.session(h).unwrap();
        let mut state = session.enter().unwrap();
        let find = state.find.as_mut().unwrap();
        let mut all = find.next(2).to_vec();
        all.extend_from_slice(find.next(usize::MAX));
        assert!(find.next(1).is_empty());
        drop(state);
        object::find_final(&m, h).unwrap();
        assert_eq!(
            rv(object::find_final(&m, h)),
            Some(Rv::OPERATION_NOT_INITIALIZED)
        );
        all
    };
    let first = found(a);
    assert_eq!(first.len(), 3);
    assert_eq!(found(b), first);
    assert_eq!(
        rv(object::destroy(&m, b, first[0])),
        Some(Rv::SESSION_READ_ONLY)
    );
    object::destroy(&m, a, first[0]).unwrap();
    assert_eq!(
        rv(object::destroy(&m, a, first[0])),
        Some(Rv::OBJECT_HANDLE_INVALID)
    );
    assert_eq!(found(a)[1..], first[1..]);
}

#[test]
fn who_waits_for_events_is_woken_by_the_end() {
    let (_fake, m) = module(PinForm::Plain, Personality::Standard);
    let event = || rv(crate::call::general::no_event(&m));
    assert_eq!(event(), Some(Rv::NO_EVENT));
    std::thread::scope(|threads| {
        let waits = threads.spawn(|| m.wait_for_stop());
        m.shut();
        waits.join().unwrap();
    });
    assert_eq!(event(), Some(Rv::CRYPTOKI_NOT_INITIALIZED));
}
