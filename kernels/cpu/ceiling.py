"""How many multiply-adds this machine can do: fused ones, in registers, nothing loaded or stored.

No kernel can be faster, so speeds are given as a share of it. The loop is emitted as LLVM IR, because Numba would not
keep several independent chains: one fused multiply-add takes four cycles, and a core begins two in each.
"""
import platform
import statistics
import time

import llvmlite.binding
import numpy
from llvmlite import ir
from numba import prange, types
from numba.extending import intrinsic

from . import threads
from .compile import kernel

COUNT = 1_000_000                                # rounds of all chains in one call: some milliseconds


def vector_lanes():
    """float32 values in the widest register that this processor multiplies and adds in."""
    features = llvmlite.binding.get_host_cpu_features()
    return 16 if features.get("avx512f") else 8 if features.get("avx2") and features.get("fma") else 4


LANES = vector_lanes()
CHAINS = 16 if LANES == 16 or platform.machine() in ("arm64", "aarch64") else 12       # of 32 or of 16 registers


@intrinsic
def _chains(typing_context, count, x):
    """a_i <- x a_i + x, `count` times for each of CHAINS vectors a_i; returns one lane of their sum."""
    def generate(context, builder, signature, arguments):
        count, x = arguments
        vector = ir.VectorType(ir.FloatType(), LANES)
        name = f"llvm.fmuladd.v{LANES}f32"
        multiply_add = builder.module.globals.get(name) or ir.Function(
            builder.module, ir.FunctionType(vector, [vector] * 3), name)
        zero = ir.Constant(ir.IntType(32), 0)
        x = builder.shuffle_vector(builder.insert_element(ir.Constant(vector, ir.Undefined), x, zero),
                                   ir.Constant(vector, ir.Undefined),
                                   ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES))
        before = builder.block
        loop, end = builder.append_basic_block("loop"), builder.append_basic_block("end")
        builder.branch(loop)
        builder.position_at_end(loop)
        left = builder.phi(count.type)
        left.add_incoming(count, before)
        chains = [builder.phi(vector) for _ in range(CHAINS)]
        results = [builder.call(multiply_add, [x, chain, x]) for chain in chains]
        for index, (chain, result) in enumerate(zip(chains, results)):       # begun apart, so that none equals another
            chain.add_incoming(ir.Constant(vector, [float(index)] * LANES), before)
            chain.add_incoming(result, loop)
        less = builder.sub(left, ir.Constant(count.type, 1))
        left.add_incoming(less, loop)
        builder.cbranch(builder.icmp_signed("!=", less, ir.Constant(count.type, 0)), loop, end)
        builder.position_at_end(end)
        total = results[0]
        for result in results[1:]:
            total = builder.fadd(total, result)
        return builder.extract_element(total, zero)
    return types.float32(types.intp, types.float32), generate


@kernel
def _multiply_add(count, x, out):
    for thread in prange(out.size):
        out[thread] = _chains(count, x[0])


def multiply_adds(seconds=0.2):
    """Fused multiply-adds a second, on as many threads as kernels use: the median over calls of some milliseconds."""
    x, out = numpy.full(1, 0.5, numpy.float32), numpy.empty(threads.threads(), numpy.float32)
    _multiply_add(COUNT, x, out)
    speeds, started = [], time.perf_counter()
    while not speeds or time.perf_counter() - started < seconds:
        before = time.perf_counter()
        _multiply_add(COUNT, x, out)
        speeds.append(out.size * CHAINS * LANES * COUNT / (time.perf_counter() - before))
    return statistics.median(speeds)
