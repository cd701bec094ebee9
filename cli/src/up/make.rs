//! What `up` makes without `--bare`, by the same calls that a user would make; once, and not again after a restart.

use std::fs;
use std::path::Path;

use serde_json::json;

use crate::guide::{self, Guide, text};
use crate::running::Running;

/// The officer's first password; changePswd changes it.
const OFFICER: &str = "Officer1";
/// kmsuser's first password; the first connect replaces it.
const FIRST_PASSWORD: &str = "kmsPswd";
const STORE: &str = "ExampleKeyStore";

/// An ACTIVE cluster of two HSMs, kmsuser, customerCA.crt, a CONNECTED key store.
pub fn on_cluster(running: &Running) -> Result<(), String> {
    let mut guide = Guide::new(running.aws());
    if exists(&guide)? {
        return Ok(());
    }
    let mgmt = |script: &str| running.mgmt(script);
    let wait = || ();
    let (subnets, zones) = guide.two_subnets()?;
    guide.create_cluster(&subnets, &wait)?;
    guide.create_hsm(&zones[0], &wait)?;
    let signed = guide::sign(&guide.csr(&wait)?)?;
    let anchor = running.data_dir.join("customerCA.crt");
    fs::write(&anchor, &signed.anchor).map_err(|error| format!("{}: {error}", anchor.display()))?;
    guide.initialize(&signed, &wait)?;
    guide.activate(OFFICER, &mgmt, &wait)?;
    guide.create_hsm(&zones[1], &wait)?;
    guide.create_kmsuser(OFFICER, FIRST_PASSWORD, &mgmt)?;
    guide.store = guide.create_key_store(STORE, FIRST_PASSWORD, &signed.anchor)?;
    guide.connect(&wait)?;
    let config = module_config(&guide, &running.data_dir)?;
    eprintln!(
        "made: cluster {} with two HSMs, key store {} ({STORE}), CONNECTED\n\
         trust anchor: {}\nthe module on this cluster: KEYSTEAD_PKCS11_CONF={config}\n\
         crypto officer: admin, password {OFFICER} (`keystead mgmt`: loginHSM CO admin {OFFICER})",
        guide.cluster,
        guide.store,
        anchor.display()
    );
    Ok(())
}

/// A CONNECTED key store on the module's token.
pub fn on_module(running: &Running, pin: &str) -> Result<(), String> {
    let mut guide = Guide::new(running.aws());
    if exists(&guide)? {
        return Ok(());
    }
    guide.cluster = kms_server::foreign::CLUSTER_ID.to_owned();
    // No certificate is checked against it; the API wants one all the same.
    let anchor = guide::authority()?;
    guide.store = guide.create_key_store(STORE, pin, &anchor)?;
    guide
        .connect(&|| ())
        .map_err(|error| format!("{error} (is --pin the token's PIN as it is now?)"))?;
    eprintln!(
        "made: key store {} ({STORE}) on the module's token, CONNECTED",
        guide.store
    );
    Ok(())
}

/// Whether this data directory has a key store already: from an earlier run, which connects again by itself.
fn exists(guide: &Guide) -> Result<bool, String> {
    let all = guide.kms("DescribeCustomKeyStores", json!({}))?;
    Ok(all["CustomKeyStores"]
        .as_array()
        .is_some_and(|stores| !stores.is_empty()))
}

/// A configuration of the module for this cluster; its path.
fn module_config(guide: &Guide, data_dir: &Path) -> Result<String, String> {
    let nodes: Vec<String> = guide
        .active_hsms()?
        .iter()
        .map(|hsm| format!("\"{}:2223\"", text(&hsm["EniIp"])))
        .collect();
    let file = data_dir.join("pkcs11.toml");
    let content = format!(
        "[[cluster]]\nlabel = \"hsm\"\nnodes = [{}]\ntrust-anchor = \"customerCA.crt\"\n",
        nodes.join(", ")
    );
    fs::write(&file, content).map_err(|error| format!("{}: {error}", file.display()))?;
    Ok(file.display().to_string())
}
