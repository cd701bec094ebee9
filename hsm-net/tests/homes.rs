//! What lives on one node of many: session objects, streams.

use std::borrow::Cow;

use hsm_api::{Hidden, KeyRef, Op, Reply, Request, Rv, SessionId, StreamId};

use crate::rig::{MECH, Rig, S};

#[test]
fn session_objects_are_used_where_they_are_and_found_from_everywhere() {
    let rig = Rig::logged_in(3);
    let token = rig.key(1, true).unwrap();
    let keys: Vec<_> = (2..8).map(|id| rig.key(id, false).unwrap()).collect();
    for &key in &keys {
        for _ in 0..3 {
            rig.encrypt(key, b"data").unwrap();
        }
    }
    for _ in 0..3 {
        let Reply::Objects(mut found) = rig
            .ask(&Request::Find {
                template: Vec::new(),
            })
            .unwrap()
        else {
            unreachable!()
        };
        found.sort();
        let mut expected = keys.clone();
        expected.insert(0, token);
        assert_eq!(found, expected, "each once");
    }
    rig.ask(&Request::CloseSession).unwrap();
    assert_eq!(
        rig.count("CloseSession"),
        1,
        "one HSM had something of this session"
    );
    assert_eq!(
        rig.encrypt(keys[0], b"data").unwrap_err().rv,
        Rv::KEY_HANDLE_INVALID
    );
    rig.link
        .call(SessionId(2), &Request::CloseSession, &mut [])
        .unwrap();
    assert_eq!(rig.count("CloseSession"), 1);
}

#[test]
fn session_objects_die_with_their_hsm_and_new_ones_live() {
    let mut rig = Rig::logged_in(2);
    let key = rig.key(1, false).unwrap();
    rig.encrypt(key, b"data").unwrap();
    let home = rig
        .boxes
        .iter()
        .position(|at| at.fake.count("Crypt") > 0)
        .unwrap();
    rig.boxes[home].kill();
    rig.boxes[home].start();
    assert_eq!(
        rig.encrypt(key, b"data").unwrap_err().rv,
        Rv::DEVICE_REMOVED
    );
    assert_eq!(
        rig.encrypt(key, b"data").unwrap_err().rv,
        Rv::KEY_HANDLE_INVALID
    );
    let key = rig.key(2, false).unwrap();
    rig.encrypt(key, b"data").unwrap();
}

pub fn begin(rig: &Rig, stream: u64) -> hsm_api::Result<Reply> {
    let stream = StreamId(stream);
    rig.ask(&Request::Begin {
        stream,
        op: Op::Digest,
        mech: Cow::Borrowed(&MECH),
        key: None,
    })
}

fn update(rig: &Rig, stream: u64, data: &[u8]) -> hsm_api::Result<Reply> {
    rig.ask(&Request::Update {
        stream: StreamId(stream),
        data: Hidden(data),
    })
}

fn finish(rig: &Rig, stream: u64) -> hsm_api::Result<Vec<u8>> {
    let mut out = [0; 64];
    let request = Request::Finish {
        stream: StreamId(stream),
        signature: Hidden(&[]),
    };
    match rig.link.call(S, &request, &mut out)? {
        Reply::Written(n) => Ok(out[..n].to_vec()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_digest_begins_where_the_session_objects_are_while_they_are() {
    let mut rig = Rig::logged_in(3);
    let key = rig.key(1, false).unwrap();
    rig.encrypt(key, b"data").unwrap();
    let home = |rig: &Rig, what: &str| rig.boxes.iter().position(|at| at.fake.count(what) > 0);
    let at = home(&rig, "Crypt").unwrap();
    for stream in 1..=6 {
        begin(&rig, stream).unwrap();
    }
    assert_eq!(
        rig.boxes[at].fake.count("Begin"),
        6,
        "C_DigestKey finds the key there"
    );
    // With that HSM gone the next digest begins elsewhere, at once.
    rig.boxes[at].kill();
    begin(&rig, 7).unwrap();
    update(&rig, 7, b"ab").unwrap();
    assert_eq!(finish(&rig, 7).unwrap(), b"ab");
}

#[test]
fn a_session_key_is_made_where_a_digest_is_open() {
    let rig = Rig::logged_in(3);
    for (round, key) in (1..=5).enumerate() {
        let streams = [1, 2].map(|n| round as u64 * 2 + n);
        for stream in streams {
            begin(&rig, stream).unwrap();
        }
        let key = rig.key(key, false).unwrap();
        for stream in streams {
            update(&rig, stream, b"ab").unwrap();
            let stream = StreamId(stream);
            rig.ask(&Request::DigestKey { stream, key }).unwrap();
        }
        for stream in streams {
            assert_eq!(finish(&rig, stream).unwrap().len(), 3);
        }
        // The next round begins without session objects again, wherever it likes.
        rig.ask(&Request::CloseSession).unwrap();
    }
}

#[test]
fn a_session_key_is_made_though_the_digests_hsm_has_died() {
    let mut rig = Rig::logged_in(2);
    begin(&rig, 1).unwrap();
    let home = rig.boxes.iter().position(|at| at.fake.count("Begin") > 0);
    rig.boxes[home.unwrap()].kill();
    // The key would have been made beside the digest; it is not the digest's loss that it hears of.
    let key = rig.key(1, false).unwrap();
    rig.encrypt(key, b"data").unwrap();
    assert_eq!(update(&rig, 1, b"x").unwrap_err().rv, Rv::DEVICE_REMOVED);
}

#[test]
fn a_saved_digest_is_restored_on_its_node() {
    let mut rig = Rig::logged_in(3);
    begin(&rig, 1).unwrap();
    update(&rig, 1, b"ab").unwrap();
    let stream = StreamId(1);
    let Ok(Reply::Bytes(state)) = rig.ask(&Request::SaveState { stream }) else {
        panic!("no state");
    };
    finish(&rig, 1).unwrap();
    let restore = |rig: &Rig, stream, state: &[u8]| {
        let stream = StreamId(stream);
        let state = Hidden(state);
        rig.ask(&Request::RestoreState { stream, state })
    };
    for stream in 2..=7 {
        restore(&rig, stream, &state).unwrap();
        update(&rig, stream, b"cd").unwrap();
        assert_eq!(finish(&rig, stream).unwrap(), b"abcd");
    }
    // Another HSM's being away is no hindrance.
    let away = rig.boxes.iter().position(|at| at.fake.count("Begin") == 0);
    rig.boxes[away.unwrap()].kill();
    restore(&rig, 8, &state).unwrap();
    let refused = restore(&rig, 9, &[9; 2]).unwrap_err().rv;
    assert_eq!(refused, Rv::SAVED_STATE_INVALID);
    for at in &mut rig.boxes {
        at.kill();
        at.start();
    }
    let refused = restore(&rig, 9, &state).unwrap_err();
    assert_eq!(refused.rv, Rv::SAVED_STATE_INVALID, "{refused}");
}

#[test]
fn streams_stay_on_their_node() {
    let rig = Rig::logged_in(3);
    for stream in 1..=6 {
        begin(&rig, stream).unwrap();
    }
    for part in [b"ab", b"cd"] {
        for stream in 1..=6 {
            update(&rig, stream, part).unwrap();
        }
    }
    for stream in 1..=6 {
        assert_eq!(finish(&rig, stream).unwrap(), b"abcd");
        assert_eq!(
            finish(&rig, stream).unwrap_err().rv,
            Rv::OPERATION_NOT_INITIALIZED
        );
    }
}

#[test]
fn a_stream_whose_node_died_is_removed_and_the_session_lives_on() {
    let mut rig = Rig::logged_in(2);
    // Digests would go together.
    let key = rig.key(1, true).unwrap();
    for stream in 1..=4 {
        let stream = StreamId(stream);
        rig.ask(&Request::Begin {
            stream,
            op: Op::Encrypt,
            mech: Cow::Borrowed(&MECH),
            key: Some(Cow::Owned(KeyRef::by_id(key))),
        })
        .unwrap();
    }
    rig.boxes[0].kill();
    rig.boxes[0].start();
    let removed = |rig: &Rig, stream| match update(rig, stream, b"x") {
        Ok(_) => false,
        Err(e) => {
            assert_eq!(e.rv, Rv::DEVICE_REMOVED, "{e}");
            assert_eq!(
                update(rig, stream, b"x").unwrap_err().rv,
                Rv::OPERATION_NOT_INITIALIZED,
                "told once"
            );
            true
        }
    };
    let lost = (1..=4).filter(|&stream| removed(&rig, stream)).count();
    assert!((1..=3).contains(&lost), "those of one HSM: {lost}");
    begin(&rig, 9).unwrap();
    update(&rig, 9, b"x").unwrap();
}
