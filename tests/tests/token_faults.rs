//! `keystead token` where there is nothing, where something is damaged, and where the command line is at fault: it says which, and
//! makes nothing that was not asked for.

use crate::token_tool::{PIN, SO_PIN, tool};
use std::fs;
use tests::tools;
use tests::up::Home;

const TOKENS: &str = "xdg/keystead/tokens";

#[test]
fn where_there_is_no_token_that_is_said_and_nothing_is_made() {
    let home = Home::new();
    let listed = tool(&home, "list --output json").ok();
    assert_eq!(listed.json(), serde_json::json!([]));
    listed.says("there is no token").says(TOKENS);
    for words in [
        "check",
        "check --stores-only",
        "list --token t",
        "export --token t --label k",
    ] {
        let done = tool(&home, words)
            .fails()
            .says("there is no token")
            .says(TOKENS);
        assert_eq!(done.code, Some(1), "{}", done.report());
    }
    home.write("key.bin", [1; 16]);
    for words in [
        "list",
        "check",
        "export --token t --label k",
        "import --token t --raw generic key.bin",
        "delete --token t --whole-token --yes",
    ] {
        let done = tool(&home, &format!("--directory mistyped {words}")).fails();
        assert_eq!(done.code, Some(2), "{}", done.report());
        done.says("there is no such directory").says("mistyped");
    }
    assert!(!home.path("mistyped").exists() && !home.path("xdg/keystead").exists());
    // An empty directory stays empty, and a configured one that is missing stays away from those that are there.
    fs::create_dir(home.path("empty")).expect("make a directory");
    tool(&home, "--directory empty check")
        .fails()
        .says("holds none");
    assert_eq!(fs::read_dir(home.path("empty")).expect("read").count(), 0);
    tool(&home, "--directory full init --label t").ok();
    home.write(
        "two.toml",
        "empty-slot = true\n[[token]]\ndirectory = \"gone\"\n[[token]]\ndirectory = \"full\"\n",
    );
    let listed = tool(&home, "--config two.toml list --output json")
        .ok()
        .json();
    assert_eq!(listed.as_array().map(Vec::len), Some(1), "{listed}");
    assert!(!home.path("gone").exists());
}

#[test]
fn a_pin_that_the_token_would_refuse_makes_no_half_of_one() {
    let home = Home::new();
    for (variable, what) in [("KEYSTEAD_PIN", "--pin"), ("KEYSTEAD_SO_PIN", "--so-pin")] {
        let done = tool(&home, "init --label t").env(variable, "12").fails();
        assert_eq!(done.code, Some(2), "{}", done.report());
        done.says(what).says(variable).says("4 to 255");
        assert!(!home.path(TOKENS).exists(), "nothing was made");
    }
    let made = tool(&home, "init --label t --output json").ok().json();
    assert_eq!(made["created"], true, "{made}");
}

#[test]
fn a_damaged_store_is_named_and_none_takes_its_place() {
    let home = Home::new();
    tool(&home, "init --label t").ok();
    tool(&home, "init --label u").ok();
    let store = home.path(&format!("{TOKENS}/token-0000"));
    fs::rename(store.join("device.key"), home.path("kept")).expect("move a file");
    let listed = tool(&home, "list --output json")
        .fails()
        .says("device.key is missing");
    assert_eq!(listed.code, Some(1), "{}", listed.report());
    let (listed, said) = (listed.json(), listed.says("token-0000"));
    assert_eq!(
        (listed.as_array().map(Vec::len), &listed[0]["label"]),
        (Some(1), &"u".into())
    );
    said.says("the store t ");
    tool(&home, "list --token t")
        .fails()
        .says("device.key is missing");
    tool(&home, "init --label t --if-not-exists")
        .fails()
        .says("device.key is missing");
    tool(&home, "init --label v")
        .ok()
        .says("device.key is missing");
    assert!(!store.join("device.key").exists());
    fs::rename(home.path("kept"), store.join("device.key")).expect("move a file");
    tool(&home, "check --token t").ok().says("sound");
    // Not even its label can be read.
    for entry in fs::read_dir(&store).expect("read a directory").flatten() {
        if entry.file_name().to_string_lossy().starts_with("token.db") {
            fs::write(entry.path(), [b'x'; 5000]).expect("write a file");
        }
    }
    tool(&home, "list").fails().says("not a database");
    tool(&home, "init --label w")
        .fails()
        .says("may be the wanted token");
    tool(&home, "check --stores-only").fails().says("not sound");
}

#[test]
fn a_module_that_cannot_start_says_why_in_words() {
    let home = Home::new();
    home.write("wrong.toml", "log = \"off\"\n\ncolour = 1\n");
    for words in ["list", "init --label t"] {
        let done = tool(&home, &format!("--config wrong.toml {words}")).fails();
        assert_eq!(done.code, Some(2), "{}", done.report());
        done.says("wrong.toml:3: unknown field `colour`")
            .says("answered CKR_GENERAL_ERROR");
    }
    home.write("latin.toml", b"log = \"off\"\n# caf\xe9\n");
    for file in ["--config latin.toml", "--config syntax.toml"] {
        home.write("syntax.toml", "log = \"off\"\nlog\n");
        let done = tool(&home, &format!("{file} list")).fails();
        assert_eq!(done.says("toml:2: ").code, Some(2), "{file}");
    }
    tool(&home, "--module main.c list")
        .fails()
        .says("main.c cannot be read");
    home.write("text.so", "no library");
    let refused = tool(&home, "--module text.so list").fails();
    refused
        .says("not a loadable library: ")
        .silent_about("dlopen failed");
}

#[test]
fn a_pin_of_no_use_to_up_is_left_alone() {
    let home = Home::new();
    // What is wrong is the address, and not that there is no --module for the PIN to be of.
    let up = home.keystead("up --bare --listen 127.0.0.1 --data-dir data");
    let done = up
        .env("KEYSTEAD_PIN", PIN)
        .env("KEYSTEAD_SO_PIN", SO_PIN)
        .fails();
    done.says("--listen").silent_about("--module");
    let module = tools::module();
    let up = home
        .keystead("up --listen localhost:0 --data-dir none --module")
        .arg(module);
    up.without("KEYSTEAD_PIN")
        .fails()
        .says("--pin")
        .says("KEYSTEAD_PIN");
    assert!(
        !home.path("none").exists(),
        "nothing was made for want of a PIN"
    );
    let fault = home.tool("fault drop --hsm-id hsm-1 --requests 101");
    fault.fails().says("--requests").says("0..=100");
}
