//! The library on a cluster of two HSMs: what is a cluster's own. What every token does is tested on one by
//! `KEYSTEAD_TEST_ON=cluster` ([`crate::raw`]).

use std::borrow::Cow;
use std::ptr::NonNull;
use std::time::{Duration, Instant};

use cryptoki::context::{CInitializeArgs, CInitializeFlags};
use cryptoki::error::RvError;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, AttributeType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;
use hsm_api::{Attr, Hello, Hidden, Hsm, KeyRef, ObjectId, Peer, Request, Role, SessionId, Value};
use hsm_net::{Cluster, ClusterConfig};
use hsm_sim::attr;
use pkcs11_sys::*;

use crate::copy::refused;
use crate::raw::{p11, plain, text};
use crate::rig::{Rig, ask};

fn key(session: &Session) -> ObjectHandle {
    let template = [
        Attribute::ValueLen(32.into()),
        Attribute::Token(true),
        Attribute::Encrypt(true),
        Attribute::Decrypt(true),
        Attribute::Label("backing".into()),
    ];
    session
        .generate_key(&Mechanism::AesKeyGen, &template)
        .unwrap()
}

#[test]
fn a_key_outlives_any_one_hsm() {
    for dies in 0..2 {
        let mut rig = Rig::new("standard");
        let (p11, slot, session) = rig.user();
        let key = key(&session);
        let cbc = Mechanism::AesCbcPad([1; 16]);
        let sealed = session.encrypt(&cbc, key, b"text").unwrap();
        rig.nodes[dies] = None;
        let label = [Attribute::Label("backing".into())];
        assert_eq!(session.find_objects(&label).unwrap(), [key]);
        assert_eq!(
            session.decrypt(&cbc, key, &sealed).unwrap(),
            b"text",
            "HSM {dies} is gone"
        );
        rig.nodes[1 - dies] = None;
        let rv = refused(session.decrypt(&cbc, key, &sealed));
        assert_eq!(rv, RvError::DeviceError, "no HSM is left");
        assert_eq!(p11.get_all_slots().unwrap(), [slot], "listed");
        assert_eq!(p11.get_slots_with_token().unwrap(), [], "and not present");
    }
}

/// That all else that is listed works is tested with the HSM alone (hsm-sim/tests/sim/fips.rs).
#[test]
fn mechanism_info_tells_what_fips_mode_leaves() {
    for personality in ["standard", "cloudhsm"] {
        for fips in [false, true] {
            let rig = Rig::with(personality, fips);
            let (p11, slot, _session) = rig.user();
            let info = |mech| p11.get_mechanism_info(slot, mech).unwrap();
            let old = info(MechanismType::RSA_PKCS);
            let hides = [old.encrypt(), old.decrypt(), old.wrap(), old.unwrap()];
            assert_eq!(hides, [!fips; 4], "{personality}, FIPS mode {fips}");
            assert!(old.sign() && old.verify());
            let new = info(MechanismType::RSA_PKCS_OAEP);
            assert!(new.encrypt() && new.decrypt() && new.wrap() && new.unwrap());
            p11.finalize().unwrap();
        }
    }
}

/// The counter of a one-time password key is on all HSMs before the password is shown.
#[test]
fn a_counter_moves_on_at_all_hsms() {
    let mut rig = Rig::new("standard");
    let anchor = std::fs::read_to_string(rig.copy.dir().join("customerCA.crt")).unwrap();
    let config = ClusterConfig::new("c", rig.addresses.clone(), &anchor);
    let cluster = Cluster::new(config).unwrap();
    let (application, peer) = (7, Peer::Client);
    let link = cluster.open(&Hello { application, peer }).unwrap();
    let (role, name) = (Role::Cu, Some("cu1"));
    let pin = Hidden(b"cu1password");
    ask(&link, Request::Login { role, name, pin });
    let id = ObjectId(1);
    let template = [
        (attr::CLASS, Value::Ulong(8)),
        (attr::KEY_TYPE, Value::Ulong(0x23)),
        (attr::TOKEN, Value::Bool(true)),
        (attr::VALUE, Value::Bytes(b"12345678901234567890".to_vec())),
    ];
    let template = template.map(|(ty, value)| Attr { ty, value }).to_vec();
    ask(&link, Request::Create { id, template });
    let one = || {
        let mech = hsm_api::Mechanism {
            id: hsm_api::MechId(0x291),
            params: hsm_api::Params::None,
        };
        let request = Request::Crypt {
            op: hsm_api::Op::Sign,
            mech: Cow::Owned(mech),
            key: Some(Cow::Owned(KeyRef::by_id(id))),
            data: Hidden(&[]),
            signature: Hidden(&[]),
        };
        let mut made = [0; 16];
        link.call(SessionId(1), &request, &mut made).unwrap();
        u64::from_be_bytes(made[..8].try_into().unwrap())
    };
    let shown: Vec<u64> = (0..8).map(|_| one()).collect();
    assert_eq!(shown, [0, 1, 2, 3, 4, 5, 6, 7], "whichever HSM answered");
    rig.nodes[0] = None;
    assert_eq!(one(), 8, "the HSM that is left knows");
}

#[test]
fn a_password_changes_on_all_hsms() {
    let rig = Rig::new("standard");
    let (_p11, _slot, session) = rig.user();
    let pin = |text: &str| AuthPin::new(text.into());
    session
        .set_pin(&pin("cu1password"), &pin("newpassword"))
        .unwrap();
    session.logout().unwrap();
    let old = session.login(UserType::User, Some(&pin("cu1:cu1password")));
    assert_eq!(refused(old), RvError::PinIncorrect);
    session
        .login(UserType::User, Some(&pin("cu1:newpassword")))
        .unwrap();
}

#[test]
fn cloudhsm_refuses_what_the_real_library_refuses() {
    let rig = Rig::new("cloudhsm");
    let (p11, slot, session) = rig.user();
    let key = key(&session);
    let rv = refused(p11.open_ro_session(slot));
    assert_eq!(rv, RvError::FunctionFailed);
    let label = [Attribute::Label("other".into())];
    assert_eq!(
        refused(session.update_attributes(key, &label)),
        RvError::FunctionNotSupported
    );
    fn gcm(iv: &mut [u8]) -> Mechanism<'_> {
        Mechanism::AesGcm(GcmParams::new(iv, b"aad", 128.into()).unwrap())
    }
    let (mut own, mut made, mut zero) = ([1u8; 12], [0u8; 12], [0u8; 12]);
    let rv = refused(session.encrypt(&gcm(&mut own), key, b"text"));
    assert_eq!(rv, RvError::MechanismParamInvalid, "an IV of the caller's");
    let sealed = session.encrypt(&gcm(&mut made), key, b"text").unwrap();
    assert_ne!(made, [0; 12], "the HSM's IV is written back");
    assert_eq!(
        session.decrypt(&gcm(&mut made), key, &sealed).unwrap(),
        b"text"
    );
    let long = vec![0; 16_225];
    let rv = refused(session.encrypt(&gcm(&mut zero), key, &long));
    assert_eq!(rv, RvError::DataLenRange);
}

#[test]
fn a_cluster_has_what_every_token_has() {
    let rig = Rig::new("standard");
    let (_p11, _slot, session) = rig.user();
    let own = key(&session);
    for (class, least) in [(ObjectClass::PROFILE, 3), (ObjectClass::MECHANISM, 40)] {
        let found = session.find_objects(&[Attribute::Class(class)]).unwrap();
        assert!(found.len() >= least, "{class}: {found:?}");
        let asked = [AttributeType::Class];
        let is = session.get_attributes(found[0], &asked).unwrap();
        assert_eq!(is, [Attribute::Class(class)]);
        let refused = refused(session.destroy_object(found[0]));
        assert_eq!(refused, RvError::ActionProhibited, "{class}");
    }
    assert_eq!(session.find_objects(&[]).unwrap(), [own]);
    session.seed_random(b"seed").unwrap();
    assert_ne!(
        session.generate_random_vec(32).unwrap(),
        session.generate_random_vec(32).unwrap()
    );
}

#[test]
fn a_cluster_is_added_to_a_running_process_and_taken_away() {
    let rig = Rig::new("standard");
    let path = rig.copy.dir().join("pkcs11.toml");
    let cluster = std::fs::read_to_string(&path).unwrap();
    let token = "[[token]]\ndirectory = \"tokens\"\n";
    std::fs::write(&path, token).unwrap();
    let p11 = rig.copy.start();
    let first = p11.get_all_slots().unwrap();
    assert_eq!(first.len(), 1);
    std::fs::write(&path, format!("{cluster}{token}")).unwrap();
    let both = p11.get_all_slots().unwrap();
    assert_eq!(
        (both.len(), both[0]),
        (2, first[0]),
        "the old slot keeps its id"
    );
    let session = p11.open_rw_session(both[1]).unwrap();
    session
        .login(
            UserType::User,
            Some(&AuthPin::new("cu1:cu1password".into())),
        )
        .unwrap();
    key(&session);
    std::fs::write(&path, token).unwrap();
    assert_eq!(p11.get_all_slots().unwrap(), first);
    assert_eq!(refused(session.logout()), RvError::SessionHandleInvalid);
    assert_eq!(
        refused(p11.open_rw_session(both[1])),
        RvError::SlotIdInvalid
    );
}

/// Threads wait for HSMs that answer slowly; a fork does not wait with them, and the child works.
#[test]
fn a_fork_does_not_wait_for_the_network() {
    let rig = Rig::new("standard");
    let (p11, slot, session) = rig.user();
    rig.faults.delay(Duration::from_secs(4));
    std::thread::scope(|threads| {
        threads.spawn(move || session.generate_random_vec(16).unwrap());
        std::thread::sleep(Duration::from_millis(300));
        let started = Instant::now();
        // SAFETY: the child uses the library only, and leaves without running anybody's exit handlers.
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            let config = rig.copy.reserved().as_ptr().cast_mut();
            let reserved = NonNull::new(config.cast()).unwrap();
            // SAFETY: a C string that outlives the call.
            let args = unsafe {
                CInitializeArgs::new_with_reserved(CInitializeFlags::OS_LOCKING_OK, reserved)
            };
            let code = i32::from(p11.initialize(args).is_err());
            // SAFETY: ends the child.
            unsafe { libc::_exit(code) };
        }
        let forked = started.elapsed();
        let mut status = 0;
        // SAFETY: waits for our own child.
        assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
        assert!(forked < Duration::from_secs(2), "{forked:?}");
        assert_eq!(status, 0, "the child's C_Initialize");
    });
    rig.faults.delay(Duration::ZERO);
    p11.get_token_info(slot).unwrap();
}

/// One configuration with two directories and a cluster: slots in that order, each with its own login.
#[test]
fn directories_and_clusters_side_by_side() {
    let rig = Rig::new("standard");
    let path = rig.copy.dir().join("pkcs11.toml");
    let cluster = std::fs::read_to_string(&path).unwrap();
    let tokens = "[[token]]\ndirectory = \"a\"\n[[token]]\ndirectory = \"b\"\n";
    std::fs::write(&path, format!("{tokens}{cluster}")).unwrap();
    let p11 = rig.copy.start();
    let slots = p11.get_all_slots().unwrap();
    let [a, b, c] = slots[..] else {
        panic!("{slots:?}")
    };
    let pin = |text: &str| AuthPin::new(text.into());
    let mut sessions = Vec::new();
    for (slot, label) in [(a, "first"), (b, "second")] {
        p11.init_token(slot, &pin("12345678"), label).unwrap();
        let so = p11.open_rw_session(slot).unwrap();
        so.login(UserType::So, Some(&pin("12345678"))).unwrap();
        so.init_pin(&pin(label)).unwrap();
        so.logout().unwrap();
        so.login(UserType::User, Some(&pin(label))).unwrap();
        assert_eq!(p11.get_token_info(slot).unwrap().label(), label);
        sessions.push(so);
    }
    let session = p11.open_rw_session(c).unwrap();
    let user = Some(pin("cu1:cu1password"));
    session.login(UserType::User, user.as_ref()).unwrap();
    sessions.push(session);
    for session in &sessions {
        assert_eq!(session.find_objects(&[]).unwrap(), [], "its own objects");
        key(session);
        assert_eq!(session.find_objects(&[]).unwrap().len(), 1);
    }
    sessions[0].logout().unwrap();
    key(&sessions[1]);
    key(&sessions[2]);
    assert_eq!(p11.get_all_slots().unwrap(), [a, b, c]);
}

/// A digest's state comes back in any session of the application, by whichever HSM has it. The states of operations
/// with keys stay in the HSM, and that is said so before and after there is data in them.
#[test]
fn operation_states_on_a_cluster() {
    let raw = &Rig::new("standard").raw();
    let at = |data: &[u8]| (data.as_ptr().cast_mut(), data.len() as CK_ULONG);
    let save = |h| {
        let mut len = 0;
        let null = std::ptr::null_mut();
        let rv = p11!(raw, C_GetOperationState, h, null, &mut len);
        if rv != CKR_OK {
            return Err(rv);
        }
        let mut state = vec![0; len as usize];
        match p11!(raw, C_GetOperationState, h, state.as_mut_ptr(), &mut len) {
            CKR_OK => Ok(state),
            rv => Err(rv),
        }
    };
    let restore = |h, state: &[u8], keys: [CK_ULONG; 2]| {
        let (s, len) = at(state);
        p11!(raw, C_SetOperationState, h, s, len, keys[0], keys[1])
    };
    let update = |h, data: &[u8]| {
        let (d, len) = at(data);
        p11!(raw, C_DigestUpdate, h, d, len)
    };
    let finish = |h| {
        let (mut value, mut len) = ([0; 64], 64);
        let rv = p11!(raw, C_DigestFinal, h, value.as_mut_ptr(), &mut len);
        assert_eq!(rv, CKR_OK);
        value[..len as usize].to_vec()
    };
    let whole = |id, parts: &[&[u8]]| {
        let h = raw.open();
        assert_eq!(p11!(raw, C_DigestInit, h, &mut plain(id)), CKR_OK);
        for part in parts {
            assert_eq!(update(h, part), CKR_OK);
        }
        let value = finish(h);
        assert_eq!(p11!(raw, C_CloseSession, h), CKR_OK);
        value
    };
    for round in 0..8 {
        for id in [CKM_SHA_1, CKM_SHA256, CKM_SHA3_384, CKM_SHA512] {
            let (h, other) = (raw.open(), raw.open());
            assert_eq!(p11!(raw, C_DigestInit, h, &mut plain(id)), CKR_OK);
            // Nothing fed yet is a state too.
            let empty = save(h).unwrap();
            assert_eq!(update(h, b"one "), CKR_OK);
            let state = save(h).unwrap();
            assert_eq!(update(h, b"two"), CKR_OK);
            assert_eq!(finish(h), whole(id, &[b"one two"]));
            for (h, state, before) in [
                (h, &state, &b"one "[..]),
                (other, &state, b"one "),
                (other, &empty, b""),
            ] {
                assert_eq!(restore(h, state, [0, 0]), CKR_OK, "{id:#x} {round}");
                assert_eq!(update(h, b"three"), CKR_OK);
                let again = save(h).unwrap();
                assert_eq!(finish(h), whole(id, &[before, b"three"]));
                assert_eq!(restore(h, &again, [0, 0]), CKR_OK);
                assert_eq!(finish(h), whole(id, &[before, b"three"]));
            }
            // The session in which a state was saved may be gone.
            assert_eq!(p11!(raw, C_CloseSession, h), CKR_OK);
            assert_eq!(restore(other, &state, [0, 0]), CKR_OK);
            assert_eq!(finish(other), whole(id, &[b"one "]));
            assert_eq!(p11!(raw, C_CloseSession, other), CKR_OK);
        }
    }
    let (h, other) = (raw.open(), raw.open());
    let (mac, aes) = (raw.generate(CKM_GENERIC_SECRET_KEY_GEN, 32), raw.aes());
    let mut hmac = plain(CKM_SHA256_HMAC);
    let mut iv = [7u8; 16];
    let mut cbc = CK_MECHANISM {
        mechanism: CKM_AES_CBC_PAD,
        pParameter: iv.as_mut_ptr().cast(),
        ulParameterLen: 16,
    };
    assert_eq!(p11!(raw, C_SignInit, h, &mut hmac, mac), CKR_OK);
    assert_eq!(save(h), Err(CKR_STATE_UNSAVEABLE));
    let (d, len) = at(b"data");
    assert_eq!(p11!(raw, C_SignUpdate, h, d, len), CKR_OK);
    assert_eq!(save(h), Err(CKR_STATE_UNSAVEABLE));
    assert_eq!(p11!(raw, C_EncryptInit, other, &mut cbc, aes), CKR_OK);
    assert_eq!(save(other), Err(CKR_STATE_UNSAVEABLE));
    let (mut out, mut room) = ([0; 64], 64);
    let to = out.as_mut_ptr();
    assert_eq!(
        p11!(raw, C_EncryptUpdate, other, d, len, to, &mut room),
        CKR_OK
    );
    assert_eq!(save(other), Err(CKR_STATE_UNSAVEABLE));
    // Both go on as if nobody had asked.
    let mut room = 64;
    assert_eq!(p11!(raw, C_SignFinal, h, to, &mut room), CKR_OK);
    assert_eq!(room, 32);
    let mut room = 64;
    assert_eq!(p11!(raw, C_EncryptFinal, other, to, &mut room), CKR_OK);
    assert_eq!(room, 16);
    // What is no state of ours, or names a key, is refused, whatever is active meanwhile.
    assert_eq!(p11!(raw, C_DigestInit, h, &mut plain(CKM_SHA256)), CKR_OK);
    let state = save(h).unwrap();
    assert_eq!(restore(h, &state, [aes, 0]), CKR_KEY_NOT_NEEDED);
    assert_eq!(restore(h, &[], [0, 0]), CKR_SAVED_STATE_INVALID);
    assert_eq!(restore(h, &state[..27], [0, 0]), CKR_SAVED_STATE_INVALID);
    assert_eq!(update(h, b"still here"), CKR_OK);
    assert_eq!(finish(h), whole(CKM_SHA256, &[b"still here"]));
    // Of an application whose user has logged out nothing is left, and one without a login saves as well.
    assert_eq!(p11!(raw, C_Logout, h), CKR_OK);
    assert_eq!(restore(h, &state, [0, 0]), CKR_SAVED_STATE_INVALID);
    assert_eq!(p11!(raw, C_DigestInit, h, &mut plain(CKM_SHA256)), CKR_OK);
    assert_eq!(update(h, b"one "), CKR_OK);
    let state = save(h).unwrap();
    finish(h);
    for _ in 0..4 {
        assert_eq!(restore(other, &state, [0, 0]), CKR_OK);
        assert_eq!(update(other, b"two"), CKR_OK);
        assert_eq!(finish(other), whole(CKM_SHA256, &[b"one two"]));
    }
}

/// Of a cluster's many users the token tells about the one who is logged in, whichever HSM is asked: how many tries he has
/// left with C_SetPIN.
#[test]
fn the_flags_of_a_users_tries() {
    let raw = Rig::new("standard").raw();
    let flags = || {
        let mut info = CK_TOKEN_INFO::default();
        assert_eq!(p11!(raw, C_GetTokenInfo, raw.slot, &mut info), CKR_OK);
        let all = CKF_USER_PIN_COUNT_LOW | CKF_USER_PIN_FINAL_TRY | CKF_USER_PIN_LOCKED;
        info.flags & all
    };
    let change = |old: &str, new: &str| {
        let ((old, old_len), (new, new_len)) = (text(old), text(new));
        p11!(raw, C_SetPIN, raw.h, old, old_len, new, new_len)
    };
    let low = CKF_USER_PIN_COUNT_LOW;
    let wrong = |now: CK_FLAGS| {
        assert_eq!(change("wrongpassword", "another"), CKR_PIN_INCORRECT);
        // By turns one HSM answers and the other.
        assert_eq!([flags(), flags(), flags()], [now; 3]);
    };
    assert_eq!(flags(), 0);
    wrong(low);
    assert_eq!(change("cu1password", "newpassword"), CKR_OK);
    assert_eq!(flags(), 0, "a right one forgives");
    for now in [low, low, low, low | CKF_USER_PIN_FINAL_TRY] {
        wrong(now);
    }
    wrong(CKF_USER_PIN_LOCKED);
    assert_eq!(change("newpassword", "another"), CKR_PIN_LOCKED);
    // Nobody is logged in: of which user would it tell?
    assert_eq!(p11!(raw, C_Logout, raw.h), CKR_OK);
    assert_eq!(flags(), 0);
    let (pin, len) = text("cu1:newpassword");
    let rv = p11!(raw, C_Login, raw.h, CKU_USER, pin, len);
    assert_eq!(rv, CKR_PIN_LOCKED);
}
