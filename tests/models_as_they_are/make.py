"""Makes the models, photos and expected answers of `tests/tests/e2e/models_as_they_are/`: same bytes every time.

    pip install numpy==2.4.6 pillow==13.0.0 onnx==1.23.2 onnxruntime==1.32.0
    python3 tests/models_as_they_are/make.py

`exports/` has models with the files that exporters write beside them, with random weights and blocks like those of SqueezeNet and
ResNet. `expected.json` has what Pillow and ONNX Runtime in Python answer for each photo. `small/` has models that answer which
channel of an 8 x 8 image is strongest, in as many forms as people have.
"""

import io
import json
import pathlib

import numpy as np
import onnxruntime
from onnx import TensorProto, checker, helper, numpy_helper
from PIL import Image, ImageDraw, ImageFilter, ImageOps

HERE = pathlib.Path(__file__).parent
FLOAT, HALF, BYTE = TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.UINT8
LABELS = ["tench", "crane", "red fox", "tabby, tabby cat", "crane (machine)"]
PHOTOS = 100
# Answers nearer to each other than this say nothing about who computed them rightly.
MARGIN = 0.0025
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


# --- photos ----------------------------------------------------------------------------------------------------------
def photo(seed):
    """A landscape of soft noise with some shapes in it."""
    random = np.random.default_rng(seed)
    width, height = (int(n) for n in random.integers(64, 190, 2))
    coarse = random.integers(0, 256, (5, 6, 3)).astype(np.uint8)
    image = Image.fromarray(coarse).resize((width, height), Image.BICUBIC)
    draw = ImageDraw.Draw(image)
    for _ in range(int(random.integers(2, 7))):
        x, y = random.integers(0, width), random.integers(0, height)
        w, h = random.integers(6, 60, 2)
        colour = tuple(int(c) for c in random.integers(0, 256, 3))
        (draw.ellipse if random.random() < 0.6 else draw.rectangle)([x - w // 2, y - h // 2, x + w // 2, y + h // 2], fill=colour)
    image = image.filter(ImageFilter.GaussianBlur(0.7))
    return image.convert("L") if seed % 17 == 3 else image


def encoded(image, seed):
    out = io.BytesIO()
    if seed % 6 == 0:
        image.save(out, "PNG", optimize=True)
        return "png", out.getvalue()
    image.save(out, "JPEG", quality=90, subsampling=0)
    return "jpg", out.getvalue()


# --- preprocessing as people write it in Python ------------------------------------------------------------------------
def cropped(image, size, scaled, how):
    """torchvision's Resize(scaled) and CenterCrop(size)."""
    width, height = image.size
    if width <= height:
        image = image.resize((scaled, int(scaled * height / width)), how)
    else:
        image = image.resize((int(scaled * width / height), scaled), how)
    left, top = int(round((image.width - size) / 2.0)), int(round((image.height - size) / 2.0))
    return image.crop((left, top, left + size, top + size))


def letterboxed(image, size, how):
    """ultralytics' LetterBox."""
    width, height = image.size
    ratio = min(size / width, size / height)
    new = (int(round(width * ratio)), int(round(height * ratio)))
    out = Image.new("RGB", (size, size), (114, 114, 114))
    out.paste(image.resize(new, how), (int(round((size - new[0]) / 2 - 0.1)), int(round((size - new[1]) / 2 - 0.1))))
    return out


def normalised(image, mean=(0, 0, 0), std=(1, 1, 1), scale=1 / 255, bgr=False):
    pixels = np.asarray(image.convert("RGB"), np.float32)
    pixels = pixels[..., ::-1] if bgr else pixels
    return (((pixels * np.float32(scale)) - np.float32(mean)) / np.float32(std)).astype(np.float32).transpose(2, 0, 1)


# --- models ------------------------------------------------------------------------------------------------------------
def info(name, shape, kind=FLOAT):
    return helper.make_tensor_value_info(name, kind, shape)


def model(nodes, inputs, outputs, weights, opsets=(("", 17),), metadata=(), check=True):
    graph = helper.make_graph(nodes, "graph", inputs, outputs, weights)
    imports = [helper.make_opsetid(*opset) for opset in opsets]
    made = helper.make_model(graph, producer_name="predictsql-tests", ir_version=8, opset_imports=imports)
    for key, value in metadata:
        entry = made.metadata_props.add()
        entry.key, entry.value = key, value
    if check:
        checker.check_model(made)
    return made.SerializeToString()


def network(kind, seed, last, element=FLOAT, softmax=False, bytes_in=False, metadata=()):
    """A few blocks as SqueezeNet ('squeeze') or ResNet ('residual') has them. `last` is (weights, bias) of the head."""
    random = np.random.default_rng(seed)
    numeric = np.float16 if element == HALF else np.float32
    weights, nodes = [], []

    def node(operator, inputs, output, **attributes):
        nodes.append(helper.make_node(operator, inputs, [output], **attributes))
        return output

    def conv(source, name, outs, ins, side, stride=1):
        kernel = random.normal(0, (2 / (ins * side * side)) ** 0.5, (outs, ins, side, side))
        weights.append(numpy_helper.from_array(kernel.astype(numeric), name + ".weight"))
        return node("Conv", [source, name + ".weight"], name, kernel_shape=[side, side], strides=[stride, stride], pads=[side // 2] * 4)

    at = "pixel_values"
    if bytes_in:
        at = node("Cast", [at], "floats", to=FLOAT)
        at = node("Transpose", [at], "planes", perm=[0, 3, 1, 2])
        weights.append(numpy_helper.from_array(np.array([127.5], np.float32), "centre"))
        at = node("Div", [node("Sub", [at, "centre"], "centred"), "centre"], "ones")
    at = node("Relu", [conv(at, "stem", 12, 3, 3, 2)], "stem.relu")
    if kind == "squeeze":
        squeezed = node("Relu", [conv(at, "squeeze", 6, 12, 1)], "squeeze.relu")
        wide = [node("Relu", [conv(squeezed, f"expand{n}", 12, 6, n)], f"expand{n}.relu") for n in (1, 3)]
        at, width = node("Concat", wide, "fire", axis=1), 24
    else:
        inner = node("Relu", [conv(at, "inner", 12, 12, 3)], "inner.relu")
        at, width = node("Relu", [node("Add", [at, conv(inner, "outer", 12, 12, 3)], "sum")], "block"), 12
    at = node("GlobalAveragePool", [at], "pooled")
    outputs = [info("pooled", ["batch", width, 1, 1], element)]
    if last is not None:
        kernel, bias = last
        weights.append(numpy_helper.from_array(kernel.astype(numeric).reshape(len(LABELS), width, 1, 1), "head.weight"))
        weights.append(numpy_helper.from_array(bias.astype(numeric), "head.bias"))
        at = node("Conv", [at, "head.weight", "head.bias"], "logits", kernel_shape=[1, 1])
        outputs = [info("logits", ["batch", len(LABELS), 1, 1], element)]
        if softmax:
            at = node("Softmax", [node("Flatten", [at], "flat")], "output0", axis=1)
            outputs = [info("output0", ["batch", len(LABELS)])]
    shape = ["batch", 32, 32, 3] if bytes_in else ["batch", 3, 32, 32]
    inputs = [info("pixel_values", shape, BYTE if bytes_in else element)]
    return model(nodes, inputs, outputs, weights, metadata=metadata)


def run(file, tensors):
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    kind = {"tensor(float16)": np.float16, "tensor(uint8)": np.uint8}.get(session.get_inputs()[0].type, np.float32)
    name = session.get_inputs()[0].name
    outputs = [session.run(None, {name: tensor[None].astype(kind)})[0].astype(np.float32).reshape(-1) for tensor in tensors]
    return np.stack(outputs)


def scores(outputs, softmax):
    if softmax:
        return outputs
    powers = np.exp(outputs - outputs.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def head(features, seed):
    """A head whose answers differ over the photos."""
    random = np.random.default_rng(seed)
    kernel = random.normal(0, 1, (len(LABELS), features.shape[1]))
    outputs = features @ kernel.T
    kernel *= (0.3 / outputs.std(0))[:, None]
    return kernel, -(features @ kernel.T).mean(0)


def processor(kind, size, **more):
    plain = {"do_normalize": True, "do_rescale": True, "do_resize": True, "image_mean": MEAN, "image_std": STD, "rescale_factor": 1 / 255}
    return {**plain, "image_processor_type": kind, "size": size, **more}


CONFIG = {"architectures": ["AnyForImageClassification"], "id2label": {str(i): label for i, label in enumerate(LABELS)}, "model_type": "any"}
TIMM = {"architecture": "any", "num_classes": 5, "label_names": LABELS, "pretrained_cfg": {
    "input_size": [3, 32, 32], "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "crop_pct": 0.95, "crop_mode": "center", "interpolation": "bicubic"}}
ULTRALYTICS = (("description", "Ultralytics any-cls"), ("task", "classify"), ("imgsz", "[32, 32]"), ("names", str(dict(enumerate(LABELS)))))
BILINEAR, BICUBIC, LANCZOS = Image.BILINEAR, Image.BICUBIC, Image.LANCZOS
# Name, file, OPTIONS, files beside it, network, and the pixels in Python.
EXPORTS = [
    ("stretch", "onnx/model.onnx", "", {"config.json": CONFIG, "preprocessor_config.json": processor("ViTImageProcessor", {"height": 32, "width": 32}, resample=2)},
     dict(kind="residual", seed=1), lambda i: normalised(i.resize((32, 32), BILINEAR), MEAN, STD)),
    ("crop", "model.onnx", "", {"config.json": CONFIG, "preprocessor_config.json": processor("ConvNextImageProcessor", {"shortest_edge": 32}, crop_pct=0.875, resample=3)},
     dict(kind="squeeze", seed=2), lambda i: normalised(cropped(i, 32, 36, BICUBIC), MEAN, STD)),
    ("squash", "model.onnx", "", {"config.json": CONFIG, "preprocessor_config.json": processor(
        "DeiTImageProcessor", {"height": 38, "width": 38}, do_center_crop=True, crop_size={"height": 32, "width": 32}, resample=1)},
     dict(kind="residual", seed=3), lambda i: normalised(i.resize((38, 38), LANCZOS).crop((3, 3, 35, 35)), MEAN, STD)),
    ("bgr", "model.onnx", "", {"config.json": CONFIG, "preprocessor_config.json": processor(
        "MobileViTImageProcessor", {"shortest_edge": 36}, do_center_crop=True, crop_size={"height": 32, "width": 32}, do_flip_channel_order=True, do_normalize=False, resample=2)},
     dict(kind="squeeze", seed=4), lambda i: normalised(cropped(i, 32, 36, BILINEAR), bgr=True)),
    ("half", "onnx/model.onnx", "", {"config.json": CONFIG, "preprocessor_config.json": processor("ViTImageProcessor", {"height": 32, "width": 32}, resample=3)},
     dict(kind="residual", seed=5, element=HALF), lambda i: normalised(i.resize((32, 32), BICUBIC), MEAN, STD)),
    ("bytes", "model.onnx", "", {"config.json": CONFIG, "preprocessor_config.json": processor(
        "ViTImageProcessor", {"height": 32, "width": 32}, do_rescale=False, do_normalize=False, resample=2)},
     dict(kind="squeeze", seed=6, bytes_in=True), lambda i: np.asarray(i.convert("RGB").resize((32, 32), BILINEAR))),
    ("timm", "model.onnx", "", {"config.json": TIMM}, dict(kind="residual", seed=7), lambda i: normalised(cropped(i, 32, 33, BICUBIC), [0.5] * 3, [0.5] * 3)),
    ("ultralytics", "any-cls.onnx", "", {}, dict(kind="squeeze", seed=8, softmax=True, metadata=ULTRALYTICS), lambda i: normalised(cropped(i, 32, 32, BILINEAR))),
    ("pad", "model.onnx", "resize = 'pad'", {"config.json": CONFIG, "preprocessor_config.json": processor("ViTImageProcessor", {"height": 32, "width": 32}, resample=2)},
     dict(kind="residual", seed=9), lambda i: normalised(ImageOps.pad(i, (32, 32), BILINEAR), MEAN, STD)),
    ("letterbox", "model.onnx", "resize = 'letterbox', scale = 1, mean = (123.675, 116.28, 103.53), std = (58.395, 57.12, 57.375)",
     {"config.json": CONFIG, "preprocessor_config.json": processor("ViTImageProcessor", {"height": 32, "width": 32}, resample=2)},
     dict(kind="squeeze", seed=10), lambda i: normalised(letterboxed(i, 32, BILINEAR), [255 * m for m in MEAN], [255 * s for s in STD], scale=1)),
]


def exports():
    folder = HERE / "photos"
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    photos = []
    for seed in range(3 * PHOTOS):
        suffix, data = encoded(photo(seed), seed)
        photos.append((suffix, data, Image.open(io.BytesIO(data)).convert("RGB")))
    answers = []
    for name, file, options, beside, how, pixels in EXPORTS:
        tensors = [pixels(image) for _, _, image in photos]
        features = run(network(last=None, **{**how, "softmax": False}), tensors)
        made = network(last=head(features, how["seed"]), **how)
        target = HERE / "exports" / name / file
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(made)
        for beside_name, content in beside.items():
            (HERE / "exports" / name / beside_name).write_text(json.dumps(content, indent=1) + "\n")
        answers.append(scores(run(made, tensors), how.get("softmax", False)))
    ordered = [np.sort(a, axis=1) for a in answers]
    clear = [n for n in range(len(photos)) if all(o[n, -1] - o[n, -2] > MARGIN for o in ordered)][:PHOTOS]
    assert len(clear) == PHOTOS, len(clear)
    names = []
    for number, n in enumerate(clear):
        names.append(f"{number:03}.{photos[n][0]}")
        (folder / names[-1]).write_bytes(photos[n][1])
    expected = {"labels": LABELS, "photos": names, "exports": [
        {"name": name, "from": f"exports/{name}/" if beside else f"exports/{name}/{file}", "options": options,
         "scores": [[round(float(s), 6) for s in answers[index][n]] for n in clear]}
        for index, (name, file, options, beside, _, _) in enumerate(EXPORTS)]}
    for export, found in zip(expected["exports"], answers):
        chosen = {int(found[n].argmax()) for n in clear}
        assert len(chosen) >= 4, (export["name"], chosen)
    (HERE / "expected.json").write_text(json.dumps(expected, separators=(",", ":")).replace("],[", "],\n[").replace('{"name"', '\n{"name"') + "\n")


# --- small models in many forms ------------------------------------------------------------------------------------------
def array(values, name, kind=np.float32):
    return numpy_helper.from_array(np.array(values, kind), name)


def small(name, nodes, outputs, weights=(), input_shape=("batch", 3, 8, 8), kind=FLOAT, batch="batch", **more):
    """Logits are 10 times the mean of each channel; `nodes` go on from 'logits'."""
    shape = [batch, *input_shape[1:]]
    first = [
        helper.make_node("ReduceMean", ["image"], ["means"], axes=[2, 3], keepdims=0),
        helper.make_node("MatMul", ["means", "gain"], ["logits"]),
    ]
    made = model([*first, *nodes], [info("image", shape, kind)], outputs, [array(10 * np.eye(3), "gain"), *weights], **more)
    (HERE / "small" / f"{name}.onnx").write_bytes(made)


def raw(name, nodes, inputs, outputs, weights=(), **more):
    (HERE / "small" / f"{name}.onnx").write_bytes(model(nodes, inputs, outputs, list(weights), **more))


def node(operator, inputs, outputs, **attributes):
    return helper.make_node(operator, inputs, outputs, **attributes)


def several_outputs():
    logits = info("logits", ["batch", 3])
    flat = node("Flatten", ["image"], ["features"], axis=1)
    small("features_first", [flat], [info("features", ["batch", "dim"]), logits])
    turned = [node("MatMul", ["logits", "turn"], ["features"])]
    turn = array(np.roll(np.eye(3), 1, 0), "turn")
    small("embedding_of_three", turned, [info("features", ["batch", 3]), logits], [turn])
    same = [node("MatMul", ["logits", "turn"], ["a"]), node("Identity", ["logits"], ["b"])]
    small("two_alike", same, [info("a", ["batch", 3]), info("b", ["batch", 3])], [turn])
    small("four_axes", [node("Unsqueeze", ["logits", "axes"], ["out"])], [info("out", ["batch", 3, 1, 1])], [array([2, 3], "axes", np.int64)])
    small("no_batch", [node("Squeeze", ["logits", "axes"], ["out"])], [info("out", [3])], [array([0], "axes", np.int64)], batch=1)


def probabilities():
    softmax = node("Softmax", ["logits"], ["probabilities"], axis=1)
    out = [info("probabilities", ["batch", 3])]
    small("probabilities", [softmax], out)
    rounded = [node("Softmax", ["logits"], ["exact"], axis=1), node("QuantizeLinear", ["exact", "step", "zero"], ["steps"]),
               node("DequantizeLinear", ["steps", "step", "zero"], ["probabilities"])]
    small("quantised_probabilities", rounded, out, [array(1 / 256, "step"), array(0, "zero", np.uint8)])
    # One column for two classes: how much brighter red is than blue.
    red_or_blue = array([[4], [0], [-4]], "direction")
    difference = [node("MatMul", ["means", "direction"], ["difference"])]
    small("one_logit", difference, [info("difference", ["batch", 1])], [red_or_blue])
    small("one_probability", [*difference, node("Sigmoid", ["difference"], ["p"])], [info("p", ["batch", 1])], [red_or_blue])


def types():
    cast = [node("Cast", ["image"], ["floats"], to=FLOAT)]
    mean = lambda axes: node("ReduceMean", ["floats"], ["means"], axes=axes, keepdims=0)
    gain = [node("MatMul", ["means", "gain"], ["logits"])]
    weights = [array(np.eye(3) / 25, "gain")]
    logits = [info("logits", ["batch", 3])]
    raw("bytes_nhwc", [*cast, mean([1, 2]), *gain], [info("image", ["batch", 8, 8, 3], BYTE)], logits, weights)
    raw("bytes_nchw", [*cast, mean([2, 3]), *gain], [info("image", ["batch", 3, 8, 8], BYTE)], logits, weights)
    half = [node("ReduceMean", ["image"], ["means"], axes=[2, 3], keepdims=0), *gain]
    ten = [array(10 * np.eye(3), "gain", np.float16)]
    raw("half", half, [info("image", ["batch", 3, 8, 8], HALF)], [info("logits", ["batch", 3], HALF)], ten)
    to_half = [node("Cast", ["logits"], ["out"], to=HALF)]
    small("half_out", to_half, [info("out", ["batch", 3], HALF)])
    inside = [node("Cast", ["image"], ["halves"], to=HALF), node("ReduceMean", ["halves"], ["means"], axes=[2, 3], keepdims=0),
              node("MatMul", ["means", "gain"], ["product"]), node("Cast", ["product"], ["logits"], to=FLOAT)]
    raw("half_inside", inside, [info("image", ["batch", 3, 8, 8])], logits, ten)
    decoded = [node("ImageDecoder", ["image"], ["pixels"], pixel_format="RGB"), node("Cast", ["pixels"], ["floats"], to=FLOAT),
               node("ReduceMean", ["floats", "sides"], ["means"], keepdims=0), node("Unsqueeze", ["means", "axes"], ["logits"])]
    raw("encoded_bytes", decoded, [info("image", ["length"], BYTE)], [info("logits", [1, 3])], [array([0], "axes", np.int64), array([0, 1], "sides", np.int64)], opsets=(("", 20),), check=False)
    raw("double", [*cast, mean([2, 3]), *gain], [info("image", ["batch", 3, 8, 8], TensorProto.DOUBLE)], logits, weights)


def liars():
    # One scale for all images of a run: dark ones lose all but one step beside light ones.
    dynamic = [node("DynamicQuantizeLinear", ["means"], ["steps", "step", "zero"]), node("DequantizeLinear", ["steps", "step", "zero"], ["rounded"]),
               node("Sub", ["rounded", "floor"], ["above"]), node("MatMul", ["above", "large"], ["out"])]
    large = [array(900 * np.eye(3), "large"), array([[0.003, 0.0, 0.0]], "floor")]
    small("dynamic", dynamic, [info("out", ["batch", 3])], large)
    # The same without the operator: answers in steps of a part of the run's greatest value.
    steps = [node("ReduceMax", ["means"], ["most"], keepdims=0), node("Mul", ["most", "part"], ["step"]), node("Div", ["means", "step"], ["scaled"]),
             node("Round", ["scaled"], ["whole"]), node("Mul", ["whole", "step"], ["rounded"]), node("MatMul", ["rounded", "large"], ["out"])]
    small("scaled_by_run", steps, [info("out", ["batch", 3])], [array(900 * np.eye(3), "large"), array(0.05, "part")])
    small("scaled_by_run_of_4", steps, [info("out", [4, 3])], [array(900 * np.eye(3), "large"), array(0.05, "part")], batch=4)
    standard = [node("ReduceMean", ["image"], ["centre"], axes=[1, 2, 3], keepdims=1), node("Sub", ["image", "centre"], ["centred"]),
                node("Mul", ["centred", "centred"], ["squares"]), node("ReduceMean", ["squares"], ["variance"], axes=[1, 2, 3], keepdims=1),
                node("Sqrt", ["variance"], ["deviation"]), node("Div", ["centred", "deviation"], ["standard"]),
                node("ReduceMean", ["standard"], ["out"], axes=[2, 3], keepdims=0)]
    small("standardised", standard, [info("out", ["batch", 3])])
    constant = [node("Mul", ["logits", "none"], ["nothing"]), node("Add", ["nothing", "bias"], ["out"])]
    small("constant", constant, [info("out", ["batch", 3])], [array(0, "none"), array([1, 2, 3], "bias")])


def columns():
    names = ["sepal_length__cm_", "petal_length__cm_"]
    joined = [node("Concat", names, ["all"], axis=1), node("MatMul", ["all", "gain"], ["sums"]), node("Softmax", ["sums"], ["probabilities"], axis=1)]
    raw("telling_names", joined, [info(name, ["batch", 1]) for name in names], [info("probabilities", ["batch", 2])], [array(np.eye(2), "gain")])


def main():
    for folder in ("exports", "small"):
        (HERE / folder).mkdir(exist_ok=True)
    exports()
    for make in (several_outputs, probabilities, types, liars, columns):
        make()
    (HERE / "exports" / "labels.txt").write_bytes("\ufeff".encode() + "\r\n".join(LABELS).encode() + b"\r\n\r\n")
    (HERE / "exports" / "labels.json").write_text(json.dumps(LABELS))


main()
