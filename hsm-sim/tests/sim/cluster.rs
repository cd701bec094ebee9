//! Changes between HSMs, backups, certificates.

use std::sync::Arc;

use hsm_api::reply::Certificates;
use hsm_api::{
    Change, Hidden, Link, MechId, Mechanism, ObjectId, Op, Params, Peer, Reply, Request, Role, Rv,
};
use hsm_sim::attr;

use super::rig::*;

fn backup(link: &Arc<dyn Link>) -> Vec<u8> {
    match link.ask(&Request::Backup) {
        Ok(Reply::Bytes(bytes)) => bytes,
        other => panic!("{other:?}"),
    }
}

fn digest(link: &Arc<dyn Link>) -> Vec<(ObjectId, u64, u64)> {
    match link.ask(&Request::Digest) {
        Ok(Reply::Digest(mut all)) => {
            all.sort_unstable();
            all
        }
        other => panic!("{other:?}"),
    }
}

fn apply(link: &Arc<dyn Link>, changes: &[Change]) {
    link.ask(&Request::Apply {
        changes: changes.to_vec(),
    })
    .unwrap();
}

fn csr(link: &Arc<dyn Link>) -> Certificates {
    match link.ask(&Request::Csr) {
        Ok(Reply::Csr(certificates)) => certificates,
        other => panic!("{other:?}"),
    }
}

/// Since 2024 the padding of PKCS#1 v1.5 signs in FIPS mode, and does not encrypt or wrap.
#[test]
fn fips_mode_hides_nothing_under_pkcs1_padding() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let service = Service::default();
    let fips = link(&service.active(dirs[0].path(), 1), Peer::Client);
    fips.login(Role::Cu, Some("cu1"), "password1").unwrap();
    let embedded = token(dirs[1].path()).1;
    for (link, refuses) in [(fips, true), (embedded, false)] {
        let (public, private) = (id(), id());
        link.made(&Request::GenerateKeyPair {
            mech: plain(0),
            public,
            public_template: vec![n(attr::MODULUS_BITS, 2048)],
            private,
            private_template: vec![],
        });
        let aes = link.aes(vec![b(attr::EXTRACTABLE, true)]);
        let (pkcs, sha256) = (plain(1), plain(0x40));
        let encrypted = link.crypt(Op::Encrypt, &pkcs, public, b"secret");
        let wrapped = link.wrap(&pkcs, public, aes);
        let signed = link.crypt(Op::Sign, &sha256, private, b"open");
        assert_eq!(signed.unwrap().len(), 256);
        assert_eq!(
            link.crypt(Op::Sign, &pkcs, private, b"open").unwrap().len(),
            256
        );
        if refuses {
            assert_eq!(encrypted.unwrap_err().rv, Rv::MECHANISM_INVALID);
            assert_eq!(wrapped.unwrap_err().rv, Rv::MECHANISM_INVALID);
            let decrypted = link.crypt(Op::Decrypt, &pkcs, private, &[0; 256]);
            assert_eq!(decrypted.unwrap_err().rv, Rv::MECHANISM_INVALID);
        } else {
            let decrypted = link.crypt(Op::Decrypt, &pkcs, private, &encrypted.unwrap());
            assert_eq!(decrypted.unwrap(), b"secret");
            assert_eq!(wrapped.unwrap().len(), 256);
        }
    }
}

/// Catch-up asks for many objects by name, and the answer must go into a frame whatever they hold.
#[test]
fn what_is_exported_at_once_is_bounded_by_its_size() {
    let dir = tempfile::tempdir().unwrap();
    let engine = Service::default().active(dir.path(), 1);
    let a = link(&engine, Peer::Client);
    a.login(Role::Cu, Some("cu1"), "password1").unwrap();
    let value = vec![7; 5 << 20];
    let ids = [id(), id(), id()];
    for id in ids {
        let template = vec![
            n(attr::CLASS, 0),
            b(attr::TOKEN, true),
            bytes(attr::VALUE, &value),
        ];
        a.made(&Request::Create { id, template });
    }
    let node = link(&engine, Peer::Node);
    let export = |ids: &[ObjectId]| match node.ask(&Request::Export { ids: ids.to_vec() }) {
        Ok(Reply::Changes(changes)) => changes.iter().map(|c| c.id).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!(export(&ids), ids[..1], "two of five megabytes are too much");
    assert_eq!(export(&ids[1..]), ids[1..2]);
    assert_eq!(export(&ids[2..]), ids[2..]);
    assert_eq!(export(&[id()]), []);
}

#[test]
fn two_hsms_of_one_backup_hold_the_same_keys() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let service = Service::default();
    let first = service.active(dirs[0].path(), 1);
    let a = link(&first, Peer::Client);
    a.login(Role::Cu, Some("cu1"), "password1").unwrap();
    let old = a.aes(vec![b(attr::TOKEN, true), bytes(attr::LABEL, b"old")]);
    let block = backup(&link(&first, Peer::Service));

    let second = service.node(dirs[1].path(), 2);
    let operator = link(&second, Peer::Service);
    let mut damaged = block.clone();
    damaged[40] ^= 1;
    assert_eq!(
        operator.refused(&Request::Restore {
            backup: Hidden(&damaged)
        }),
        Rv::WRAPPED_KEY_INVALID
    );
    operator
        .ask(&Request::Restore {
            backup: Hidden(&block),
        })
        .unwrap();
    let c = link(&second, Peer::Client);
    c.login(Role::Cu, Some("cu1"), "password1").unwrap();
    assert_eq!(c.found(vec![bytes(attr::LABEL, b"old")]), [old]);

    // A clone carried by the client; applied twice, and late.
    let key = id();
    let generate = Request::GenerateKey {
        mech: plain(0x1080),
        id: key,
        template: vec![
            n(attr::VALUE_LEN, 32),
            b(attr::TOKEN, true),
            bytes(attr::LABEL, b"new"),
        ],
    };
    let born = a.made(&generate);
    assert_eq!(born.len(), 1);
    assert_eq!(
        a.made(&generate)[0].version,
        1,
        "a repeat is the same create"
    );
    apply(&c, &born);
    apply(&c, &born);
    let mech = Mechanism {
        id: MechId(0x1082),
        params: Params::Iv(vec![0; 16].into()),
    };
    let sealed = a.crypt(Op::Encrypt, &mech, key, &[1; 16]).unwrap();
    assert_eq!(c.crypt(Op::Decrypt, &mech, key, &sealed).unwrap(), [1; 16]);
    let renamed = c.made(&Request::SetAttributes {
        id: key,
        template: vec![bytes(attr::LABEL, b"x")],
    });
    assert_eq!((renamed[0].version, renamed[0].origin), (2, 2));
    apply(&c, &born);
    assert_eq!(
        c.found(vec![bytes(attr::LABEL, b"x")]),
        [key],
        "the older change does nothing"
    );
    let node = link(&first, Peer::Node);
    apply(&node, &renamed);
    assert_eq!(a.found(vec![bytes(attr::LABEL, b"x")]), [key]);
    assert_eq!(digest(&node), digest(&link(&second, Peer::Node)));

    // Destroyed stays destroyed.
    let gone = a.made(&Request::Destroy { id: key });
    assert!(gone[0].sealed.is_none());
    a.made(&Request::Destroy { id: key });
    apply(&c, &gone);
    apply(&c, &renamed);
    assert_eq!(
        c.refused(&Request::Resolve { id: key }),
        Rv::OBJECT_HANDLE_INVALID
    );
    assert_eq!(digest(&node), digest(&link(&second, Peer::Node)));
    drop((first, a, node));
    let first = service.node(dirs[0].path(), 1);
    let a = link(&first, Peer::Node);
    assert_eq!(
        digest(&a),
        digest(&link(&second, Peer::Node)),
        "a node starts without a PIN"
    );
    match a.ask(&Request::Export {
        ids: vec![old, key],
    }) {
        Ok(Reply::Changes(all)) => assert_eq!(all.len(), 2),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_damaged_key_comes_back_from_another_hsm() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let service = Service::default();
    let first = service.active(dirs[0].path(), 1);
    let user = link(&first, Peer::Client);
    user.login(Role::Cu, Some("cu1"), "password1").unwrap();
    let key = user.aes(vec![b(attr::TOKEN, true)]);
    let second = service.node(dirs[1].path(), 2);
    let block = backup(&link(&first, Peer::Service));
    let backup = Hidden(&block);
    link(&second, Peer::Service)
        .ask(&Request::Restore { backup })
        .unwrap();
    drop(second);
    let sql = rusqlite::Connection::open(dirs[1].path().join("token.db")).unwrap();
    let spoil = "UPDATE objects SET sealed = zeroblob(length(sealed)) WHERE id = ?1";
    assert_eq!(sql.execute(spoil, [&key.0.to_be_bytes()[..]]).unwrap(), 1);
    drop(sql);
    let second = service.node(dirs[1].path(), 2);
    let user = link(&second, Peer::Client);
    user.login(Role::Cu, Some("cu1"), "password1").unwrap();
    assert_eq!(user.found(vec![]), []);
    let (theirs, ours) = (link(&first, Peer::Node), link(&second, Peer::Node));
    assert_ne!(digest(&theirs), digest(&ours), "it is seen to be missing");
    let ids = vec![key];
    let Ok(Reply::Changes(changes)) = theirs.ask(&Request::Export { ids }) else {
        panic!("no changes");
    };
    apply(&ours, &changes);
    assert_eq!(user.found(vec![]), [key]);
    assert_eq!(digest(&theirs), digest(&ours));
}

/// Users are made on each HSM by itself, and an interrupted createUser leaves them with other numbers
/// on each. Their keys are theirs all the same.
#[test]
fn a_key_is_its_owners_on_every_hsm_whatever_number_he_has_there() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let service = Service::default();
    let first = service.active(dirs[0].path(), 1);
    let second = service.node(dirs[1].path(), 2);
    let block = backup(&link(&first, Peer::Service));
    let backup = Hidden(&block);
    let operator = link(&second, Peer::Service);
    operator.ask(&Request::Restore { backup }).unwrap();
    let officers = [&first, &second].map(|engine| {
        let officer = link(engine, Peer::Client);
        officer.login(Role::Co, Some("admin"), "officer1").unwrap();
        officer
    });
    officers[0]
        .ask(&create(Role::Cu, "alice", "password1"))
        .unwrap();
    officers[1]
        .ask(&create(Role::Cu, "mallory", "password1"))
        .unwrap();
    let alice = link(&first, Peer::Client);
    alice.login(Role::Cu, Some("alice"), "password1").unwrap();
    let key = id();
    let mech = plain(0x1080);
    let template = vec![b(attr::TOKEN, true), n(attr::VALUE_LEN, 32)];
    let changes = alice.made(&Request::GenerateKey {
        mech,
        id: key,
        template,
    });
    apply(&link(&second, Peer::Node), &changes);
    let mallory = link(&second, Peer::Client);
    mallory
        .login(Role::Cu, Some("mallory"), "password1")
        .unwrap();
    assert_eq!(mallory.found(vec![]), [], "the same number, another user");
    officers[1]
        .ask(&create(Role::Cu, "alice", "password1"))
        .unwrap();
    let alice = link(&second, Peer::Client);
    alice.login(Role::Cu, Some("Alice"), "password1").unwrap();
    assert_eq!(alice.found(vec![]), [key], "another number, the same user");
}

#[test]
fn another_clusters_changes_and_backups_are_refused() {
    let dirs: Vec<_> = (0..2).map(|_| tempfile::tempdir().unwrap()).collect();
    let service = Service::default();
    let (ours, theirs) = (
        service.active(dirs[0].path(), 1),
        service.active(dirs[1].path(), 2),
    );
    let them = link(&theirs, Peer::Client);
    them.login(Role::Cu, Some("cu1"), "password1").unwrap();
    let mech = plain(0x1080);
    let template = vec![n(attr::VALUE_LEN, 32), b(attr::TOKEN, true)];
    let changes = them.made(&Request::GenerateKey {
        mech,
        id: id(),
        template,
    });
    let node = link(&ours, Peer::Node);
    assert_eq!(
        node.refused(&Request::Apply { changes }),
        Rv::WRAPPED_KEY_INVALID
    );
    let block = backup(&link(&theirs, Peer::Service));
    let operator = link(&ours, Peer::Service);
    assert_eq!(
        operator.refused(&Request::Restore {
            backup: Hidden(&block)
        }),
        Rv::FUNCTION_REJECTED
    );
    // One's own refreshes.
    let own = backup(&operator);
    operator
        .ask(&Request::Restore {
            backup: Hidden(&own),
        })
        .unwrap();
}

#[test]
fn a_full_disk_fails_writes_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let engine = Service::default().active(dir.path(), 1);
    let link = link(&engine, Peer::Client);
    link.login(Role::Cu, Some("cu1"), "password1").unwrap();
    let key = link.aes(vec![b(attr::TOKEN, true)]);
    engine.fill_disk(true);
    let request = Request::Destroy { id: key };
    assert_eq!(link.refused(&request), Rv::DEVICE_MEMORY);
    assert_eq!(
        link.crypt(Op::Encrypt, &plain(0x1081), key, &[0; 16])
            .unwrap()
            .len(),
        16
    );
    engine.fill_disk(false);
    link.made(&request);
}

#[test]
fn the_customer_signs_the_hsms_certificate() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let service = Service::default();
    let engine = service.node(dirs[0].path(), 1);
    let operator = link(&engine, Peer::Service);
    let issued = csr(&operator);
    assert_eq!(
        csr(&operator).csr.len(),
        issued.csr.len(),
        "the key is made once"
    );
    let parsed = rcgen::CertificateSigningRequestParams::from_pem(&issued.csr).unwrap();
    assert!(issued.cluster.is_none() && engine.cluster_identity().is_none());

    let authority = |name: &str| {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::default();
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, name);
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        (
            pem.clone(),
            rcgen::Issuer::from_ca_cert_pem(&pem, key).unwrap(),
        )
    };
    let (anchor, issuer) = authority("customerCA");
    let (stranger, _) = authority("customerCA");
    let certificate = parsed.signed_by(&issuer).unwrap().pem();
    let install = |certificate, anchor| Request::Install {
        certificate,
        anchor,
    };
    let other_key = rcgen::KeyPair::generate().unwrap();
    let not_ours = rcgen::CertificateParams::default()
        .signed_by(&other_key, &issuer)
        .unwrap()
        .pem();
    for (name, certificate, anchor) in [
        ("another anchor", certificate.as_str(), stranger.as_str()),
        ("another key", &not_ours, &anchor),
        ("no PEM", "hello", &anchor),
        ("no anchor", &certificate, ""),
        ("an anchor that signed nothing", &certificate, &certificate),
    ] {
        assert_eq!(
            operator.refused(&install(certificate, anchor)),
            Rv::ARGUMENTS_BAD,
            "{name}"
        );
    }
    operator.ask(&install(&certificate, &anchor)).unwrap();
    operator.ask(&install(&certificate, &anchor)).unwrap();
    assert_eq!(
        operator.refused(&install(&not_ours, &anchor)),
        Rv::FUNCTION_REJECTED
    );
    let identity = engine.cluster_identity().unwrap();
    assert_eq!(identity.certificate, certificate);
    let client = link(&engine, Peer::Client);
    assert_eq!(client.refused(&Request::Csr), Rv::FUNCTION_REJECTED);
    // It outlives the process, and travels with the backup.
    let block = backup(&operator);
    drop((engine, operator, client));
    let engine = service.node(dirs[0].path(), 1);
    assert_eq!(engine.cluster_identity().unwrap(), identity);
    let second = service.node(dirs[1].path(), 2);
    link(&second, Peer::Service)
        .ask(&Request::Restore {
            backup: Hidden(&block),
        })
        .unwrap();
    assert_eq!(second.cluster_identity().unwrap(), identity);
    assert_eq!(
        csr(&link(&second, Peer::Service)).cluster,
        Some(certificate)
    );
}
