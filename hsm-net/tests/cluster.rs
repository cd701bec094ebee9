//! Many nodes as one: balancing, failover, lost replies, login, cloning.

use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::Duration;

use hsm_api::{Hidden, ObjectId, Phase, Reply, Request, Rv};

use crate::homes::begin;
use crate::rig::{Rig, S, config, crypt, open};

#[test]
fn requests_are_spread_over_the_nodes() {
    let rig = Rig::logged_in(2);
    let key = rig.key(1, true).unwrap();
    for _ in 0..20 {
        rig.encrypt(key, b"data").unwrap();
    }
    for at in &rig.boxes {
        assert!(at.fake.count("Crypt") >= 5, "{}", at.fake.count("Crypt"));
    }
}

#[test]
fn a_killed_node_is_passed_over_and_used_again_when_it_is_back() {
    let mut rig = Rig::logged_in(2);
    let key = rig.key(1, true).unwrap();
    let expected = rig.encrypt(key, b"data").unwrap();
    rig.boxes[0].kill();
    for _ in 0..10 {
        assert_eq!(rig.encrypt(key, b"data").unwrap(), expected);
    }
    rig.boxes[0].start();
    rig.boxes[1].kill();
    thread::sleep(Duration::from_millis(60));
    assert_eq!(
        rig.encrypt(key, b"data").unwrap(),
        expected,
        "logged in again by itself"
    );
    assert_eq!(rig.boxes[0].fake.count("Login"), 2);
}

#[test]
fn a_node_killed_under_load_fails_no_request_that_may_be_repeated() {
    let mut rig = Rig::logged_in(2);
    let key = rig.key(1, true).unwrap();
    let link = rig.link.clone();
    let asking: Vec<_> = (0..4)
        .map(|_| {
            let link = link.clone();
            thread::spawn(move || {
                for _ in 0..300 {
                    let mut out = [0; 64];
                    link.call(S, &crypt(key, &[7; 64]), &mut out).unwrap();
                }
            })
        })
        .collect();
    thread::sleep(Duration::from_millis(10));
    rig.boxes[1].kill();
    for thread in asking {
        thread.join().unwrap();
    }
}

#[test]
fn with_no_node_left_the_answer_says_so() {
    let mut rig = Rig::logged_in(2);
    let key = rig.key(1, true).unwrap();
    rig.boxes.iter_mut().for_each(|at| at.kill());
    let error = rig.encrypt(key, b"data").unwrap_err();
    assert_eq!(error.rv, Rv::DEVICE_ERROR, "{error}");
    let error = open(config(&rig.pki, &rig.boxes)).err().unwrap();
    assert_eq!(error.rv, Rv::TOKEN_NOT_PRESENT, "{error}");
    for at in &rig.boxes {
        assert!(error.why.contains(&at.client.to_string()), "{error}");
    }
}

// -- lost replies, by replay class

#[test]
fn anywhere_is_asked_again_elsewhere() {
    let rig = Rig::logged_in(2);
    let key = rig.key(1, true).unwrap();
    rig.boxes[0].faults.lose_replies(1.0);
    for _ in 0..4 {
        rig.encrypt(key, b"data").unwrap();
    }
    assert!(
        rig.boxes[0].fake.count("Crypt") > 0,
        "it was asked, and its reply was lost"
    );
}

/// The first node makes the key, its reply is lost; the second makes it anew. What the caller uses from
/// then on must outrank the other, or catch-up would replace it by key material that nobody used.
#[test]
fn same_id_is_asked_again_and_the_one_in_use_outranks_the_other() {
    let rig = Rig::logged_in(3);
    let dying = &rig.boxes[2];
    let mut met = 0;
    for id in 1..=200 {
        dying.faults.lose_replies(1.0);
        let key = rig.key(id, true).unwrap();
        dying.faults.lose_replies(0.0);
        let used = rig.boxes[0].fake.object(key).unwrap();
        assert_eq!(
            used.key,
            rig.boxes[1].fake.object(key).unwrap().key,
            "clones agree"
        );
        if let Some(dead) = dying.fake.object(key)
            && dead.key != used.key
        {
            assert!((used.version, used.origin) > (dead.version, dead.origin));
            met += 1;
        }
        if met >= 2 {
            return;
        }
        // Let it be used again: its rest must be over and one answer given.
        thread::sleep(Duration::from_millis(25));
        for _ in 0..6 {
            rig.ask(&Request::Find {
                template: Vec::new(),
            })
            .unwrap();
        }
    }
    panic!("the case was not met");
}

#[test]
fn a_destruction_whose_reply_was_lost_counts_as_done() {
    let mut rig = Rig::logged_in(2);
    let key = rig.key(1, true).unwrap();
    rig.boxes[0].faults.lose_replies(1.0);
    rig.boxes[1].kill();
    // Only one is there: it destroys, its reply is lost, asked again it knows no such object.
    assert!(
        rig.ask(&Request::Destroy { id: key }).is_err(),
        "its second reply is lost as well"
    );
    rig.boxes[1].start();
    thread::sleep(Duration::from_millis(60));
    rig.ask(&Request::Destroy { id: key }).unwrap();
    assert!(
        rig.boxes
            .iter()
            .all(|at| at.fake.object(key).unwrap().key.is_none())
    );
}

#[test]
fn never_is_not_asked_again() {
    let rig = Rig::logged_in(2);
    rig.boxes.iter().for_each(|at| at.faults.lose_replies(1.0));
    let error = begin(&rig, 1).unwrap_err();
    assert_eq!(error.rv, Rv::DEVICE_ERROR);
    assert!(error.why.contains("may have been carried out"), "{error}");
    assert_eq!(rig.count("Begin"), 1, "carried out once, on one HSM");
}

#[test]
fn an_answer_is_an_answer() {
    let rig = Rig::logged_in(2);
    let before = rig.count("other");
    let error = rig.ask(&Request::Mechanisms).unwrap_err();
    assert_eq!(error.rv, Rv::FUNCTION_NOT_SUPPORTED);
    assert_eq!(rig.count("other"), before + 1, "nobody else was asked");
}

#[test]
fn random_bytes_come_in_any_number() {
    let rig = Rig::new(2);
    for count in [0, 1, (3 << 20) + 5] {
        let mut out = vec![0; count];
        let reply = rig.link.call(S, &Request::Random, &mut out).unwrap();
        assert!(matches!(reply, Reply::Written(n) if n == count));
        assert!(out.iter().all(|&byte| byte == 0x5A));
    }
}

// -- login

#[test]
fn login_goes_to_every_node() {
    let rig = Rig::logged_in(3);
    assert!(rig.boxes.iter().all(|at| at.fake.count("Login") == 1));
    assert_eq!(
        rig.login(b"kmsPswd").unwrap_err().rv,
        Rv::USER_ALREADY_LOGGED_IN
    );
    rig.ask(&Request::Logout).unwrap();
    assert!(rig.boxes.iter().all(|at| at.fake.count("Logout") == 1));
    assert_eq!(
        rig.ask(&Request::Logout).unwrap_err().rv,
        Rv::USER_NOT_LOGGED_IN
    );
    assert_eq!(rig.key(1, true).unwrap_err().rv, Rv::USER_NOT_LOGGED_IN);
    rig.login(b"kmsPswd").unwrap();
}

#[test]
fn a_user_missing_on_one_hsm_is_told_apart_and_logged_out_of_the_others() {
    let rig = Rig::new(2);
    rig.boxes[1].fake.state.lock().users.clear();
    let error = rig.login(b"kmsPswd").unwrap_err();
    assert_eq!(error.rv, Rv::PIN_INCORRECT);
    assert!(error.why.contains("USER_NOT_FOUND"), "{error}");
    assert!(
        error.why.contains(&rig.boxes[1].client.to_string()),
        "{error}"
    );
    assert_eq!(rig.boxes[0].fake.count("Logout"), 1);
    assert_eq!(rig.key(1, true).unwrap_err().rv, Rv::USER_NOT_LOGGED_IN);
    // Repaired, the same link can log in.
    rig.boxes[1].fake.add_user("kmsuser", b"kmsPswd");
    rig.login(b"kmsPswd").unwrap();
}

#[test]
fn login_skips_a_node_that_is_away_and_makes_up_for_it() {
    let mut rig = Rig::new(2);
    rig.boxes[0].kill();
    rig.login(b"kmsPswd").unwrap();
    rig.boxes[0].start();
    thread::sleep(Duration::from_millis(60));
    for _ in 0..4 {
        rig.ask(&Request::Find {
            template: Vec::new(),
        })
        .unwrap();
    }
    assert_eq!(rig.boxes[0].fake.count("Login"), 1);
    rig.boxes.iter_mut().for_each(|at| at.kill());
    let none = open(config(&rig.pki, &rig.boxes)).err().unwrap();
    assert_eq!(none.rv, Rv::TOKEN_NOT_PRESENT);
}

/// A password that changed while the node was away must not be tried until the user is locked.
#[test]
fn a_refused_second_login_is_tried_once() {
    let mut rig = Rig::logged_in(2);
    let key = rig.key(1, true).unwrap();
    rig.boxes[0].kill();
    rig.boxes[0].fake.add_user("kmsuser", b"changed meanwhile");
    rig.boxes[0].start();
    thread::sleep(Duration::from_millis(60));
    for _ in 0..6 {
        // Past the node's rest, so that it is a candidate each time.
        thread::sleep(Duration::from_millis(50));
        for _ in 0..4 {
            rig.encrypt(key, b"data").unwrap();
        }
    }
    assert_eq!(rig.boxes[0].fake.count("Login"), 2);
    rig.boxes[1].kill();
    let error = rig.encrypt(key, b"data").unwrap_err();
    assert_eq!(error.rv, Rv::PIN_INCORRECT, "{error}");
}

fn set_pin(rig: &Rig, old: &[u8], new: &[u8]) -> hsm_api::Result<Reply> {
    rig.ask(&Request::SetPin {
        old: Hidden(old),
        new: Hidden(new),
        phase: Phase::Whole,
    })
}

#[test]
fn a_password_changes_on_all() {
    let mut rig = Rig::logged_in(2);
    set_pin(&rig, b"kmsPswd", b"rotated").unwrap();
    for at in &rig.boxes {
        let user = at.fake.state.lock().users["kmsuser"].clone();
        assert_eq!((&user.password[..], user.pending), (&b"rotated"[..], None));
    }
    // The link goes on with the new one where it must log in again.
    let key = rig.key(1, true).unwrap();
    rig.boxes[0].kill();
    rig.boxes[0].start();
    rig.boxes[1].kill();
    thread::sleep(Duration::from_millis(60));
    rig.encrypt(key, b"data").unwrap();
}

#[test]
fn a_password_changes_on_none_if_one_is_away_or_refuses() {
    let mut rig = Rig::logged_in(3);
    rig.boxes[2].kill();
    let error = set_pin(&rig, b"kmsPswd", b"rotated").unwrap_err();
    assert_eq!(error.rv, Rv::DEVICE_ERROR);
    assert!(error.why.contains("on all HSMs or on none"), "{error}");
    rig.boxes[2].start();
    rig.boxes[2].fake.add_user("kmsuser", b"differs");
    for at in &rig.boxes[..2] {
        let user = at.fake.state.lock().users["kmsuser"].clone();
        assert_eq!(
            (&user.password[..], user.pending),
            (&b"kmsPswd"[..], None),
            "taken back"
        );
    }
    thread::sleep(Duration::from_millis(60));
    assert_eq!(
        set_pin(&rig, b"kmsPswd", b"rotated").unwrap_err().rv,
        Rv::PIN_INCORRECT
    );
    rig.boxes[2].fake.add_user("kmsuser", b"kmsPswd");
    rig.ask(&Request::Logout).unwrap();
    rig.login(b"kmsPswd").unwrap();
}

#[test]
fn a_prepared_password_is_taken_back_where_the_answer_was_lost() {
    let rig = Rig::logged_in(2);
    rig.boxes[1].fake.loses_prepared.store(true, SeqCst);
    let error = set_pin(&rig, b"kmsPswd", b"rotated").unwrap_err();
    assert!(error.why.contains("on all HSMs or on none"), "{error}");
    for at in &rig.boxes {
        let user = at.fake.state.lock().users["kmsuser"].clone();
        assert_eq!(
            (&user.password[..], user.pending),
            (&b"kmsPswd"[..], None),
            "taken back"
        );
    }
}

// -- cloning

#[test]
fn a_token_key_is_on_all_hsms_when_it_is_made() {
    let rig = Rig::logged_in(3);
    let key = rig.key(1, true).unwrap();
    let keys: Vec<_> = rig
        .boxes
        .iter()
        .map(|at| at.fake.object(key).unwrap().key)
        .collect();
    assert!(keys[0].is_some() && keys.iter().all(|key| *key == keys[0]));
    rig.ask(&Request::Destroy { id: key }).unwrap();
    assert!(
        rig.boxes
            .iter()
            .all(|at| at.fake.object(key).unwrap().key.is_none())
    );
}

#[test]
fn a_key_that_two_hsms_cannot_hold_is_taken_back() {
    for checked in [true, false] {
        let rig = Rig::with(2, |config| config.availability_check = checked);
        rig.login(b"kmsPswd").unwrap();
        rig.boxes
            .iter()
            .for_each(|at| at.fake.refuses_clones.store(true, SeqCst));
        let made = rig.key(1, true);
        if checked {
            let error = made.unwrap_err();
            assert_eq!(error.rv, Rv::FUNCTION_FAILED);
            assert!(
                error
                    .why
                    .contains("does not meet the availability requirements"),
                "{error}"
            );
        } else {
            made.unwrap();
        }
        let state = |i: usize| {
            rig.boxes[i]
                .fake
                .object(ObjectId(1))
                .and_then(|object| object.key)
        };
        assert_eq!(state(0).is_some() || state(1).is_some(), !checked);
        rig.key(2, false).expect("session keys need no second HSM");
    }
}

#[test]
fn one_of_three_away_still_leaves_two() {
    let mut rig = Rig::logged_in(3);
    rig.boxes[1].kill();
    let key = rig.key(1, true).unwrap();
    assert!(
        [0, 2]
            .iter()
            .all(|&i| rig.boxes[i].fake.object(key).is_some())
    );
    rig.boxes[2].kill();
    assert_eq!(rig.key(2, true).unwrap_err().rv, Rv::FUNCTION_FAILED);
}

#[test]
fn an_object_that_one_hsm_lacks_is_found_on_the_next() {
    let rig = Rig::logged_in(2);
    let key = rig.key(1, true).unwrap();
    rig.boxes[0].fake.state.lock().objects.clear();
    for _ in 0..6 {
        rig.encrypt(key, b"data").unwrap();
    }
    let error = rig.encrypt(ObjectId(99), b"data").unwrap_err();
    assert_eq!(error.rv, Rv::KEY_HANDLE_INVALID);
}

#[test]
fn users_are_not_managed_through_a_cluster() {
    let rig = Rig::new(1);
    let error = rig.ask(&Request::Users).unwrap_err();
    assert_eq!(error.rv, Rv::FUNCTION_NOT_SUPPORTED);
    assert!(error.why.contains("management tool"), "{error}");
}

#[test]
fn a_configuration_without_sense_is_refused() {
    let rig = Rig::new(1);
    let good = config(&rig.pki, &rig.boxes);
    let mut none = good.clone();
    none.nodes.clear();
    let mut twice = good.clone();
    twice.nodes.push(good.nodes[0]);
    for bad in [none, twice] {
        assert_eq!(open(bad).err().unwrap().rv, Rv::ARGUMENTS_BAD);
    }
}
