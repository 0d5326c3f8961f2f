#!/usr/bin/env python3
"""What one writes without PredictSQL: labels of photos by PyMySQL, Pillow and onnxruntime, one photo
after the other. Started and timed by `predictsql-bench predict`."""
import json, os, sys, time
import numpy, onnxruntime, pymysql
from PIL import Image

job = json.load(open(sys.argv[1]))
table = job["table"]
os.nice(job["nice"])
session = onnxruntime.InferenceSession(job["model"], providers=["CPUExecutionProvider"])
name = session.get_inputs()[0].name
mean = numpy.array([104, 117, 123], dtype=numpy.float32)
connection = pymysql.connect(host=table["host"], port=table["port"], user="root", database="bench")


def label(path):
    image = Image.open(path).convert("RGB").resize((256, 256), Image.Resampling.BILINEAR)
    pixels = numpy.asarray(image.crop((16, 16, 240, 240)), dtype=numpy.float32)
    return int(session.run(None, {name: pixels[None, :, :, ::-1] - mean})[0][0].argmax())


def labels(count):
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT photo FROM {table['name']} WHERE id <= %s ORDER BY id", (count,))
        return [label(os.path.join(table["image_root"], path)) for (path,) in cursor.fetchall()]


print("ready", flush=True)
for line in sys.stdin:
    start = time.perf_counter()
    answer = labels(json.loads(line)["images"])
    print(json.dumps({"seconds": time.perf_counter() - start, "labels": answer}), flush=True)
