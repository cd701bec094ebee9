//! The `cryptoki` crate's own integration tests.

use super::{embedded, on_cluster, only_judged, prepared};
use std::collections::BTreeSet;
use tests::boto::Boto;
use tests::p11::Token;
use tests::run::Run;
use tests::tools::need;
use tests::up::{Home, Up};

const JUDGED: &[&str] = &[
    "derive_key_concatenation_key_and_data",
    "derive_key_extract_from_key",
    "derive_key_xor_key_and_data",
    "get_slot_event",
    "kbkdf_additional_keys_counter_mode",
    "kbkdf_additional_keys_double_pipeline_mode",
    "kbkdf_additional_keys_feedback_mode",
    "kbkdf_counter_mode",
    "kbkdf_double_pipeline_mode",
    "kbkdf_feedback_mode",
    "unique_id",
    "validation",
];
/// It wants C_WaitForSlotEvent to be missing, and ours waits, as it must, until C_Finalize, which never comes.
const WAITS: &str = "wait_for_slot_event";

/// Run all of it one after the other and compare. `least` passed: the suite was really there.
#[track_caller]
fn run(token: &Token, cluster: bool, judged: &[&str], least: usize) {
    let dir = prepared("cryptoki");
    // The tests' programs alone get the token's surroundings: cargo has a home of its own to look into.
    let listed = Run::new(need_cargo())
        .words("test --offline --locked --no-run --tests --message-format=json")
        .dir(&dir)
        .without("CARGO_TARGET_DIR")
        .limit(300)
        .ok()
        .text();
    let programs: Vec<String> = listed
        .lines()
        .filter_map(|l| serde_json::from_str::<serde_json::Value>(l).ok())
        .filter(|v| v["target"]["kind"][0] == "test")
        .filter_map(|v| v["executable"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(
        programs.len(),
        6,
        "cryptoki has six files of tests: {programs:?}"
    );
    let (mut failed, mut passed, mut report) = (BTreeSet::new(), 0, String::new());
    // What set_pin_test changes is changed back by the next C_InitToken, which a cluster has not: there it comes last.
    let last = programs.iter().find(|p| p.contains("/basic-")).cloned();
    let last = last
        .filter(|_| cluster)
        .map(|p| (p, "--exact set_pin_test"));
    let all = programs.into_iter().map(|p| (p, ""));
    for (program, only) in all.chain(last) {
        let mut run = token
            .run(program)
            .words("--include-ignored --test-threads=1 --skip")
            .arg(WAITS)
            .words(only)
            .env("TEST_PKCS11_MODULE", token.module())
            .limit(600);
        if cluster && only.is_empty() {
            run = run.words("--skip set_pin_test");
        }
        if cluster {
            run = run.env("SUITE_CLUSTER", "1");
        }
        let done = run.done();
        assert!(
            done.text().contains("test result:"),
            "ran to its end\n{}",
            done.report()
        );
        for line in done.text().lines() {
            // What a test printed may stand between its name and its verdict; the summary lists the names again.
            if let Some(name) = line.strip_prefix("    ")
                && name
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "_:".contains(c))
            {
                failed.insert(name.to_owned());
            }
            if let Some(rest) = line.strip_prefix("test result: ") {
                let count = rest.split(". ").nth(1).and_then(|r| r.split(' ').next());
                passed += count
                    .and_then(|c| c.parse::<usize>().ok())
                    .expect("a count");
            }
        }
        report.push_str(&done.report());
    }
    println!("cryptoki's tests: {passed} passed, {} judged", failed.len());
    only_judged(&failed, judged, "cryptoki's tests", &report);
    assert!(passed >= least, "only {passed} passed\n{report}");
}

fn need_cargo() -> std::path::PathBuf {
    std::env::var_os("CARGO").map_or_else(|| need("cargo"), Into::into)
}

#[test]
#[ignore = "long: ./check full"]
fn cryptokis_own_tests_on_an_embedded_token() {
    let home = Home::new();
    run(&embedded(&home), false, JUDGED, 78);
}

#[test]
#[ignore = "long: ./check full"]
fn cryptokis_own_tests_on_a_cluster() {
    let home = Home::new();
    let up = Up::bare(&home);
    let boto = Boto::new(&up);
    run(&on_cluster(&home, &boto), true, JUDGED, 78);
}
