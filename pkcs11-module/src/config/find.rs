//! Where the configuration file and the default token directory are.

use std::path::PathBuf;
use std::time::SystemTime;

use hsm_api::{Error, Result, Rv};

/// A file that may be the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    path: PathBuf,
    /// Who named it, if somebody did: then it must exist.
    named_by: Option<(&'static str, Rv)>,
}

/// Tells whether a file changed, also when it was replaced within one tick of the clock.
pub type Stamp = (Option<SystemTime>, u64, u64);

/// The files to try, in order: a named one is the only one.
pub fn places(reserved: Option<&str>, env: impl Fn(&str) -> Option<String>) -> Result<Vec<Place>> {
    let set = |name: &str| env(name).filter(|value| !value.is_empty());
    let named = |path: String, by: &'static str, rv| {
        let named_by = Some((by, rv));
        let path = PathBuf::from(path);
        Ok(vec![Place { path, named_by }])
    };
    if let Some(path) = reserved.map(parse_reserved).transpose()?.flatten() {
        return named(path, "C_Initialize's pReserved", Rv::ARGUMENTS_BAD);
    }
    if let Some(path) = set("KEYSTEAD_PKCS11_CONF") {
        return named(path, "KEYSTEAD_PKCS11_CONF", Rv::GENERAL_ERROR);
    }
    let home = set("HOME").map(PathBuf::from);
    let user = set("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .or(home.map(|h| h.join(".config")));
    let system = Some(PathBuf::from("/etc"));
    Ok([user, system]
        .into_iter()
        .flatten()
        .map(|dir| Place {
            path: dir.join("keystead/pkcs11.toml"),
            named_by: None,
        })
        .collect())
}

/// `/path`, or `config=/path` among the words of a string like NSS's (`configdir='x' flags=y`). Other
/// words are for other modules.
fn parse_reserved(text: &str) -> Result<Option<String>> {
    let text = text.trim();
    if text.starts_with('/') {
        return Ok(Some(text.to_owned()));
    }
    let mut rest = text;
    while let Some((key, value)) = rest.split_once('=') {
        let quote = value.chars().next().filter(|c| matches!(c, '\'' | '"'));
        let (word, after) = match quote {
            Some(quote) => value[1..].split_once(quote).ok_or_else(|| {
                let why = format!("C_Initialize's pReserved: a quote is not closed in {key}");
                Error::new(Rv::ARGUMENTS_BAD, why)
            })?,
            None => value
                .split_once(|c: char| c.is_whitespace() || c == ';')
                .unwrap_or((value, "")),
        };
        if key.trim_matches(|c: char| c.is_whitespace() || c == ';') == "config" {
            return Ok(Some(word.to_owned()));
        }
        rest = after;
    }
    Ok(None)
}

/// The file that is there.
pub fn locate(places: &[Place]) -> Result<Option<(PathBuf, Stamp)>> {
    for place in places {
        match std::fs::metadata(&place.path) {
            Ok(meta) => {
                let stamp = (meta.modified().ok(), meta.len(), inode(&meta));
                return Ok(Some((place.path.clone(), stamp)));
            }
            Err(e) => {
                if let Some((by, rv)) = place.named_by {
                    let path = place.path.display();
                    let why = format!("{path}: the configuration file named by {by}: {e}");
                    return Err(Error::new(rv, why));
                }
            }
        }
    }
    Ok(None)
}

#[cfg(unix)]
fn inode(meta: &std::fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(meta)
}

#[cfg(not(unix))]
fn inode(_: &std::fs::Metadata) -> u64 {
    0
}

/// Where embedded tokens are when no file says.
pub fn default_tokens() -> Result<PathBuf> {
    let set = |name: &str| {
        std::env::var_os(name)
            .filter(|v| !v.is_empty())
            .map(PathBuf::from)
    };
    let data = set("XDG_DATA_HOME").or_else(|| set("HOME").map(|home| home.join(".local/share")));
    data.map(|dir| dir.join("keystead/tokens")).ok_or_else(|| {
        let why =
            "neither XDG_DATA_HOME nor HOME is set: name a token directory in a configuration";
        Error::new(Rv::GENERAL_ERROR, why)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_strings() {
        let cases = [
            ("/etc/x.toml", Some("/etc/x.toml")),
            ("config=/a/b.toml", Some("/a/b.toml")),
            (
                "configdir='/n s' config='/a b.toml' flags=x",
                Some("/a b.toml"),
            ),
            ("a=1;config=/c.toml;b=2", Some("/c.toml")),
            ("configdir=/n flags=y", None),
            ("", None),
        ];
        for (text, path) in cases {
            assert_eq!(parse_reserved(text).unwrap().as_deref(), path, "{text}");
        }
        assert_eq!(
            parse_reserved("config='/open").unwrap_err().rv,
            Rv::ARGUMENTS_BAD
        );
    }

    #[test]
    fn the_order_of_places() {
        let env = |name: &str| match name {
            "KEYSTEAD_PKCS11_CONF" => Some("/env.toml".to_owned()),
            "HOME" => Some("/home/u".to_owned()),
            _ => None,
        };
        let first = |places: Vec<Place>| places[0].path.clone();
        assert_eq!(
            first(places(Some("/r.toml"), env).unwrap()),
            PathBuf::from("/r.toml")
        );
        assert_eq!(
            first(places(None, env).unwrap()),
            PathBuf::from("/env.toml")
        );
        let home = places(None, |n| (n == "HOME").then(|| "/home/u".to_owned())).unwrap();
        let paths: Vec<_> = home.iter().map(|p| p.path.display().to_string()).collect();
        assert_eq!(
            paths,
            [
                "/home/u/.config/keystead/pkcs11.toml",
                "/etc/keystead/pkcs11.toml"
            ]
        );
    }

    #[test]
    fn only_a_named_file_must_exist() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.toml").display().to_string();
        let named = places(Some(&path), |_| None).unwrap();
        let e = locate(&named).unwrap_err();
        assert!(e.rv == Rv::ARGUMENTS_BAD && e.why.contains("x.toml"), "{e}");
        let home = dir.path().display().to_string();
        let default = places(None, |n| (n == "XDG_CONFIG_HOME").then(|| home.clone())).unwrap();
        assert!(locate(&default[..1]).unwrap().is_none());
    }
}
