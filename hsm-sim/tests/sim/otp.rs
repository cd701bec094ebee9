//! One-time passwords through the engine: RFC 4226's own, and what becomes of the counter.

use std::collections::HashSet;
use std::sync::Arc;

use hsm_api::reply::AttrReply;
use hsm_api::{
    Attr, AttrType, Error, Hidden, Link, MechId, Mechanism, ObjectId, Op, Params, Peer, Reply,
    Request, Result, Role, Rv, Template, Value,
};
use hsm_sim::attr;

use super::rig::*;

const SECRET: &[u8] = b"12345678901234567890";
/// RFC 4226, appendix D.
const PASSWORDS: [&str; 10] = [
    "755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871",
    "520489",
];

fn key(link: &Arc<dyn Link>, extra: Template) -> Result<ObjectId> {
    let new = id();
    let mut template = vec![
        n(attr::CLASS, 8),
        n(attr::KEY_TYPE, 0x23),
        bytes(attr::VALUE, SECRET),
    ];
    template.extend(extra);
    link.ask(&Request::Create { id: new, template })?;
    Ok(new)
}

fn hotp(counter: Option<u64>, digits: Option<u32>) -> Mechanism<'static> {
    let params = match (counter, digits) {
        (None, None) => Params::None,
        _ => Params::Otp {
            counter,
            digits,
            friendly: false,
        },
    };
    Mechanism {
        id: MechId(0x291),
        params,
    }
}

fn password(link: &Arc<dyn Link>, key: ObjectId, mech: &Mechanism<'_>) -> Result<String> {
    let made = link.crypt(Op::Sign, mech, key, b"")?;
    Ok(String::from_utf8(made[8..].to_vec()).unwrap())
}

fn counter(link: &Arc<dyn Link>, key: ObjectId) -> u64 {
    match link.get(key, attr::OTP_COUNTER) {
        AttrReply::Is(a) => u64::from_be_bytes(a.value.as_bytes().unwrap().try_into().unwrap()),
        other => panic!("{other:?}"),
    }
}

fn rv<T>(result: Result<T>) -> Option<Rv> {
    result.err().map(|e: Error| e.rv)
}

#[test]
fn rfc_4226_and_the_counter_outlives_the_process() {
    let dir = tempfile::tempdir().unwrap();
    let (_, link) = token(dir.path());
    let lasting = key(&link, vec![b(attr::TOKEN, true)]).unwrap();
    let passing = key(&link, vec![]).unwrap();
    for (at, wanted) in PASSWORDS.iter().enumerate().take(7) {
        for of in [lasting, passing] {
            let made = link.crypt(Op::Sign, &hotp(None, None), of, b"").unwrap();
            assert_eq!(made[..8], (at as u64).to_be_bytes());
            assert_eq!(&made[8..], wanted.as_bytes());
            assert_eq!(counter(&link, of), at as u64 + 1);
        }
    }
    drop(link);
    let again = link_again(dir.path());
    for wanted in &PASSWORDS[7..] {
        assert_eq!(
            &password(&again, lasting, &hotp(None, None)).unwrap(),
            wanted
        );
    }
    assert_eq!(counter(&again, lasting), 10);
}

#[test]
fn no_copy_gives_a_password_again() {
    let dir = tempfile::tempdir().unwrap();
    let (_, link) = token(dir.path());
    for lasting in [false, true] {
        let own = key(&link, vec![b(attr::TOKEN, lasting)]).unwrap();
        for template in [vec![], vec![b(attr::TOKEN, true)]] {
            let refused = link.refused(&Request::Copy {
                from: own,
                id: id(),
                template,
            });
            assert_eq!(refused, Rv::ACTION_PROHIBITED);
        }
        let shown = link.get(own, attr::COPYABLE);
        assert!(matches!(shown, AttrReply::Is(a) if a.value == Value::Bool(false)));
    }
    let refused = key(&link, vec![b(attr::COPYABLE, true)]);
    assert_eq!(rv(refused), Some(Rv::ATTRIBUTE_VALUE_INVALID));
}

/// Two HSMs that could not reach each other: one gave three passwords out, the other one and a new label.
#[test]
fn of_two_changes_the_higher_counter_stays() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let service = Service::default();
    let engines = [
        service.active(dirs[0].path(), 1),
        service.node(dirs[1].path(), 2),
    ];
    let Ok(Reply::Bytes(block)) = link(&engines[0], Peer::Service).ask(&Request::Backup) else {
        panic!("no backup");
    };
    let backup = Hidden(&block);
    link(&engines[1], Peer::Service)
        .ask(&Request::Restore { backup })
        .unwrap();
    let users = [0, 1].map(|at| {
        let user = link(&engines[at], Peer::Client);
        user.login(Role::Cu, Some("cu1"), "password1").unwrap();
        user
    });
    let nodes = [0, 1].map(|at| link(&engines[at], Peer::Node));
    let export = |at: usize, key| match nodes[at].ask(&Request::Export { ids: vec![key] }) {
        Ok(Reply::Changes(changes)) => changes,
        other => panic!("{other:?}"),
    };
    let apply = |at: usize, changes| nodes[at].ask(&Request::Apply { changes }).unwrap();
    for ahead in [0, 1] {
        let own = key(&users[0], vec![b(attr::TOKEN, true)]).unwrap();
        apply(1, export(0, own));
        let behind = 1 - ahead;
        for wanted in &PASSWORDS[..3] {
            let made = password(&users[ahead], own, &hotp(None, None)).unwrap();
            assert_eq!(&made, wanted);
        }
        password(&users[behind], own, &hotp(None, None)).unwrap();
        // The change that wins is the one that knows of fewer passwords.
        for _ in 0..3 {
            users[behind].made(&Request::SetAttributes {
                id: own,
                template: vec![bytes(attr::LABEL, b"renamed")],
            });
        }
        let both = [export(0, own), export(1, own)];
        let [first, second] = both;
        apply(1, first);
        apply(0, second);
        apply(1, export(0, own));
        apply(0, export(1, own));
        for user in &users {
            assert_eq!(counter(user, own), 3, "HSM {ahead} was ahead");
            assert_eq!(
                user.found(vec![bytes(attr::LABEL, b"renamed")]).len(),
                1 + ahead
            );
        }
        let versions = [export(0, own), export(1, own)].map(|c| (c[0].version, c[0].origin));
        assert_eq!(versions[0], versions[1]);
    }
}

fn link_again(dir: &std::path::Path) -> Arc<dyn Link> {
    let user = link(&embedded(dir), hsm_api::Peer::Client);
    user.login(Role::Cu, None, "1234").unwrap();
    user
}

#[test]
fn a_given_counter_moves_nothing_and_the_rules_of_the_key_hold() {
    let dir = tempfile::tempdir().unwrap();
    let (_, link) = token(dir.path());
    let own = key(&link, vec![]).unwrap();
    assert_eq!(
        password(&link, own, &hotp(Some(9), None)).unwrap(),
        "520489"
    );
    assert_eq!(
        password(&link, own, &hotp(Some(0), Some(8))).unwrap(),
        "84755224"
    );
    assert_eq!(counter(&link, own), 0);
    let ignores = key(&link, vec![n(attr::OTP_COUNTER_REQUIREMENT, 0)]).unwrap();
    assert_eq!(
        password(&link, ignores, &hotp(Some(9), None)).unwrap(),
        "755224"
    );
    assert_eq!(counter(&link, ignores), 1);
    let wants = key(&link, vec![n(attr::OTP_COUNTER_REQUIREMENT, 2)]).unwrap();
    assert_eq!(
        password(&link, wants, &hotp(Some(1), None)).unwrap(),
        "287082"
    );
    let refused = password(&link, wants, &hotp(None, None));
    assert_eq!(rv(refused), Some(Rv::MECHANISM_PARAM_INVALID));
    for digits in [0, 5, 9] {
        let refused = password(&link, own, &hotp(None, Some(digits)));
        assert_eq!(rv(refused), Some(Rv::MECHANISM_PARAM_INVALID), "{digits}");
    }
    let refused = link.crypt(Op::Sign, &hotp(None, None), own, b"data");
    assert_eq!(rv(refused), Some(Rv::DATA_LEN_RANGE));
    assert_eq!(counter(&link, own), 0, "a refusal moves nothing");
    let plain = key(&link, vec![b(attr::OTP_USER_FRIENDLY_MODE, false)]).unwrap();
    let mut friendly = hotp(Some(0), None);
    friendly.params = Params::Otp {
        counter: None,
        digits: None,
        friendly: true,
    };
    assert_eq!(password(&link, own, &friendly).unwrap(), "755224");
    let refused = password(&link, plain, &friendly);
    assert_eq!(rv(refused), Some(Rv::MECHANISM_PARAM_INVALID));
    let last = key(&link, vec![bytes(attr::OTP_COUNTER, &[0xFF; 8])]).unwrap();
    assert_eq!(
        rv(password(&link, last, &hotp(None, None))),
        Some(Rv::FUNCTION_FAILED)
    );
}

#[test]
fn a_password_verifies_once_and_somewhat_ahead() {
    let dir = tempfile::tempdir().unwrap();
    let (_, link) = token(dir.path());
    let own = key(&link, vec![b(attr::TOKEN, true)]).unwrap();
    let verify =
        |mech: &Mechanism<'_>, password: &str| rv(link.verify(mech, own, b"", password.as_bytes()));
    let ask = hotp(None, None);
    assert_eq!(verify(&ask, PASSWORDS[0]), None);
    assert_eq!(
        verify(&ask, PASSWORDS[0]),
        Some(Rv::SIGNATURE_INVALID),
        "a replay"
    );
    assert_eq!(counter(&link, own), 1);
    assert_eq!(
        verify(&ask, PASSWORDS[6]),
        Some(Rv::SIGNATURE_INVALID),
        "too far ahead"
    );
    assert_eq!(verify(&ask, PASSWORDS[5]), None, "four were never shown");
    assert_eq!(counter(&link, own), 6);
    assert_eq!(verify(&ask, "12345"), Some(Rv::SIGNATURE_LEN_RANGE));
    let exactly = hotp(Some(9), None);
    assert_eq!(verify(&exactly, PASSWORDS[9]), None);
    assert_eq!(verify(&exactly, PASSWORDS[8]), Some(Rv::SIGNATURE_INVALID));
    assert_eq!(counter(&link, own), 6);
}

#[test]
fn two_threads_never_get_the_same_password() {
    let dir = tempfile::tempdir().unwrap();
    let (_, link) = token(dir.path());
    for lasting in [false, true] {
        let own = key(&link, vec![b(attr::TOKEN, lasting)]).unwrap();
        let seen: Vec<Vec<u8>> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        let one = |_| link.crypt(Op::Sign, &hotp(None, None), own, b"").unwrap();
                        (0..8).map(one).collect::<Vec<_>>()
                    })
                })
                .collect();
            threads
                .into_iter()
                .flat_map(|t| t.join().unwrap())
                .collect()
        });
        let counters: HashSet<&[u8]> = seen.iter().map(|made| &made[..8]).collect();
        assert_eq!((counters.len(), counter(&link, own)), (32, 32), "{lasting}");
    }
}

#[test]
fn keys_are_made_wrapped_and_held_to_their_rules() {
    let dir = tempfile::tempdir().unwrap();
    let (_, link) = token(dir.path());
    let shown = |key, ty: AttrType| match link.get(key, ty) {
        AttrReply::Is(Attr { value, .. }) => value,
        other => panic!("{other:?}"),
    };
    let made = |template| {
        let new = id();
        link.ask(&Request::GenerateKey {
            mech: plain(0x290),
            id: new,
            template,
        })
        .map(|_| new)
    };
    let fresh = made(vec![b(attr::EXTRACTABLE, true), b(attr::SENSITIVE, false)]).unwrap();
    for (ty, value) in [
        (attr::CLASS, Value::Ulong(8)),
        (attr::KEY_TYPE, Value::Ulong(0x23)),
        (attr::VALUE_LEN, Value::Ulong(20)),
        (attr::OTP_LENGTH, Value::Ulong(6)),
        (attr::OTP_FORMAT, Value::Ulong(0)),
        (attr::OTP_COUNTER, Value::Bytes(vec![0; 8])),
        (attr::ALLOWED_MECHANISMS, Value::Mechs(vec![0x291])),
        (attr::SIGN, Value::Bool(true)),
        (attr::ENCRYPT, Value::Bool(false)),
    ] {
        assert_eq!(shown(fresh, ty), value, "{:#x}", ty.0);
    }
    for (template, wanted) in [
        (vec![n(attr::CLASS, 4)], Rv::TEMPLATE_INCONSISTENT),
        (vec![n(attr::VALUE_LEN, 15)], Rv::ATTRIBUTE_VALUE_INVALID),
        (vec![n(attr::VALUE_LEN, 65)], Rv::ATTRIBUTE_VALUE_INVALID),
        (vec![n(attr::OTP_LENGTH, 5)], Rv::ATTRIBUTE_VALUE_INVALID),
        (vec![n(attr::OTP_LENGTH, 9)], Rv::ATTRIBUTE_VALUE_INVALID),
        (vec![n(attr::OTP_FORMAT, 3)], Rv::ATTRIBUTE_VALUE_INVALID),
        (
            vec![n(attr::OTP_TIME_REQUIREMENT, 1)],
            Rv::ATTRIBUTE_VALUE_INVALID,
        ),
        (
            vec![n(attr::OTP_COUNTER_REQUIREMENT, 3)],
            Rv::ATTRIBUTE_VALUE_INVALID,
        ),
        (
            vec![bytes(attr::OTP_COUNTER, &[0; 7])],
            Rv::ATTRIBUTE_VALUE_INVALID,
        ),
        (
            vec![bytes(attr::OTP_TIME, b"20260101000000")],
            Rv::ATTRIBUTE_VALUE_INVALID,
        ),
    ] {
        let name = format!("{template:?}");
        assert_eq!(rv(made(template)), Some(wanted), "{name}");
    }
    // A counter set back would give passwords out again.
    let back = vec![bytes(attr::OTP_COUNTER, &[0; 8])];
    password(&link, fresh, &hotp(None, None)).unwrap();
    let refused = link.ask(&Request::SetAttributes {
        id: fresh,
        template: back,
    });
    assert_eq!(rv(refused), Some(Rv::ATTRIBUTE_READ_ONLY));
    // It leaves and comes back as any secret key.
    let kek = link.aes(vec![]);
    let mech = plain(0x210B);
    let wrapped = link.wrap(&mech, kek, fresh).unwrap();
    let back = id();
    link.made(&Request::Unwrap {
        mech,
        with: link.key(kek).0,
        wrapped: Hidden(&wrapped),
        aad: Hidden(&[]),
        id: back,
        template: vec![n(attr::CLASS, 8), n(attr::KEY_TYPE, 0x23)],
    });
    assert_eq!(
        password(&link, back, &hotp(Some(5), None)),
        password(&link, fresh, &hotp(Some(5), None))
    );
    // An OTP key is nothing else's, and nothing else is an OTP key.
    let aes = link.aes(vec![]);
    assert_eq!(
        rv(password(&link, aes, &hotp(None, None))),
        Some(Rv::KEY_TYPE_INCONSISTENT)
    );
    let refused = link.crypt(Op::Sign, &plain(0x221), fresh, b"data");
    assert_eq!(rv(refused), Some(Rv::KEY_TYPE_INCONSISTENT));
}
