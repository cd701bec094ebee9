//! `keystead cloudhsm-cli` as scripts use AWS's tool: single commands with CLOUDHSM_ROLE and CLOUDHSM_PIN, and lines
//! at the prompt. Each answers with one JSON object; the keys that it makes are used through the module.

use serde_json::{Value, json};
use tests::boto::Boto;
use tests::run::{Done, Run};
use tests::story::Cluster;
use tests::up::{Home, Up};

/// What `up` tells of its first officer.
fn officer(up: &Up) -> String {
    let rest = up.said("crypto officer: admin, password ");
    let (password, _) = rest.split_once(' ').expect("more than a password");
    password.to_owned()
}

fn single(home: &Home, user: Option<(&str, &str)>, words: &str) -> Run {
    let run = home.tool("cloudhsm-cli").words(words);
    match user {
        Some((role, pin)) => run.env("CLOUDHSM_ROLE", role).env("CLOUDHSM_PIN", pin),
        None => run.without("CLOUDHSM_ROLE").without("CLOUDHSM_PIN"),
    }
}

#[track_caller]
fn data(done: Done) -> Value {
    let mut answer = done.json();
    assert_eq!(answer["error_code"], 0, "{}", done.report());
    answer["data"].take()
}

#[track_caller]
fn refused(run: Run, why: &str) {
    let done = run.fails();
    let answer = done.json();
    assert_eq!(answer["error_code"], 1, "{}", done.report());
    let data = answer["data"].as_str().unwrap_or_default();
    assert!(data.contains(why), "no `{why}` in\n{}", done.report());
}

/// Answers of a script, one after the other.
fn answers(done: &Done) -> Vec<Value> {
    let text = done.text();
    let stream = serde_json::Deserializer::from_str(&text).into_iter();
    stream.map(|answer| answer.expect("JSON")).collect()
}

#[test]
fn users_and_keys() {
    let home = Home::new();
    let up = Up::start(&home, &[], &[]);
    let admin = format!("admin:{}", officer(&up));
    let admin = Some(("admin", admin.as_str()));
    let (alice, bob) = (
        Some(("crypto-user", "alice:password1")),
        Some(("crypto-user", "bob:password2")),
    );

    // Users.
    let users = data(single(&home, None, "user list").ok());
    let named = |users: &Value, name: &str| {
        let all = users["users"].as_array().unwrap();
        all.iter().find(|user| user["username"] == name).cloned()
    };
    let kmsuser = json!({ "username": "kmsuser", "role": "crypto-user", "locked": "false", "mfa": [], "quorum": [],
                          "cluster-coverage": "full" });
    assert_eq!(named(&users, "kmsuser"), Some(kmsuser));
    assert_eq!(named(&users, "admin").unwrap()["role"], "admin");
    refused(
        single(
            &home,
            None,
            "user create --username x --role crypto-user --password password1",
        ),
        "CLOUDHSM_ROLE",
    );
    refused(
        single(&home, Some(("admin", "admin:not-this-one")), "key list"),
        "PIN_INCORRECT",
    );
    for (name, password) in [("Alice", "password1"), ("bob", "password2")] {
        let words =
            format!("user create --username {name} --role crypto-user --password {password}");
        let made = data(single(&home, admin, &words).ok());
        assert_eq!(
            made,
            json!({ "username": name.to_lowercase(), "role": "crypto-user" })
        );
    }
    refused(
        single(
            &home,
            admin,
            "user create --username bob --role crypto-user --password password2",
        ),
        "named 'bob'",
    );
    refused(
        single(
            &home,
            alice,
            "user delete --username bob --role crypto-user",
        ),
        "FUNCTION_REJECTED",
    );
    // A password that is asked for, twice.
    let carol = "user create --username carol --role crypto-user";
    refused(
        single(&home, admin, carol).stdin("password3\npassword4\n"),
        "differ",
    );
    data(
        single(&home, admin, carol)
            .stdin("password3\npassword3\n")
            .ok(),
    );
    data(
        single(
            &home,
            admin,
            "user change-password --username carol --role crypto-user --password password5",
        )
        .ok(),
    );
    refused(
        single(&home, Some(("crypto-user", "carol:password3")), "key list"),
        "PIN_INCORRECT",
    );
    let own = "user change-password --username carol --role crypto-user --password password6";
    data(single(&home, Some(("crypto-user", "carol:password5")), own).ok());
    data(
        single(
            &home,
            admin,
            "user delete --username carol --role crypto-user",
        )
        .ok(),
    );
    assert_eq!(
        named(&data(single(&home, None, "user list").ok()), "carol"),
        None
    );
    let hsms = data(single(&home, None, "cluster hsm-info").ok());
    assert_eq!(hsms["hsms"].as_array().map(Vec::len), Some(2));
    assert_eq!(
        hsms["hsms"][0]["fips-state"],
        "2 [FIPS mode with single factor authentication]"
    );
    refused(
        single(&home, None, "cluster activate --password password7"),
        "activated already",
    );

    // Keys.
    let aes = "key generate-symmetric aes --label data --key-length-bytes 32 \
               --attributes encrypt=true decrypt=true id=0x0102 --share-crypto-users bob";
    let made = data(single(&home, alice, aes).ok());
    let key = &made["key"];
    let expected = json!({ "key-type": "aes", "class": "secret-key", "label": "data", "id": "0x0102", "encrypt": true,
                           "decrypt": true, "sign": true, "verify": true, "wrap": false, "unwrap": false, "derive": false,
                           "token": true, "private": true, "sensitive": true, "extractable": true,
                           "always-sensitive": true, "never-extractable": false, "local": true, "modifiable": true,
                           "destroyable": true, "trusted": false, "wrap-with-trusted": false, "key-length-bytes": 32 });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&key["attributes"][name], value, "{name} in {key}");
    }
    let kcv = key["attributes"]["check-value"].as_str().unwrap();
    assert!(kcv.starts_with("0x") && kcv.len() == 8, "{kcv}");
    assert_eq!(
        key["key-info"],
        json!({
        "key-owners": [{ "username": "alice", "key-coverage": "full" }],
        "shared-users": [{ "username": "bob", "key-coverage": "full" }],
        "key-quorum-values": { "manage-key-quorum-value": 0, "use-key-quorum-value": 0 },
        "cluster-coverage": "full" })
    );
    let rsa = "key generate-asymmetric-pair rsa --public-exponent 65537 --modulus-size-bits 2048 --public-label rsa-public \
               --private-label rsa-private";
    let pair = data(single(&home, alice, rsa).ok());
    assert_eq!(
        pair["public_key"]["attributes"]["public-exponent"],
        "0x010001"
    );
    assert_eq!(pair["public_key"]["attributes"]["modulus-size-bits"], 2048);
    assert_eq!(pair["private_key"]["attributes"]["class"], "private-key");
    let ec = "key generate-asymmetric-pair ec --curve secp384r1 --public-label ec-public --private-label ec-private";
    assert_eq!(
        data(single(&home, alice, ec).ok())["public_key"]["attributes"]["curve"],
        "secp384r1"
    );

    let all = data(single(&home, alice, "key list --max-items 3").ok());
    assert_eq!(
        (&all["total_key_count"], &all["returned_key_count"]),
        (&json!(5), &json!(3))
    );
    let token = all["next-token"].as_str().unwrap();
    let rest = data(single(&home, alice, &format!("key list --starting-token {token}")).ok());
    assert_eq!(
        (&rest["returned_key_count"], &rest["next-token"]),
        (&json!(2), &Value::Null)
    );
    let reference = key["key-reference"].as_str().unwrap();
    let one = data(
        single(
            &home,
            alice,
            &format!("key list --filter key-reference={reference}"),
        )
        .ok(),
    );
    let shown = json!([{ "key-reference": reference, "attributes": { "label": "data" } }]);
    assert_eq!(one["matched_keys"], shown);
    let private = data(
        single(
            &home,
            alice,
            "key list --filter attr.class=private-key attr.key-type=ec",
        )
        .ok(),
    );
    assert_eq!(
        private["matched_keys"][0]["attributes"]["label"],
        "ec-private"
    );

    // Who shares a key uses it and no more.
    let bobs = || data(single(&home, bob, "key list").ok())["total_key_count"].clone();
    assert_eq!(bobs(), 1);
    refused(
        single(&home, bob, "key delete --filter attr.label=data"),
        "FUNCTION_REJECTED",
    );
    let unshare = "key unshare --filter attr.label=data --username bob --role crypto-user";
    assert_eq!(
        data(single(&home, alice, unshare).ok()),
        json!({ "message": "Key unshared successfully" })
    );
    assert_eq!(bobs(), 0);
    data(single(&home, alice, &unshare.replace("unshare", "share")).ok());
    assert_eq!(bobs(), 1);

    let named = "key set-attribute --filter attr.label=data --name label --value renamed";
    assert_eq!(
        data(single(&home, alice, named).ok()),
        json!({ "message": "Attribute set successfully" })
    );
    refused(single(&home, alice, named), "no key matches");
    refused(
        single(&home, alice, "key delete --filter attr.token=true"),
        "5 keys match",
    );
    let gone = single(&home, alice, "key delete --filter attr.label=renamed").ok();
    assert_eq!(data(gone), json!({ "message": "Key deleted successfully" }));
    assert_eq!(
        data(single(&home, alice, "key list").ok())["total_key_count"],
        4
    );
    refused(
        single(&home, alice, "key list --filter attr.color=red"),
        "no attribute color",
    );
    // Those who own keys stay.
    refused(
        single(
            &home,
            admin,
            "user delete --username alice --role crypto-user",
        ),
        "owns keys",
    );
    up.stop();
}

#[test]
fn a_cluster_is_activated() {
    let home = Home::new();
    let up = Up::bare(&home);
    let boto = Boto::new(&up);
    let cluster = Cluster::initialized(&home, &boto);
    let list = || data(single(&home, None, "user list").ok());
    assert_eq!(list()["users"][0]["role"], "unactivated-admin");
    let activate = "cluster activate --password Officer1";
    let activated = data(single(&home, None, activate).ok());
    assert_eq!(activated, "Cluster activation successful");
    cluster.wait("ACTIVE");
    assert_eq!(list()["users"][0]["role"], "admin");
    let new = "user create --username cu1 --role crypto-user --password password1";
    data(single(&home, Some(("admin", "admin:Officer1")), new).ok());
    // One HSM is too few for a key that lasts.
    let key = "key generate-symmetric aes --label k --key-length-bytes 32";
    let user = Some(("crypto-user", "cu1:password1"));
    refused(single(&home, user, key), "at least 2 HSMs");
    up.stop();
}

#[test]
fn the_prompt_keeps_the_login_and_its_session_keys() {
    let home = Home::new();
    let up = Up::start(&home, &[], &[]);
    let script = format!(
        "# who is there\n\
         login --username admin --role admin --password {}\n\
         user create --username cu1 --role crypto-user --password \"password1\"\n\
         logout\n\
         key list\n\
         login --username cu1 --role crypto-user \\\n --password password1\n\
         key generate-symmetric generic-secret --label passing --key-length-bytes 20 --session\n\
         key list --verbose\n\
         user change-password --username cu1 --role crypto-user --password password2\n\
         key list\n\
         key generate-symmetric aes --label lasting --key-length-bytes 16\n\
         help key list\n\
         quit\n\
         user list\n",
        officer(&up)
    );
    let interactive = || home.tool("cloudhsm-cli interactive");
    let done = interactive().stdin(&script).fails();
    let text = done.text();
    assert!(text.contains("Usage: key list"), "{}", done.report());
    let json = text.split_once("Show the keys").unwrap().0.to_owned();
    let stream = serde_json::Deserializer::from_str(&json).into_iter::<Value>();
    let answers: Vec<Value> = stream.map(|answer| answer.expect("JSON")).collect();
    let codes: Vec<_> = answers
        .iter()
        .map(|answer| answer["error_code"].as_u64().unwrap())
        .collect();
    assert_eq!(codes, [0, 0, 0, 1, 0, 0, 0, 0, 0, 0], "{}", done.report());
    assert_eq!(answers[2]["data"], "Logout successful");
    assert!(
        answers[3]["data"]
            .as_str()
            .unwrap()
            .starts_with("nobody is logged in")
    );
    let session_key = &answers[6]["data"]["matched_keys"][0];
    assert_eq!(session_key["attributes"]["token"], false);
    assert_eq!(session_key["key-info"]["key-owners"][0]["username"], "cu1");
    assert_eq!(
        answers[8]["data"]["total_key_count"], 0,
        "its session ended"
    );
    let again = "login --username cu1 --role crypto-user --password password2\nkey list\nlogout\n";
    let done = interactive().stdin(again).ok();
    let found = self::answers(&done);
    assert_eq!(
        found[1]["data"]["matched_keys"][0]["attributes"]["label"],
        "lasting"
    );
    // A line that is no command is told how to be one, and fails.
    interactive()
        .stdin("user make\n")
        .fails()
        .silent_about("error_code");
    up.stop();
}
