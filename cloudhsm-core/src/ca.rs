//! The service's own certificates, made at the first start and kept in `service/` of the data
//! directory (0700, files 0600): the CA under which the service and its nodes know each other, AWS's
//! and the manufacturer's hardware roots, and the key that seals backups.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use hsm_net::{NODE_UNIT, SERVICE_UNIT};
use rand::{Rng, rng};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};
use zeroize::Zeroizing;

use crate::node::{Credentials, Hardware};
use crate::state::{private_dir, write_durably};

/// The service's certificates and keys, by their files.
#[derive(Clone, Debug)]
pub struct Ca {
    dir: PathBuf,
}

/// The three roots.
#[derive(Clone, Copy)]
enum Root {
    Service,
    Aws,
    Manufacturer,
}

impl Root {
    const ALL: [Root; 3] = [Root::Service, Root::Aws, Root::Manufacturer];

    const fn file(self) -> &'static str {
        match self {
            Root::Service => "ca",
            Root::Aws => "aws-root",
            Root::Manufacturer => "manufacturer-root",
        }
    }
    const fn subject(self) -> &'static str {
        match self {
            Root::Service => "Keystead CloudHSM service CA",
            Root::Aws => "Keystead AWS CloudHSM hardware root",
            Root::Manufacturer => "Keystead HSM manufacturer root",
        }
    }
}

impl Ca {
    /// Opens the CA of a data directory, or makes it: beside its place first, so that a crash leaves a
    /// whole one or none.
    ///
    /// # Errors
    /// The file system's.
    pub fn open(data_dir: &Path) -> io::Result<Ca> {
        let dir = data_dir.join("service");
        if !dir.exists() {
            let beside = data_dir.join("service.new");
            match fs::remove_dir_all(&beside) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
            private_dir(&beside)?;
            Ca {
                dir: beside.clone(),
            }
            .fill()?;
            fs::rename(&beside, &dir)?;
            fs::File::open(data_dir)?.sync_all()?;
        }
        Ok(Ca { dir })
    }

    fn fill(&self) -> io::Result<()> {
        for root in Root::ALL {
            let key = KeyPair::generate().map_err(other)?;
            let mut params = named(root.subject(), "Keystead");
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
            let certificate = params.self_signed(&key).map_err(other)?;
            self.write(root.file(), &certificate.pem(), &key)?;
        }
        let mut seal = Zeroizing::new([0u8; 32]);
        rng().fill_bytes(seal.as_mut());
        write_durably(&self.backup_key(), seal.as_ref())?;
        self.issue(
            Root::Service,
            &self.dir,
            "service",
            "Keystead service",
            SERVICE_UNIT,
        )
    }

    /// The CA that nodes and service believe, PEM file.
    pub fn certificate(&self) -> PathBuf {
        self.dir.join("ca.pem")
    }
    /// What the service presents to nodes.
    pub fn service(&self) -> Credentials {
        pair(&self.dir, "service")
    }
    /// The key that seals backups.
    pub fn backup_key(&self) -> PathBuf {
        self.dir.join("backup.key")
    }
    /// AWS's and the manufacturer's hardware roots, PEM: customers verify an HSM's identity by them.
    ///
    /// # Errors
    /// The file system's.
    pub fn hardware_roots(&self) -> io::Result<[String; 2]> {
        let read =
            |root: Root| fs::read_to_string(self.dir.join(root.file()).with_extension("pem"));
        Ok([read(Root::Aws)?, read(Root::Manufacturer)?])
    }

    /// What one node presents before its cluster is initialized, written into its directory once.
    ///
    /// # Errors
    /// The file system's.
    pub fn node(&self, dir: &Path, hsm_id: &str) -> io::Result<Credentials> {
        let files = pair(dir, "node");
        if !files.certificate.exists() {
            self.issue(Root::Service, dir, "node", hsm_id, NODE_UNIT)?;
        }
        Ok(files)
    }

    /// One HSM's hardware key with AWS's and the manufacturer's certificate over it.
    ///
    /// # Errors
    /// The file system's.
    pub fn hardware(&self, dir: &Path, serial: &str) -> io::Result<Hardware> {
        let files = Hardware {
            key: dir.join("hardware.key"),
            aws_certificate: dir.join("hardware-aws.pem"),
            manufacturer_certificate: dir.join("hardware-manufacturer.pem"),
        };
        if files.manufacturer_certificate.exists() {
            return Ok(files);
        }
        let key = KeyPair::generate().map_err(other)?;
        write_durably(&files.key, secret_pem(&key).as_bytes())?;
        for (root, file) in [
            (Root::Aws, &files.aws_certificate),
            (Root::Manufacturer, &files.manufacturer_certificate),
        ] {
            let mut params = named(&format!("HSM:{serial}"), "Keystead HSM hardware");
            params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
            let certificate = params.signed_by(&key, &self.issuer(root)?).map_err(other)?;
            write_durably(file, certificate.pem().as_bytes())?;
        }
        Ok(files)
    }

    fn issuer(&self, root: Root) -> io::Result<Issuer<'static, KeyPair>> {
        let files = pair(&self.dir, root.file());
        let key = Zeroizing::new(fs::read_to_string(files.key)?);
        let key = KeyPair::from_pem(&key).map_err(other)?;
        let certificate = fs::read_to_string(files.certificate)?;
        Issuer::from_ca_cert_pem(&certificate, key).map_err(other)
    }

    fn issue(&self, by: Root, dir: &Path, file: &str, name: &str, unit: &str) -> io::Result<()> {
        let key = KeyPair::generate().map_err(other)?;
        let params = named(name, unit);
        let certificate = params.signed_by(&key, &self.issuer(by)?).map_err(other)?;
        Ca {
            dir: dir.to_owned(),
        }
        .write(file, &certificate.pem(), &key)
    }

    /// The key first: where there is a certificate, there is its key.
    fn write(&self, file: &str, certificate: &str, key: &KeyPair) -> io::Result<()> {
        let files = pair(&self.dir, file);
        write_durably(&files.key, secret_pem(key).as_bytes())?;
        write_durably(&files.certificate, certificate.as_bytes())
    }
}

fn pair(dir: &Path, file: &str) -> Credentials {
    Credentials {
        certificate: dir.join(file).with_extension("pem"),
        key: dir.join(file).with_extension("key"),
    }
}

fn secret_pem(key: &KeyPair) -> Zeroizing<String> {
    Zeroizing::new(key.serialize_pem())
}

fn named(common_name: &str, unit: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    params
        .distinguished_name
        .push(DnType::OrganizationName, "Keystead");
    params
        .distinguished_name
        .push(DnType::OrganizationalUnitName, unit);
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2119, 12, 31);
    params
}

fn other(e: rcgen::Error) -> io::Error {
    io::Error::other(e)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certificates::{leaf, signed_by};
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn hardware_chains_to_both_roots_over_one_key() {
        let dir = tempfile::tempdir().expect("dir");
        let ca = Ca::open(dir.path()).expect("makes");
        let files = ca.hardware(dir.path(), "ABCD1234").expect("issues");
        let [aws, maker] = ca.hardware_roots().expect("reads");
        let read = |f: &Path| fs::read_to_string(f).expect("reads");
        let by_aws = leaf(&read(&files.aws_certificate)).expect("parses");
        let by_maker = leaf(&read(&files.manufacturer_certificate)).expect("parses");
        assert!(signed_by(&by_aws, &leaf(&aws).expect("parses")));
        assert!(signed_by(&by_maker, &leaf(&maker).expect("parses")));
        assert!(!signed_by(&by_aws, &leaf(&maker).expect("parses")));

        let before = read(&files.key);
        let again = Ca::open(dir.path()).expect("opens");
        again.hardware(dir.path(), "ABCD1234").expect("is there");
        assert_eq!(before, read(&files.key), "made once");
        for file in [&files.key, &ca.service().key, &ca.backup_key()] {
            let mode = fs::metadata(file).expect("there").permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{}", file.display());
        }
    }
}
