//! p11-kit: the module file that we ship, as a user's own configuration, and everything that goes through the proxy.
//!
//! p11-kit reads no user's configuration for root. So where the tests run as root, its programs run as nobody, with a copy of the
//! library where nobody can read it.

use super::{PIN, SO_PIN};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use tests::openssl::openssl;
use tests::p11::Token;
use tests::run::Run;
use tests::tools::{self, need, root};
use tests::up::Home;

const NOBODY: &str = "65534";

struct Kit<'a> {
    home: &'a Home,
    token: Token,
    module: PathBuf,
}

impl<'a> Kit<'a> {
    /// A token whose module p11-kit knows from dist/keystead.module in the user's configuration.
    fn new(home: &'a Home) -> Kit<'a> {
        let module = home.path("libkeystead_pkcs11.so");
        fs::copy(tools::module(), &module).expect("copy the module");
        let shipped = fs::read_to_string(root().join("dist/keystead.module"))
            .expect("read dist/keystead.module");
        // Installed, the name alone is enough; here the library lies elsewhere, as the file's comment has it.
        let bare = "module: libkeystead_pkcs11.so\n";
        assert!(
            shipped.contains(bare),
            "dist/keystead.module names the library: {shipped}"
        );
        let text = shipped.replace(bare, &format!("module: {}\n", module.display()));
        let token = Token::ours(home, "kit", PIN);
        let kit = Kit {
            home,
            token,
            module,
        };
        kit.configure(&text);
        kit.tool("--init-token --slot-index 0 --label kit --so-pin")
            .arg(SO_PIN)
            .ok();
        let init = kit.tool("--token-label kit --login --login-type so --init-pin --so-pin");
        init.args([SO_PIN, "--new-pin", PIN]).ok();
        kit
    }

    /// Put this module file into the user's directory, which hangs below XDG_CONFIG_HOME.
    fn configure(&self, text: &str) {
        let dir = self.home.path("xdg/pkcs11/modules");
        fs::create_dir_all(&dir).expect("make a directory");
        fs::write(dir.join("keystead.module"), text).expect("write the module file");
        if as_root() {
            let all = self.home.path("");
            Run::new(need("chown"))
                .args(["-R", &format!("{NOBODY}:{NOBODY}")])
                .arg(all)
                .ok();
        }
    }

    fn run(&self, program: &str) -> Run {
        if as_root() {
            self.token
                .run("setpriv")
                .args(["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"])
                .arg(need(program))
        } else {
            self.token.run(program)
        }
    }

    /// pkcs11-tool on the module itself.
    fn tool(&self, words: &str) -> Run {
        self.run("pkcs11-tool")
            .arg("--module")
            .arg(&self.module)
            .words(words)
    }

    /// pkcs11-tool through the proxy, logged in.
    fn proxied(&self, words: &str) -> Run {
        self.run("pkcs11-tool")
            .arg("--module")
            .arg(proxy())
            .words("--token-label kit --login --pin")
            .arg(PIN)
            .words(words)
    }

    fn p11tool(&self, words: &str) -> Run {
        self.run("p11tool")
            .words("--batch --login --set-pin")
            .arg(PIN)
            .words(words)
    }
}

fn as_root() -> bool {
    fs::metadata("/proc/self").expect("/proc is readable").uid() == 0
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
    let kit = Kit::new(&home);
    let listed = kit.run("p11-kit").arg("list-modules").ok();
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
    // And without naming a provider p11tool finds it.
    kit.run("p11tool")
        .arg("--list-token-urls")
        .ok()
        .says("token=kit");
}

#[test]
fn keys_are_made_and_used_through_the_proxy() {
    let home = Home::new();
    let kit = Kit::new(&home);
    let pair = "--keypairgen --key-type EC:prime256v1 --id 01 --label proxied --usage-sign";
    kit.proxied(pair).ok();
    home.write("message", "signed behind the proxy");
    openssl(&home.path(""), "dgst -sha256 -binary -out digest message").ok();
    kit.proxied("--sign --mechanism ECDSA --signature-format openssl --id 01 -i digest -o signed")
        .ok();
    kit.proxied("--read-object --type pubkey --id 01 -o public.der")
        .ok();
    tests::openssl::accepts(&home.path(""), "public.der", "message", "signed", "");
    kit.proxied("--test").limit(120).ok().says("No errors");
    // The key is in our token, and not in another that the proxy offers.
    kit.tool("--token-label kit --login --list-objects --pin")
        .arg(PIN)
        .ok()
        .says("proxied");
    kit.p11tool("--test-sign pkcs11:token=kit;object=proxied;type=private")
        .ok()
        .says("ok");
}

#[test]
fn a_program_apart_serves_the_module_to_others() {
    let home = Home::new();
    let kit = Kit::new(&home);
    kit.tool("--token-label kit --login --keygen --key-type aes:32 --label far --pin")
        .arg(PIN)
        .ok();
    // The client side starts `p11-kit remote`, which speaks over its standard streams.
    let command = format!(
        "{} remote {}",
        need("p11-kit").display(),
        kit.module.display()
    );
    kit.configure(&format!("remote: |{command}\n"));
    kit.run("p11-kit")
        .arg("list-modules")
        .ok()
        .says("token: kit");
    kit.p11tool("--list-all pkcs11:token=kit").ok().says("far");
}
