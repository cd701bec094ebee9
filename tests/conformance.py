"""Runs pkcs11-check on libkeystead_pkcs11.so, and judges what it found.

    conformance.py smoke SO KEYSTEAD    the smoke marker, on ours
    conformance.py full SO KEYSTEAD     the whole, on ours (embedded and on a cluster), SoftHSM2 and (where it is) Kryoptic;
                                        then on ours again, with Kryoptic's mechanisms only (the setting `mechanisms`)

`./check` and `./check full` call it with the Python of .cache/venv-p11check. A crash, a hang or an error fails the run,
and so does a failed test that docs/conformance.md does not adjudicate, or an adjudicated one that does not fail any more.
Adjudications are the lines of that page which are "- `test id`" and nothing else.

The whole is cut into batches of files, worked off by as many workers as there are processors; each batch has a token of
its own, for tests that change PINs and reinitialise tokens run too. What peers answer is kept in .cache by the digest of
their library: they change seldom, and take as long as ours.
"""

import collections
import concurrent.futures
import contextlib
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
ROWS = ROOT / "docs" / "mechanisms.md"
TOOL = pathlib.Path(sys.executable).parent / "pkcs11-check"
PIN, SO_PIN = "1234", "5678"
BATCHES = 16
# What of the suite is run; pytest has the second by its environment.
OPTIONS = ("--destructive",)
PYTEST_OPTIONS = "--p11-thread-safe"
QUIET = (("setup", "passed"), ("teardown", "passed"))
HARM = ("crashed", "timeout", "crash_limited", "child_crash", "child_timeout", "error")
COUNTS = ("total", "passed", "failed", "xfailed", "skipped", *HARM)
OUTCOMES = ("passed", "failed", "xfailed", "skipped")
# Why a test was skipped or expected to fail, where it says something of the module. The suite has for each mechanism that is
# offered tests of which most ask that one nothing ("CKF_ENCRYPT not advertised" of a digest, "registered mechanism"), and
# tests that would make a key with a mechanism that makes none: the more is offered, the more of these.
LACKING = re.compile(r"not (supported|advertised|available|implemented|present)|does not (support|advertise)|[Nn]o \w+.* mechanism")
NO_QUESTION = re.compile(r"CKF_\w+ not advertised|CKO_\w+ objects|skipped here")
NO_KEY = re.compile(r"keygen rejected at runtime: CKR_MECHANISM_(PARAM_)?INVALID$")
# Prints the numbers of the mechanisms that a library's first token has, by the suite's own binding, in a process of its own.
LIST = """
import pathlib, sys
from pkcs11_check.core.loader import load_module
slot = load_module(pathlib.Path(sys.argv[1]), interface="auto").get_slots(token_present=True)[0]
print(*(int(mechanism) for mechanism in slot.get_mechanisms()))
"""


def run(*command, **more):
    """A command that must succeed; what it said is in the error otherwise."""
    done = subprocess.run([str(word) for word in command], text=True, capture_output=True, **more)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}: status {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


class Module:
    """A PKCS#11 library, and how to give it a token in a directory."""

    # The variable that names a library's configuration, and what is in that; old algorithms are on where they can be.
    CONFIGURATION = {
        "Keystead": ("KEYSTEAD_PKCS11_CONF", 'legacy = true\n[[token]]\ndirectory = "{}"\n'),
        "SoftHSM2": ("SOFTHSM2_CONF", "directories.tokendir = {}\n"),
        "Kryoptic": ("KRYOPTIC_CONF", '[[slots]]\nslot = 0\ndbtype = "sqlite"\ndbargs = "{}/token.sql"\n'),
    }

    def __init__(self, name, library, keystead=None, setting=""):
        self.name, self.library, self.keystead = name, pathlib.Path(library).resolve(), keystead
        self.pins = PIN, SO_PIN
        # One more line for ours.
        self.setting = setting

    @contextlib.contextmanager
    def token(self, place):
        """Makes a token in `place`; gives the environment in which the library finds it."""
        tokens, configuration = place / "tokens", place / "configuration"
        tokens.mkdir(parents=True)
        variable, text = self.CONFIGURATION["Keystead" if self.keystead else self.name]
        configuration.write_text(text.format(tokens) + self.setting)
        environment = {**os.environ, variable: str(configuration)}
        if self.keystead:
            run(self.keystead, "token", "init", "--config", configuration, "--label", "check",
                "--so-pin", SO_PIN, "--pin", PIN)
        else:
            tool = ("pkcs11-tool", "--module", self.library)
            run(*tool, "--slot-index", "0", "--init-token", "--label", "check", "--so-pin", SO_PIN, env=environment)
            run(*tool, "--token-label", "check", "--login", "--login-type", "so", "--so-pin", SO_PIN,
                "--init-pin", "--pin", PIN, env=environment)
        yield environment

    def mechanisms(self):
        """Those of a fresh token, by number."""
        with tempfile.TemporaryDirectory() as place, self.token(pathlib.Path(place)) as environment:
            return [int(number) for number in run(sys.executable, "-c", LIST, self.library, env=environment).split()]

    def check(self, place, environment, *what):
        """One run of the tool; its report is in place/report/."""
        (place / "report").mkdir(parents=True)
        pin, so_pin = self.pins
        with open(place / "log", "w") as log:
            subprocess.run(
                [TOOL, "test", "--module", self.library, "--slot", "0", *OPTIONS, "--output", "json",
                 "--output-file", "report/results.json", *what],
                cwd=place, env={**environment, "P11TEST_PIN": pin, "P11TEST_SO_PIN": so_pin, "PYTEST_ADDOPTS": PYTEST_OPTIONS},
                stdout=log, stderr=subprocess.STDOUT)
        # Its status is 1 when a test failed: the report tells more. No report is no result.
        if not (place / "report" / "results.json").is_file():
            sys.exit(f"pkcs11-check wrote no report for {self.name}:\n" + (place / "log").read_text()[-3000:])


class OnCluster(Module):
    """Our library, its token a cluster of two HSMs."""

    def __init__(self, library, keystead):
        super().__init__("Keystead on a cluster", library, keystead)
        # As tests/src/story.rs makes them.
        self.pins = "cu1:password1", "admin:adminPswd1"

    @contextlib.contextmanager
    def token(self, place):
        """Makes a cluster, which is gone afterwards; gives the environment in which the library finds it."""
        environment = {**os.environ, "KEYSTEAD_SO": str(self.library), "KEYSTEAD_BIN": str(self.keystead)}
        # `./check full` has built it (tests/src/bin/cluster.rs).
        program = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug" / "cluster"
        with subprocess.Popen([program], text=True, env=environment, stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE) as cluster:
            configuration = cluster.stdout.readline().strip()
            if not configuration:
                sys.exit("no cluster was made")
            yield {**environment, "KEYSTEAD_PKCS11_CONF": configuration}


def whole(module, place):
    """The whole suite; its report is in place/report/."""
    import pkcs11_check

    files = sorted((pathlib.Path(pkcs11_check.__file__).parent / "testcases").rglob("test_*.py"))
    if len(files) < BATCHES:
        sys.exit(f"pkcs11-check has {len(files)} files of tests only: without any it would run all of them in each batch")
    batches = queue.Queue()
    for number in range(BATCHES):
        batches.put((number, files[number::BATCHES]))

    def worker():
        while True:
            try:
                batch, chosen = batches.get_nowait()
            except queue.Empty:
                return
            with module.token(place / f"token{batch}") as environment:
                module.check(place / f"batch{batch}", environment, *chosen)

    workers = os.cpu_count() or 1
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        for done in [pool.submit(worker) for _ in range(workers)]:
            done.result()
    reports = [place / f"batch{number}" / "report" for number in range(BATCHES)]
    run(TOOL, "merge-shards", *reports, "--output", place / "report")


class Result:
    """What a report says: counts, outcomes by test, and why the failed tests did."""

    def __init__(self, report, may_lack=False):
        summary = json.loads((report / "results.json").read_text())["summary"]
        self.incomplete = summary["incomplete"]
        if self.incomplete and not may_lack:
            sys.exit(f"the report in {report} is incomplete")
        self.counts = {name: summary.get(name, 0) for name in COUNTS}
        self.outcomes, self.failed = {}, {}
        self.lacking = self.no_key = 0
        for line in open(report / "report.jsonl"):
            record = json.loads(line)
            # A set-up or a tear-down that passed says nothing yet.
            if record.get("$report_type") != "TestReport" or (record["when"], record["outcome"]) in QUIET:
                continue
            test = record["nodeid"].split("testcases/")[-1]
            self.outcomes[test] = "xfailed" if "wasxfail" in record else record["outcome"]
            if self.outcomes[test] == "xfailed":
                self.no_key += bool(NO_KEY.search(record["wasxfail"]))
            elif record["outcome"] == "skipped":
                why = str(record["longrepr"])
                self.lacking += bool(LACKING.search(why)) and not NO_QUESTION.search(why)
            if record["outcome"] == "failed":
                why = record.get("longrepr")
                why = why.get("reprcrash", {}).get("message", "") if isinstance(why, dict) else str(why)
                self.failed[test] = " ".join(why.split())[:300]
        if len(self.failed) < summary["failed"] and not may_lack:
            sys.exit(f"{report}: {summary['failed']} failed, but only {len(self.failed)} are named")

    def among(self, tests):
        """How many of these tests ended each way."""
        return collections.Counter(self.outcomes[test] for test in tests)


def peer(module):
    """As `whole`, from .cache where this very library was run before, in the same way."""
    way = " ".join((*OPTIONS, PYTEST_OPTIONS)).encode()
    digest = hashlib.sha256(module.library.read_bytes() + way).hexdigest()[:16]
    kept = KEPT / f"{module.name}-{digest}-{run(TOOL, 'version').split()[-1]}"
    if not (kept / "results.json").is_file():
        with tempfile.TemporaryDirectory() as place:
            whole(module, pathlib.Path(place))
            shutil.copytree(pathlib.Path(place) / "report", kept, dirs_exist_ok=True)
    # A peer that takes the suite's own process down with it leaves a report that lacks what came after.
    result = Result(kept, may_lack=True)
    if result.incomplete:
        print(f"{module.name}: its report is incomplete, and kept: delete {kept.relative_to(ROOT)} to run it again")
    return result


def fresh(module):
    """As `whole`; the report is kept in .cache to be looked at."""
    kept = KEPT / module.name.replace(" ", "-")
    with tempfile.TemporaryDirectory(prefix="pkcs11-check-") as place:
        place = pathlib.Path(place)
        whole(module, place)
        shutil.rmtree(kept, ignore_errors=True)
        shutil.copytree(place / "report", kept)
    return Result(kept)


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


def with_mechanisms_of(other, ours):
    """Ours, with those of the other's mechanisms that it has: whoever offers less is asked less."""
    rows = re.findall(r"^\| (\w+) \| (0x[0-9a-f]+) \|", ROWS.read_text(), re.MULTILINE)
    wanted = set(other.mechanisms())
    names = ", ".join(f'"{name}"' for name, code in rows if int(code, 16) in wanted)
    if not names:
        sys.exit(f"{ROWS} names none of {other.name}'s mechanisms")
    return Module(f"Keystead with {other.name}'s mechanisms", ours.library, ours.keystead, f"mechanisms = [{names}]\n")


def adjudicated(on_cluster):
    """The tests that docs/conformance.md adjudicates for a token that is embedded, or a cluster's."""
    lines = re.findall(r"^- `(\S+::[^`]+)`( \(on a cluster\))?$", VERDICTS.read_text(), re.MULTILINE)
    return {test for test, only_on_cluster in lines if on_cluster or not only_on_cluster}


def judge(name, found, allowed, stale_too):
    """What is wrong, one line each."""
    counts, failed = found.counts, found.failed
    print(f"{name}: {counts['passed']} passed, {counts['failed']} failed, {counts['xfailed']} xfailed, "
          f"{counts['skipped']} skipped")
    wrong = [] if counts["passed"] else ["not one test passed"]
    wrong += [f"{counts[harm]} {harm}" for harm in HARM if counts[harm]]
    wrong += [f"FAILED {test}: {why}" for test, why in sorted(failed.items()) if test not in allowed]
    if stale_too:
        wrong += [f"docs/conformance.md adjudicates {test}, which did not fail" for test in sorted(allowed - set(failed))]
    return [f"{name}: {what}" for what in wrong]


def behind(ours, theirs, name):
    """Where ours does not do better than a module of the same mechanisms, among the tests that both ran, one line each."""
    both = ours.outcomes.keys() & theirs.outcomes.keys()
    mine, other = ours.among(both), theirs.among(both)
    better = {"passed": mine["passed"] > other["passed"]}
    better |= {outcome: mine[outcome] <= other[outcome] for outcome in ("failed", "skipped", "xfailed")}
    return [f"{mine[outcome]} {outcome} with {name}'s mechanisms, and {name} has {other[outcome]}"
            for outcome, well in better.items() if not well]


def table(columns):
    """The counts side by side, as Markdown; then, for each peer, those of the tests that both ran.

    A module that offers more mechanisms is asked more: only the latter compares like with like.
    """
    lines = ["| pkcs11-check, without vectors | " + " | ".join(columns) + " |", "|---|" + "---|" * len(columns)]
    for name in COUNTS:
        lines.append(f"| {name} | " + " | ".join(str(found.counts[name]) for found in columns.values()) + " |")
    lines.append("| skipped since the module lacks it | " + " | ".join(str(f.lacking) for f in columns.values()) + " |")
    lines.append("| report complete | " + " | ".join("no" if f.incomplete else "yes" for f in columns.values()) + " |")
    kept = (str(f.counts["xfailed"] - f.no_key) for f in columns.values())
    lines.append("| xfailed where the suite had a key | " + " | ".join(kept) + " |")
    ours = columns["Keystead"]
    for name, found in columns.items():
        if name == "Keystead" or " with " in name:
            continue
        # With the peer's own mechanisms where that was run.
        alike = columns.get(f"Keystead with {name}'s mechanisms", ours)
        both = alike.outcomes.keys() & found.outcomes.keys()
        title = "Keystead" if alike is ours else "Keystead with its mechanisms"
        lines += ["", f"| the {len(both)} tests that both ran | {title} | {name} |", "|---|---|---|"]
        mine, theirs = alike.among(both), found.among(both)
        lines += [f"| {outcome} | {mine[outcome]} | {theirs[outcome]} |" for outcome in OUTCOMES]
    return "\n".join(lines) + "\n"


def main():
    kind, library, keystead = sys.argv[1:]
    ours = Module("Keystead", library, pathlib.Path(keystead).resolve())
    wrong = []
    if kind == "smoke":
        with tempfile.TemporaryDirectory(prefix="pkcs11-check-") as place:
            place = pathlib.Path(place)
            with ours.token(place / "token") as environment:
                ours.check(place / "run", environment, "--marker", "smoke")
            wrong += judge(ours.name, Result(place / "run" / "report"), adjudicated(False), False)
    else:
        columns = {}
        for module in (ours, OnCluster(library, ours.keystead)):
            columns[module.name] = fresh(module)
            wrong += judge(module.name, columns[module.name], adjudicated(isinstance(module, OnCluster)), True)
        for module in peers():
            columns[module.name] = peer(module)
            if module.name == "Kryoptic":
                alike = with_mechanisms_of(module, ours)
                columns[alike.name] = fresh(alike)
                # A test that is adjudicated may be one of a mechanism that is left out here.
                wrong += judge(alike.name, columns[alike.name], adjudicated(False), False)
                wrong += behind(columns[alike.name], columns[module.name], module.name)
        TABLE.parent.mkdir(parents=True, exist_ok=True)
        TABLE.write_text(table(columns))
        print(TABLE.read_text())
    if wrong:
        sys.exit("\n".join(wrong))


if __name__ == "__main__":
    main()
