#!/usr/bin/env python3
"""Train models of the zoo and export them to ONNX.

    train.py --all            everything that ships
    train.py NAME [NAME ...]  these
    train.py --tried          the candidates that do not ship (written to tried/, not committed)

Fits on training images 0..44,999 and measures on 45,000..49,999; the other 10,000 training images
and the test images are not read for anything here. The number of epochs is fixed beforehand. A recipe with `taught`
also learns from what apparel_large says of its training images, so that one is trained first.
"""
import argparse
import fcntl
import hashlib
import json
import os
import time
import warnings
import zlib

import numpy as np
import onnx
import onnxruntime
import torch
from torch.nn import functional as F

import archs
import data
from models import BY_NAME, MODELS

HERE = os.path.dirname(os.path.abspath(__file__))
SEED = 20170828
TEACHER, VARIANTS = "apparel_large", 6


def augment(x, r, rng):
    """A batch of uint8 [n,28,28] -> normalised float [n,1,28,28], moved, mirrored and cut at random."""
    n = len(x)
    rows = torch.arange(28).expand(n, 28)
    cols = torch.arange(28).expand(n, 28)
    p = r["shift"]
    if p:
        x = F.pad(x, (p, p, p, p))
        rows = rows + torch.randint(0, 2 * p + 1, (n, 1), generator=rng)
        cols = cols + torch.randint(0, 2 * p + 1, (n, 1), generator=rng)
    if r["flip"]:
        mirrored = torch.rand(n, 1, generator=rng) < r["flip"]
        cols = torch.where(mirrored, cols.flip(1), cols)
    if p or r["flip"]:
        x = x[torch.arange(n)[:, None, None], rows[:, :, None], cols[:, None, :]]
    x = (x.float() / 255.0 - data.MEAN) / data.STD
    if r["cut"]:
        at = torch.arange(28)[None]
        h = torch.randint(0, r["cut"] + 1, (n, 2, 1), generator=rng)
        c = torch.randint(0, 28, (n, 2, 1), generator=rng)
        inside = (at[:, None] >= c - h // 2) & (at[:, None] < c - h // 2 + h)
        x = x.masked_fill(inside[:, 0, :, None] & inside[:, 1, None, :], 0.0)
    return x[:, None]


def lessons(x, log):
    """Fixed variants of the images to fit on, and what the teacher's ONNX file says of each.

    Variants 0 and 1 are the image and its mirror image; the others are moved by up to a pixel as
    well, and the odd ones are mirrored. Kept in cache/ for as long as the teacher's file is the same.
    """
    path = os.path.join(HERE, "models", TEACHER + ".onnx")
    with open(path, "rb") as f:
        key = hashlib.sha256(f.read()).hexdigest()
    kept = os.path.join(HERE, "cache", f"{TEACHER}-{key[:16]}-{VARIANTS}.npz")
    if not os.path.exists(kept):
        rng = np.random.default_rng(SEED)
        at, views, said = np.arange(28), [], []
        for v in range(VARIANTS):
            dy, dx = rng.integers(0, 3, (2, len(x), 1)) if v >= 2 else np.ones((2, len(x), 1), np.int64)
            rows, cols = at + dy, (at[::-1] if v % 2 else at) + dx
            padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
            views.append(padded[np.arange(len(x))[:, None, None], rows[:, :, None], cols[:, None, :]])
            said.append(run(path, views[-1]))
            if log:
                print(f"  {TEACHER} has labelled variant {v + 1}/{VARIANTS}", flush=True)
        os.makedirs(os.path.dirname(kept), exist_ok=True)
        part = f"{kept}.{os.getpid()}.npz"
        np.savez(part, views=np.stack(views), said=np.stack(said))
        os.replace(part, kept)
    with np.load(kept) as z:
        return z["views"], z["said"]


def lesson_for(m, sel, views, said):
    """The variants and the teacher's logits, over a model's own images and labels."""
    step, count = (1 if m["recipe"]["flip"] else 2), (VARIANTS if m["recipe"]["shift"] else 2)
    picked = [data.CLASSES.index(c) for c in m["covers"]]
    rest = [i for i in range(len(data.CLASSES)) if i not in picked]
    views, said = torch.from_numpy(views[:count:step, sel]), torch.from_numpy(said[:count:step, sel])
    soft = said[:, :, picked]
    if m["other"]:
        soft = torch.cat([soft, said[:, :, rest].logsumexp(2, keepdim=True)], 2)
    return views, soft


def fit(m, x, y, half, log, lesson=None):
    r = m["recipe"]
    seed = SEED ^ zlib.crc32(m["name"].encode())
    torch.manual_seed(seed)
    rng = torch.Generator().manual_seed(seed)
    net = archs.SHAPES[m["shape"]](len(m["covers"]) + m["other"], **m["args"])
    net = net.to(memory_format=torch.channels_last).train()
    keep = [p for p in net.parameters() if p.ndim < 2]
    decayed = [p for p in net.parameters() if p.ndim >= 2]
    groups = [{"params": decayed, "weight_decay": r["decay"]}, {"params": keep, "weight_decay": 0.0}]
    if r["optimiser"] == "sgd":
        opt = torch.optim.SGD(groups, lr=r["lr"], momentum=0.9, nesterov=True)
    else:
        opt = torch.optim.AdamW(groups, lr=r["lr"])
    batches = len(x) // r["batch"]
    plan = torch.optim.lr_scheduler.OneCycleLR(
        opt, r["lr"], total_steps=batches * r["epochs"], pct_start=0.2, final_div_factor=1e3,
        cycle_momentum=False)
    for epoch in range(r["epochs"]):
        began, total = time.time(), 0.0
        order = torch.randperm(len(x), generator=rng)
        for b in range(batches):
            i = order[b * r["batch"]:(b + 1) * r["batch"]]
            if lesson:
                v = torch.randint(0, len(lesson[0]), (len(i),), generator=rng)
                batch = ((lesson[0][v, i].float() / 255.0 - data.MEAN) / data.STD)[:, None]
            else:
                batch = augment(x[i], r, rng)
            batch = batch.contiguous(memory_format=torch.channels_last)
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
                out = net(batch)
            loss = F.cross_entropy(out.float(), y[i], label_smoothing=r["smooth"])
            if lesson:
                heat, share = r["heat"], r["taught"]
                soft = F.kl_div(F.log_softmax(out.float() / heat, 1), F.log_softmax(lesson[1][v, i] / heat, 1),
                                reduction="batchmean", log_target=True)
                loss = share * heat * heat * soft + (1 - share) * loss
            opt.zero_grad(set_to_none=True)
            loss.backward()
            opt.step()
            plan.step()
            total += loss.item()
        if log:
            print(f"  {m['name']} epoch {epoch + 1}/{r['epochs']} loss {total / batches:.4f} "
                  f"{time.time() - began:.1f} s", flush=True)
    return net.eval().to(memory_format=torch.contiguous_format)


def export(m, net, path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            net, torch.zeros(2, 1, 28, 28), path, dynamo=False, opset_version=17,
            do_constant_folding=True, input_names=["image"], output_names=["logits"],
            dynamic_axes={"image": {0: "batch"}, "logits": {0: "batch"}})
    graph = onnx.load(path)
    onnx.checker.check_model(graph, full_check=True)
    del graph.graph.value_info[:]
    onnx.save(graph, path)


def run(path, x, batch=500):
    s = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    x = data.normalise(x)
    return np.concatenate([s.run(["logits"], {"image": x[i:i + batch]})[0] for i in range(0, len(x), batch)])


def held_out(m, path):
    """Accuracy of the exported file on the held-out images: on its classes; with 'other', on all too."""
    x, y = data.load("held")
    t = data.targets(y, m["covers"], m["other"])
    own = np.isin(y, [data.CLASSES.index(c) for c in m["covers"]])
    right = run(path, x).argmax(1) == t
    return float(right[own].mean()), (float(right.mean()) if m["other"] else None)


def record(m, path, params):
    accuracy, with_other = held_out(m, path)
    with open(path, "rb") as f:
        blob = f.read()
    entry = {
        "name": m["name"],
        "file": os.path.relpath(path, HERE),
        "kind": m["kind"],
        "labels": m["covers"] + (["other"] if m["other"] else []),
        "other": "other" if m["other"] else None,
        "covers": m["covers"],
        "size": [28, 28], "channels": 1, "layout": "NCHW",
        "mean": [data.MEAN], "std": [data.STD],
        "input": "image", "output": "logits",
        "accuracy": round(accuracy, 4),
        "accuracy_with_other": None if with_other is None else round(with_other, 4),
        "parameters": params,
        "bytes": len(blob),
        "sha256": hashlib.sha256(blob).hexdigest(),
    }
    index = os.path.join(HERE, "tried/zoo.json" if m["tried"] else "zoo.json")
    with open(index, "a+") as f:
        fcntl.flock(f, fcntl.LOCK_EX)  # two runs of this script may train at once
        f.seek(0)
        entries = {e["name"]: e for e in json.loads(f.read() or "[]")}
        entries[m["name"]] = entry
        ordered = [entries[k["name"]] for k in MODELS if k["name"] in entries]
        f.truncate(0)
        f.write("[\n" + ",\n".join("  " + json.dumps(e) for e in ordered) + "\n]\n")
    return entry


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("names", nargs="*", metavar="NAME")
    a.add_argument("--all", action="store_true")
    a.add_argument("--tried", action="store_true")
    a.add_argument("--threads", type=int, default=2)
    a.add_argument("--epochs", type=int, help="for a quick trial; the committed files use each recipe's own")
    a.add_argument("--fp32", action="store_true", help="no bfloat16 arithmetic while training")
    a.add_argument("--quiet", action="store_true")
    o = a.parse_args()
    chosen = [BY_NAME[n] for n in o.names]
    chosen += [m for m in MODELS if (o.all and not m["tried"]) or (o.tried and m["tried"])]
    if not chosen:
        a.error("name a model, or --all, or --tried")
    torch.set_num_threads(o.threads)
    x, y = data.load("fit")
    for m in chosen:
        if o.epochs:
            m["recipe"]["epochs"] = o.epochs
        began = time.time()
        t = data.targets(y, m["covers"], m["other"])
        xs, ts = torch.from_numpy(x[t >= 0]), torch.from_numpy(t[t >= 0])
        # bfloat16 halves the time of the larger networks, and does nothing for the others.
        lesson = lesson_for(m, t >= 0, *lessons(x, not o.quiet)) if m["recipe"].get("taught") else None
        net = fit(m, xs, ts, half=m["shape"] in ("resnet", "plain_cnn") and not o.fp32, log=not o.quiet, lesson=lesson)
        folder = os.path.join(HERE, "tried" if m["tried"] else "models")
        os.makedirs(folder, exist_ok=True)
        path = os.path.join(folder, m["name"] + ".onnx")
        export(m, net, path)
        e = record(m, path, sum(p.numel() for p in net.parameters()))
        print(f"{m['name']}: held-out {e['accuracy']:.4f} with other {e['accuracy_with_other']} "
              f"{e['parameters']} parameters {e['bytes']} bytes {time.time() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
