//! Which configuration counts where there are several: pReserved's, the environment's, the user's (docs/pkcs11-config.md).

use tests::openssl::Ca;
use tests::run::Run;
use tests::tools;
use tests::up::Home;

/// A configuration with one token, which has the configuration's name.
fn configuration(home: &Home, name: &str, file: &str) -> String {
    let file = home.path(file);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    let tokens = home.path(name);
    let text = format!("[[token]]\ndirectory = \"{}\"\n", tokens.display());
    std::fs::write(&file, text).unwrap();
    let file = file.display().to_string();
    let pins = format!("--label {name} --so-pin 12345678 --pin 135790");
    home.keystead(&format!("token init --config {file} {pins}"))
        .ok();
    file
}

#[test]
fn the_first_place_that_has_one_counts() {
    let home = Home::new();
    let reserved = configuration(&home, "reserved", "a.toml");
    let environment = configuration(&home, "environment", "b.toml");
    configuration(&home, "user", "xdg/keystead/pkcs11.toml");
    configuration(&home, "home", ".config/keystead/pkcs11.toml");
    let variable = "KEYSTEAD_PKCS11_CONF";
    // The tool gives its --config to the module by C_Initialize's pReserved.
    let listed = |run: Run| run.ok().json()[0]["label"].clone();
    let words = format!("token list --output json --config {reserved}");
    let both = home.keystead(&words).env(variable, &environment);
    assert_eq!(listed(both), "reserved");
    // A program that knows nothing of configurations.
    let seen = |run: Run| {
        let run = run.arg("--module").arg(tools::module()).words("-L");
        let text = run.ok().text();
        let label = text.lines().find(|line| line.contains("token label"));
        let label = label.and_then(|line| line.split(':').nth(1));
        label.unwrap_or_default().trim().to_owned()
    };
    let tool = || Run::new(tools::need("pkcs11-tool")).envs(home.env());
    assert_eq!(seen(tool().env(variable, &environment)), "environment");
    assert_eq!(seen(tool().without(variable)), "user");
    let without = tool().without(variable).without("XDG_CONFIG_HOME");
    assert_eq!(seen(without), "home");
    // One that is named must be there: the next is not taken for it.
    let gone = tool().env(variable, home.path("gone.toml"));
    let gone = gone.arg("--module").arg(tools::module()).words("-L");
    gone.fails().says("gone.toml");
}

/// A program says "no slot with a token was found" at most; of why, no return code tells.
#[test]
fn why_there_is_no_token_is_said_once_unless_a_log_is_chosen() {
    let home = Home::new();
    let ca = Ca::new(&home.path("ca"));
    let cluster = format!(
        "[[cluster]]\nlabel = \"c\"\nnodes = [\"127.0.0.1:1\"]\ntrust-anchor = \"{}\"\n",
        ca.path().display()
    );
    let asked = |head: &str| {
        let file = home.write("pkcs11.toml", format!("{head}{cluster}"));
        let tool = Run::new(tools::need("pkcs11-tool")).envs(home.env());
        let tool = tool
            .without("KEYSTEAD_PKCS11_LOG")
            .env("KEYSTEAD_PKCS11_CONF", file);
        // Both ask for the slots several times.
        tool.arg("--module")
            .arg(tools::module())
            .words("-O")
            .fails()
    };
    let text = asked("").all();
    assert_eq!(text.matches("has no token").count(), 1, "{text}");
    assert!(text.contains("127.0.0.1:1 cannot be reached"), "{text}");
    asked("log = \"off\"\n").silent_about("has no token");
    asked("log = \"log\"\n").silent_about("has no token");
    let log = String::from_utf8(home.read("log")).unwrap();
    assert!(log.contains("slot 0 has no token"), "{log}");
}
