#!/usr/bin/env python3
"""A plain onnxruntime loop over PNG files: started and timed by `predictsql-bench predict`."""
import json, os, sys, time
from concurrent.futures import ThreadPoolExecutor
import numpy, onnxruntime
from PIL import Image

job = json.load(open(sys.argv[1]))
os.nice(job["nice"])
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(job["model"], options, providers=["CPUExecutionProvider"])

def labels(paths):
    pixels = numpy.stack([numpy.asarray(Image.open(path), dtype=numpy.float32) for path in paths])
    tensor = (pixels[:, None] / 255 - job["mean"]) / job["std"]
    return session.run(None, {session.get_inputs()[0].name: tensor})[0].argmax(1).tolist()

with ThreadPoolExecutor(job["threads"]) as pool:
    print("ready", flush=True)
    for order in map(json.loads, sys.stdin):
        images, count, batch = job["images"], order["images"], order["batch"]
        start = time.perf_counter()
        paths = [images[i % len(images)] for i in range(count)]
        batches = [paths[i:i + batch] for i in range(0, count, batch)]
        answer = [label for found in pool.map(labels, batches) for label in found]
        print(json.dumps({"seconds": time.perf_counter() - start, "labels": answer}), flush=True)
