//! Where the things under test and the foreign programs are.

use std::env;
use std::path::{Path, PathBuf};

/// The repository's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests/ has a parent")
        .to_owned()
}

/// The file that `variable` names, else the first that exists in target/release or target/debug.
/// Release comes first because it is what users are told to build.
fn built(variable: &str, name: &str) -> PathBuf {
    if let Some(path) = env::var_os(variable) {
        let path = PathBuf::from(path);
        assert!(
            path.is_file(),
            "{variable} names {}, which is no file",
            path.display()
        );
        return path.canonicalize().expect("a file has a canonical path");
    }
    let target =
        env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    let places = ["release", "debug"].map(|profile| target.join(profile).join(name));
    places
        .iter()
        .find(|p| p.is_file())
        .cloned()
        .unwrap_or_else(|| {
            panic!(
                "{name} is not built: run `cargo build --release`, or set {variable} to its path"
            )
        })
}

/// The program under test.
pub fn keystead() -> PathBuf {
    built("KEYSTEAD_BIN", "keystead")
}

/// The PKCS#11 module under test.
pub fn module() -> PathBuf {
    built("KEYSTEAD_SO", "libkeystead_pkcs11.so")
}

/// The probe.
pub fn probe() -> PathBuf {
    beside("probe")
}

/// A program of the tests' own, which cargo builds into the directory above the tests.
pub fn beside(name: &str) -> PathBuf {
    let me = env::current_exe().expect("a program knows its path");
    let found = me
        .ancestors()
        .skip(1)
        .map(|d| d.join(name))
        .find(|p| p.is_file());
    found.unwrap_or_else(|| panic!("cargo builds {name} beside the tests"))
}

/// A foreign program by name, if it is there.
fn installed(program: &str) -> Option<PathBuf> {
    // /usr/bin first: version managers put shims with other versions in front of the path.
    let search = env::var_os("PATH").unwrap_or_default();
    let dirs = ["/usr/bin", "/usr/sbin"]
        .map(PathBuf::from)
        .into_iter()
        .chain(env::split_paths(&search));
    dirs.map(|d| d.join(program)).find(|p| p.is_file())
}

/// A foreign program by name. Missing is a failure: `./check setup` installs all of them.
pub fn need(program: &str) -> PathBuf {
    installed(program).unwrap_or_else(|| {
        let package = match program {
            "pkcs11-tool" => "opensc",
            "softhsm2-util" => "softhsm2",
            "nm" => "binutils",
            "nginx" => "nginx-light",
            "sshd" => "openssh-server",
            "ssh" | "ssh-add" | "ssh-agent" | "ssh-keygen" => "openssh-client",
            "certutil" | "cmsutil" | "modutil" | "selfserv" | "tstclnt" => "libnss3-tools",
            "jar" | "jarsigner" | "java" | "keytool" => "default-jdk-headless",
            "keymgr" => "knot",
            "kzonecheck" | "kzonesign" => "knot-dnssecutils",
            "dnssec-verify" => "bind9-utils",
            other => other,
        };
        panic!("{program} is missing: run `./check setup`, or `apt-get install {package}`")
    })
}

fn venv(variable: &str, program: &str) -> PathBuf {
    let path = env::var_os(variable).map_or_else(
        || root().join(".cache/venv/bin").join(program),
        PathBuf::from,
    );
    assert!(
        path.is_file(),
        "{} is missing: run `./check setup`, or set {variable} to one that exists",
        path.display()
    );
    path
}

/// AWS CLI version 1, from PyPI.
pub fn aws_v1() -> PathBuf {
    venv("AWS_V1", "aws")
}

/// What AWS_V2 names: it must be there, and of version 2.
pub fn named_aws_v2() -> Option<PathBuf> {
    env::var_os("AWS_V2").map(PathBuf::from)
}

/// The distribution's AWS CLI: version 2, where it has one at all. (Ubuntu 24.04 has none.)
pub fn aws_of_distribution() -> Option<PathBuf> {
    installed("aws")
}

/// A Python that has boto3.
pub fn python() -> PathBuf {
    venv("KEYSTEAD_TEST_PYTHON", "python")
}

/// SoftHSM2's module: the same PKCS#11 by other people.
pub fn softhsm() -> PathBuf {
    let places = [
        "/usr/lib/softhsm/libsofthsm2.so",
        "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
        "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
        "/usr/lib64/softhsm/libsofthsm2.so",
    ];
    match env::var_os("SOFTHSM_SO") {
        Some(path) => PathBuf::from(path),
        None => places
            .iter()
            .map(PathBuf::from)
            .find(|p| p.is_file())
            .unwrap_or_else(|| {
                panic!(
                    "libsofthsm2.so is missing: run `./check setup`, or set SOFTHSM_SO to its path"
                )
            }),
    }
}
