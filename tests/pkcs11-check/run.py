#!/usr/bin/env python3
"""pkcs11-check (PyPI) on our module and, for comparison, on its peers.

    run.py smoke                 the suite's smoke marker on our module
    run.py full                  all of it, on our module and on every peer that is there; writes docs/conformance.md
    run.py page                  only writes docs/conformance.md again, from the results that are there

Wants Python 3.12 or newer with pkcs11-check installed. The module is $KEYSTEAD_SO, else target/release's. Peers: SoftHSM2
where its package puts it (or $SOFTHSM2_SO), Kryoptic at benches/kryoptic/target (or $KRYOPTIC_SO).

A failure that adjudicated.toml does not argue is a failure of this program, and so is an argument about a test that no
longer fails. Ends with `N passed, N failed`.
"""

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
WORK = ROOT / ".cache" / "pkcs11-check"
PAGE = ROOT / "docs" / "conformance.md"
TOOL = Path(sys.executable).parent / "pkcs11-check"
PIN, SO_PIN, SHARDS = "1234", "5678", os.cpu_count() or 1


def first(variable, *places):
    """The file that the variable names, else the first that is there."""
    named = os.environ.get(variable)
    return next((Path(p) for p in ([named] if named else places) if Path(p).is_file()), None)


def ours():
    module = first("KEYSTEAD_SO", ROOT / "target/release/libkeystead_pkcs11.so")
    if module is None:
        sys.exit("libkeystead_pkcs11.so is not built: cargo build --release, or set KEYSTEAD_SO")
    return module


def peers():
    soft = ["/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/softhsm/libsofthsm.so"]
    built = sorted((ROOT / "benches/kryoptic/target/release").glob("**/libkryoptic_pkcs11*.so"))
    found = {"SoftHSM2": first("SOFTHSM2_SO", *soft), "Kryoptic": first("KRYOPTIC_SO", *built)}
    return {name: path for name, path in found.items() if path}


def token(name, module, directory):
    """A fresh token in a directory of its own: the environment in which the module finds it, and the module."""
    env = dict(os.environ, P11TEST_PIN=PIN, P11TEST_SO_PIN=SO_PIN)
    (directory / "tokens").mkdir(parents=True)
    config = directory / "module.conf"
    if name == "SoftHSM2":
        config.write_text(f"directories.tokendir = {directory}/tokens\nlog.level = ERROR\n")
        env["SOFTHSM2_CONF"] = str(config)
    elif name == "Kryoptic":
        config.write_text(f'[[slots]]\nslot = 0\ndbtype = "sqlite"\ndbargs = "{directory}/tokens/kryoptic.sql"\n')
        env["KRYOPTIC_CONF"] = str(config)
    else:
        config.write_text(f'[[token]]\ndirectory = "{directory}/tokens"\n')
        env["KEYSTEAD_PKCS11_CONF"] = str(config)
    tool = ["pkcs11-tool", "--module", str(module)]
    quiet = {"env": env, "check": True, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    subprocess.run([*tool, "--init-token", "--label", "demo", "--so-pin", SO_PIN, "--slot-index", "0"], **quiet)
    login = ["--login", "--login-type", "so", "--so-pin", SO_PIN, "--token-label", "demo"]
    subprocess.run([*tool, "--init-pin", "--pin", PIN, *login], **quiet)
    return env


def suite(name, module, directory, arguments):
    """Starts the suite on a token of its own."""
    # Each process that the suite starts loads the file again: a build meanwhile must not change it.
    copy = directory / module.name
    directory.mkdir(parents=True)
    shutil.copy(module, copy)
    env = token(name, copy, directory)
    command = [TOOL, "test", "-m", copy, "--slot", "0", "--isolation", "auto", *arguments]
    command += ["--output", "json", "--output-file", "out/results.json"]
    (directory / "out").mkdir()
    log = open(directory / "log", "w")
    return subprocess.Popen(command, cwd=directory, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def run(name, module, marker):
    """All of the suite, or a marker's part; returns the directory with its results."""
    base = WORK / f"{name}-{marker or 'full'}"
    shutil.rmtree(base, ignore_errors=True)
    if marker:
        suite(name, module, base / "s0", ["--marker", marker]).wait()
        return base / "s0/out"
    cases = next(TOOL.parent.parent.glob("lib/python*/site-packages/pkcs11_check/testcases"))
    plan = subprocess.run(
        [TOOL, "shard-units", "-n", str(SHARDS), "--testcases", cases], check=True, stdout=subprocess.PIPE, text=True
    )
    shards = [line.split() for line in plan.stdout.splitlines() if line.strip()]
    running = [suite(name, module, base / f"s{n}", files) for n, files in enumerate(shards)]
    for one in running:
        one.wait()
    parts = [base / f"s{n}/out" for n in range(len(shards))]
    merged = base / "merged"
    subprocess.run([TOOL, "merge-shards", *parts, "--output", merged], check=True, stdout=subprocess.DEVNULL)
    return merged


def summary(results):
    return json.loads((results / "results.json").read_text())["summary"]


def failures(results):
    """The failed tests and their first line of reason."""
    found = {}
    for line in (results / "report.jsonl").read_text().splitlines():
        entry = json.loads(line)
        if entry.get("$report_type") == "TestReport" and entry.get("outcome") == "failed":
            test = entry["nodeid"].split("testcases/")[-1]
            why = entry.get("longrepr") or {}
            why = why.get("reprcrash", {}).get("message", "") if isinstance(why, dict) else str(why)
            found[test] = " ".join(why.split())[:300]
    return found


def rulings():
    return tomllib.loads((HERE / "adjudicated.toml").read_text())["ruling"]


def judge(results, whole):
    """Prints what speaks against us; returns how many passed and failed."""
    counts, failed, argued = summary(results), failures(results), {}
    for ruling in rulings():
        for test in ruling["tests"]:
            argued[test] = ruling
    wrong = [f"failed: {test}: {why}" for test, why in failed.items() if test not in argued]
    if whole:
        wrong += [f"argued in adjudicated.toml, and does not fail: {test}" for test in argued if test not in failed]
    died = ["crashed", "timeout", "crash_limited", "error", "child_crash", "child_timeout"]
    wrong += [f"{kind}: {counts[kind]}" for kind in died if counts.get(kind)]
    if counts["passed"] == 0:
        wrong.append("nothing passed: the suite did not run")
    for line in wrong:
        print(line)
    return counts["passed"], len(wrong)


def page(results):
    """docs/conformance.md: the table side by side, and the arguments."""
    columns = {name: summary(path) for name, path in results.items()}
    rows = ["passed", "failed", "xfailed", "skipped", "crashed", "timeout", "child_crash", "child_timeout", "total"]
    out = [
        "# Conformance: pkcs11-check",
        "",
        "Written by `./check full` (`tests/pkcs11-check/run.py`); the arguments stand in `tests/pkcs11-check/adjudicated.toml`.",
        "pkcs11-check 0.2.3 from PyPI, without its downloadable vectors, each module on a fresh token, in one run. The suite",
        "asks each mechanism that a module lists, so a module that lists more is asked more.",
        "",
        "| | " + " | ".join(columns) + " |",
        "|---|" + "---:|" * len(columns),
    ]
    for row in rows:
        out.append(f"| {row} | " + " | ".join(str(c.get(row, 0)) for c in columns.values()) + " |")
    out += ["", "## Failures that are none", ""]
    for ruling in rulings():
        out += [f"### {ruling['title']}", ""]
        out += [f"- `{test}`" for test in ruling["tests"]]
        out += ["", f"**It wants:** {ruling['wants']}", "", f"**The specification:** {ruling['spec']}", ""]
        out += [f"**We:** {ruling['does']}", ""]
    PAGE.write_text("\n".join(out).rstrip() + "\n")


def main():
    word = sys.argv[1] if len(sys.argv) == 2 else ""
    if word == "smoke":
        passed, failed = judge(run("Keystead", ours(), "smoke"), whole=False)
    elif word == "full":
        modules = {"Keystead": ours(), **peers()}
        results = {name: run(name, module, None) for name, module in modules.items()}
        page(results)
        passed, failed = judge(results["Keystead"], whole=True)
    elif word == "page":
        places = {name: WORK / f"{name}-full/merged" for name in ["Keystead", "SoftHSM2", "Kryoptic"]}
        page({name: path for name, path in places.items() if path.is_dir()})
        return
    else:
        sys.exit(__doc__)
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
