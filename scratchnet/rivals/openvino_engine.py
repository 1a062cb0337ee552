"""OpenVINO on our ONNX file: float32 (where it could, it would take bfloat16), all threads for one request."""

import openvino

from scratchnet.rivals.onnx_file import onnx_bytes


def engine(workload):
    core = openvino.Core()
    network = core.read_model(onnx_bytes(workload.network(), workload.batch))
    request = core.compile_model(network, "CPU", {
        "INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": workload.threads,
    }).create_infer_request()
    images = workload.images()

    def step():
        return request.infer([images], share_inputs=True, share_outputs=True)[0]
    return step, {"logits": step().copy()}
