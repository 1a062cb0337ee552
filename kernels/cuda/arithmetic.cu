// What containers do with whole arrays.
#include "common.cuh"

// out = x + scale y
extern "C" __global__ void add(const real* __restrict__ x, const real* __restrict__ y, real* __restrict__ out, int n,
                               float scale) {
    FOR_EACH(i, n) out[i] = x[i] + scale * y[i];
}

// grad += d
extern "C" __global__ void accumulate(float* __restrict__ grad, const float* __restrict__ d, int n) {
    FOR_EACH(i, n) grad[i] += d[i];
}

// The columns `first` to first + C of the rows of `wide`, `across` numbers each, from `narrow` (n/C, C), or back.
extern "C" __global__ void copy_columns(real* __restrict__ wide, real* __restrict__ narrow, int n, int C, int across,
                                        int first, int back) {
    FOR_EACH(i, n) {
        long long at = (long long)(i / C) * across + first + i % C;
        if (back)
            narrow[i] = wide[at];
        else
            wide[at] = narrow[i];
    }
}
