"""Runs pkcs11-check on libkeystead_pkcs11.so, and judges what it found.

    conformance.py smoke SO KEYSTEAD    the smoke marker, on ours
    conformance.py full SO KEYSTEAD     the whole, on ours, SoftHSM2 and (where it is) Kryoptic

`./check` and `./check full` call it with the Python of .cache/venv-p11check. A crash, a hang or an error fails the run,
and so does a failed test that docs/conformance.md does not adjudicate, or an adjudicated one that does not fail any more.
Adjudications are the lines of that page which are "- `test id`" and nothing else.

The whole is cut into batches of files, worked off by as many workers as there are processors; each worker has a token of
its own, so that a test which destroys something cannot disturb another worker's. What peers answer is kept in .cache by
the digest of their library: they change seldom, and take as long as ours.
"""

import concurrent.futures
import hashlib
import json
import os
import pathlib
import queue
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
KEPT = ROOT / ".cache" / "pkcs11-check"
TABLE = ROOT / ".cache" / "check" / "pkcs11-check.md"
VERDICTS = ROOT / "docs" / "conformance.md"
TOOL = pathlib.Path(sys.executable).parent / "pkcs11-check"
PIN, SO_PIN = "1234", "5678"
BATCHES = 16
HARM = ("crashed", "timeout", "crash_limited", "child_crash", "child_timeout", "error")
COUNTS = ("total", "passed", "failed", "xfailed", "skipped", *HARM)
# What Kryoptic 1.5.4 (minimal build) reached, without vectors: the figures to beat when it is not there to be run.
KRYOPTIC = {"total": 5579, "passed": 2603, "failed": 68, "xfailed": 366, "skipped": 2537, "crashed": 5,
            "child_crash": 4, "child_timeout": 5}


def run(*command, **more):
    """A command that must succeed; what it said is in the error otherwise."""
    done = subprocess.run([str(word) for word in command], text=True, capture_output=True, **more)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}: status {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


class Module:
    """A PKCS#11 library, and how to give it a token in a directory."""

    def __init__(self, name, library, keystead=None):
        self.name, self.library, self.keystead = name, pathlib.Path(library).resolve(), keystead

    def token(self, place):
        """Makes a token in `place`; gives the environment in which the library finds it."""
        tokens = place / "tokens"
        tokens.mkdir(parents=True)
        if self.name == "Keystead":
            conf = place / "pkcs11.toml"
            conf.write_text(f'[[token]]\ndirectory = "{tokens}"\n')
            environment = {**os.environ, "KEYSTEAD_PKCS11_CONF": str(conf)}
            run(self.keystead, "token", "init", "--config", conf, "--label", "check", "--so-pin", SO_PIN, "--pin", PIN)
            return environment
        if self.name == "SoftHSM2":
            conf = place / "softhsm2.conf"
            conf.write_text(f"directories.tokendir = {tokens}\n")
            environment = {**os.environ, "SOFTHSM2_CONF": str(conf)}
        else:
            conf = place / "kryoptic.toml"
            conf.write_text(f'[[slots]]\nslot = 0\ndbtype = "sqlite"\ndbargs = "{tokens}/token.sql"\n')
            environment = {**os.environ, "KRYOPTIC_CONF": str(conf)}
        tool = ("pkcs11-tool", "--module", self.library)
        run(*tool, "--slot-index", "0", "--init-token", "--label", "check", "--so-pin", SO_PIN, env=environment)
        run(*tool, "--token-label", "check", "--login", "--login-type", "so", "--so-pin", SO_PIN,
            "--init-pin", "--pin", PIN, env=environment)
        return environment

    def check(self, place, environment, *what):
        """One run of the tool; its report is in place/report/."""
        (place / "report").mkdir(parents=True)
        with open(place / "log", "w") as log:
            subprocess.run(
                [TOOL, "test", "--module", self.library, "--slot", "0", "--pin", PIN, "--output", "json",
                 "--output-file", "report/results.json", *what],
                cwd=place, env={**environment, "P11TEST_SO_PIN": SO_PIN}, stdout=log, stderr=subprocess.STDOUT)
        # Its status is 1 when a test failed: the report tells more. No report is no result.
        if not (place / "report" / "results.json").is_file():
            sys.exit(f"pkcs11-check wrote no report for {self.name}:\n" + (place / "log").read_text()[-3000:])


def whole(module, place):
    """The whole suite; gives (counts, identifiers of the failed tests)."""
    import pkcs11_check

    files = sorted((pathlib.Path(pkcs11_check.__file__).parent / "testcases").rglob("test_*.py"))
    if len(files) < BATCHES:
        sys.exit(f"pkcs11-check has {len(files)} files of tests only: without any it would run all of them in each batch")
    batches = queue.Queue()
    for number in range(BATCHES):
        batches.put((number, files[number::BATCHES]))

    def worker(number):
        environment = module.token(place / f"worker{number}")
        while True:
            try:
                batch, chosen = batches.get_nowait()
            except queue.Empty:
                return
            module.check(place / f"batch{batch}", environment, *chosen)

    workers = os.cpu_count() or 1
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        for done in [pool.submit(worker, number) for number in range(workers)]:
            done.result()
    reports = [place / f"batch{number}" / "report" for number in range(BATCHES)]
    run(TOOL, "merge-shards", *reports, "--output", place / "report")
    return result(place / "report")


def result(report):
    """(counts, identifiers of the failed tests) of a report's directory."""
    summary = json.loads((report / "results.json").read_text())["summary"]
    failed = {}
    for line in open(report / "report.jsonl"):
        record = json.loads(line)
        if record.get("$report_type") == "TestReport" and record.get("outcome") == "failed":
            why = record.get("longrepr")
            why = why.get("reprcrash", {}).get("message", "") if isinstance(why, dict) else str(why)
            failed[record["nodeid"].split("testcases/")[-1]] = " ".join(why.split())[:300]
    if summary["incomplete"]:
        sys.exit(f"the report in {report} is incomplete")
    if len(failed) < summary["failed"]:
        sys.exit(f"{report}: {summary['failed']} failed, but only {len(failed)} are named")
    return {name: summary.get(name, 0) for name in COUNTS}, failed


def peer(module):
    """As `whole`, from .cache where this very library was run before."""
    digest = hashlib.sha256(module.library.read_bytes()).hexdigest()[:16]
    kept = KEPT / f"{module.name}-{digest}-{run(TOOL, 'version').split()[-1]}"
    if not (kept / "results.json").is_file():
        with tempfile.TemporaryDirectory() as place:
            whole(module, pathlib.Path(place))
            shutil.copytree(pathlib.Path(place) / "report", kept, dirs_exist_ok=True)
    return result(kept)[0]


def peers():
    """What can be run beside ours."""
    softhsm = next(pathlib.Path("/usr/lib").glob("**/softhsm/libsofthsm2.so"), None)
    if softhsm is None:
        sys.exit("libsofthsm2.so is missing: ./check setup installs it (package softhsm2)")
    yield Module("SoftHSM2", softhsm)
    built = ROOT / "benches" / "kryoptic" / "target" / "release"
    given = os.environ.get("KRYOPTIC_SO")
    found = [given] if given else [*built.glob("libkryoptic_pkcs11.so"), *built.glob("deps/libkryoptic_pkcs11-*.so")]
    if found:
        yield Module("Kryoptic", found[0])


def adjudicated():
    """The tests that docs/conformance.md adjudicates."""
    return set(re.findall(r"^- `(\S+::[^`]+)`$", VERDICTS.read_text(), re.MULTILINE))


def judge(counts, failed, allowed, stale_too):
    """What is wrong, one line each."""
    wrong = [f"{counts[name]} {name}" for name in HARM if counts[name]]
    wrong += [f"FAILED {test}: {why}" for test, why in sorted(failed.items()) if test not in allowed]
    if stale_too:
        wrong += [f"docs/conformance.md adjudicates {test}, which did not fail" for test in sorted(allowed - set(failed))]
    return wrong


def table(columns):
    """The counts side by side, as Markdown."""
    lines = ["| pkcs11-check, without vectors | " + " | ".join(columns) + " |", "|---|" + "---|" * len(columns)]
    for name in COUNTS:
        lines.append(f"| {name} | " + " | ".join(str(counts.get(name, 0)) for counts in columns.values()) + " |")
    ours, goal = columns["Keystead"], next(c for name, c in columns.items() if name.startswith("Kryoptic"))
    lines.append("")
    for name, met in (("passed", ours["passed"] > goal["passed"]), ("skipped", ours["skipped"] < goal["skipped"]),
                      ("xfailed", ours["xfailed"] < goal["xfailed"])):
        word = "more" if name == "passed" else "fewer"
        lines.append(f"- {word} {name} than Kryoptic: {'yes' if met else 'NO'} ({ours[name]}, {goal[name]})")
    return "\n".join(lines) + "\n"


def main():
    kind, library, keystead = sys.argv[1:]
    ours = Module("Keystead", library, pathlib.Path(keystead).resolve())
    with tempfile.TemporaryDirectory(prefix="pkcs11-check-") as place:
        place = pathlib.Path(place)
        if kind == "smoke":
            ours.check(place / "run", ours.token(place / "token"), "--marker", "smoke")
            counts, failed = result(place / "run" / "report")
        else:
            counts, failed = whole(ours, place)
            shutil.rmtree(KEPT / "Keystead", ignore_errors=True)
            shutil.copytree(place / "report", KEPT / "Keystead")
    if kind != "smoke":
        columns = {"Keystead": counts}
        columns |= {module.name: peer(module) for module in peers()}
        if "Kryoptic" not in columns:
            columns["Kryoptic 1.5.4 (measured before)"] = KRYOPTIC
        TABLE.parent.mkdir(parents=True, exist_ok=True)
        TABLE.write_text(table(columns))
        print(TABLE.read_text())
    if not counts["passed"]:
        sys.exit("not one test passed")
    wrong = judge(counts, failed, adjudicated(), kind != "smoke")
    print(f"Keystead: {counts['passed']} passed, {counts['failed']} failed, {counts['xfailed']} xfailed, "
          f"{counts['skipped']} skipped")
    if wrong:
        sys.exit("\n".join(wrong))


if __name__ == "__main__":
    main()
