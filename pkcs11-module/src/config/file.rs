//! The configuration file's form. What is wrong in it is said with file and line.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::Duration;

use hsm_api::{Error, Result, Rv};
use hsm_net::Anchors;
use serde::Deserialize;
use toml::Spanned;

use crate::personality::Personality;
use crate::selection::Selection;

/// The port on which an HSM serves clients.
const PORT: u16 = 2223;

/// A file, read and checked.
#[derive(Debug, Default)]
pub struct File {
    text: Text,
    /// Of the file, for relative paths.
    base: PathBuf,
    /// Directories of embedded tokens, where the file lists any.
    tokens: Option<Vec<(PathBuf, Offer)>>,
    clusters: Vec<(ClusterSettings, Offer)>,
}

/// What of a token an application is to see.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Offer {
    /// Whose behaviour it shows.
    pub personality: Personality,
    /// Which of its mechanisms.
    pub mechanisms: Selection,
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
    #[serde(default)]
    conflicting_roles: Roles,
    token: Option<Vec<TokenText>>,
    #[serde(default)]
    cluster: Vec<ClusterText>,
}

/// Whether a key may be both for data and for keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Roles {
    #[default]
    Allow,
    Refuse,
}

/// Mechanisms by their names.
type Names = Spanned<Vec<Spanned<String>>>;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct TokenText {
    directory: PathBuf,
    #[serde(default)]
    personality: Personality,
    mechanisms: Option<Names>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct ClusterText {
    label: Spanned<String>,
    nodes: Spanned<Vec<Spanned<String>>>,
    trust_anchor: Spanned<PathBuf>,
    #[serde(default = "cloudhsm")]
    personality: Personality,
    mechanisms: Option<Names>,
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
        File {
            tokens: Some(Vec::new()),
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
        let bytes = std::fs::read(path).map_err(|e| wrong(None, &e.to_string()))?;
        let source = std::str::from_utf8(&bytes).map_err(|e| {
            let before = bytes.iter().take(e.valid_up_to());
            let line = before.filter(|byte| **byte == b'\n').count() + 1;
            wrong(Some(line), "what stands here is not UTF-8")
        })?;
        let line = |at: usize| Some(source[..at.min(source.len())].matches('\n').count() + 1);
        let mut text: Text = toml::from_str(source)
            .map_err(|e| wrong(e.span().and_then(|s| line(s.start)), e.message()))?;
        let base = path.parent().unwrap_or(Path::new("/")).to_owned();
        let legacy = text.legacy;
        let select = |names: Option<&Names>, legacy: bool| {
            let Some(names) = names else {
                return Ok(Selection::All);
            };
            let entries = names.get_ref();
            let texts = entries.iter().map(|entry| entry.get_ref().as_str());
            Selection::parse(texts, legacy).map_err(|unfit| {
                let span = unfit.entry.map_or(names.span(), |i| entries[i].span());
                wrong(line(span.start), &unfit.why)
            })
        };
        let tokens = text.token.take().map(|tokens| {
            let read = tokens.iter().map(|token| {
                let offer = Offer {
                    personality: token.personality,
                    mechanisms: select(
                        token.mechanisms.as_ref(),
                        legacy || token.personality == Personality::CloudHsm,
                    )?,
                };
                Ok((base.join(&token.directory), offer))
            });
            read.collect::<Result<Vec<_>>>()
        });
        let tokens = tokens.transpose()?;
        let mut clusters: Vec<(ClusterSettings, Offer)> = Vec::new();
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
            let mut nodes = Vec::new();
            for node in cluster.nodes.into_inner() {
                let at = line(node.span().start);
                let node = node.into_inner();
                if let Err(what) = well_formed(&node) {
                    let what = format!("{node:?} is no address of a node: {what}");
                    return Err(wrong(at, &what));
                }
                if nodes.contains(&node) {
                    return Err(wrong(at, "the cluster has this node already"));
                }
                nodes.push(node);
            }
            let at = line(cluster.trust_anchor.span().start);
            let path = base.join(cluster.trust_anchor.get_ref());
            let unfit = |what: &str| {
                let what = format!("the trust anchor {} {what}", path.display());
                wrong(at, &what)
            };
            let anchor = std::fs::read_to_string(&path)
                .map_err(|e| unfit(&format!("cannot be read: {e}")))?;
            Anchors::from_pem(&anchor)
                .map_err(|e| unfit(&format!("holds no certificate in PEM: {}", e.why)))?;
            let settings = ClusterSettings {
                label: cluster.label.into_inner(),
                anchor,
                availability_check: cluster.key_availability_check,
                connect_timeout: Duration::from_secs(cluster.connect_timeout),
                call_timeout: Duration::from_secs(cluster.call_timeout),
                nodes,
            };
            let offer = Offer {
                personality: cluster.personality,
                // What an HSM has of the broken and the old is its own to say.
                mechanisms: select(cluster.mechanisms.as_ref(), true)?,
            };
            clusters.push((settings, offer));
        }
        Ok(File {
            text,
            base,
            tokens,
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

    /// Whether embedded tokens refuse keys that are both for data and for keys.
    pub fn separate_roles(&self) -> bool {
        self.text.conflicting_roles == Roles::Refuse
    }

    /// Directories of embedded tokens; the default one where the file lists neither a directory nor
    /// a cluster.
    pub fn directories(
        &self,
        default: impl FnOnce() -> Result<PathBuf>,
    ) -> Result<Vec<(PathBuf, Offer)>> {
        match &self.tokens {
            Some(tokens) => Ok(tokens.clone()),
            None if self.clusters.is_empty() => Ok(vec![(default()?, Offer::default())]),
            None => Ok(Vec::new()),
        }
    }

    /// Clusters, and what they offer.
    pub fn clusters(&self) -> impl Iterator<Item = (ClusterSettings, Offer)> + '_ {
        self.clusters.iter().cloned()
    }
}

/// Whether a node's text can be an address at all: `host` or `host:port`, the host a name, an IPv4
/// address or an IPv6 address in brackets. Whether a name is known is the network's to say, later.
fn well_formed(node: &str) -> std::result::Result<(), &'static str> {
    if node.parse::<IpAddr>().is_ok() {
        return Ok(());
    }
    let (host, port) = match node.rsplit_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (node, None),
    };
    if port.is_some_and(|p| !p.parse().is_ok_and(|p: u16| p != 0)) {
        return Err("the port is a number from 1 to 65535");
    }
    let v6 = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    if let Some(v6) = v6 {
        let parsed = v6.parse::<Ipv6Addr>();
        return parsed
            .map(drop)
            .map_err(|_| "no IPv6 address is in the brackets");
    }
    let name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    if host.is_empty() || !host.bytes().all(name) {
        return Err("the host is a name or an IP address");
    }
    // What has the form of an IPv4 address is one.
    if host.bytes().all(|b| b.is_ascii_digit() || b == b'.') && host.parse::<Ipv4Addr>().is_err() {
        return Err("it looks like an IPv4 address, and is none");
    }
    Ok(())
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
    use hsm_api::MechId;
    use pkcs11_sys::{CKM_AES_CBC, CKM_AES_ECB};

    use super::*;

    fn read(text: &str) -> Result<File> {
        let dir = tempfile::tempdir().unwrap();
        let ca = rcgen::generate_simple_self_signed(vec!["ca".into()]).unwrap();
        std::fs::write(dir.path().join("ca.crt"), ca.cert.pem()).unwrap();
        std::fs::write(dir.path().join("key.pem"), ca.signing_key.serialize_pem()).unwrap();
        std::fs::write(dir.path().join("text.crt"), "anchor").unwrap();
        let path = dir.path().join("pkcs11.toml");
        std::fs::write(&path, text).unwrap();
        File::read(&path)
    }

    #[test]
    fn a_whole_file() {
        let file = read(
            "log = \"calls.log\"\nempty-slot = true\nlegacy = true\nconflicting-roles = \"refuse\"\n[[token]]\ndirectory = \"t\"\n\
             [[cluster]]\nlabel = \"c\"\nnodes = [\"127.20.1.10:2223\", \"127.20.2.10\"]\n\
             trust-anchor = \"ca.crt\"\nkey-availability-check = false\nmechanisms = [\"-CKM_AES_ECB\"]\n",
        )
        .unwrap();
        assert!(file.empty_slot() && file.legacy() && file.separate_roles());
        assert_eq!(
            file.log_target(),
            Some(file.base.join("calls.log").display().to_string())
        );
        let none = || panic!("the file names a directory");
        let tokens = file.directories(none).unwrap();
        assert_eq!(tokens, [(file.base.join("t"), Offer::default())]);
        let (cluster, offer) = file.clusters().next().unwrap();
        assert!(cluster.anchor.starts_with("-----BEGIN CERTIFICATE"));
        assert_eq!(offer.personality, Personality::CloudHsm);
        assert!(
            !offer.mechanisms.has(MechId(CKM_AES_ECB)) && offer.mechanisms.has(MechId(CKM_AES_CBC))
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
                "[[token]]\ndirectory = \"t\"\nmechanisms = [\n\"CKM_AES_GCM\",\n\"CKM_AES\"]\n"
                    .to_owned(),
                "pkcs11.toml:5: \"CKM_AES\" is no mechanism's name here",
            ),
            (
                "[[token]]\ndirectory = \"t\"\nmechanisms = []\n".to_owned(),
                "pkcs11.toml:3: the list is empty",
            ),
            (
                format!("{cluster}trust-anchor = \"gone.crt\"\n"),
                "pkcs11.toml:4: the trust anchor",
            ),
            (
                format!("{cluster}trust-anchor = \"text.crt\"\n"),
                "text.crt holds no certificate in PEM",
            ),
            (
                format!("{cluster}trust-anchor = \"key.pem\"\n"),
                "key.pem holds no certificate in PEM",
            ),
            (
                cluster.replace("127.0.0.1:1", "127.0.0.1:port") + "trust-anchor = \"ca.crt\"\n",
                "pkcs11.toml:3: \"127.0.0.1:port\" is no address of a node: the port",
            ),
            (
                cluster.replace("[\"127.0.0.1:1\"", "[\"a\",\n\"b\",\n\"a\"")
                    + "trust-anchor = \"ca.crt\"\n",
                "pkcs11.toml:5: the cluster has this node already",
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
    fn another_encoding_is_refused_with_its_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pkcs11.toml");
        std::fs::write(&path, b"log = \"off\"\n# caf\xe9\n").unwrap();
        let refused = File::read(&path).unwrap_err();
        assert_eq!(refused.rv, Rv::GENERAL_ERROR);
        assert!(
            refused.why.contains("pkcs11.toml:2: ") && refused.why.contains("not UTF-8"),
            "{refused}"
        );
    }

    #[test]
    fn forms_of_a_node() {
        for good in [
            "127.20.1.10",
            "127.20.1.10:2223",
            "hsm-1.example.com",
            "hsm_1:2225",
            "::1",
            "[::1]:2223",
        ] {
            assert_eq!(well_formed(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            ":2223",
            "127.0.0.1:port",
            "127.0.0.1:0",
            "127.0.0.1:65536",
            "127.0.0.1:",
            "127.0.0.300:2223",
            "127.0.0",
            "http://host:2223",
            "a host",
            "[::g]:2223",
            "10.0.0.1,10.0.0.2",
        ] {
            assert!(well_formed(bad).is_err(), "{bad}");
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
