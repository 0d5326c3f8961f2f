#!/usr/bin/env python3
"""Measure the exported models and rewrite the tables of README.md. Needs numpy and onnxruntime only.

Accuracy is on the 10,000 test images, which nothing else in this folder reads. Latency is
onnxruntime's on one CPU thread. Candidates under tried/ are measured where train.py --tried left
them; else their rows come from measured.json as they were.
"""
import argparse
import hashlib
import json
import os
import platform
import sys
import time

import numpy as np
import onnxruntime

import data
from models import BY_NAME

HERE = os.path.dirname(os.path.abspath(__file__))
LIMIT = 15_000_000


def session(path):
    o = onnxruntime.SessionOptions()
    o.intra_op_num_threads = o.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(path, o, providers=["CPUExecutionProvider"])


def latency(s, batch, rounds=7, seconds=0.1):
    """Microseconds a call: the median within a round, the best of the rounds.

    The thread's processor time, not the clock's: the one thread does all the work, and what else
    the machine does meanwhile then counts for less.
    """
    x = np.random.default_rng(0).standard_normal((batch, 1, 28, 28), np.float32)
    for _ in range(5):
        s.run(None, {"image": x})
    best = float("inf")
    for _ in range(rounds):
        took, end = [], time.perf_counter() + seconds
        while time.perf_counter() < end or len(took) < 5:
            t = time.thread_time()
            s.run(None, {"image": x})
            took.append(time.thread_time() - t)
        best = min(best, float(np.median(took)))
    return best * 1e6


def outputs(s, x, batch=500):
    return np.concatenate([s.run(["logits"], {"image": x[i:i + batch]})[0] for i in range(0, len(x), batch)])


def check(e, s):
    """What the product relies on, for one file."""
    path = os.path.join(HERE, e["file"])
    with open(path, "rb") as f:
        blob = f.read()
    assert hashlib.sha256(blob).hexdigest() == e["sha256"] and len(blob) == e["bytes"], "not the recorded file"
    (i,), (o,) = s.get_inputs(), s.get_outputs()
    assert (i.name, i.type, i.shape[1:]) == ("image", "tensor(float)", [1, 28, 28]), (i.name, i.type, i.shape)
    assert (o.name, o.type, o.shape[1:]) == ("logits", "tensor(float)", [len(e["labels"])]), (o.name, o.type, o.shape)
    assert isinstance(i.shape[0], str), "the batch axis is fixed"
    assert e["labels"] == e["covers"] + (["other"] if e["other"] else [])


def score(logits, e, y):
    own = np.isin(y, [data.CLASSES.index(c) for c in e["covers"]])
    right = logits.argmax(1) == data.targets(y, e["covers"], bool(e["other"]))
    return float(right[own].mean()), (float(right.mean()) if e["other"] else None)


def generalist_as(logits, e, y):
    """A generalist put to a specialist's task: the same images, the same answers allowed."""
    picked = [data.CLASSES.index(c) for c in e["covers"]]
    t = data.targets(y, e["covers"], bool(e["other"]))
    if e["other"]:
        return float((data.targets(logits.argmax(1), e["covers"], True) == t).mean())
    own = t >= 0
    return float((logits[own][:, picked].argmax(1) == t[own]).mean())


def front(rows, cost):
    """Names on the accuracy/latency front: nothing cheaper is as accurate. Declared accuracy decides."""
    keep, best = [], -1.0
    for r in sorted(rows, key=lambda r: (r[cost], -r["accuracy"])):
        if r["accuracy"] > best:
            best = r["accuracy"]
            keep.append(r["name"])
    return keep


def pct(v):
    return "" if v is None else f"{100 * v:.2f}"


def us(v):
    return f"{v:.1f}" if v < 100 else f"{v:.0f}"


def table(head, rows):
    align = ["---" if i == 0 else "--:" for i in range(len(head))]
    return "\n".join("| " + " | ".join(r) + " |" for r in [head, align, *rows])


def put(text, marker, body):
    a, b = f"<!-- {marker} -->", f"<!-- /{marker} -->"
    return text[:text.index(a) + len(a)] + "\n" + body + "\n" + text[text.index(b):]


def shape(name):
    m = BY_NAME[name]
    return f"{m['shape']}({', '.join(str(v) for v in m['args'].values())})"


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--no-write", action="store_true", help="print, and leave README.md and measured.json alone")
    o = a.parse_args()

    def read(name):
        path = os.path.join(HERE, name)
        if not os.path.exists(path):
            return []
        with open(path) as f:
            return json.load(f)

    entries = read("zoo.json")
    tried = read("tried/zoo.json")
    x, y = data.load("test")
    x = data.normalise(x)
    rows, logits = [], {}
    for e in entries + tried:
        s = session(os.path.join(HERE, e["file"]))
        check(e, s)
        logits[e["name"]] = outputs(s, x)
        test, with_other = score(logits[e["name"]], e, y)
        rows.append({
            "name": e["name"], "kind": e["kind"], "shipped": e in entries, "parameters": e["parameters"],
            "bytes": e["bytes"], "accuracy": e["accuracy"], "test": round(test, 4),
            "test_with_other": None if with_other is None else round(with_other, 4),
            "us_1": round(latency(s, 1), 1), "us_32": round(latency(s, 32) / 32, 2)})
        print(rows[-1], file=sys.stderr, flush=True)
    if not tried:
        rows += [r for r in read("measured.json") if not r["shipped"]]
    by = {r["name"]: r for r in rows}
    total = sum(e["bytes"] for e in entries)
    assert total <= LIMIT, f"the models take {total} bytes"

    general = [r for r in rows if r["kind"] == "generalist"]
    on = {cost: front(general, cost) for cost in ("us_1", "us_32")}
    main_table = table(
        ["model", "classes", "shape", "parameters", "bytes", "µs, batch 1", "µs an image, batch 32",
         "declared (held out) %", "test %", "test with other %"],
        [[e["name"], "all 10" if e["kind"] == "generalist" else ", ".join(e["labels"]), shape(e["name"]),
          f"{e['parameters']:,}", f"{e['bytes']:,}", us(by[e["name"]]["us_1"]), us(by[e["name"]]["us_32"]),
          pct(e["accuracy"]), pct(by[e["name"]]["test"]), pct(by[e["name"]]["test_with_other"])] for e in entries])
    front_table = table(
        ["generalist", "shape", "parameters", "µs, batch 1", "µs an image, batch 32", "declared (held out) %", "test %",
         "shipped", "on the front"],
        [[r["name"], shape(r["name"]), f"{r['parameters']:,}", us(r["us_1"]), us(r["us_32"]), pct(r["accuracy"]),
          pct(r["test"]), "yes" if r["shipped"] else "",
          " and ".join(n for c, n in (("us_1", "batch 1"), ("us_32", "batch 32")) if r["name"] in on[c])]
         for r in sorted(general, key=lambda r: r["us_32"])])
    ours = [e for e in entries if e["kind"] == "generalist"]
    versus = table(
        ["specialist", "task", "µs an image, batch 32", "test %"]
        + [f"{g['name']} ({us(by[g['name']]['us_32'])} µs)" for g in ours],
        [[e["name"], "all images" if e["other"] else "its classes", us(by[e["name"]]["us_32"]),
          pct(by[e["name"]]["test_with_other"] if e["other"] else by[e["name"]]["test"])]
         + [pct(generalist_as(logits[g["name"]], e, y)) for g in ours]
         for e in entries if e["kind"] == "specialist"])
    note = (f"{len(entries)} files, {total:,} bytes. onnxruntime {onnxruntime.__version__}, one thread, "
            f"{platform.machine()}.")
    print("\n\n".join([note, main_table, front_table, versus]))
    if o.no_write:
        return
    with open(os.path.join(HERE, "measured.json"), "w") as f:
        f.write("[\n" + ",\n".join("  " + json.dumps(r) for r in rows) + "\n]\n")
    path = os.path.join(HERE, "README.md")
    with open(path) as f:
        text = f.read()
    for marker, body in (("models", note + "\n\n" + main_table), ("front", front_table), ("versus", versus)):
        text = put(text, marker, body)
    with open(path, "w") as f:
        f.write(text)


if __name__ == "__main__":
    main()
