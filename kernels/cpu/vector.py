"""Vectors of 8 floats by hand, for short runs of channels: Numba's vectoriser gives a loop over 6 of them no vector.

A pixel of C channels is read and written in ⌈C/8⌉ vectors, the last of which reaches into the next pixel. What it
spoils there is right again once that one is written, so pixels go from left to right, and those at the end of a row, for
which `whole_pixels` leaves no room, channel by channel.
"""
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, models, register_model

from .compile import helper

LANES = 8
VECTOR = ir.VectorType(ir.FloatType(), LANES)


class _Vector(types.Type):
    """8 floats in a register."""

    def __init__(self):
        super().__init__(name=f"vector of {LANES} float32")


@register_model(_Vector)
class _Model(models.PrimitiveModel):
    def __init__(self, manager, kind):
        super().__init__(manager, kind, VECTOR)


_vector = _Vector()


def _place(context, builder, array, kind, index):
    """A pointer to vectors at an array's element."""
    data = context.make_array(kind)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), VECTOR.as_pointer())


@intrinsic
def load(context, array, index):
    """array[index : index + 8] of a flat array; index is unsigned, and nothing checks it."""
    def generate(context, builder, signature, arguments):
        return builder.load(_place(context, builder, arguments[0], signature.args[0], arguments[1]), align=4)
    return _vector(array, types.uint64), generate


@intrinsic
def store(context, vector, array, index):
    """array[index : index + 8] = vector."""
    def generate(context, builder, signature, arguments):
        vector, array, index = arguments
        builder.store(vector, _place(context, builder, array, signature.args[1], index), align=4)
        return context.get_dummy_value()
    return types.void(_vector, array, types.uint64), generate


@intrinsic
def plus(context, a, b):
    def generate(context, builder, signature, arguments):
        return builder.fadd(*arguments)
    return _vector(_vector, _vector), generate


@intrinsic
def times(context, vector, number):
    """vector · number."""
    def generate(context, builder, signature, arguments):
        vector, number = arguments
        one = builder.insert_element(ir.Constant(VECTOR, ir.Undefined), number, ir.Constant(ir.IntType(32), 0))
        mask = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
        return builder.fmul(vector, builder.shuffle_vector(one, one, mask))
    return _vector(_vector, types.float32), generate


@helper
def whole_pixels(pixels, C):
    """How many of a row's pixels of C channels may be written in vectors that stay inside the row."""
    beyond = -C % LANES
    return max(0, pixels - (beyond + C - 1) // C)
