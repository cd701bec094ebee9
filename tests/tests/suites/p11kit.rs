//! p11-kit: the module file that we ship, as a user's own configuration, and everything that goes through the proxy.

use super::{PIN, SO_PIN};
use std::fs;
use std::path::PathBuf;
use tests::p11::Token;
use tests::tools::{self, root};
use tests::up::Home;

/// A token whose module p11-kit knows from dist/keystead.module in the user's configuration.
fn through_p11kit(home: &Home) -> Token {
    let token = Token::ours(home, "kit", PIN);
    token.init(SO_PIN);
    let shipped =
        fs::read_to_string(root().join("dist/keystead.module")).expect("read dist/keystead.module");
    // Installed, the name alone is enough; here the library lies elsewhere, as the file's comment has it.
    let bare = "module: libkeystead_pkcs11.so\n";
    assert!(
        shipped.contains(bare),
        "dist/keystead.module names the library: {shipped}"
    );
    let text = shipped.replace(bare, &format!("module: {}\n", token.module().display()));
    // The user's directory for p11-kit hangs below XDG_CONFIG_HOME.
    let dir = home.path("xdg/pkcs11/modules");
    fs::create_dir_all(&dir).expect("make a directory");
    fs::write(dir.join("keystead.module"), text).expect("write the module file");
    fs::write(home.path("xdg/pkcs11/pkcs11.conf"), "user-config: merge\n")
        .expect("write pkcs11.conf");
    token
}

/// Where Debian's multiarch, and others, put the proxy.
fn proxy() -> PathBuf {
    [
        "/usr/lib/x86_64-linux-gnu",
        "/usr/lib/aarch64-linux-gnu",
        "/usr/lib64",
        "/usr/lib",
    ]
    .iter()
    .map(|d| PathBuf::from(d).join("p11-kit-proxy.so"))
    .find(|p| p.is_file())
    .expect("p11-kit-proxy.so is missing: run `./check setup`")
}

#[test]
fn the_shipped_module_file_makes_p11_kit_list_the_token() {
    let home = Home::new();
    let token = through_p11kit(&home);
    let listed = token.run("p11-kit").arg("list-modules").ok();
    let text = listed.text();
    let ours = text
        .split("keystead: ")
        .nth(1)
        .unwrap_or_else(|| panic!("keystead is listed\n{}", listed.report()));
    for line in [
        "library-description: Keystead PKCS#11 module",
        "token: kit",
        "token-initialized",
        "user-pin-initialized",
    ] {
        assert!(ours.contains(line), "{line}\n{}", listed.report());
    }
    // And without naming a provider p11tool finds it by its URL.
    token
        .run("p11tool")
        .arg("--list-token-urls")
        .ok()
        .says("token=kit");
}

#[test]
fn keys_are_made_and_used_through_the_proxy() {
    let home = Home::new();
    let token = through_p11kit(&home);
    let proxied = |words: &str| {
        token
            .run("pkcs11-tool")
            .arg("--module")
            .arg(proxy())
            .words("--token-label kit --login --pin")
            .arg(PIN)
            .words(words)
    };
    proxied("--keypairgen --key-type EC:prime256v1 --id 01 --label proxied --usage-sign").ok();
    home.write("digest", [7; 32]);
    proxied("--sign --mechanism ECDSA --id 01 -i digest -o signed").ok();
    assert!(token.verifies("--mechanism ECDSA --id 01 -i digest --signature-file signed"));
    proxied("--list-objects").ok().says("proxied");
    proxied("--test").limit(120).ok().says("No errors");
    // The key is in our token, and not in another that the proxy offers.
    token.user("--list-objects").ok().says("proxied");
    token
        .run("p11tool")
        .words("--batch --login --test-sign --set-pin")
        .arg(PIN)
        .arg("pkcs11:token=kit;object=proxied;type=private")
        .ok()
        .says("ok");
}

#[test]
fn a_program_apart_serves_the_module_to_others() {
    let home = Home::new();
    let token = through_p11kit(&home);
    token.user("--keygen --key-type aes:32 --label far").ok();
    // `p11-kit remote` speaks over its standard streams: the client side starts it as the `remote:` of a module file.
    let text = format!(
        "remote: |{} remote {}\n",
        tools::need("p11-kit").display(),
        token.module().display()
    );
    fs::write(home.path("xdg/pkcs11/modules/keystead.module"), text)
        .expect("write the module file");
    token
        .run("p11-kit")
        .arg("list-modules")
        .ok()
        .says("token: kit");
    token
        .run("p11tool")
        .words("--batch --login --list-all --set-pin")
        .arg(PIN)
        .arg("pkcs11:token=kit")
        .ok()
        .says("far");
}
