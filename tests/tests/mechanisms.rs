//! Whoever comes from another module finds its mechanisms here: SoftHSM2's as the installed one lists them, Kryoptic's and
//! those of CloudHSM's library as the files in `mechanisms/` have them, which say where they come from.

use crate::vectors::raw::Token as Module;
use std::collections::BTreeSet;
use tests::boto::Boto;
use tests::p11::Token;
use tests::story::token_on_cluster;
use tests::up::{Home, Up};

/// What Kryoptic has and Keystead has not, by how the names begin, and why. What is added is taken out here.
const LEFT_OUT: [(&str, &str); 3] = [
    (
        "CKM_TLS",
        "TLS 1.2's: its libraries derive by themselves, and 1.3 uses HKDF",
    ),
    ("CKM_IKE", "IKE's, which its daemons do by themselves"),
    ("KRM_SSHKDF_DERIVE", "SSH's, by a number of Kryoptic's own"),
];

/// Mechanisms of which Kryoptic does more, and why that is left so.
const LESS: [(&str, &str); 1] = [(
    "CKM_RSA_X_509",
    "wrapping without padding: whoever may choose what is unwrapped, or sees a short key go by, reads keys",
)];

/// Mechanisms whose sizes differ otherwise than by being wider here, and why.
const SIZES: [(&str, &str); 6] = [
    ("CKM_RSA_", "Kryoptic's keys reach 16,384 bits, ours 8,192"),
    ("_RSA_PKCS", "the same"),
    ("_RSA_PKCS_PSS", "the same"),
    (
        "CKM_CHACHA20",
        "Kryoptic counts bytes, the specification bits",
    ),
    (
        "CKM_EDDSA",
        "Kryoptic counts whole bytes, we the field's bits",
    ),
    ("CKM_EC_EDWARDS_KEY_PAIR_GEN", "the same"),
];

/// The bits of CK_MECHANISM_INFO's flags that say what a mechanism is for (not how points and curves are written).
const FUNCTIONS: u64 = 0x300F_FF3E;

/// A line of a file: name, number, then what more there is.
fn rows(text: &str) -> Vec<(&str, u64, Vec<u64>)> {
    let number = |word: &str| match word.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).expect("hexadecimal"),
        None => word.parse().expect("a number"),
    };
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let mut words = line.split(' ');
            let name = words.next().expect("a name");
            let mut numbers = words.map(number);
            (name, numbers.next().expect("a number"), numbers.collect())
        })
        .collect()
}

fn listed(token: &Token) -> BTreeSet<String> {
    let text = token.tool("--list-mechanisms").ok().text();
    let names = text
        .lines()
        .filter_map(|line| line.strip_prefix("  ")?.split(',').next())
        .map(str::to_owned);
    names.collect()
}

#[test]
fn softhsms_are_all_here() {
    let home = Home::new();
    let theirs = Token::softhsm(&home, "t", "1234");
    theirs.init("12345678");
    let theirs = listed(&theirs);
    assert!(theirs.len() >= 60, "{theirs:?}");
    let config = home.write(
        "pkcs11.toml",
        "legacy = true\n[[token]]\ndirectory = \"tokens\"\n",
    );
    let ours = Token::configured(&home, &config, "t", "1234");
    ours.init("12345678");
    let ours = listed(&ours);
    let absent: Vec<&String> = theirs.difference(&ours).collect();
    assert!(absent.is_empty(), "{absent:?} of {}", theirs.len());
}

#[test]
fn kryoptics_are_all_here_but_for_these() {
    let theirs = rows(include_str!("mechanisms/kryoptic.txt"));
    assert!(theirs.len() >= 170, "{}", theirs.len());
    let module = Module::bare("legacy = true\n[[token]]\ndirectory = \"tokens\"\n");
    let (mut left_out, mut less, mut sizes) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for (name, number, info) in &theirs {
        let [least, most, flags] = info[..] else {
            panic!("{name}: {info:?}")
        };
        let out = LEFT_OUT.iter().find(|(head, _)| name.starts_with(head));
        let Some(ours) = module.mechanism(*number) else {
            let (head, _) = out.unwrap_or_else(|| panic!("{name} ({number:#x}) is not here"));
            left_out.insert(*head);
            continue;
        };
        assert!(
            out.is_none(),
            "{name} is here: LEFT_OUT says that it is not"
        );
        if ours.flags & flags & FUNCTIONS != flags & FUNCTIONS {
            let known = LESS.iter().find(|(known, _)| known == name);
            let (known, _) = known.unwrap_or_else(|| {
                panic!("{name}: flags {:#x}, in Kryoptic {flags:#x}", ours.flags)
            });
            less.insert(*known);
        }
        // Kryoptic says 0, or all that fits into 32 bits, where it has no limit.
        let limited = most != 0 && most != u64::from(u32::MAX);
        if limited && !(ours.ulMinKeySize <= least && most <= ours.ulMaxKeySize) {
            let known = SIZES.iter().find(|(part, _)| {
                name.starts_with(part) || part.starts_with('_') && name.ends_with(part)
            });
            let (known, _) = known.unwrap_or_else(|| {
                let (from, to) = (ours.ulMinKeySize, ours.ulMaxKeySize);
                panic!("{name}: {from} to {to}, in Kryoptic {least} to {most}")
            });
            sizes.insert(*known);
        }
    }
    assert_eq!(left_out.len(), LEFT_OUT.len(), "{left_out:?}");
    assert_eq!(less.len(), LESS.len(), "{less:?}");
    assert_eq!(sizes.len(), SIZES.len(), "{sizes:?}");
}

#[test]
fn the_personality_cloudhsm_has_cloudhsms_and_no_others() {
    has_cloudhsms("[[token]]\ndirectory = \"tokens\"\npersonality = \"cloudhsm\"\n");
}

#[test]
fn so_has_a_cluster() {
    let home = Home::new();
    let up = Up::bare(&home);
    let boto = Boto::new(&up);
    token_on_cluster(&home, &boto, "hsm");
    let standard = String::from_utf8(home.read("pkcs11.toml")).expect("text");
    has_cloudhsms(&standard.replace("\"standard\"", "\"cloudhsm\""));
}

fn has_cloudhsms(configuration: &str) {
    let theirs = rows(include_str!("mechanisms/cloudhsm.txt"));
    assert!(theirs.len() >= 50, "{}", theirs.len());
    let module = Module::bare(configuration);
    let ours: BTreeSet<u64> = module.mechanisms().into_iter().collect();
    let wanted: BTreeSet<u64> = theirs.iter().map(|(_, number, _)| *number).collect();
    let absent: Vec<_> = theirs
        .iter()
        .filter(|(_, n, _)| !ours.contains(n))
        .collect();
    let more: Vec<_> = ours.difference(&wanted).collect();
    assert!(
        absent.is_empty() && more.is_empty(),
        "{absent:?}; {more:x?}"
    );
}

#[test]
fn cloudhsms_are_all_in_the_standard_list_too() {
    let module = Module::bare("legacy = true\n[[token]]\ndirectory = \"tokens\"\n");
    for (name, number, _) in rows(include_str!("mechanisms/cloudhsm.txt")) {
        assert!(module.mechanism(number).is_some(), "{name} ({number:#x})");
    }
}
