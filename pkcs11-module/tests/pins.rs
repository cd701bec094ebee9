//! PINs as the specification has them: flags that tell how many tries are left, locks, changes that
//! other processes see (a copy of the library stands for one), and a process that dies in the midst.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use cryptoki::context::Pkcs11;
use cryptoki::error::RvError;
use cryptoki::mechanism::Mechanism;
use cryptoki::object::Attribute;
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;

use crate::copy::{Copy, SO_PIN, USER_PIN, refused, user};
use crate::host::compile;

fn pin(text: &str) -> AuthPin {
    AuthPin::new(text.into())
}

/// Count low, final try, locked: the user's and the officer's.
fn flags(p11: &Pkcs11, slot: Slot) -> [[bool; 3]; 2] {
    let info = p11.get_token_info(slot).unwrap();
    [
        [
            info.user_pin_count_low(),
            info.user_pin_final_try(),
            info.user_pin_locked(),
        ],
        [
            info.so_pin_count_low(),
            info.so_pin_final_try(),
            info.so_pin_locked(),
        ],
    ]
}

/// Two copies on one directory, the first with a token.
fn two() -> (tempfile::TempDir, [Copy; 2], [Pkcs11; 2], Slot) {
    let dir = tempfile::tempdir().unwrap();
    let config = format!("[[token]]\ndirectory = \"{}\"\n", dir.path().display());
    let copies = [Copy::with(&config), Copy::with(&config)];
    let (one, slot) = copies[0].token();
    let two = copies[1].start();
    (dir, copies, [one, two], slot)
}

const NONE: [bool; 3] = [false; 3];
const LOW: [bool; 3] = [true, false, false];
const LAST: [bool; 3] = [true, true, false];
const LOCKED: [bool; 3] = [false, false, true];

#[test]
fn a_lock_and_its_flags_are_seen_by_all() {
    let (_dir, _copies, [one, two], slot) = two();
    let session = one.open_rw_session(slot).unwrap();
    let other = two.open_rw_session(slot).unwrap();
    let wrong = |who| refused(session.login(who, Some(&pin("wrong-one"))));
    let seen = || {
        let seen = flags(&one, slot);
        assert_eq!(flags(&two, slot), seen, "both see the same");
        seen
    };
    assert_eq!(seen(), [NONE, NONE]);
    for (who, at) in [(UserType::User, 0), (UserType::So, 1)] {
        let right = pin(if at == 0 { USER_PIN } else { SO_PIN });
        assert_eq!(wrong(who), RvError::PinIncorrect);
        assert_eq!(seen()[at], LOW);
        other.login(who, Some(&right)).unwrap();
        assert_eq!(seen()[at], NONE, "a right one forgives the wrong ones");
        other.logout().unwrap();
        for _ in 0..9 {
            assert_eq!(wrong(who), RvError::PinIncorrect);
        }
        assert_eq!(seen()[at], LAST);
        assert!([RvError::PinIncorrect, RvError::PinLocked].contains(&wrong(who)));
        assert_eq!(seen()[at], LOCKED);
        for session in [&session, &other] {
            let locked = session.login(who, Some(&right));
            assert_eq!(refused(locked), RvError::PinLocked);
        }
        if at == 0 {
            other.login(UserType::So, Some(&pin(SO_PIN))).unwrap();
            other.init_pin(&pin("a-new-one")).unwrap();
            other.logout().unwrap();
            assert_eq!(seen(), [NONE, NONE], "the officer helps");
            session.login(who, Some(&pin("a-new-one"))).unwrap();
            session.logout().unwrap();
        }
    }
    drop((session, other));
    let anew = one.init_token(slot, &pin(SO_PIN), "t");
    assert_eq!(refused(anew), RvError::PinLocked, "nor is it wiped");
}

fn key(session: &Session) -> cryptoki::object::ObjectHandle {
    let template = [
        Attribute::Token(true),
        Attribute::ValueLen(32.into()),
        Attribute::Label(b"kept".to_vec()),
    ];
    session
        .generate_key(&Mechanism::AesKeyGen, &template)
        .unwrap()
}

fn works(session: &Session) {
    let found = session.find_objects(&[Attribute::Label(b"kept".to_vec())]);
    let [key] = found.unwrap()[..] else {
        panic!("one key is kept");
    };
    let sealed = session.encrypt(&Mechanism::AesCbc([1; 16]), key, &[2; 32]);
    assert_eq!(sealed.unwrap().len(), 32);
}

#[test]
fn a_change_elsewhere_leaves_who_is_logged_in() {
    let (_dir, _copies, [one, two], slot) = two();
    let (here, there) = (user(&one, slot), user(&two, slot));
    key(&here);
    works(&there);
    here.set_pin(&pin(USER_PIN), &pin("changed")).unwrap();
    works(&there);
    let second = two.open_rw_session(slot).unwrap();
    works(&second);
    let stale = second.set_pin(&pin(USER_PIN), &pin("mine"));
    assert_eq!(refused(stale), RvError::PinIncorrect);
    there.logout().unwrap();
    let old = there.login(UserType::User, Some(&pin(USER_PIN)));
    assert_eq!(refused(old), RvError::PinIncorrect);
    there.login(UserType::User, Some(&pin("changed"))).unwrap();
    works(&there);
    there.logout().unwrap();
    // The officer's own, and the user's by the officer; the user of the first copy goes on.
    there.login(UserType::So, Some(&pin(SO_PIN))).unwrap();
    there.set_pin(&pin(SO_PIN), &pin("officer-two")).unwrap();
    there.init_pin(&pin("by-officer")).unwrap();
    there.logout().unwrap();
    works(&here);
    let old = there.login(UserType::So, Some(&pin(SO_PIN)));
    assert_eq!(refused(old), RvError::PinIncorrect);
    let new = pin("by-officer");
    there.login(UserType::User, Some(&new)).unwrap();
    works(&there);
}

/// Runs the C host until it has said `lines` and `more` of a moment has passed, kills it, and says its
/// last word.
fn killed(copy: &Copy, program: &Path, mode: &str, lines: usize, more: Duration) -> String {
    let mut host = Command::new(program)
        .arg(copy.path())
        .arg(mode)
        .env("KEYSTEAD_PKCS11_CONF", copy.dir().join("pkcs11.toml"))
        .env_remove("KEYSTEAD_PKCS11_LOG")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(host.stdout.take().unwrap()).lines();
    let mut last = String::new();
    for _ in 0..lines {
        last = said.next().expect("it says something").unwrap();
    }
    std::thread::sleep(more);
    host.kill().unwrap();
    host.wait().unwrap();
    said.map(Result::unwrap).last().unwrap_or(last)
}

#[test]
fn a_death_amid_a_change_of_pin_loses_nothing() {
    let copy = Copy::new();
    let (p11, slot) = copy.token();
    key(&user(&p11, slot));
    let program = compile(copy.dir());
    let mut now = USER_PIN.to_owned();
    for round in 0..12 {
        let more = Duration::from_millis(round * 13);
        let mode = format!("change-pins-{now}");
        let acknowledged = killed(&copy, &program, &mode, 2, more);
        let next = if acknowledged == USER_PIN {
            "another-pin"
        } else {
            USER_PIN
        };
        let session = p11.open_rw_session(slot).unwrap();
        // The change that was cut off has happened, or it has not.
        now = match session.login(UserType::User, Some(&pin(&acknowledged))) {
            Ok(()) => acknowledged,
            Err(_) => {
                session.login(UserType::User, Some(&pin(next))).unwrap();
                next.to_owned()
            }
        };
        works(&session);
    }
}

#[test]
fn a_death_amid_an_initialisation_leaves_a_token() {
    let copy = Copy::new();
    let (p11, slot) = copy.token();
    key(&user(&p11, slot));
    let program = compile(copy.dir());
    for round in 0..8 {
        let more = Duration::from_millis(round * 17);
        let said = killed(&copy, &program, "init-tokens", 2, more);
        let label = p11.get_token_info(slot).unwrap().label().to_owned();
        let (said, label): (u32, u32) = (said.parse().unwrap(), label.parse().unwrap());
        assert!(label == said || label == said + 1, "{label} after {said}");
        let session = p11.open_rw_session(slot).unwrap();
        session.login(UserType::So, Some(&pin(SO_PIN))).unwrap();
        session.init_pin(&pin(USER_PIN)).unwrap();
        session.logout().unwrap();
        session.login(UserType::User, Some(&pin(USER_PIN))).unwrap();
        assert_eq!(session.find_objects(&[]).unwrap(), [], "nothing of before");
        key(&session);
        works(&session);
    }
}
