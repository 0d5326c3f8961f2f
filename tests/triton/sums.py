"""A model for Triton's Python backend: the price times the pieces plus the length of the name.

A name of 'fail' makes the model fail; one of 'nan' has no finite answer."""

import numpy as np
import triton_python_backend_utils as triton


def value(price, pieces, name):
    if name == "fail":
        raise ValueError("the model was asked to fail")
    return float("nan") if name == "nan" else price * pieces + len(name)


class TritonPythonModel:
    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        price, pieces, name = (
            triton.get_input_tensor_by_name(request, column).as_numpy()[:, 0]
            for column in ("price", "pieces", "name")
        )
        try:
            rows = [value(*row) for row in zip(price, pieces, (n.decode("utf-8") for n in name))]
        except ValueError as error:
            return triton.InferenceResponse(error=triton.TritonError(str(error)))
        output = np.array(rows, dtype=np.float64).reshape(-1, 1)
        return triton.InferenceResponse([triton.Tensor("value", output)])
