// What the kernels share. No header is included, so that NVRTC needs none.
#pragma once

// for each element i < n: every thread takes PER_THREAD of them, a block's width apart. Neighbours read neighbours,
// several loads are in flight at once, and no alignment is asked for. `each` in launch.py makes the grid for it.
#define PER_THREAD 4
#define FOR_EACH(i, n)                                                                              \
    _Pragma("unroll") for (int round_ = 0, i = blockIdx.x * (PER_THREAD * blockDim.x) + threadIdx.x; \
                           round_ < PER_THREAD; round_++, i += blockDim.x) if (i < n)

// The upper half of a float32. It widens by itself; what is assigned to it is rounded to nearest, ties to even.
struct bf16 {
    unsigned short bits;

    __device__ operator float() const { return __int_as_float((unsigned)bits << 16); }

    __device__ bf16& operator=(float value) {
#if __CUDA_ARCH__ >= 800
        asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(value));
#else
        unsigned whole = __float_as_int(value);
        bits = value != value ? 0x7fff : (whole + 0x7fff + (whole >> 16 & 1)) >> 16;
#endif
        return *this;
    }
};

// How activations are stored. Each file is compiled for the one and for the other; launch.py sees to it that an array
// meets the kernel of its own dtype. What is computed is computed in float32.
#ifndef BF16
#define BF16 0
#endif
#if BF16
typedef bf16 real;
#else
typedef float real;
#endif

#define NOT_A_NUMBER __int_as_float(0x7fffffff)
#define MINUS_INFINITY __int_as_float(0xff800000)

#define ALL_LANES 0xffffffffu

// Over the 32 lanes of a warp; every lane gets the result. A butterfly: the same order of additions in every run.
__device__ inline float warp_sum(float value) {
    for (int other = 16; other > 0; other /= 2) value += __shfl_xor_sync(ALL_LANES, value, other);
    return value;
}

__device__ inline float warp_max(float value) {          // NaN where one is: a comparison that fails keeps it
    for (int other = 16; other > 0; other /= 2) {
        float theirs = __shfl_xor_sync(ALL_LANES, value, other);
        value = value != value || value > theirs ? value : theirs;
    }
    return value;
}

// What a convolution or a dense layer does to its result in the same pass; kernels/cuda/bias.py has the same numbers.
enum Activation { LINEAR, RELU, TANH };

__device__ inline float activated(float z, int activation) {
    if (activation == RELU) return z < 0.0f ? 0.0f : z;              // NaN stays NaN
    return activation == TANH ? tanhf(z) : z;
}
