"""onnxruntime on our ONNX file: all graph optimisations, all threads inside of operators."""

import onnxruntime

from scratchnet.rivals.onnx_file import INPUT, onnx_bytes


def engine(workload):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = workload.threads, 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    session = onnxruntime.InferenceSession(onnx_bytes(workload.network(), workload.batch), options,
                                           providers=["CPUExecutionProvider"])
    feed = {INPUT: workload.images()}

    def step():
        return session.run(None, feed)[0]
    return step, {"logits": step()}
