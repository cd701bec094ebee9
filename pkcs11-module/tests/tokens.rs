//! What is an embedded token's own, through `cryptoki`: PINs, its directory, slots by the configuration file.

use cryptoki::error::RvError;
use cryptoki::object::Attribute;
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;

use crate::copy::{Copy, SO_PIN, USER_PIN, refused, user};
use crate::work::aes;

#[test]
fn pins_and_users() {
    let copy = Copy::new();
    let (p11, slot) = copy.token();
    let session = p11.open_rw_session(slot).unwrap();
    let pin = |text: &str| AuthPin::new(text.into());
    let wrong = session.login(UserType::User, Some(&pin("0000")));
    assert_eq!(refused(wrong), RvError::PinIncorrect);
    session.login(UserType::User, Some(&pin(USER_PIN))).unwrap();
    session.set_pin(&pin(USER_PIN), &pin("another")).unwrap();
    session.logout().unwrap();
    let old = session.login(UserType::User, Some(&pin(USER_PIN)));
    assert_eq!(refused(old), RvError::PinIncorrect);
    session
        .login(UserType::User, Some(&pin("another")))
        .unwrap();
    session.logout().unwrap();
    session.login(UserType::So, Some(&pin(SO_PIN))).unwrap();
    let info = p11.get_token_info(slot).unwrap();
    assert!(info.token_initialized() && info.user_pin_initialized());
    assert_eq!((info.label(), info.manufacturer_id()), ("t", "Keystead"));
}

#[test]
fn two_copies_on_one_directory_see_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let config = format!("[[token]]\ndirectory = \"{}\"\n", dir.path().display());
    let (one, two) = (Copy::with(&config), Copy::with(&config));
    let (p11_one, slot) = one.token();
    let p11_two = two.start();
    assert_eq!(p11_two.get_all_slots().unwrap(), [slot]);
    let (session_one, session_two) = (user(&p11_one, slot), user(&p11_two, slot));
    let by = |session: &Session, label: &str| {
        session
            .find_objects(&[Attribute::Label(label.into())])
            .unwrap()
            .len()
    };
    assert_eq!(by(&session_two, "shared"), 0);
    let key = aes(&session_one, true, "shared");
    assert_eq!(by(&session_two, "shared"), 1);
    session_one.destroy_object(key).unwrap();
    assert_eq!(by(&session_two, "shared"), 0);
}

#[test]
fn slots_follow_the_configuration_file() {
    let copy = Copy::new();
    let (p11, first) = copy.token();
    assert_eq!(
        p11.get_all_slots().unwrap(),
        [first],
        "no empty slot beside a token"
    );
    let config = "empty-slot = true\n[[token]]\ndirectory = \"tokens\"\n";
    std::fs::write(copy.dir().join("pkcs11.toml"), config).unwrap();
    let slots = p11.get_all_slots().unwrap();
    assert_eq!((slots.len(), slots[0]), (2, first));
    p11.init_token(slots[1], &AuthPin::new(SO_PIN.into()), "second")
        .unwrap();
    let now = p11.get_all_slots().unwrap();
    assert_eq!(
        (now.len(), &now[..2]),
        (3, &slots[..]),
        "and another empty one"
    );
    assert_eq!(p11.get_token_info(slots[1]).unwrap().label(), "second");
    std::fs::write(copy.dir().join("pkcs11.toml"), "nonsense").unwrap();
    assert_eq!(
        p11.get_all_slots().unwrap(),
        now,
        "a file gone wrong changes nothing"
    );
    drop(p11);
    let (p11, _again) = copy_of(&copy);
    let labels: Vec<_> = p11
        .get_all_slots()
        .unwrap()
        .into_iter()
        .map(|slot| {
            (
                slot.id(),
                p11.get_token_info(slot).unwrap().label().to_owned(),
            )
        })
        .collect();
    assert_eq!(
        labels[..2],
        [(0, "t".to_owned()), (1, "second".to_owned())],
        "in order of creation"
    );
}

/// Another process's view: another copy of the library, on the same directory.
fn copy_of(copy: &Copy) -> (cryptoki::context::Pkcs11, Copy) {
    let tokens = copy.dir().join("tokens");
    let again = Copy::with(&format!(
        "[[token]]\ndirectory = \"{}\"\n",
        tokens.display()
    ));
    (again.start(), again)
}
