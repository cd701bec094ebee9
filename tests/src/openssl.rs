//! Certificates as the CloudHSM guide makes them, and signatures judged by a foreign implementation.

use crate::run::Run;
use crate::tools::need;
use std::fs;
use std::path::{Path, PathBuf};

/// `openssl WORDS` in a directory.
pub fn openssl(dir: &Path, words: &str) -> Run {
    Run::new(need("openssl")).words(words).dir(dir)
}

/// The customer's certificate authority: customerCA.key and customerCA.crt in a directory.
pub struct Ca {
    dir: PathBuf,
}

impl Ca {
    /// Make one, with the guide's commands.
    #[track_caller]
    pub fn new(dir: &Path) -> Ca {
        fs::create_dir_all(dir).expect("make a directory");
        openssl(dir, "genrsa -out customerCA.key 2048").ok();
        openssl(
            dir,
            "req -new -x509 -days 3652 -key customerCA.key -out customerCA.crt",
        )
        .args(["-subj", "/C=US/O=Example/CN=Keystead test CA"])
        .ok();
        Ca {
            dir: dir.to_owned(),
        }
    }

    /// Where customerCA.crt is.
    pub fn path(&self) -> PathBuf {
        self.dir.join("customerCA.crt")
    }

    /// customerCA.crt as text.
    pub fn pem(&self) -> String {
        fs::read_to_string(self.path()).expect("read customerCA.crt")
    }

    /// Sign a certificate request, as PEM.
    #[track_caller]
    pub fn sign(&self, csr: &str) -> String {
        fs::write(self.dir.join("cluster.csr"), csr).expect("write the request");
        openssl(&self.dir, "req -in cluster.csr -noout -verify").ok();
        let words = "x509 -req -days 3652 -in cluster.csr -CA customerCA.crt -CAkey customerCA.key \
                     -CAcreateserial -out customerHsmCertificate.crt";
        openssl(&self.dir, words).ok();
        fs::read_to_string(self.dir.join("customerHsmCertificate.crt"))
            .expect("read the certificate")
    }
}

/// openssl accepts `signature` over the file `message` under the DER public key `key`; `options` such as
/// `-sigopt rsa_padding_mode:pss`. And, so that an acceptance means something, refuses it over another message.
#[track_caller]
pub fn accepts(dir: &Path, key: &str, message: &str, signature: &str, options: &str) {
    let words = format!(
        "dgst -sha256 -verify {key} -keyform DER {options} -signature {signature} {message}"
    );
    openssl(dir, &words).ok().says("Verified OK");
    let mut other = fs::read(dir.join(message)).expect("read the message");
    other[0] ^= 1;
    fs::write(dir.join("other-message"), other).expect("write a message");
    let words = format!(
        "dgst -sha256 -verify {key} -keyform DER {options} -signature {signature} other-message"
    );
    openssl(dir, &words).fails().says("Verification failure");
}
