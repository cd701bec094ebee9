//! The configuration of our own module, as far as this tool needs it: the file that an application would find, and the token
//! directories that it lists. The module reads the file itself; see `docs/pkcs11-config.md`.

use std::io::Write;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;
use toml::{Table, Value};

use super::{Failure, Place, Result, usage};

/// A configuration for C_Initialize, and the file behind it if we wrote one: the module reads it again while it runs.
pub struct Config {
    /// For `pReserved`; without it the module finds its own.
    pub reserved: Option<String>,
    file: Option<NamedTempFile>,
    /// The user's file that ours was made of, if it was made of one.
    pub source: Option<PathBuf>,
    settings: Settings,
}

/// What a configuration says, its paths starting at the root.
#[derive(Default)]
struct Settings {
    table: Table,
    directories: Vec<PathBuf>,
    source: Option<PathBuf>,
}

impl Config {
    /// For a module that is not ours, or finds its own.
    pub fn none() -> Config {
        Config {
            reserved: None,
            file: None,
            source: None,
            settings: Settings::default(),
        }
    }

    /// Waits for its turn to make a token in the first directory. C_InitToken on a token that somebody made a moment ago, with
    /// the same PIN, would wipe it; so whoever makes one looks again once the others are done. Held until dropped.
    pub fn turn(&self) -> Option<std::fs::File> {
        let directory = self.settings.directories.first()?;
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
        if offer && self.settings.directories.is_empty() {
            return usage(
                "the configuration lists no directory of tokens: give --directory DIR, or add [[token]] with `directory`",
            );
        }
        std::fs::write(file.path(), self.settings.text(offer)).map_err(unwritten)
    }
}

/// What our module is to be told for a command that works with tokens that are there. It makes a first token in a directory that
/// holds none, so it is told of no such directory: a name that was mistyped is an error, and no new directory.
pub fn config(place: &Place) -> Result<Config> {
    let mut settings = settings(place)?;
    if let Some(named) = &place.directory {
        match std::fs::metadata(named) {
            Ok(there) if there.is_dir() => {}
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return usage(format!("--directory {}: {error}", named.display()));
            }
            _ => {
                let named = named.display();
                return usage(format!("--directory {named}: there is no such directory"));
            }
        }
    }
    let whole = settings
        .directories
        .iter()
        .all(|directory| holds(directory));
    match (&place.directory, &place.config) {
        _ if !whole || settings.offers_blank() => {
            settings.directories.retain(|directory| holds(directory));
            settings.tell_directories();
            made(settings)
        }
        (Some(_), _) => made(settings),
        (None, Some(file)) => Ok(Config {
            reserved: Some(reserved(&absolute(file)?)?),
            ..Config::none()
        }),
        (None, None) => Ok(Config::none()),
    }
}

/// The same, able to offer an uninitialised token: [`Config::offer_blank`].
pub fn config_for_new(place: &Place) -> Result<Config> {
    made(settings(place)?)
}

/// Why there is no token that the module could show, if there is none: the directories that were looked into, and what is there.
/// A cluster's tokens are seen by connecting only, so a configuration with one never counts as empty.
pub fn nothing(place: &Place) -> Result<Option<String>> {
    match place.module {
        Some(_) => Ok(None),
        None => Ok(settings(place)?.nothing()),
    }
}

/// Whether a token was ever made in the directory. What cannot be read is for the module to refuse.
fn holds(directory: &Path) -> bool {
    hsm_sim::tokens(directory).map_or(true, |tokens| {
        tokens
            .iter()
            .any(|token| token.path.join("token.db").try_exists().unwrap_or(true))
    })
}

/// The directories of embedded tokens, in the module's order.
pub fn directories(place: &Place) -> Result<Vec<PathBuf>> {
    Ok(settings(place)?.directories)
}

fn settings(place: &Place) -> Result<Settings> {
    if let Some(directory) = &place.directory {
        return Settings::of_directory(directory);
    }
    match place.config.clone().or_else(found) {
        Some(file) if !file.exists() => {
            let by = if place.config.is_some() {
                "--config"
            } else {
                "KEYSTEAD_PKCS11_CONF"
            };
            usage(format!("{by} {}: there is no such file", file.display()))
        }
        Some(file) => Settings::read(&file),
        None => Settings::of_directory(&default_tokens()?),
    }
}

impl Settings {
    fn of_directory(directory: &Path) -> Result<Settings> {
        let mut settings = Settings::default();
        settings.add(absolute(directory)?)?;
        Ok(settings)
    }

    fn add(&mut self, directory: PathBuf) -> Result<()> {
        let entry = Table::from_iter([("directory".to_owned(), path_value(&directory)?)]);
        self.table
            .insert("token".into(), Value::Array(vec![Value::Table(entry)]));
        self.directories.push(directory);
        Ok(())
    }

    fn read(file: &Path) -> Result<Settings> {
        let wrong = |why: String| Failure::Usage(format!("{}: {why}", file.display()));
        let bytes = std::fs::read(file).map_err(|error| wrong(error.to_string()))?;
        let at =
            |line: usize, why: &str| Failure::Usage(format!("{}:{line}: {why}", file.display()));
        let line = |end: usize| bytes[..end.min(bytes.len())].split(|b| *b == b'\n').count();
        let text = std::str::from_utf8(&bytes)
            .map_err(|error| at(line(error.valid_up_to()), "what stands here is not UTF-8"))?;
        let table: Table = toml::from_str(text).map_err(|error| {
            let start = error.span().map_or(0, |span| span.start);
            at(line(start), error.message())
        })?;
        let file = absolute(file)?;
        let base = file.parent().unwrap_or(Path::new("/"));
        let mut settings = Settings {
            table,
            directories: Vec::new(),
            source: Some(file.clone()),
        };
        for (list, key) in [("token", "directory"), ("cluster", "trust-anchor")] {
            for entry in settings
                .table
                .get_mut(list)
                .and_then(Value::as_array_mut)
                .into_iter()
                .flatten()
            {
                let Some(Value::String(path)) = entry.get_mut(key) else {
                    return Err(wrong(format!(
                        "an entry of [[{list}]] has no `{key} = \"PATH\"`"
                    )));
                };
                let there = base.join(&*path);
                // Both parts are text, and so is the whole.
                *path = there.display().to_string();
                if list == "token" {
                    settings.directories.push(there);
                }
            }
        }
        if let Some(Value::String(log)) = settings.table.get_mut("log")
            && !matches!(&**log, "stderr" | "off")
        {
            *log = base.join(&*log).display().to_string();
        }
        if !settings.table.contains_key("token") && !settings.table.contains_key("cluster") {
            settings.add(default_tokens()?)?;
        }
        Ok(settings)
    }

    /// See [`nothing`].
    fn nothing(&self) -> Option<String> {
        let held = self.directories.iter().any(|directory| holds(directory));
        if held || self.table.contains_key("cluster") {
            return None;
        }
        let said = |directory: &PathBuf| match directory.is_dir() {
            true => format!("{} holds none", directory.display()),
            false => format!("there is no directory {}", directory.display()),
        };
        let said: Vec<String> = self.directories.iter().map(said).collect();
        let said = match &said[..] {
            [] => "the configuration lists no directory".to_owned(),
            said => said.join(", "),
        };
        Some(format!(
            "there is no token: {said}; make one with `keystead token init --label LABEL`"
        ))
    }

    /// Whether the module is told to make an uninitialised token where there is none.
    fn offers_blank(&self) -> bool {
        self.table.get("empty-slot").and_then(Value::as_bool) == Some(true)
    }

    /// Leaves the directories that [`Settings::directories`] no longer has out of what the module is told.
    fn tell_directories(&mut self) {
        if let Some(Value::Array(tokens)) = self.table.get_mut("token") {
            let listed = &self.directories;
            tokens.retain(|token| {
                let directory = token.get("directory").and_then(Value::as_str);
                directory.is_some_and(|directory| listed.iter().any(|l| l == Path::new(directory)))
            });
        }
    }

    fn text(&self, empty_slot: bool) -> String {
        let mut table = self.table.clone();
        table.insert("empty-slot".into(), Value::Boolean(empty_slot));
        table.to_string()
    }
}

fn path_value(path: &Path) -> Result<Value> {
    match path.to_str() {
        Some(text) => Ok(Value::from(text)),
        None => usage(format!(
            "{} is not UTF-8, which a configuration is",
            path.display()
        )),
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

fn made(settings: Settings) -> Result<Config> {
    let mut file = NamedTempFile::new().map_err(unwritten)?;
    file.write_all(settings.text(false).as_bytes())
        .map_err(unwritten)?;
    Ok(Config {
        reserved: Some(reserved(file.path())?),
        file: Some(file),
        source: settings.source.clone(),
        settings,
    })
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

    fn place(config: &Path) -> Place {
        Place {
            module: None,
            config: Some(config.to_owned()),
            directory: None,
            output: Output::Json,
        }
    }

    #[test]
    fn paths_start_at_the_configuration_and_the_rest_stays() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("pkcs11.toml");
        let text = "log = \"calls.log\"\n[[token]]\ndirectory = \"with \\\"quotes\\\"\"\n[[token]]\ndirectory = \"/b\"\n\
                    [[cluster]]\nlabel = \"c\"\nnodes = [\"x:1\"]\ntrust-anchor = \"ca.crt\"\n";
        std::fs::write(&file, text).unwrap();
        let made = config_for_new(&place(&file)).unwrap_or_else(|_| panic!("made"));
        let directories = [home.path().join("with \"quotes\""), PathBuf::from("/b")];
        assert_eq!(made.settings.directories, directories);
        assert!(made.offer_blank(true).is_ok());
        let written = std::fs::read_to_string(made.reserved.as_ref().unwrap()).unwrap();
        let table: Table = toml::from_str(&written).unwrap();
        assert_eq!(table["empty-slot"], Value::Boolean(true));
        assert_eq!(
            table["token"][0]["directory"].as_str(),
            directories[0].to_str()
        );
        assert_eq!(
            table["cluster"][0]["trust-anchor"].as_str(),
            home.path().join("ca.crt").to_str()
        );
        assert_eq!(table["cluster"][0]["nodes"][0].as_str(), Some("x:1"));
        assert_eq!(
            table["log"].as_str(),
            home.path().join("calls.log").to_str()
        );
    }

    #[test]
    fn clusters_alone_offer_no_token_to_make() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("pkcs11.toml");
        std::fs::write(&file, "[[cluster]]\nlabel = \"c\"\ntrust-anchor = \"x\"\n").unwrap();
        let made = config_for_new(&place(&file)).unwrap_or_else(|_| panic!("made"));
        assert!(made.offer_blank(false).is_ok());
        assert!(
            matches!(made.offer_blank(true), Err(Failure::Usage(why)) if why.contains("--directory"))
        );
        std::fs::write(&file, "[[token]]\ndirectory = 7\n").unwrap();
        assert!(
            matches!(directories(&place(&file)), Err(Failure::Usage(why)) if why.contains("[[token]]"))
        );
    }
}
