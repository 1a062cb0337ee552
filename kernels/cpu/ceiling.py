"""How many multiply-adds this machine can do: fused ones, in registers, nothing loaded or stored.

No kernel can be faster, so speeds are given as a share of it. The loop is emitted as LLVM IR, because Numba would not
keep several independent chains: one fused multiply-add takes four cycles, and a core begins two in each.
"""
import statistics
import time

import numpy
from llvmlite import ir
from numba import prange, types
from numba.extending import intrinsic

from . import threads
from .compile import kernel
from .tile import INT, LANES, VECTORS, Loop, Vectors

COUNT = 1_000_000                                # rounds of all chains in one call: some milliseconds
CHAINS = 16 if VECTORS == 4 else 12              # of 32 or of 16 registers


@intrinsic
def _chains(typing_context, count, x):
    """a_i <- x a_i + x, `count` times for each of CHAINS vectors a_i; returns one lane of their sum."""
    def generate(context, builder, signature, arguments):
        count, x = arguments
        v, loop = Vectors(builder, LANES), Loop(builder, "chains")
        x = v.spread(x)
        left, chains = loop.start(count, [v.constant(index) for index in range(CHAINS)])     # so that none equals another
        chains = [builder.call(v.multiply_add, [x, chain, x]) for chain in chains]
        left = builder.sub(left, ir.Constant(INT, 1))
        loop.end(builder.icmp_signed("!=", left, ir.Constant(INT, 0)), left, chains)
        total = chains[0]
        for chain in chains[1:]:
            total = builder.fadd(total, chain)
        return builder.extract_element(total, ir.Constant(ir.IntType(32), 0))
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
