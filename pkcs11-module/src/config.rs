//! The configuration file, and the one place where embedded or cluster is chosen.
//!
//! Where it is looked for: C_Initialize's pReserved (`/path` or `config=/path`), KEYSTEAD_PKCS11_CONF,
//! `$XDG_CONFIG_HOME/keystead/pkcs11.toml`, `/etc/keystead/pkcs11.toml`. The first two must exist if they
//! are given. Without any file there is one directory of embedded tokens,
//! `$XDG_DATA_HOME/keystead/tokens`. The keys are documented in `docs/pkcs11-config.md`; one that is
//! not known is an error, with file and line. Relative paths start at the file's own directory.
//!
//! The file is read again when an application asks for the number of slots, so that clusters can be
//! added to a process that runs.

mod file;
mod find;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use hsm_api::{Error, Hello, Hsm, Peer, Reply, Request, Result, SessionId};
use hsm_net::{Cluster, ClusterConfig};
use hsm_sim::{Engine, Settings};

use crate::log::Log;
use crate::module::Module;
use crate::personality::Personality;
use crate::token::{PinForm, SlotSpec, unexpected};
use file::{File, Offer};
use find::{Place, Stamp};

/// What the module was told.
#[derive(Default)]
pub struct Config {
    places: Vec<Place>,
    /// The file that was read, and how it looked.
    read: Option<(PathBuf, Stamp)>,
    file: File,
    /// Embedded HSMs once opened, with the legacy mechanisms or without: a second look at their directory costs no second
    /// store.
    engines: HashMap<(PathBuf, bool), Engine>,
    /// What each token directory held when it could last be read.
    seen: HashMap<PathBuf, Vec<PathBuf>>,
}

/// One slot that the configuration lists.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed {
    /// The same slot has the same key whenever the configuration is read.
    pub key: String,
    offer: Offer,
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq)]
enum Kind {
    Embedded { token: PathBuf },
    Cluster(file::ClusterSettings),
}

/// C_Initialize: finds and reads the configuration, and makes the module of it.
///
/// # Errors
/// GENERAL_ERROR, or ARGUMENTS_BAD where pReserved is at fault; the reason is on standard error and
/// in the log.
pub fn start(reserved: Option<&str>) -> Result<Module> {
    let begun = Instant::now();
    let wish = std::env::var(Log::ENV).ok();
    let config = Config::load(reserved);
    let configured = config.as_ref().ok().and_then(|c| c.file.log_target());
    let log = wish
        .or(configured)
        .map_or(Ok(Log::Unsaid), |target| Log::open(&target));
    let log = log.unwrap_or_else(|e| {
        // A host must not fail because nobody can listen.
        Log::Stderr.line(&format!("libkeystead_pkcs11: {}", e.why));
        Log::Off
    });
    match config {
        Ok(config) => {
            let module = Module::new(config, log)?;
            module.log.call("C_Initialize", Some(begun), &Ok(()));
            Ok(module)
        }
        Err(e) => {
            // Hosts show a number at best: the sentence must reach somebody.
            Log::Stderr.line(&format!("libkeystead_pkcs11: {}", e.why));
            if let Log::File(_) = log {
                log.call("C_Initialize", Some(begun), &Err(e.clone()));
            }
            Err(e)
        }
    }
}

impl Config {
    fn load(reserved: Option<&str>) -> Result<Config> {
        let mut config = Config {
            places: find::places(reserved, |name| std::env::var(name).ok())?,
            ..Config::default()
        };
        config.reread()?;
        Ok(config)
    }

    /// Reads the file again if it changed, or if there is another one now. On an error everything
    /// stays as it was.
    ///
    /// # Errors
    /// GENERAL_ERROR or ARGUMENTS_BAD, with file and line.
    pub fn reread(&mut self) -> Result<()> {
        let now = find::locate(&self.places)?;
        if now.is_some() && now == self.read {
            return Ok(());
        }
        self.file = match &now {
            Some((path, _)) => File::read(path)?,
            None => File::default(),
        };
        self.read = now;
        Ok(())
    }

    /// A configuration of no slots.
    pub fn empty() -> Config {
        Config {
            file: File::nothing(),
            ..Config::default()
        }
    }

    /// The slots, in the order of the file; tokens of one directory in the order of their creation.
    /// A directory that cannot be read now is told to `complain`, and counts as it was before: no
    /// session is to end because a process ran out of file descriptors.
    pub fn list(&mut self, mut complain: impl FnMut(&Error)) -> Vec<Listed> {
        let mut listed = Vec::new();
        let empty_slot = self.file.empty_slot();
        self.engines.retain(|(token, _), _| token.is_dir());
        let directories = self
            .file
            .directories(find::default_tokens)
            .unwrap_or_else(|e| {
                complain(&e);
                Vec::new()
            });
        for (directory, offer) in directories {
            match self.tokens(&directory, empty_slot, &offer) {
                Ok(tokens) => drop(self.seen.insert(directory.clone(), tokens)),
                Err(e) => complain(&e),
            }
            let tokens = self.seen.get(&directory).into_iter().flatten();
            listed.extend(tokens.map(|token| Listed {
                key: token.display().to_string(),
                offer: offer.clone(),
                kind: Kind::Embedded {
                    token: token.clone(),
                },
            }));
        }
        listed.extend(self.file.clusters().map(|(settings, offer)| Listed {
            key: format!("cluster {}", settings.label),
            offer,
            kind: Kind::Cluster(settings),
        }));
        listed
    }

    /// The initialised tokens of a directory, and an uninitialised one where there is no other or
    /// where the settings ask for it.
    fn tokens(
        &mut self,
        directory: &Path,
        empty_slot: bool,
        offer: &Offer,
    ) -> Result<Vec<PathBuf>> {
        let mut empty = None;
        let mut tokens = Vec::new();
        for token in hsm_sim::tokens_or_first(directory)? {
            match self.is_initialized(&token.path, offer) {
                // What cannot be opened is said when its slot is made.
                Ok(true) | Err(_) => tokens.push(token.path),
                Ok(false) => empty = empty.or(Some(token.path)),
            }
        }
        if tokens.is_empty() || empty_slot {
            let empty =
                empty.map_or_else(|| hsm_sim::create_token(directory).map(|t| t.path), Ok)?;
            let at = tokens.partition_point(|token| *token < empty);
            tokens.insert(at, empty);
        }
        Ok(tokens)
    }

    fn is_initialized(&mut self, token: &Path, offer: &Offer) -> Result<bool> {
        let hello = Hello {
            application: 0,
            peer: Peer::Client,
        };
        let link = self.engine(token, offer)?.open(&hello)?;
        match link.call(SessionId(0), &Request::TokenInfo, &mut [])? {
            Reply::Token(info) => Ok(info.initialized),
            other => Err(unexpected(&other)),
        }
    }

    fn engine(&mut self, token: &Path, offer: &Offer) -> Result<Engine> {
        // CloudHSM has triple DES, and shows nothing else of it.
        let legacy = self.file.legacy() || offer.personality == Personality::CloudHsm;
        let key = (token.to_owned(), legacy);
        if let Some(engine) = self.engines.get(&key) {
            return Ok(engine.clone());
        }
        let settings = Settings {
            legacy,
            separate_roles: self.file.separate_roles(),
            ..Settings::default()
        };
        let engine = Engine::embedded(token, settings)?;
        self.engines.insert(key, engine.clone());
        Ok(engine)
    }

    /// Makes the slot; nothing is connected yet. After this line nobody asks for the mode.
    ///
    /// # Errors
    /// What the engine or the cluster client finds wrong with its settings.
    pub fn open(&mut self, listed: &Listed) -> Result<SlotSpec> {
        let (description, hsm, pins): (String, Arc<dyn Hsm>, PinForm) = match &listed.kind {
            Kind::Embedded { token } => {
                let engine = Arc::new(self.engine(token, &listed.offer)?);
                ("Keystead embedded HSM".into(), engine, PinForm::Plain)
            }
            Kind::Cluster(settings) => {
                let cluster = Cluster::new(ClusterConfig {
                    availability_check: settings.availability_check,
                    connect_timeout: settings.connect_timeout,
                    call_timeout: settings.call_timeout,
                    ..ClusterConfig::new(&settings.label, settings.addresses()?, &settings.anchor)
                })?;
                let description = format!("Keystead cluster {}", settings.label);
                (description, cluster, PinForm::UserAndPassword)
            }
        };
        Ok(SlotSpec {
            key: listed.key.clone(),
            description,
            hsm,
            pins,
            personality: listed.offer.personality,
            mechanisms: listed.offer.mechanisms.clone(),
        })
    }
}
