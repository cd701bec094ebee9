//! PINs, locks, roles, and the password change in two steps.

use hsm_api::reply::AttrReply;
use hsm_api::{Hidden, Peer, Phase, Reply, Request, Role, Rv, UserInfo};
use hsm_sim::attr;

use super::rig::*;

fn set<'a>(old: &'a str, new: &'a str, phase: Phase) -> Request<'a> {
    Request::SetPin {
        old: Hidden(old.as_bytes()),
        new: Hidden(new.as_bytes()),
        phase,
    }
}

fn users(link: &std::sync::Arc<dyn hsm_api::Link>) -> Vec<UserInfo> {
    match link.ask(&Request::Users) {
        Ok(Reply::Users(all)) => all,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_token_goes_through_its_life() {
    let dir = tempfile::tempdir().unwrap();
    let engine = embedded(dir.path());
    let link = link(&engine, Peer::Client);
    assert_eq!(
        link.login(Role::Cu, None, "1234").unwrap_err().rv,
        Rv::TOKEN_NOT_INITIALIZED
    );
    let init = |pin| Request::InitToken {
        so_pin: Hidden(pin),
        label: "mine",
    };
    assert_eq!(link.refused(&init(b"123")), Rv::PIN_LEN_RANGE);
    link.ask(&init(b"87654321")).unwrap();
    assert_eq!(
        link.login(Role::Cu, None, "1234").unwrap_err().rv,
        Rv::USER_PIN_NOT_INITIALIZED
    );
    assert_eq!(
        link.refused(&Request::InitPin {
            pin: Hidden(b"1234")
        }),
        Rv::USER_NOT_LOGGED_IN
    );
    link.login(Role::Co, None, "87654321").unwrap();
    link.ask(&Request::InitPin {
        pin: Hidden(b"1234"),
    })
    .unwrap();
    let refused = link.login(Role::Cu, None, "1234").unwrap_err().rv;
    assert_eq!(refused, Rv::USER_ANOTHER_ALREADY_LOGGED_IN);
    link.ask(&Request::Logout).unwrap();
    link.login(Role::Cu, None, "1234").unwrap();
    link.ask(&set("1234", "5678", Phase::Whole)).unwrap();
    link.ask(&Request::Logout).unwrap();
    assert_eq!(
        link.login(Role::Cu, None, "1234").unwrap_err().rv,
        Rv::PIN_INCORRECT
    );
    link.login(Role::Cu, None, "5678").unwrap();
}

#[test]
fn too_many_wrong_pins_lock_until_the_officer_helps() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, _user) = token(dir.path());
    let link = link(&engine, Peer::Client);
    for _ in 0..3 {
        assert_eq!(
            link.login(Role::Cu, None, "9999").unwrap_err().rv,
            Rv::PIN_INCORRECT
        );
    }
    assert_eq!(
        link.login(Role::Cu, None, "1234").unwrap_err().rv,
        Rv::PIN_LOCKED
    );
    match link.ask(&Request::TokenInfo) {
        Ok(Reply::Token(info)) => assert!(info.user_locked && info.user_failures == 3),
        other => panic!("{other:?}"),
    }
    link.login(Role::Co, None, "87654321").unwrap();
    link.ask(&Request::InitPin {
        pin: Hidden(b"1234"),
    })
    .unwrap();
    link.ask(&Request::Logout).unwrap();
    link.login(Role::Cu, None, "9999").unwrap_err();
    link.login(Role::Cu, None, "1234").unwrap();
    match link.ask(&Request::TokenInfo) {
        Ok(Reply::Token(info)) => assert_eq!(info.user_failures, 0, "a right PIN forgets"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn keys_that_want_a_pin_each_time_get_it() {
    let dir = tempfile::tempdir().unwrap();
    let (_engine, link) = token(dir.path());
    let private = id();
    link.made(&Request::GenerateKeyPair {
        mech: plain(0x1040),
        public: id(),
        public_template: vec![bytes(
            attr::EC_PARAMS,
            b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07",
        )],
        private,
        private_template: vec![b(attr::ALWAYS_AUTHENTICATE, true)],
    });
    let sign = || {
        link.crypt(hsm_api::Op::Sign, &plain(0x1044), private, b"data")
            .map_err(|e| e.rv)
    };
    assert_eq!(sign(), Err(Rv::USER_NOT_LOGGED_IN));
    assert_eq!(
        link.refused(&Request::LoginContext {
            pin: Hidden(b"0000")
        }),
        Rv::PIN_INCORRECT
    );
    link.ask(&Request::LoginContext {
        pin: Hidden(b"1234"),
    })
    .unwrap();
    assert!(sign().is_ok());
    assert_eq!(sign(), Err(Rv::USER_NOT_LOGGED_IN));
}

#[test]
fn a_fresh_hsm_is_activated_by_its_precrypto_officer() {
    let dir = tempfile::tempdir().unwrap();
    let engine = Service::default().node(dir.path(), 1);
    let link = link(&engine, Peer::Client);
    let names: Vec<_> = users(&link).into_iter().map(|u| (u.role, u.name)).collect();
    assert_eq!(
        names,
        [
            (Role::PreCo, "admin".to_owned()),
            (Role::Au, "app_user".to_owned())
        ]
    );
    link.login(Role::PreCo, Some("Admin"), "password").unwrap();
    assert_eq!(
        link.refused(&create(Role::Cu, "cu1", "password1")),
        Rv::FUNCTION_REJECTED
    );
    assert_eq!(
        link.refused(&change(Role::PreCo, "admin", "short")),
        Rv::PIN_LEN_RANGE
    );
    link.ask(&change(Role::PreCo, "admin", "officer1")).unwrap();
    link.ask(&create(Role::Cu, "cu1", "password1")).unwrap();
    link.ask(&Request::Logout).unwrap();
    assert_eq!(
        link.login(Role::PreCo, Some("admin"), "officer1")
            .unwrap_err()
            .rv,
        Rv::USER_PIN_NOT_INITIALIZED
    );
    link.login(Role::Co, Some("admin"), "officer1").unwrap();
    match link.ask(&Request::NodeInfo) {
        Ok(Reply::Node(info)) => assert!(info.activated && !info.installed),
        other => panic!("{other:?}"),
    }
}

#[test]
fn officers_manage_users_by_cloudhsms_rules() {
    let dir = tempfile::tempdir().unwrap();
    let engine = Service::default().active(dir.path(), 1);
    let officer = link(&engine, Peer::Client);
    assert_eq!(
        officer.refused(&create(Role::Cu, "x", "password1")),
        Rv::USER_NOT_LOGGED_IN
    );
    officer.login(Role::Co, Some("admin"), "officer1").unwrap();
    for (name, password, rv) in [
        ("CU1", "password1", Rv::FUNCTION_REJECTED),
        ("a-b", "password1", Rv::ARGUMENTS_BAD),
        ("", "password1", Rv::ARGUMENTS_BAD),
        ("ok", "123456", Rv::PIN_LEN_RANGE),
        ("ok", "123456789012345678901234567890123", Rv::PIN_LEN_RANGE),
    ] {
        assert_eq!(
            officer.refused(&create(Role::Cu, name, password)),
            rv,
            "{name}"
        );
    }
    let user = link(&engine, Peer::Client);
    user.login(Role::Cu, Some("cu1"), "password1").unwrap();
    let seen = users(&officer)
        .into_iter()
        .find(|u| u.name == "cu1")
        .unwrap();
    assert_eq!(seen.logged_in, 1);
    assert_eq!(
        officer.refused(&change(Role::Cu, "cu1", "password2")),
        Rv::USER_ALREADY_LOGGED_IN
    );
    let delete = Request::DeleteUser {
        role: Role::Cu,
        name: "cu1",
    };
    assert_eq!(officer.refused(&delete), Rv::USER_ALREADY_LOGGED_IN);
    let key = user.aes(vec![b(attr::TOKEN, true)]);
    assert_eq!(
        user.refused(&change(Role::Cu, "cu2", "password2")),
        Rv::FUNCTION_REJECTED
    );
    drop(user);
    assert_eq!(
        officer.refused(&delete),
        Rv::FUNCTION_REJECTED,
        "it owns a key"
    );
    officer.ask(&change(Role::Cu, "cu1", "password2")).unwrap();
    let user = link(&engine, Peer::Client);
    assert_eq!(
        user.login(Role::Cu, Some("cu1"), "password1")
            .unwrap_err()
            .rv,
        Rv::PIN_INCORRECT
    );
    user.login(Role::Cu, Some("cu1"), "password2").unwrap();
    user.made(&Request::Destroy { id: key });
    user.ask(&Request::Logout).unwrap();
    officer.ask(&delete).unwrap();
    assert_eq!(officer.refused(&delete), Rv::USER_PIN_NOT_INITIALIZED);
    assert_eq!(
        officer.refused(&Request::DeleteUser {
            role: Role::Co,
            name: "admin"
        }),
        Rv::USER_ALREADY_LOGGED_IN
    );
    for _ in 0..5 {
        assert_eq!(
            user.login(Role::Cu, Some("cu2"), "wrong-one")
                .unwrap_err()
                .rv,
            Rv::PIN_INCORRECT
        );
    }
    assert_eq!(
        user.login(Role::Cu, Some("cu2"), "password1")
            .unwrap_err()
            .rv,
        Rv::PIN_LOCKED
    );
    assert!(
        users(&officer)
            .iter()
            .any(|u| u.name == "cu2" && u.locked && u.failures == 5)
    );
    officer.ask(&change(Role::Cu, "cu2", "password1")).unwrap();
    user.login(Role::Cu, Some("cu2"), "password1").unwrap();
}

#[test]
fn keys_belong_to_their_owner_and_those_he_shares_with() {
    let dir = tempfile::tempdir().unwrap();
    let engine = Service::default().active(dir.path(), 1);
    let (one, two) = (link(&engine, Peer::Client), link(&engine, Peer::Client));
    one.login(Role::Cu, Some("cu1"), "password1").unwrap();
    two.login(Role::Cu, Some("cu2"), "password1").unwrap();
    let key = one.aes(vec![b(attr::TOKEN, true)]);
    let owner_of = |l, name: &str| users(l).into_iter().find(|u| u.name == name).unwrap().id;
    let (first, second) = (owner_of(&one, "cu1"), owner_of(&one, "cu2"));
    assert_eq!(two.found(vec![]), []);
    assert_eq!(
        two.refused(&Request::Share {
            key,
            user: second,
            share: true
        }),
        Rv::OBJECT_HANDLE_INVALID
    );
    one.made(&Request::Share {
        key,
        user: second,
        share: true,
    });
    assert_eq!(two.found(vec![]), [key]);
    two.key(key);
    assert_eq!(
        two.refused(&Request::Share {
            key,
            user: second,
            share: false
        }),
        Rv::FUNCTION_REJECTED
    );
    one.made(&Request::Share {
        key,
        user: second,
        share: false,
    });
    assert_eq!(two.found(vec![]), []);
    let officer = link(&engine, Peer::Client);
    officer.login(Role::Co, Some("admin"), "officer1").unwrap();
    match officer.ask(&Request::UserKeys { user: first }) {
        Ok(Reply::Keys(keys)) => assert!(keys.len() == 1 && keys[0].owner == first),
        other => panic!("{other:?}"),
    }
    let mech = plain(0x1081);
    let refused = officer
        .crypt(hsm_api::Op::Encrypt, &mech, key, &[0; 16])
        .unwrap_err()
        .rv;
    assert_eq!(refused, Rv::FUNCTION_REJECTED, "officers use no keys");
    assert_eq!(
        two.refused(&Request::UserKeys { user: first }),
        Rv::FUNCTION_REJECTED
    );
    let nobody = link(&engine, Peer::Client);
    assert_eq!(nobody.found(vec![]), []);
    for peer in [Peer::Service, Peer::Node] {
        let link = link(&engine, peer);
        assert_eq!(
            link.login(Role::Cu, Some("cu1"), "password1")
                .unwrap_err()
                .rv,
            Rv::FUNCTION_REJECTED
        );
        assert_eq!(link.refused(&Request::Random), Rv::FUNCTION_REJECTED);
    }
    assert_eq!(one.refused(&Request::Backup), Rv::FUNCTION_REJECTED);
}

#[test]
fn a_full_disk_keeps_nobody_out_who_mistyped_before() {
    let dir = tempfile::tempdir().unwrap();
    let engine = Service::default().active(dir.path(), 1);
    let user = link(&engine, Peer::Client);
    let wrong = user.login(Role::Cu, Some("cu1"), "mistyped").unwrap_err();
    assert_eq!(wrong.rv, Rv::PIN_INCORRECT);
    engine.fill_disk(true);
    user.login(Role::Cu, Some("cu1"), "password1").unwrap();
}

#[test]
fn guesses_side_by_side_are_no_more_than_the_lock_allows() {
    let dir = tempfile::tempdir().unwrap();
    let engine = Service::default().active(dir.path(), 1);
    let start = std::sync::Barrier::new(24);
    let tried = std::thread::scope(|scope| {
        let guesses: Vec<_> = (0..24)
            .map(|_| {
                scope.spawn(|| {
                    let link = link(&engine, Peer::Client);
                    start.wait();
                    link.login(Role::Cu, Some("cu1"), "a guess").unwrap_err().rv
                })
            })
            .collect();
        let answers = guesses.into_iter().map(|g| g.join().unwrap());
        answers.filter(|rv| *rv == Rv::PIN_INCORRECT).count()
    });
    assert_eq!(tried, 5, "then it is locked");
}

#[test]
fn a_share_is_for_use_only() {
    let dir = tempfile::tempdir().unwrap();
    let engine = Service::default().active(dir.path(), 1);
    let (one, two) = (link(&engine, Peer::Client), link(&engine, Peer::Client));
    one.login(Role::Cu, Some("cu1"), "password1").unwrap();
    two.login(Role::Cu, Some("cu2"), "password1").unwrap();
    let key = one.aes(vec![b(attr::TOKEN, true), b(attr::EXTRACTABLE, true)]);
    let user = users(&one)
        .into_iter()
        .find(|u| u.name == "cu2")
        .unwrap()
        .id;
    let share = true;
    one.made(&Request::Share { key, user, share });
    let own = two.aes(vec![]);
    for (what, refused) in [
        ("wrap", two.wrap(&plain(0x210B), own, key).map(drop)),
        (
            "copy",
            two.ask(&Request::Copy {
                from: key,
                id: id(),
                template: vec![],
            })
            .map(drop),
        ),
        (
            "change",
            two.ask(&Request::SetAttributes {
                id: key,
                template: vec![bytes(attr::LABEL, b"mine")],
            })
            .map(drop),
        ),
        ("destroy", two.ask(&Request::Destroy { id: key }).map(drop)),
    ] {
        assert_eq!(refused.unwrap_err().rv, Rv::FUNCTION_REJECTED, "{what}");
    }
    two.crypt(hsm_api::Op::Encrypt, &plain(0x1081), key, &[0; 16])
        .unwrap();
    one.made(&Request::Destroy { id: key });
}

#[test]
fn an_officer_reads_no_value() {
    let dir = tempfile::tempdir().unwrap();
    let engine = Service::default().active(dir.path(), 1);
    let user = link(&engine, Peer::Client);
    user.login(Role::Cu, Some("cu1"), "password1").unwrap();
    let open = user.aes(vec![
        b(attr::TOKEN, true),
        b(attr::SENSITIVE, false),
        b(attr::EXTRACTABLE, true),
    ]);
    let data = id();
    user.made(&Request::Create {
        id: data,
        template: vec![
            n(attr::CLASS, 0),
            b(attr::TOKEN, true),
            bytes(attr::VALUE, b"a password"),
        ],
    });
    let officer = link(&engine, Peer::Client);
    officer.login(Role::Co, Some("admin"), "officer1").unwrap();
    for object in [open, data] {
        assert!(matches!(user.get(object, attr::VALUE), AttrReply::Is(_)));
        assert_eq!(
            officer.get(object, attr::VALUE),
            AttrReply::Withheld(attr::VALUE, Rv::ATTRIBUTE_SENSITIVE)
        );
    }
}

#[test]
fn a_short_secrets_hash_tells_nobody_the_secret() {
    let hashes = |origin| {
        let dir = tempfile::tempdir().unwrap();
        let engine = Service::default().active(dir.path(), origin);
        let user = link(&engine, Peer::Client);
        user.login(Role::Cu, Some("cu1"), "password1").unwrap();
        user.made(&Request::Create {
            id: hsm_api::ObjectId(7),
            template: vec![
                n(attr::CLASS, 4),
                n(attr::KEY_TYPE, 0x10),
                b(attr::TOKEN, true),
                bytes(attr::VALUE, b"1"),
            ],
        });
        let me = users(&user).into_iter().find(|u| u.name == "cu1").unwrap();
        match user.ask(&Request::UserKeys { user: me.id }) {
            Ok(Reply::Keys(keys)) => keys[0].hash,
            other => panic!("{other:?}"),
        }
    };
    assert_ne!(hashes(1), hashes(1), "two clusters, the same key and state");
}

#[test]
fn who_is_not_of_the_cluster_carries_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::default();
    let fresh = service.node(dir.path(), 1);
    let before = link(&fresh, Peer::Client);
    before
        .login(Role::PreCo, Some("admin"), "password")
        .unwrap();
    assert_eq!(before.refused(&Request::Digest), Rv::FUNCTION_REJECTED);
    let ids = vec![];
    assert_eq!(
        before.refused(&Request::Export { ids }),
        Rv::FUNCTION_REJECTED
    );
    // Any HSM of the service could open a backup, another cluster's too.
    let node = link(&fresh, Peer::Node);
    assert_eq!(node.refused(&Request::Backup), Rv::FUNCTION_REJECTED);
    let backup = Hidden(&[]);
    assert_eq!(
        node.refused(&Request::Restore { backup }),
        Rv::FUNCTION_REJECTED
    );
}

#[test]
fn a_password_change_in_two_steps_never_strands_anyone() {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::default();
    let engine = service.active(dir.path(), 1);
    let user = link(&engine, Peer::Client);
    user.login(Role::Cu, Some("cu1"), "password1").unwrap();
    assert_eq!(
        user.refused(&set("wrong-one", "password2", Phase::Prepare)),
        Rv::PIN_INCORRECT
    );
    user.ask(&set("password1", "password2", Phase::Prepare))
        .unwrap();
    drop((user, engine));
    // It survives a restart, and both work.
    let engine = service.node(dir.path(), 1);
    let user = link(&engine, Peer::Client);
    user.login(Role::Cu, Some("cu1"), "password1").unwrap();
    user.ask(&Request::Logout).unwrap();
    user.login(Role::Cu, Some("cu1"), "password2").unwrap();
    user.ask(&Request::Logout).unwrap();
    let refused = user
        .login(Role::Cu, Some("cu1"), "password1")
        .unwrap_err()
        .rv;
    assert_eq!(
        refused,
        Rv::PIN_INCORRECT,
        "a login with the new one commits"
    );
    user.login(Role::Cu, Some("cu1"), "password2").unwrap();
    // A prepared password that is used as the old one counts as committed.
    user.ask(&set("password2", "password5", Phase::Prepare))
        .unwrap();
    user.ask(&set("password5", "password2", Phase::Prepare))
        .unwrap();
    user.ask(&set("password5", "password2", Phase::Commit))
        .unwrap();
    // The explicit way, with a repeat.
    user.ask(&set("password2", "password3", Phase::Prepare))
        .unwrap();
    user.ask(&set("password2", "password4", Phase::Prepare))
        .unwrap();
    user.ask(&set("password2", "password4", Phase::Commit))
        .unwrap();
    user.ask(&set("password2", "password4", Phase::Commit))
        .unwrap();
    user.ask(&Request::Logout).unwrap();
    for old in ["password2", "password3"] {
        assert_eq!(
            user.login(Role::Cu, Some("cu1"), old).unwrap_err().rv,
            Rv::PIN_INCORRECT
        );
    }
    user.login(Role::Cu, Some("cu1"), "password4").unwrap();
    let other = link(&engine, Peer::Client);
    other.login(Role::Cu, Some("cu1"), "password4").unwrap();
    let refused = user.refused(&set("password4", "password5", Phase::Prepare));
    assert_eq!(refused, Rv::USER_ALREADY_LOGGED_IN, "logged in elsewhere");
}
