//! Several engines on one directory stand for several processes: they share nothing but its files.

use std::sync::Arc;

use hsm_api::reply::AttrReply;
use hsm_api::{Hidden, MechId, Mechanism, Op, Params, Peer, Reply, Request, Role, Rv};
use hsm_sim::{Engine, Settings, attr};

use super::rig::*;

#[test]
fn two_processes_see_each_others_objects_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let (_one, a) = token(dir.path());
    let two = embedded(dir.path());
    let b_link = link(&two, Peer::Client);
    let label = |l: &[u8]| vec![bytes(attr::LABEL, l)];
    let public = a.aes(vec![
        b(attr::TOKEN, true),
        b(attr::PRIVATE, false),
        bytes(attr::LABEL, b"p"),
    ]);
    let private = a.aes(vec![b(attr::TOKEN, true), bytes(attr::LABEL, b"s")]);
    assert_eq!(b_link.found(label(b"p")), [public], "before login");
    assert_eq!(b_link.found(label(b"s")), [], "before login");
    b_link.login(Role::Cu, None, "1234").unwrap();
    assert_eq!(b_link.found(label(b"s")), [private]);
    let mech = Mechanism {
        id: MechId(0x1082),
        params: Params::Iv(vec![0; 16].into()),
    };
    let here = a.crypt(Op::Encrypt, &mech, private, &[1; 32]).unwrap();
    assert_eq!(
        b_link.crypt(Op::Decrypt, &mech, private, &here).unwrap(),
        [1; 32]
    );
    b_link.made(&Request::SetAttributes {
        id: private,
        template: label(b"renamed"),
    });
    assert_eq!(a.found(label(b"s")), []);
    assert_eq!(a.found(label(b"renamed")), [private]);
    b_link.made(&Request::Destroy { id: private });
    assert_eq!(a.found(label(b"renamed")), []);
    assert_eq!(
        a.refused(&Request::Resolve { id: private }),
        Rv::OBJECT_HANDLE_INVALID
    );
    b_link.ask(&Request::Logout).unwrap();
    assert_eq!(b_link.found(vec![]), [public]);
    let session = b_link.aes(vec![b(attr::PRIVATE, false)]);
    assert_eq!(
        a.found(vec![]),
        [public],
        "session objects are their process's own"
    );
    assert_eq!(b_link.found(vec![]), [public, session]);
    b_link.ask(&Request::CloseSession).unwrap();
    assert_eq!(b_link.found(vec![]), [public]);
}

#[test]
fn what_is_private_is_not_readable_on_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, a) = token(dir.path());
    let marker = b"a-very-private-label-indeed";
    a.aes(vec![b(attr::TOKEN, true), bytes(attr::LABEL, marker)]);
    let value = [0xC3; 32];
    a.made(&Request::Create {
        id: id(),
        template: vec![
            n(attr::CLASS, 4),
            n(attr::KEY_TYPE, 0x1F),
            bytes(attr::VALUE, &value),
            bytes(attr::LABEL, b"an-open-label"),
            b(attr::TOKEN, true),
            b(attr::PRIVATE, false),
        ],
    });
    drop((engine, a));
    let mut all = Vec::new();
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        all.extend(std::fs::read(entry.unwrap().path()).unwrap());
    }
    let has = |needle: &[u8]| all.windows(needle.len()).any(|w| w == needle);
    assert!(has(b"an-open-label"), "the search finds what is open");
    assert!(!has(marker));
    assert!(!has(&value));
}

#[test]
fn a_pin_change_in_one_process_is_seen_by_the_other() {
    let dir = tempfile::tempdir().unwrap();
    let (_one, a) = token(dir.path());
    let two = embedded(dir.path());
    let set = Request::SetPin {
        old: Hidden(b"1234"),
        new: Hidden(b"4321"),
        phase: hsm_api::Phase::Whole,
    };
    a.ask(&set).unwrap();
    let b_link = link(&two, Peer::Client);
    assert_eq!(
        b_link.login(Role::Cu, None, "1234").unwrap_err().rv,
        Rv::PIN_INCORRECT
    );
    b_link.login(Role::Cu, None, "4321").unwrap();
}

#[test]
fn a_token_initialized_anew_voids_logins_and_objects_elsewhere() {
    let dir = tempfile::tempdir().unwrap();
    let (_one, a) = token(dir.path());
    let key = a.aes(vec![b(attr::TOKEN, true)]);
    let two = embedded(dir.path());
    let other = link(&two, Peer::Client);
    let init = |pin| Request::InitToken {
        so_pin: Hidden(pin),
        label: "anew",
    };
    assert_eq!(other.refused(&init(b"wrong-one")), Rv::PIN_INCORRECT);
    other.ask(&init(b"87654321")).unwrap();
    assert_eq!(
        a.refused(&Request::Resolve { id: key }),
        Rv::OBJECT_HANDLE_INVALID
    );
    let request = Request::GenerateKey {
        mech: plain(0x1080),
        id: id(),
        template: vec![n(attr::VALUE_LEN, 32)],
    };
    assert_eq!(a.refused(&request), Rv::USER_NOT_LOGGED_IN);
    match a.ask(&Request::TokenInfo) {
        Ok(Reply::Token(info)) => assert!(info.label == "anew" && !info.user_pin_set),
        other => panic!("{other:?}"),
    }
}

/// A PIN takes its time. What was made of the old token key meanwhile must not get into the new token:
/// its user would seal keys under a key that the officer does not have.
#[test]
fn a_token_initialized_anew_takes_no_pin_of_the_old_one() {
    let dir = tempfile::tempdir().unwrap();
    drop(token(dir.path()));
    let slow = hsm_sim::PinRules {
        cost: hsm_sim::PinCost {
            memory: 19 * 1024,
            passes: 60,
        },
        ..hsm_sim::PinRules::embedded()
    };
    let one = hsm_sim::Engine::embedded(
        dir.path(),
        hsm_sim::Settings {
            pins: slow,
            legacy: false,
            separate_roles: false,
        },
    )
    .unwrap();
    let officer = link(&one, Peer::Client);
    officer.login(Role::Co, None, "87654321").unwrap();
    let two = embedded(dir.path());
    let other = link(&two, Peer::Client);
    std::thread::scope(|scope| {
        let late = scope.spawn(|| {
            officer.ask(&Request::InitPin {
                pin: Hidden(b"9999"),
            })
        });
        std::thread::sleep(std::time::Duration::from_millis(100));
        let init = Request::InitToken {
            so_pin: Hidden(b"87654321"),
            label: "anew",
        };
        other.ask(&init).unwrap();
        let late = late.join().unwrap().unwrap_err();
        assert_eq!(late.rv, Rv::USER_NOT_LOGGED_IN);
    });
    let user = other.login(Role::Cu, None, "9999").unwrap_err();
    assert_eq!(user.rv, Rv::USER_PIN_NOT_INITIALIZED);
}

#[test]
fn a_damaged_record_costs_its_own_object_only() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, a) = token(dir.path());
    let (bad, good) = (
        a.aes(vec![b(attr::TOKEN, true)]),
        a.aes(vec![b(attr::TOKEN, true)]),
    );
    drop((engine, a));
    let sql = rusqlite::Connection::open(dir.path().join("token.db")).unwrap();
    let swap =
        "UPDATE objects SET sealed = (SELECT sealed FROM objects WHERE id = ?2) WHERE id = ?1";
    let blob = |id: hsm_api::ObjectId| id.0.to_be_bytes().to_vec();
    // Another object's seal is as good as garbage: it is bound to its place.
    assert_eq!(sql.execute(swap, [blob(bad), blob(good)]).unwrap(), 1);
    drop(sql);
    let engine = embedded(dir.path());
    let link = link(&engine, Peer::Client);
    link.login(Role::Cu, None, "1234").unwrap();
    assert_eq!(link.found(vec![]), [good]);
    assert_eq!(
        link.refused(&Request::Resolve { id: bad }),
        Rv::OBJECT_HANDLE_INVALID
    );
}

/// "The counter is guaranteed to increase each time its value is read" (4.3): a call is one reading.
#[test]
fn a_call_counts_once_and_needs_no_login() {
    let dir = tempfile::tempdir().unwrap();
    let (_one, user) = token(dir.path());
    let stranger = link(&embedded(dir.path()), Peer::Client);
    let wanted = vec![n(attr::CLASS, 5), n(attr::HW_FEATURE_TYPE, 1)];
    let counter = stranger.found(wanted)[0];
    let read = |link: &Arc<dyn hsm_api::Link>, types: &[hsm_api::AttrType]| {
        let types = types.to_vec();
        let Ok(Reply::Attributes(all)) = link.ask(&Request::Attributes { id: counter, types })
        else {
            panic!("not shown");
        };
        let number = |reply: &AttrReply| match reply {
            AttrReply::Is(a) if a.ty == attr::VALUE => {
                Some(u64::from_be_bytes(a.value.as_bytes()?.try_into().ok()?))
            }
            _ => None,
        };
        all.iter().filter_map(number).collect::<Vec<_>>()
    };
    let first = read(&stranger, &[attr::VALUE])[0];
    let thrice = [attr::VALUE, attr::CLASS, attr::VALUE, attr::VALUE];
    assert_eq!(read(&stranger, &thrice), [first + 1; 3]);
    assert_eq!(read(&stranger, &[attr::CLASS, attr::HAS_RESET]), []);
    assert_eq!(read(&user, &[attr::VALUE]), [first + 2], "another process");
    assert_eq!(read(&stranger, &[attr::VALUE]), [first + 3]);
}

#[test]
fn a_directory_is_a_tokens_or_a_nodes() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let service = Service::default();
    let (_, user) = token(dirs[0].path());
    let node = service.active(dirs[1].path(), 1);
    let refused = Engine::node(dirs[0].path(), service.settings(2)).err();
    let refused = refused.unwrap();
    assert_eq!(refused.rv, Rv::TOKEN_NOT_RECOGNIZED);
    assert!(
        refused.why.contains("holds the embedded token"),
        "{refused}"
    );
    assert!(refused.why.contains(&*dirs[0].path().to_string_lossy()));
    let refused = Engine::embedded(dirs[1].path(), Settings::default()).err();
    let refused = refused.unwrap();
    assert_eq!(refused.rv, Rv::TOKEN_NOT_RECOGNIZED);
    assert!(
        refused.why.contains("holds an HSM of a cluster"),
        "{refused}"
    );
    // Nothing happened to either.
    user.aes(vec![b(attr::TOKEN, true)]);
    drop(node);
    service.node(dirs[1].path(), 1);
    assert_eq!(link_again(dirs[0].path()).found(vec![]).len(), 1);
}

fn link_again(dir: &std::path::Path) -> Arc<dyn hsm_api::Link> {
    let user = link(&embedded(dir), Peer::Client);
    user.login(Role::Cu, None, "1234").unwrap();
    user
}

#[test]
fn a_fresh_directory_may_be_opened_by_many_at_once() {
    let dir = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let engine = embedded(dir.path());
                assert!(matches!(
                    link(&engine, Peer::Client).ask(&Request::TokenInfo),
                    Ok(Reply::Token(_))
                ));
            });
        }
    });
}

#[test]
fn many_threads_and_processes_lose_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (one, _keep) = token(dir.path());
    let two = embedded(dir.path());
    let made: Vec<hsm_api::ObjectId> = std::thread::scope(|scope| {
        let workers: Vec<_> = [one.clone(), two.clone(), one.clone(), two.clone()]
            .into_iter()
            .map(|engine| {
                scope.spawn(move || {
                    let link = link(&engine, Peer::Client);
                    link.login(Role::Cu, None, "1234").unwrap();
                    let mech = Mechanism {
                        id: MechId(0x1082),
                        params: Params::Iv(vec![0; 16].into()),
                    };
                    let mut kept = Vec::new();
                    for round in 0..15 {
                        let key = link.aes(vec![b(attr::TOKEN, true)]);
                        link.crypt(Op::Encrypt, &mech, key, &[0; 16]).unwrap();
                        if round % 3 == 0 {
                            link.made(&Request::Destroy { id: key });
                        } else {
                            kept.push(key);
                        }
                    }
                    kept
                })
            })
            .collect();
        workers
            .into_iter()
            .flat_map(|w| w.join().unwrap())
            .collect()
    });
    for engine in [one, two, embedded(dir.path())] {
        let link = link(&engine, Peer::Client);
        link.login(Role::Cu, None, "1234").unwrap();
        let mut found = link.found(vec![]);
        found.sort_unstable();
        let mut expected = made.clone();
        expected.sort_unstable();
        assert_eq!(found, expected);
    }
}

#[test]
fn logins_and_logouts_side_by_side_do_not_lock_each_other_out() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, first) = token(dir.path());
    let key = first.aes(vec![b(attr::TOKEN, true)]);
    drop(first);
    let mech = Mechanism {
        id: MechId(0x1082),
        params: Params::Iv(vec![0; 16].into()),
    };
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..50 {
                    let link = link(&engine, Peer::Client);
                    assert_eq!(link.found(vec![]), [], "not logged in");
                    link.login(Role::Cu, None, "1234").unwrap();
                    assert_eq!(link.found(vec![]), [key]);
                    link.crypt(Op::Encrypt, &mech, key, &[0; 16]).unwrap();
                    link.made(&Request::SetAttributes {
                        id: key,
                        template: vec![bytes(attr::LABEL, b"again")],
                    });
                    link.ask(&Request::Logout).unwrap();
                }
            });
        }
    });
}

/// A process that is killed at any moment leaves a store that the next one opens, with everything
/// that was acknowledged. This test starts itself again as that process.
#[test]
fn a_killed_process_loses_nothing_acknowledged() {
    const CHILD: &str = "HSM_SIM_TEST_CHILD";
    if let Ok(dir) = std::env::var(CHILD) {
        let engine = embedded(dir.as_ref());
        let link = link(&engine, Peer::Client);
        link.login(Role::Cu, None, "1234").unwrap();
        for number in 0.. {
            let label = format!("key {number}");
            link.made(&Request::Create {
                id: hsm_api::ObjectId(u128::from_be_bytes(*uuid(number))),
                template: vec![
                    n(attr::CLASS, 0),
                    b(attr::TOKEN, true),
                    bytes(attr::LABEL, label.as_bytes()),
                ],
            });
            // Aside and renamed: a write that is killed half-way must not empty the file.
            let dir = std::path::Path::new(&dir);
            std::fs::write(dir.join("aside"), &label).unwrap();
            std::fs::rename(dir.join("aside"), dir.join("acknowledged")).unwrap();
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let (engine, here): (_, Arc<dyn hsm_api::Link>) = token(dir.path());
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "sim::shared::a_killed_process_loses_nothing_acknowledged",
        ])
        .env(CHILD, dir.path())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let said = dir.path().join("acknowledged");
    let started = std::time::Instant::now();
    while std::fs::read(&said).map_or(0, |s| s.len()) < "key 40".len() {
        assert!(started.elapsed().as_secs() < 60, "the child makes objects");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let last = std::fs::read(&said).unwrap();
    assert_eq!(
        here.found(vec![bytes(attr::LABEL, &last)]).len(),
        1,
        "seen by who was there"
    );
    here.aes(vec![
        b(attr::TOKEN, true),
        bytes(attr::LABEL, b"afterwards"),
    ]);
    drop((engine, here));
    let fresh = embedded(dir.path());
    let link = link(&fresh, Peer::Client);
    link.login(Role::Cu, None, "1234").unwrap();
    for label in [&last[..], b"key 0", b"key 7", b"afterwards"] {
        assert_eq!(link.found(vec![bytes(attr::LABEL, label)]).len(), 1);
    }
}

fn uuid(number: u64) -> Box<[u8; 16]> {
    let mut bytes = [0xEE; 16];
    bytes[8..].copy_from_slice(&number.to_be_bytes());
    Box::new(bytes)
}
