//! The configuration file's form. What is wrong in it is said with file and line.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::Duration;

use hsm_api::{Error, Result, Rv};
use serde::Deserialize;
use toml::Spanned;

use crate::personality::Personality;

/// The port on which an HSM serves clients.
const PORT: u16 = 2223;

/// A file, read and checked.
#[derive(Debug, Default)]
pub struct File {
    text: Text,
    /// Of the file, for relative paths.
    base: PathBuf,
    clusters: Vec<(ClusterSettings, Personality)>,
}

/// A cluster's settings, its trust anchor read.
#[derive(Clone, Debug, PartialEq)]
pub struct ClusterSettings {
    /// Names the slot.
    pub label: String,
    /// customerCA.crt, PEM.
    pub anchor: String,
    /// Whether a key must be on two HSMs before it is used.
    pub availability_check: bool,
    /// For TCP and TLS.
    pub connect_timeout: Duration,
    /// For each request.
    pub call_timeout: Duration,
    nodes: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Text {
    log: Option<String>,
    #[serde(default)]
    empty_slot: bool,
    #[serde(default)]
    legacy: bool,
    token: Option<Vec<TokenText>>,
    #[serde(default)]
    cluster: Vec<ClusterText>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct TokenText {
    directory: PathBuf,
    #[serde(default)]
    personality: Personality,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct ClusterText {
    label: Spanned<String>,
    nodes: Spanned<Vec<String>>,
    trust_anchor: Spanned<PathBuf>,
    #[serde(default = "cloudhsm")]
    personality: Personality,
    #[serde(default = "yes")]
    key_availability_check: bool,
    #[serde(default = "connect_seconds")]
    connect_timeout: u64,
    #[serde(default = "call_seconds")]
    call_timeout: u64,
}

fn cloudhsm() -> Personality {
    Personality::CloudHsm
}
fn yes() -> bool {
    true
}
fn connect_seconds() -> u64 {
    3
}
fn call_seconds() -> u64 {
    30
}

impl File {
    /// A file that lists no slot.
    pub fn nothing() -> File {
        let text = Text {
            token: Some(Vec::new()),
            ..Text::default()
        };
        File {
            text,
            ..File::default()
        }
    }

    /// Reads and checks a file.
    pub fn read(path: &Path) -> Result<File> {
        let wrong = |line: Option<usize>, what: &str| {
            let line = line.map_or(String::new(), |l| format!("{l}:"));
            let why = format!("{}:{line} {what}", path.display());
            Error::new(Rv::GENERAL_ERROR, why)
        };
        let source = std::fs::read_to_string(path).map_err(|e| wrong(None, &e.to_string()))?;
        let line = |at: usize| Some(source[..at.min(source.len())].matches('\n').count() + 1);
        let mut text: Text = toml::from_str(&source)
            .map_err(|e| wrong(e.span().and_then(|s| line(s.start)), e.message()))?;
        let base = path.parent().unwrap_or(Path::new("/")).to_owned();
        let mut clusters: Vec<(ClusterSettings, Personality)> = Vec::new();
        for cluster in std::mem::take(&mut text.cluster) {
            if clusters
                .iter()
                .any(|(c, _)| c.label == *cluster.label.get_ref())
            {
                let at = line(cluster.label.span().start);
                return Err(wrong(at, "two clusters have this label"));
            }
            if cluster.nodes.get_ref().is_empty() {
                return Err(wrong(
                    line(cluster.nodes.span().start),
                    "a cluster needs a node",
                ));
            }
            let at = line(cluster.trust_anchor.span().start);
            let anchor = base.join(cluster.trust_anchor.get_ref());
            let anchor = std::fs::read_to_string(&anchor).map_err(|e| {
                wrong(
                    at,
                    &format!("the trust anchor {} cannot be read: {e}", anchor.display()),
                )
            })?;
            let settings = ClusterSettings {
                label: cluster.label.into_inner(),
                anchor,
                availability_check: cluster.key_availability_check,
                connect_timeout: Duration::from_secs(cluster.connect_timeout),
                call_timeout: Duration::from_secs(cluster.call_timeout),
                nodes: cluster.nodes.into_inner(),
            };
            clusters.push((settings, cluster.personality));
        }
        Ok(File {
            text,
            base,
            clusters,
        })
    }

    /// What [`crate::log::Log::open`] is to open.
    pub fn log_target(&self) -> Option<String> {
        let target = self.text.log.as_deref()?;
        Some(match target {
            "stderr" | "off" => target.to_owned(),
            path => self.base.join(path).display().to_string(),
        })
    }

    /// Whether an uninitialised token is always offered.
    pub fn empty_slot(&self) -> bool {
        self.text.empty_slot
    }

    /// Whether embedded tokens offer mechanisms for old data.
    pub fn legacy(&self) -> bool {
        self.text.legacy
    }

    /// Directories of embedded tokens; the default one where the file lists neither a directory nor
    /// a cluster.
    pub fn directories(
        &self,
        default: impl FnOnce() -> Result<PathBuf>,
    ) -> Result<Vec<(PathBuf, Personality)>> {
        match &self.text.token {
            Some(tokens) => Ok(tokens
                .iter()
                .map(|t| (self.base.join(&t.directory), t.personality))
                .collect()),
            None if self.clusters.is_empty() => Ok(vec![(default()?, Personality::default())]),
            None => Ok(Vec::new()),
        }
    }

    /// Clusters with their personality.
    pub fn clusters(&self) -> impl Iterator<Item = (ClusterSettings, Personality)> + '_ {
        self.clusters.iter().cloned()
    }
}

impl ClusterSettings {
    /// The nodes' addresses; a name is looked up, and a missing port is the HSM's.
    pub fn addresses(&self) -> Result<Vec<SocketAddr>> {
        self.nodes.iter().map(|node| self.address(node)).collect()
    }

    fn address(&self, node: &str) -> Result<SocketAddr> {
        let found = match node.to_socket_addrs() {
            Ok(mut found) => found.next(),
            Err(_) => (node, PORT)
                .to_socket_addrs()
                .ok()
                .and_then(|mut found| found.next()),
        };
        found.ok_or_else(|| {
            let why = format!("cluster {}: node {node} has no address", self.label);
            Error::new(Rv::TOKEN_NOT_PRESENT, why)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<File> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("ca.crt"), "anchor").unwrap();
        let path = dir.path().join("pkcs11.toml");
        std::fs::write(&path, text).unwrap();
        File::read(&path)
    }

    #[test]
    fn a_whole_file() {
        let file = read(
            "log = \"calls.log\"\nempty-slot = true\nlegacy = true\n[[token]]\ndirectory = \"t\"\n\
             [[cluster]]\nlabel = \"c\"\nnodes = [\"127.20.1.10:2223\", \"127.20.2.10\"]\n\
             trust-anchor = \"ca.crt\"\nkey-availability-check = false\n",
        )
        .unwrap();
        assert!(file.empty_slot() && file.legacy());
        assert_eq!(
            file.log_target(),
            Some(file.base.join("calls.log").display().to_string())
        );
        let none = || panic!("the file names a directory");
        let tokens = file.directories(none).unwrap();
        assert_eq!(tokens, [(file.base.join("t"), Personality::Standard)]);
        let (cluster, personality) = file.clusters().next().unwrap();
        assert_eq!(
            (&*cluster.anchor, personality),
            ("anchor", Personality::CloudHsm)
        );
        assert!(!cluster.availability_check);
        let addresses = cluster.addresses().unwrap();
        let wanted = [
            "127.20.1.10:2223".parse().unwrap(),
            "127.20.2.10:2223".parse().unwrap(),
        ];
        assert_eq!(addresses, wanted);
    }

    #[test]
    fn errors_name_file_and_line() {
        let cluster = "[[cluster]]\nlabel = \"c\"\nnodes = [\"127.0.0.1:1\"]\n";
        let cases = [
            (
                "log = \"stderr\"\nbogus = 1\n".to_owned(),
                "pkcs11.toml:2: unknown field `bogus`",
            ),
            ("[[token]\n".to_owned(), "pkcs11.toml:1: "),
            (
                "\n[[token]]\ndirectory = 7\n".to_owned(),
                "pkcs11.toml:3: invalid type",
            ),
            (
                format!("{cluster}trust-anchor = \"gone.crt\"\n"),
                "pkcs11.toml:4: the trust anchor",
            ),
            (
                format!(
                    "{0}trust-anchor = \"ca.crt\"\n{0}trust-anchor = \"ca.crt\"\n",
                    cluster
                ),
                "pkcs11.toml:6: two clusters",
            ),
        ];
        for (text, wanted) in cases {
            let e = read(&text).expect_err(wanted);
            assert!(e.rv == Rv::GENERAL_ERROR && e.why.contains(wanted), "{e}");
        }
    }

    #[test]
    fn clusters_alone_bring_no_embedded_token() {
        let text = "[[cluster]]\nlabel = \"c\"\nnodes = [\"x:1\"]\ntrust-anchor = \"ca.crt\"\n";
        let none = || panic!("no default directory");
        assert!(read(text).unwrap().directories(none).unwrap().is_empty());
        let default = || Ok(PathBuf::from("/default"));
        assert_eq!(read("").unwrap().directories(default).unwrap().len(), 1);
    }
}
