//! What `up` makes without `--bare`, by the same calls that a user would make; once, and not again after a restart.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::aws::Aws;
use crate::guide::{self, Guide, text};
use crate::running::Running;

/// The officer's first password; changePswd changes it.
const OFFICER: &str = "Officer1";
/// kmsuser's first password; the first connect replaces it.
const FIRST_PASSWORD: &str = "kmsPswd";
const STORE: &str = "ExampleKeyStore";

/// How long a restart waits for the key stores that connect again: HSMs that were killed need a second or two.
const RECONNECTED: Duration = Duration::from_secs(20);

/// A cluster that `up` has not finished has this tag, so that the next `up` knows it for its own.
const UNFINISHED: &str = "keystead-up-unfinished";

/// An ACTIVE cluster of two HSMs, kmsuser, customerCA.crt, a CONNECTED key store.
pub fn on_cluster(running: &Running, aws: Aws) -> Result<(), String> {
    let account = aws.account().to_owned();
    let mut guide = Guide::new(aws);
    let wait = || ();
    match guide.tagged(UNFINISHED)? {
        Some(cluster) => {
            // An earlier `up` was killed while it made this.
            guide.cluster = cluster;
            match store_on(&guide)? {
                Some((store, state)) => {
                    guide.store = store;
                    if state == "FAILED" {
                        guide.disconnect(&wait)?;
                    }
                }
                None => {
                    guide.delete_cluster(&wait)?;
                    make(&mut guide, running, &account)?;
                }
            }
        }
        None if exists(&guide)? => {
            // A convenience, for which no restart is to fail.
            if let Err(why) = again(&mut guide, running) {
                eprintln!("the module's configuration was not made anew: {why}");
            }
            return Ok(());
        }
        None => make(&mut guide, running, &account)?,
    }
    guide.connect(&wait)?;
    let config = module_config(&guide, &running.data_dir)?;
    guide.untag(UNFINISHED)?;
    eprintln!(
        "made: cluster {} with two HSMs, key store {} ({STORE}), CONNECTED\n\
         trust anchor: {}\nthe module on this cluster: KEYSTEAD_PKCS11_CONF={config}\n\
         crypto officer: admin, password {OFFICER} (`keystead mgmt`: loginHSM CO admin {OFFICER})",
        guide.cluster,
        guide.store,
        anchor_file(running).display()
    );
    Ok(())
}

/// After a restart: the configuration of the module for the cluster that an earlier `up` made, anew where somebody has
/// taken it away, and where it is.
fn again(guide: &mut Guide, running: &Running) -> Result<(), String> {
    let file = module_file(&running.data_dir);
    if !file.exists() {
        let all = guide.kms("DescribeCustomKeyStores", json!({}))?;
        let mut stores = all["CustomKeyStores"].as_array().into_iter().flatten();
        let Some(store) = stores.find(|store| store["CustomKeyStoreName"] == STORE) else {
            return Ok(());
        };
        guide.cluster = text(&store["CloudHsmClusterId"]);
        // What was made on another cluster later, or with another trust anchor, is its maker's to configure.
        if !anchor_file(running).exists() || guide.active_hsms()?.is_empty() {
            return Ok(());
        }
        module_config(guide, &running.data_dir)?;
    }
    eprintln!(
        "the module on the cluster: KEYSTEAD_PKCS11_CONF={}",
        file.display()
    );
    Ok(())
}

/// All but the connect.
fn make(guide: &mut Guide, running: &Running, account: &str) -> Result<(), String> {
    let wait = || ();
    let (subnets, zones) = guide.two_subnets()?;
    let unfinished = json!([{ "Key": UNFINISHED, "Value": "" }]);
    guide.create_cluster(&subnets, Some(unfinished), &wait)?;
    let cluster = guide.cluster.clone();
    let mgmt = |script: &str| running.mgmt_on(account, Some(&cluster), script);
    guide.create_hsm(&zones[0], &wait)?;
    let signed = guide::sign(&guide.csr(&wait)?)?;
    let anchor = anchor_file(running);
    fs::write(&anchor, &signed.anchor).map_err(|error| format!("{}: {error}", anchor.display()))?;
    guide.initialize(&signed, &wait)?;
    guide.activate(OFFICER, &mgmt, &wait)?;
    guide.create_hsm(&zones[1], &wait)?;
    guide.create_kmsuser(OFFICER, FIRST_PASSWORD, &mgmt)?;
    guide.store = guide.create_key_store(STORE, FIRST_PASSWORD, &signed.anchor)?;
    Ok(())
}

fn anchor_file(running: &Running) -> PathBuf {
    running.data_dir.join("customerCA.crt")
}

/// The key store on the guide's cluster, and its state.
fn store_on(guide: &Guide) -> Result<Option<(String, String)>, String> {
    let all = guide.kms("DescribeCustomKeyStores", json!({}))?;
    let mut stores = all["CustomKeyStores"].as_array().into_iter().flatten();
    let found = stores.find(|store| store["CloudHsmClusterId"] == guide.cluster.as_str());
    let seen = |store: &Value| {
        (
            text(&store["CustomKeyStoreId"]),
            text(&store["ConnectionState"]),
        )
    };
    Ok(found.map(seen))
}

/// A CONNECTED key store on the module's token.
pub fn on_module(
    aws: Aws,
    pin: impl FnOnce() -> Result<Zeroizing<String>, String>,
    pin_named: bool,
) -> Result<(), String> {
    let mut guide = Guide::new(aws);
    if exists(&guide)? {
        if pin_named {
            eprintln!(
                "--pin is not used: the key store was made at an earlier start, and KMS has changed the PIN since; where somebody \
                 else has set it anew, give it to the key store (aws kms update-custom-key-store --key-store-password)"
            );
        }
        return Ok(());
    }
    let pin = pin()?;
    guide.cluster = kms_server::foreign::CLUSTER_ID.to_owned();
    if !(7..=32).contains(&pin.len()) || !pin.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return Err(
            "--pin: KMS takes 7 to 32 letters and digits as a key store's password; give the token such a PIN first \
             (pkcs11-tool --login --change-pin)"
                .to_owned(),
        );
    }
    // No certificate is checked against it; the API wants one all the same.
    let anchor = guide::authority()?;
    guide.store = guide.create_key_store(STORE, &pin, &anchor)?;
    if let Err(error) = guide.connect(&|| ()) {
        // Left as it is, the next `up` would find a key store, and neither use its --pin nor say what is wrong.
        let gone = guide
            .disconnect(&|| ())
            .and_then(|()| guide.delete_key_store());
        let kept = gone.map_or_else(
            |why| format!("; {} is left: {why}", guide.store),
            |()| String::new(),
        );
        return Err(format!(
            "{error} (is --pin the PIN of the token labelled as --token-label says, and --module a PKCS#11 module? \
             the line above that begins with `kms:` has the cause){kept}"
        ));
    }
    eprintln!(
        "made: key store {} ({STORE}) on the module's token, CONNECTED",
        guide.store
    );
    Ok(())
}

/// Whether this data directory has a key store already: from an earlier run, which connects again by itself, and is waited for. One
/// that cannot be used is told of, for `ready` alone would promise it.
fn exists(guide: &Guide) -> Result<bool, String> {
    let end = Instant::now() + RECONNECTED;
    let stores = loop {
        let all = guide.kms("DescribeCustomKeyStores", json!({}))?;
        let stores = all["CustomKeyStores"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let busy = |store: &Value| store["ConnectionState"] == "CONNECTING";
        if !stores.iter().any(busy) || Instant::now() > end {
            break stores;
        }
        thread::sleep(Duration::from_millis(20));
    };
    for store in &stores {
        let (id, state) = (
            text(&store["CustomKeyStoreId"]),
            text(&store["ConnectionState"]),
        );
        if state == "FAILED" {
            eprintln!(
                "key store {id} is FAILED, {}: disconnect it, mend the cause, connect it again (aws kms disconnect-custom-key-store)",
                text(&store["ConnectionErrorCode"])
            );
        } else if state != "CONNECTED" {
            eprintln!("key store {id} is {state}");
        }
    }
    Ok(!stores.is_empty())
}

fn module_file(data_dir: &Path) -> PathBuf {
    data_dir.join("pkcs11.toml")
}

/// A configuration of the module for this cluster; its path.
fn module_config(guide: &Guide, data_dir: &Path) -> Result<String, String> {
    let nodes: Vec<String> = guide
        .active_hsms()?
        .iter()
        .map(|hsm| format!("\"{}:2223\"", text(&hsm["EniIp"])))
        .collect();
    let file = module_file(data_dir);
    let content = format!(
        "[[cluster]]\nlabel = \"hsm\"\nnodes = [{}]\ntrust-anchor = \"customerCA.crt\"\n",
        nodes.join(", ")
    );
    fs::write(&file, content).map_err(|error| format!("{}: {error}", file.display()))?;
    Ok(file.display().to_string())
}
