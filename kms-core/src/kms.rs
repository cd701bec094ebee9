//! The service as a value: what it is opened with, what its operations share, its end.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aws_json::Caller;
use zeroize::Zeroizing;

use crate::clock::Clock;
use crate::clusters::Clusters;
use crate::connect::Interrupt;
use crate::error::{Result, internal, told};
use crate::ids::Scope;
use crate::keys;
use crate::p11::{ModuleSpec, Modules, Token};
use crate::quirks::PinForm;
use crate::records::{Alias, Grant, Key, KeyStore};
use crate::seal::Sealer;
use crate::store::{Sqlite, Store};
use crate::stores::{KeyStores, Live, Log};

/// The service's own HSM: keys of origin AWS_KMS, and the key that seals passwords.
#[derive(Clone)]
pub struct ServiceHsm {
    /// Module and token.
    pub module: ModuleSpec,
    /// How its PIN is spelled.
    pub pin_form: PinForm,
    /// The user's PIN.
    pub pin: Zeroizing<String>,
    /// If given, a token that is not there yet is made, with this PIN for its security officer.
    pub so_pin: Option<Zeroizing<String>>,
}

/// What a service is opened with.
#[derive(Clone)]
pub struct Settings {
    /// Where `kms.db` lies; made if it is not there.
    pub data_dir: PathBuf,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// The CloudHSM service.
    pub clusters: Arc<dyn Clusters>,
    /// The service's own HSM.
    pub service_hsm: ServiceHsm,
    /// How long a connect lasts at least, so that CONNECTING can be seen as it can at AWS; [`CONNECT_TAKES`] if there is no reason for another.
    pub connect_takes: Duration,
    /// How long a store that was connected before a restart is tried again while its cluster cannot be reached.
    pub reconnect_for: Duration,
    /// Ends connects at a point of a test's choice.
    pub interrupt: Option<Interrupt>,
    /// Where diagnostics go.
    pub log: Log,
}

/// How long a connect lasts by default.
pub const CONNECT_TAKES: Duration = Duration::from_millis(300);
/// How long a reconnect after a restart is tried by default.
pub const RECONNECT_FOR: Duration = Duration::from_secs(30);

impl Settings {
    /// Settings with the defaults: the machine's clock, diagnostics to nowhere.
    pub fn new(
        data_dir: PathBuf,
        clusters: Arc<dyn Clusters>,
        service_hsm: ServiceHsm,
    ) -> Settings {
        Settings {
            data_dir,
            clock: Arc::new(crate::clock::SystemClock),
            clusters,
            service_hsm,
            connect_takes: CONNECT_TAKES,
            reconnect_for: RECONNECT_FOR,
            interrupt: None,
            log: Arc::new(|_| ()),
        }
    }
}

/// The KMS service.
pub struct Kms {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) own: Arc<Token>,
    pub(crate) key_stores: Arc<KeyStores>,
    pub(crate) clock: Arc<dyn Clock>,
    log: Log,
}

impl Kms {
    /// Opens the service: database, own HSM, and again the key stores that were connected.
    ///
    /// # Errors
    /// KMSInternalException with what could not be opened.
    pub fn open(settings: Settings) -> Result<Arc<Kms>> {
        let Settings {
            data_dir,
            clock,
            clusters,
            service_hsm,
            ..
        } = settings;
        std::fs::create_dir_all(&data_dir)
            .map_err(|e| internal(format!("{} cannot be made: {e}", data_dir.display())))?;
        let store: Arc<dyn Store> = Arc::new(Sqlite::open(&data_dir.join("kms.db"))?);
        let modules = Arc::new(Modules::default());
        let own = Arc::new(open_own(&modules, &service_hsm)?);
        let key_stores = Arc::new(KeyStores {
            store: store.clone(),
            clusters,
            modules,
            sealer: Sealer::new(own.clone())?,
            interrupt: settings.interrupt,
            clock: clock.clone(),
            connect_takes: settings.connect_takes,
            reconnect_for: settings.reconnect_for,
            log: settings.log.clone(),
            live: Live::default(),
        });
        key_stores.resume()?;
        Ok(Arc::new(Kms {
            store,
            own,
            key_stores,
            clock,
            log: settings.log,
        }))
    }

    /// The key stores.
    pub fn key_stores(&self) -> &Arc<KeyStores> {
        &self.key_stores
    }

    /// Logs out everywhere. Key stores keep their states: the next open connects what was connected.
    pub fn stop(&self) {
        self.key_stores.stop();
        self.own.logout();
    }

    /// Forgets every key, alias, grant and key store, and destroys what keys have in the service's own HSM: for test
    /// suites that start afresh. What they have in clusters goes with these.
    ///
    /// # Errors
    /// KMSInternalException if the database failed.
    pub fn reset(&self) -> Result<()> {
        let keys = self.store.change(|rows| {
            let keys = rows.every::<Key>()?;
            for key in &keys {
                rows.remove(key)?;
            }
            for alias in rows.every::<Alias>()? {
                rows.remove(&alias)?;
            }
            for grant in rows.every::<Grant>()? {
                rows.remove(&grant)?;
            }
            for store in rows.every::<KeyStore>()? {
                rows.remove(&store)?;
            }
            Ok(keys)
        })?;
        self.key_stores.forget_all();
        for key in keys.iter().filter(|key| key.key_store.is_empty()) {
            self.destroy_material(key);
        }
        Ok(())
    }

    /// What time brings: connected key stores follow their clusters' HSMs, and keys whose deletion is due go. To be called every few seconds.
    ///
    /// # Errors
    /// KMSInternalException if the database failed.
    pub fn tick(&self) -> Result<()> {
        self.key_stores.follow()?;
        let now = self.clock.now();
        for key in self.store.view(|rows| rows.due_by::<Key>(now))? {
            let gone = self.store.change(|rows| {
                // A cancel may have come first.
                match rows.fetch::<Key>(&key.scope, &key.id)? {
                    Some(still) if still.deletion.is_some_and(|d| d.at <= now) => {}
                    _ => return Ok(false),
                }
                for alias in rows.of::<Alias>(&key.scope, &key.id)? {
                    rows.remove(&alias)?;
                }
                for grant in rows.of::<Grant>(&key.scope, &key.id)? {
                    rows.remove(&grant)?;
                }
                rows.remove(&key)?;
                Ok(true)
            })?;
            if gone {
                self.destroy_material(&key);
            }
        }
        Ok(())
    }

    /// As the real service: once, and what it cannot reach is an orphan that its owner deletes.
    fn destroy_material(&self, key: &Key) {
        let arn = key.arn();
        let done = match keys::token(self, key) {
            Some(token) => token.destroy(&arn).map_err(|fault| told(&fault.into())),
            None => Err(format!("key store {} is not connected", key.key_store)),
        };
        if let Err(why) = done {
            (self.log)(&format!("the material of {arn} is left in its HSM: {why}"));
        }
    }
}

impl Drop for Kms {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The caller's account and region.
pub(crate) fn scope(caller: &Caller) -> Scope {
    Scope::new(&caller.account, &caller.region)
}

fn open_own(modules: &Modules, hsm: &ServiceHsm) -> Result<Token> {
    let module = modules.load(&hsm.module.path, hsm.module.config.as_deref())?;
    if let Some(so_pin) = &hsm.so_pin {
        module.ensure_token(&hsm.module.token_label, so_pin, &hsm.pin)?;
    }
    Token::login(&module, &hsm.module, &hsm.pin_form, &hsm.pin)
        .map_err(|fault| internal(format!("the service's own HSM cannot be opened: {fault}")))
}
