//! InitializeCluster's check against what openssl makes.

use cloudhsm_core::certificates::check;

use crate::fixture::{Ca, openssl};

/// A CSR over a new RSA key, as an HSM makes one.
fn csr(ca: &Ca) -> String {
    let (key, out) = (ca.path("hsm.key"), ca.path("hsm.csr"));
    let subject = "/C=US/ST=CA/O=Cavium/OU=N3FIPS/L=SanJose/CN=HSM:1:PARTN:1, for FIPS mode";
    openssl(&[
        "req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", subject, "-keyout", &key, "-out",
        &out,
    ]);
    ca.read("hsm.csr")
}

fn refusal(csr: &str, leaf: &str, anchor: &str) -> String {
    check(csr, leaf, anchor).expect_err("refused")
}

#[test]
fn rsa_2048_and_4096_anchors_with_leafs_of_version_1_and_3() {
    let dir = tempfile::tempdir().expect("dir");
    for bits in [2048, 4096] {
        let ca = Ca::new(dir.path(), "ca", bits);
        let csr = csr(&ca);
        let plain = ca.sign(&csr);
        check(&csr, &plain, &ca.certificate()).expect("as the guide says");
        std::fs::write(ca.dir.join("ext"), "basicConstraints=CA:FALSE\n").expect("writes");
        let v3 = ca.sign_with(&csr, &["-extfile", &ca.path("ext")]);
        check(&csr, &v3, &ca.certificate()).expect("with extensions");
        let hashed = ca.sign_with(&csr, &["-sha512"]);
        check(&csr, &hashed, &ca.certificate()).expect("SHA-512");
    }
}

#[test]
fn an_anchor_of_version_1_is_good() {
    let dir = tempfile::tempdir().expect("dir");
    let ca = Ca::new(dir.path(), "ca", 2048);
    // A self-signed request without extensions.
    let (key, request, crt) = (ca.path("ca.key"), ca.path("ca.csr"), ca.path("ca.crt"));
    openssl(&[
        "req", "-new", "-key", &key, "-subj", "/CN=old", "-out", &request,
    ]);
    openssl(&[
        "x509", "-req", "-in", &request, "-signkey", &key, "-days", "10", "-out", &crt,
    ]);
    let csr = csr(&ca);
    check(&csr, &ca.sign(&csr), &ca.certificate()).expect("no extensions, no constraints");
}

#[test]
fn refusals_say_what_is_wrong() {
    let dir = tempfile::tempdir().expect("dir");
    let ca = Ca::new(dir.path(), "ca", 2048);
    let own = csr(&ca);
    let leaf = ca.sign(&own);
    let anchor = ca.certificate();

    let twin = Ca::new(dir.path(), "ca", 2048);
    assert!(
        refusal(&own, &leaf, &twin.certificate()).contains("not signed by"),
        "same name, other key"
    );
    let other = csr(&twin);
    assert!(refusal(&other, &leaf, &anchor).contains("not over the public key"));
    assert!(refusal(&own, "garbage", &anchor).contains("SignedCert"));
    assert!(refusal(&own, &leaf, "").contains("TrustAnchor"));
    assert!(refusal(&own, &leaf, &own).contains("TrustAnchor"));
    assert!(refusal(&own, &leaf, &leaf).contains("not self-signed"));
    let broken = leaf.replacen('\n', "\nAAAA", 1);
    assert!(refusal(&own, &broken, &anchor).contains("SignedCert"));

    let small = Ca::new(dir.path(), "small", 3072);
    assert!(refusal(&own, &small.sign(&own), &small.certificate()).contains("2048 or 4096"));

    // Signed by the anchor's key, and altered afterwards.
    let end = leaf.find("-----END").expect("PEM");
    let at = end - 40;
    let mut bytes = leaf.clone().into_bytes();
    bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
    let altered = String::from_utf8(bytes).expect("ASCII");
    assert!(refusal(&own, &altered, &anchor).contains("not signed by"));
}

#[test]
fn an_anchor_that_says_it_is_no_ca_and_an_expired_leaf() {
    let dir = tempfile::tempdir().expect("dir");
    let ca = Ca::new(dir.path(), "ca", 2048);
    let own = csr(&ca);
    std::fs::write(ca.dir.join("no"), "basicConstraints=CA:FALSE\n").expect("writes");
    let (key, request, crt) = (ca.path("ca.key"), ca.path("ca.csr"), ca.path("ca.crt"));
    let whole = (ca.sign(&own), ca.certificate());
    openssl(&[
        "req", "-new", "-key", &key, "-subj", "/CN=ca", "-out", &request,
    ]);
    openssl(&[
        "x509",
        "-req",
        "-in",
        &request,
        "-signkey",
        &key,
        "-days",
        "9",
        "-extfile",
        &ca.path("no"),
        "-out",
        &crt,
    ]);
    assert!(refusal(&own, &whole.0, &ca.certificate()).contains("Basic Constraints"));

    let expired = Ca::new(dir.path(), "gone", 2048);
    let gone = expired.sign_with(&own, &["-days", "0"]);
    std::thread::sleep(std::time::Duration::from_secs(2));
    assert!(refusal(&own, &gone, &expired.certificate()).contains("expired"));
}
