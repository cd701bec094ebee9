//! The file of known access keys, in the form of `~/.aws/credentials`, so that one file serves
//! both ends.

use crate::sigv4::Key;
use aws_json::SecretString;
use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// The access keys that a server accepts, each with the name of its section.
#[derive(Debug, Clone, Default)]
pub struct Keyring {
    by_id: HashMap<String, (String, Key)>,
    first: Option<String>,
}

impl Keyring {
    /// Reads a credentials file.
    ///
    /// # Errors
    /// The file cannot be read, or what is wrong in which line. Secrets are not quoted.
    pub fn read(path: &Path) -> Result<Self, CredentialsError> {
        let error = |line, problem: String| CredentialsError {
            path: path.into(),
            line,
            problem,
        };
        let text = std::fs::read_to_string(path).map(Zeroizing::new);
        let text = text.map_err(|e| error(None, e.to_string()))?;
        Self::parse(&text).map_err(|(line, problem)| error(Some(line), problem))
    }

    fn parse(text: &str) -> Result<Self, (usize, String)> {
        let mut keyring = Self::default();
        let mut section: Option<Section> = None;
        for (at, line) in text.lines().enumerate() {
            let (number, line) = (at + 1, line.trim());
            if line.is_empty() || line.starts_with(['#', ';']) {
                continue;
            }
            if let Some(name) = line.strip_prefix('[') {
                let name = name
                    .strip_suffix(']')
                    .map(str::trim)
                    .filter(|name| !name.is_empty());
                let name = name.ok_or((number, "a section is written [name]".to_owned()))?;
                keyring.add(section.replace(Section::new(number, name)))?;
                continue;
            }
            let (name, value) = line
                .split_once('=')
                .ok_or((number, "neither [section] nor name = value".to_owned()))?;
            let section = section
                .as_mut()
                .ok_or((number, "a setting before the first [section]".to_owned()))?;
            let slot = match name.trim() {
                "aws_access_key_id" => &mut section.id,
                "aws_secret_access_key" => &mut section.secret,
                "aws_session_token" => &mut section.token,
                // Region, output and the like mean something to clients only.
                _ => continue,
            };
            let value = value.trim();
            if value.is_empty() || slot.is_some() {
                let what = if slot.is_some() {
                    "given twice"
                } else {
                    "empty"
                };
                return Err((number, format!("{} is {what}", name.trim())));
            }
            *slot = Some(SecretString::new(value.to_owned()));
        }
        keyring.add(section)?;
        match keyring.by_id.is_empty() {
            true => Err((
                text.lines().count(),
                "no access key in the whole file".to_owned(),
            )),
            false => Ok(keyring),
        }
    }

    fn add(&mut self, section: Option<Section>) -> Result<(), (usize, String)> {
        let Some(Section {
            line,
            name,
            id,
            secret,
            token,
        }) = section
        else {
            return Ok(());
        };
        let lacks = |what| (line, format!("[{name}] has no {what}"));
        let id = id.ok_or_else(|| lacks("aws_access_key_id"))?.to_string();
        let secret = secret.ok_or_else(|| lacks("aws_secret_access_key"))?;
        let key = Key {
            id: id.clone(),
            secret,
            token,
        };
        if self.first.is_none() || name == "default" {
            self.first = Some(id.clone());
        }
        match self.by_id.insert(id, (name.clone(), key)) {
            Some((other, _)) => Err((line, format!("[{name}] has the access key of [{other}]"))),
            None => Ok(()),
        }
    }

    /// The key that the server's own tools sign with: that of [default], else the first.
    pub fn own(&self) -> Option<&Key> {
        self.by_id.get(self.first.as_ref()?).map(|(_, key)| key)
    }

    /// The key of this id and the name of its section.
    pub fn find(&self, access_key: &str) -> Option<(&str, &Key)> {
        self.by_id
            .get(access_key)
            .map(|(name, key)| (name.as_str(), key))
    }
}

struct Section {
    line: usize,
    name: String,
    id: Option<SecretString>,
    secret: Option<SecretString>,
    token: Option<SecretString>,
}

impl Section {
    fn new(line: usize, name: &str) -> Self {
        Self {
            line,
            name: name.to_owned(),
            id: None,
            secret: None,
            token: None,
        }
    }
}

/// What is wrong with a credentials file, and where.
#[derive(Debug)]
pub struct CredentialsError {
    path: PathBuf,
    line: Option<usize>,
    problem: String,
}

impl fmt::Display for CredentialsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "credentials file {}", self.path.display())?;
        if let Some(line) = self.line {
            write!(f, ", line {line}")?;
        }
        write!(f, ": {}", self.problem)
    }
}

impl std::error::Error for CredentialsError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_are_keys() {
        let keyring = Keyring::parse(
            "# ours\n[default]\naws_access_key_id = AKID1\naws_secret_access_key=s3=cret/\n\
             region = eu-west-1\n\n; a temporary one\n[ ci ]\r\naws_access_key_id=000011112222\n\
             aws_secret_access_key = x\naws_session_token = t\n",
        );
        let keyring = keyring.unwrap();
        let (name, key) = keyring.find("AKID1").unwrap();
        assert_eq!(
            (name, &*key.secret, key.token.is_none()),
            ("default", "s3=cret/", true)
        );
        let (name, key) = keyring.find("000011112222").unwrap();
        assert_eq!((name, key.token.as_deref()), ("ci", Some("t")));
        assert!(keyring.find("akid1").is_none());
        assert_eq!(keyring.own().unwrap().id, "AKID1");
        let last = "[a]\naws_access_key_id=A\naws_secret_access_key=x\n\
                    [default]\naws_access_key_id=D\naws_secret_access_key=y\n";
        assert_eq!(Keyring::parse(last).unwrap().own().unwrap().id, "D");
    }

    #[test]
    fn errors_name_the_line_and_no_secret() {
        for (text, line, problem) in [
            ("", 0, "no access key in the whole file"),
            (
                "aws_access_key_id = A",
                1,
                "a setting before the first [section]",
            ),
            ("[a\n", 1, "a section is written [name]"),
            ("[a]\nhunter2\n", 2, "neither [section] nor name = value"),
            (
                "\n[a]\naws_access_key_id = A\n[b]\n",
                2,
                "[a] has no aws_secret_access_key",
            ),
            (
                "[a]\naws_secret_access_key = A\n",
                1,
                "[a] has no aws_access_key_id",
            ),
            (
                "[a]\naws_access_key_id =\n",
                2,
                "aws_access_key_id is empty",
            ),
            (
                "[a]\naws_access_key_id=A\naws_access_key_id=B\n",
                3,
                "aws_access_key_id is given twice",
            ),
            (
                "[a]\naws_access_key_id=A\naws_secret_access_key=x\n\
                 [b]\naws_access_key_id=A\naws_secret_access_key=y\n",
                4,
                "[b] has the access key of [a]",
            ),
        ] {
            assert_eq!(
                Keyring::parse(text).unwrap_err(),
                (line, problem.to_owned()),
                "{text:?}"
            );
        }
    }

    #[test]
    fn errors_name_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("credentials");
        let missing = Keyring::read(&path).unwrap_err().to_string();
        assert!(missing.starts_with(&format!("credentials file {}: ", path.display())));
        std::fs::write(&path, "[a]\nb\n").unwrap();
        let wrong = Keyring::read(&path).unwrap_err().to_string();
        assert!(
            wrong.ends_with("credentials, line 2: neither [section] nor name = value"),
            "{wrong}"
        );
    }
}
