//! The configuration of our own module, as far as this tool needs it: the file that an application would find, and the token
//! directories that it lists. The module reads the file itself; see `docs/pkcs11-config.md`.

use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use tempfile::NamedTempFile;

use super::{Failure, Place, Result, usage};

/// A configuration for C_Initialize, and the file behind it if we wrote one: the module reads it again while it runs.
pub struct Config {
    /// For `pReserved`; without it the module finds its own.
    pub reserved: Option<String>,
    file: Option<NamedTempFile>,
    directories: Vec<PathBuf>,
}

impl Config {
    /// For a module that is not ours, or finds its own.
    pub fn none() -> Config {
        Config {
            reserved: None,
            file: None,
            directories: Vec::new(),
        }
    }

    /// Waits for its turn to make a token in the first directory. C_InitToken on a token that somebody made a moment ago, with
    /// the same PIN, would wipe it; so whoever makes one looks again once the others are done. Held until dropped.
    pub fn turn(&self) -> Option<std::fs::File> {
        let directory = self.directories.first()?;
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        // Where nothing can be written no token will be made either, and finding one needs no turn.
        builder.create(directory).ok()?;
        let mut options = std::fs::OpenOptions::new();
        options.create(true).truncate(false).write(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(directory.join(".init.lock")).ok()?;
        file.lock().ok()?;
        Some(file)
    }

    /// Has the module offer an uninitialised token in the first directory, or no longer. Nothing changes where the
    /// configuration is not one that we wrote.
    pub fn offer_blank(&self, offer: bool) -> Result<()> {
        let Some(file) = &self.file else {
            return Ok(());
        };
        let text = text(&self.directories, offer)?;
        std::fs::write(file.path(), text).map_err(unwritten)
    }
}

#[derive(Deserialize)]
struct File {
    token: Option<Vec<Entry>>,
    #[serde(default)]
    cluster: Vec<toml::Value>,
}

#[derive(Deserialize)]
struct Entry {
    directory: PathBuf,
}

/// What our module is to be told for this command line.
pub fn config(place: &Place) -> Result<Config> {
    match (&place.directory, &place.config) {
        (Some(directory), _) => made(vec![absolute(directory)?]),
        (None, Some(file)) if !file.is_file() => usage(format!(
            "--config {}: there is no such file",
            file.display()
        )),
        (None, Some(file)) => Ok(Config {
            reserved: Some(reserved(&absolute(file)?)?),
            ..Config::none()
        }),
        (None, None) => Ok(Config::none()),
    }
}

/// The same, able to offer an uninitialised token: [`Config::offer_blank`].
pub fn config_for_new(place: &Place) -> Result<Config> {
    let directories = directories(place)?;
    if directories.is_empty() {
        return usage(
            "the configuration lists no directory of tokens: give --directory DIR, or add [[token]] with `directory`",
        );
    }
    made(directories)
}

/// The directories of embedded tokens, in the module's order.
pub fn directories(place: &Place) -> Result<Vec<PathBuf>> {
    if let Some(directory) = &place.directory {
        return Ok(vec![absolute(directory)?]);
    }
    let Some(file) = place.config.clone().or_else(found) else {
        return Ok(vec![default_tokens()?]);
    };
    let wrong = |why: String| Failure::Usage(format!("{}: {why}", file.display()));
    let text = std::fs::read_to_string(&file).map_err(|error| wrong(error.to_string()))?;
    let read: File = toml::from_str(&text).map_err(|error| wrong(error.message().to_owned()))?;
    let file = absolute(&file)?;
    let base = file.parent().unwrap_or(Path::new("/"));
    match read.token {
        Some(tokens) => Ok(tokens
            .iter()
            .map(|token| base.join(&token.directory))
            .collect()),
        None if read.cluster.is_empty() => Ok(vec![default_tokens()?]),
        None => Ok(Vec::new()),
    }
}

fn found() -> Option<PathBuf> {
    let set = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    if let Some(named) = set("KEYSTEAD_PKCS11_CONF") {
        return Some(named);
    }
    let user = set("XDG_CONFIG_HOME").or_else(|| Some(set("HOME")?.join(".config")));
    let places = [user, Some(PathBuf::from("/etc"))]
        .into_iter()
        .flatten()
        .map(|dir| dir.join("keystead/pkcs11.toml"));
    places.into_iter().find(|file| file.is_file())
}

fn default_tokens() -> Result<PathBuf> {
    let set = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let data = set("XDG_DATA_HOME").or_else(|| Some(set("HOME")?.join(".local/share")));
    data.map(|dir| dir.join("keystead/tokens")).ok_or_else(|| {
        Failure::Usage("neither XDG_DATA_HOME nor HOME is set: give --directory DIR".into())
    })
}

fn made(directories: Vec<PathBuf>) -> Result<Config> {
    let mut file = NamedTempFile::new().map_err(unwritten)?;
    file.write_all(text(&directories, false)?.as_bytes())
        .map_err(unwritten)?;
    Ok(Config {
        reserved: Some(reserved(file.path())?),
        file: Some(file),
        directories,
    })
}

fn text(directories: &[PathBuf], empty_slot: bool) -> Result<String> {
    let mut text = format!("empty-slot = {empty_slot}\n");
    for directory in directories {
        let Some(directory) = directory.to_str() else {
            return usage(format!(
                "{} is not UTF-8, which a configuration is",
                directory.display()
            ));
        };
        text += &format!("[[token]]\ndirectory = {}\n", toml::Value::from(directory));
    }
    Ok(text)
}

fn unwritten(error: std::io::Error) -> Failure {
    Failure::Failed(format!("a temporary configuration: {error}"))
}

/// A path that starts at the root, for the module takes others as starting at its configuration's directory.
fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path)
        .map_err(|error| Failure::Usage(format!("{}: {error}", path.display())))
}

fn reserved(file: &Path) -> Result<String> {
    match file.to_str() {
        // The whole string is the path, as long as it begins with a slash and has no space at an end.
        Some(text) if text.starts_with('/') && text.trim() == text => Ok(text.to_owned()),
        _ => usage(format!(
            "the configuration's path {} must be UTF-8 without spaces at its end",
            file.display()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Output;

    #[test]
    fn directories_start_at_the_configuration() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("pkcs11.toml");
        let place = Place {
            module: None,
            config: Some(file.clone()),
            directory: None,
            output: Output::Json,
        };
        std::fs::write(
            &file,
            "[[token]]\ndirectory = \"a\"\n[[token]]\ndirectory = \"/b\"\n",
        )
        .unwrap();
        let listed = directories(&place).unwrap_or_default();
        assert_eq!(listed, [home.path().join("a"), PathBuf::from("/b")]);
        std::fs::write(&file, "[[cluster]]\nlabel = \"c\"\n").unwrap();
        assert!(directories(&place).unwrap_or_default().is_empty());
        assert!(
            matches!(config_for_new(&place), Err(Failure::Usage(why)) if why.contains("--directory"))
        );
    }

    #[test]
    fn a_made_configuration_reads_back() {
        let config =
            made(vec![PathBuf::from("/with \"quotes\"")]).unwrap_or_else(|_| panic!("made"));
        assert!(config.offer_blank(true).is_ok());
        let text = std::fs::read_to_string(config.reserved.unwrap()).unwrap();
        assert!(text.starts_with("empty-slot = true\n"), "{text}");
        let read: File = toml::from_str(&text).unwrap();
        assert_eq!(
            read.token.unwrap()[0].directory,
            Path::new("/with \"quotes\"")
        );
    }
}
