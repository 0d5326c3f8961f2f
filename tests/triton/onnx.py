"""A model for Triton's Python backend: the ONNX file beside it, run by ONNX Runtime."""

import os

import onnxruntime
import triton_python_backend_utils as triton


class TritonPythonModel:
    def initialize(self, args):
        folder = os.path.join(args["model_repository"], args["model_version"])
        file = os.path.join(folder, "model.onnx")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        self.input = self.session.get_inputs()[0].name

    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        image = triton.get_input_tensor_by_name(request, "image").as_numpy()
        logits = self.session.run(None, {self.input: image})[0]
        return triton.InferenceResponse([triton.Tensor("logits", logits)])
