#!/usr/bin/env python3
"""Instructions of fixed workloads within the module, counted by valgrind's callgrind, against benches/baseline.json.

    benches/callgrind.py MODULE WORKLOAD            compare: status 1 where one has grown by more than 5 %
    benches/callgrind.py MODULE WORKLOAD --write    make what is counted the baseline

MODULE is a release build of libkeystead_pkcs11.so, WORKLOAD the program `workload` of this crate. Only the module's C_*
functions that a workload is about are counted, so the driver's build does not matter.
"""
import json, os, re, subprocess, sys, tempfile
from pathlib import Path

BASELINE = Path(__file__).with_name("baseline.json")
NAMES = ["gcm-1k", "hmac-1k", "sha256-64", "ecdsa-p256-sign", "ecdsa-p256-verify", "rsa-2048-sign", "aes-ctr-16", "find-1000"]
COUNTED = ["C_EncryptInit", "C_Encrypt", "C_SignInit", "C_Sign", "C_VerifyInit", "C_Verify", "C_DigestInit", "C_Digest",
           "C_FindObjectsInit", "C_FindObjects", "C_FindObjectsFinal"]


def count(module, workload, name):
    with tempfile.TemporaryDirectory() as directory:
        command = ["valgrind", "--tool=callgrind", "--trace-children=yes", "--collect-atstart=no",
                   f"--callgrind-out-file={directory}/%p.out", *(f"--toggle-collect={f}" for f in COUNTED),
                   workload, module, name]
        done = subprocess.run(command, capture_output=True, text=True)
        # The driver is two processes: one makes the empty place, the other works in it.
        counts = [int(n) for n in re.findall(r"Collected : (\d+)", done.stderr)]
        if done.returncode or not any(counts):
            sys.exit(f"{name}: nothing was counted\n{done.stderr[-2000:]}")
        return max(counts)


def main():
    module, workload = (os.path.abspath(p) for p in sys.argv[1:3])
    counted = {name: count(module, workload, name) for name in NAMES}
    if "--write" in sys.argv[3:]:
        BASELINE.write_text(json.dumps(counted, indent=2) + "\n")
    before = json.loads(BASELINE.read_text())
    grown = []
    for name, now in counted.items():
        if name not in before:
            sys.exit(f"{name} has no baseline: run with --write")
        change = now / before[name] - 1
        print(f"{name:<20} {now:>14,} {change:+8.1%}")
        if change > 0.05:
            grown.append(name)
    if grown:
        sys.exit(f"grown by more than 5 %: {', '.join(grown)}; make it faster, or commit a new baseline with the reason")


main()
