// From one way to store a number to the other.
#include "common.cuh"

// y = x, rounded to nearest, ties to even
extern "C" __global__ void to_bfloat16(const float* __restrict__ x, bf16* __restrict__ y, int n) {
    FOR_EACH(i, n) y[i] = x[i];
}

// y = x, exactly
extern "C" __global__ void to_float32(const bf16* __restrict__ x, float* __restrict__ y, int n) {
    FOR_EACH(i, n) y[i] = x[i];
}
