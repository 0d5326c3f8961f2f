"""Triton's own client speaks to a worker: `triton_client.py ADDRESS MODEL OPTIONS IMAGE...`

MODEL is an ONNX file, OPTIONS a file with its options as the catalog has them (JSON). Prints the
scores of the images as JSON; the worker may read URIs below the images' folder."""

import json
import os
import sys

import numpy as np
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException


def scores(client, model, name, datatype, array):
    tensor = triton.InferInput(name, list(array.shape), datatype)
    tensor.set_data_from_numpy(array)
    answer = client.infer(model, [tensor], request_id="7")
    assert answer.get_response().id == "7"
    return answer.as_numpy("scores"), answer.as_numpy("error")


def refused(work, said):
    try:
        work()
    except InferenceServerException as error:
        assert said in error.message(), error
        return
    raise AssertionError(f"not refused: {said}")


def main():
    address, file, options, *images = sys.argv[1:]
    with open(options, encoding="utf-8") as of_model:
        options = json.load(of_model)
    with open(file, "rb") as of_model:
        content = of_model.read()
    client = triton.InferenceServerClient(address)
    assert client.is_server_live() and client.is_server_ready()
    assert client.get_server_metadata().name == "predictsql"
    assert not client.is_model_ready("nano")
    refused(lambda: client.infer("nano", []), "no such model")
    refused(lambda: client.load_model("nano"), "config")
    config = json.dumps({"options": options})
    client.load_model("nano", config=config, files={"file:1/model.onnx": content})
    assert client.is_model_ready("nano")
    assert [model.name for model in client.get_model_repository_index().models] == ["nano"]
    metadata = client.get_model_metadata("nano")
    shapes = {tensor.name: list(tensor.shape) for tensor in metadata.inputs}

    encoded = np.array([open(image, "rb").read() for image in images], dtype=np.object_)
    by_image, errors = scores(client, "nano", "image", "BYTES", encoded)
    assert not any(errors), errors
    uris = np.array([image.encode() for image in images] + [b"/etc/passwd"], dtype=np.object_)
    by_uri, errors = scores(client, "nano", "uri", "BYTES", uris)
    assert np.array_equal(by_uri[:-1], by_image)
    assert np.isnan(by_uri[-1]).all() and b"outside" in errors[-1], errors
    broken, errors = scores(client, "nano", "image", "BYTES", np.array([b"no image"], dtype=np.object_))
    assert np.isnan(broken).all() and errors[0]

    # Prepared by the client, as a foreign server would be sent them: a grey plane is its own tensor.
    shape = [2] + shapes["tensor"][1:]
    flat = np.zeros(shape, dtype=np.float32)
    by_tensor, _ = scores(client, "nano", "tensor", "FP32", flat)
    assert np.array_equal(by_tensor[0], by_tensor[1]) and np.isfinite(by_tensor).all()
    refused(
        lambda: scores(client, "nano", "tensor", "FP32", np.zeros([1, 2], dtype=np.float32)), "shape"
    )
    turned = np.zeros([2] + shapes["tensor"][:0:-1], dtype=np.float32)
    refused(lambda: scores(client, "nano", "tensor", "FP32", turned), "of shape")
    again = {"file:1/model.onnx": content}
    refused(lambda: client.load_model("0" * 32, config=config, files=again), "hexadecimal")
    refused(lambda: scores(client, "nano", "pixels", "FP32", flat), "no input 'pixels'")
    refused(lambda: scores(client, "nano", "image", "FP32", flat), "of type BYTES")

    counted = client.get_inference_statistics("nano").model_stats[0]
    assert counted.inference_count == 2 * len(images) + 4, counted
    assert counted.inference_stats.success.count == 4, counted
    assert counted.inference_stats.fail.count >= 3, counted
    client.unload_model("nano")
    assert not client.is_model_ready("nano")
    # The file is below no root of the worker, and it has kept what was sent.
    assert os.path.isabs(file)
    refused(lambda: client.load_model("other", config=json.dumps({"uri": file, "options": options})), "outside")
    print(json.dumps(by_image.tolist()))


main()
