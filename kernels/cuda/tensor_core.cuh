// The two instructions of the tensor cores that tile_tf32.cuh uses; compute capability 8.0 and later. The tests'
// stand-in for a device has them in C++.
#pragma once
#ifndef CUDA_ON_THE_HOST

// To the nearest number of 11 bits of mantissa, ties away from zero; NaN and infinity stay.
__device__ inline float round_to_tf32(float value) {
    unsigned rounded;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(rounded) : "f"(value));
    return __uint_as_float(rounded);
}

// (c0, c1; c2, c3) += A (16, 8) B (8, 8), by the whole warp
__device__ inline void multiply_add_tf32(float& c0, float& c1, float& c2, float& c3, const float (&a)[4],
                                         const float (&b)[2]) {
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 "
                 "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(c0), "+f"(c1), "+f"(c2), "+f"(c3)
                 : "r"(__float_as_uint(a[0])), "r"(__float_as_uint(a[1])), "r"(__float_as_uint(a[2])),
                   "r"(__float_as_uint(a[3])), "r"(__float_as_uint(b[0])), "r"(__float_as_uint(b[1])));
}
#endif
