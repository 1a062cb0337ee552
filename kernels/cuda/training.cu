// What a training step does on the device beside its operations: running statistics, and counting.
#include "common.cuh"

#define POSITIVE_INFINITY __int_as_float(0x7f800000)
#define WARPS 32                                 // of the block that counts, as in training.py

__device__ inline bool is_finite(float x) { return x - x == 0.0f; }

// running <- running + momentum (batch - running), for mean and variance (C,), the variance of the batch times `unbias`.
// A channel whose statistics are not finite keeps its own: such a step is skipped (optim.cu).
extern "C" __global__ void running_statistics(float* running_mean, float* running_var, const float* mean,
                                              const float* var, int C, float momentum, float unbias) {
    int c = blockIdx.x * blockDim.x + threadIdx.x;
    if (c >= C || !is_finite(mean[c]) || !is_finite(var[c])) return;
    running_mean[c] += momentum * (mean[c] - running_mean[c]);
    running_var[c] += momentum * (var[c] * unbias - running_var[c]);
}

// Whether x at i stands before y at j: it is larger, a NaN larger than all, or as large and further to the front.
__device__ inline bool before(float x, float i, float y, float j) {
    bool same = x == y || (x != x && y != y);
    return same ? i < j : x != x || x > y;
}

// Where the largest of K numbers is, by the 32 lanes of a warp; every lane gets it.
__device__ inline int largest(const float* __restrict__ row, int K) {
    float best = MINUS_INFINITY, at = K;
    for (int k = threadIdx.x % 32; k < K; k += 32)
        if (before(row[k], k, best, at)) best = row[k], at = k;
    for (int other = 16; other > 0; other /= 2) {
        float theirs = __shfl_xor_sync(ALL_LANES, best, other), there = __shfl_xor_sync(ALL_LANES, at, other);
        if (before(theirs, there, best, at)) best = theirs, at = there;
    }
    return at;
}

// losses[at] = the loss, or NaN for a step that was skipped; hits[at] = in how many of N rows the largest of K scores is
// at the label, or at the largest of K probabilities. By one block, a warp a row.
extern "C" __global__ void tally(float* losses, long long* hits, const float* loss, const float* scores,
                                 const long long* labels, const float* probabilities, const int* skipped, int at, int N,
                                 int K) {
    __shared__ int shared[WARPS];
    int warp = threadIdx.x / 32, mine = 0;
    for (int n = warp; n < N; n += WARPS) {
        int expected = probabilities ? largest(probabilities + (long long)n * K, K) : (int)labels[n];
        mine += largest(scores + (long long)n * K, K) == expected;
    }
    if (threadIdx.x % 32 == 0) shared[warp] = mine;
    __syncthreads();
    if (threadIdx.x > 0) return;
    for (int other = 1; other < WARPS; other++) mine += shared[other];
    hits[at] = mine;
    losses[at] = skipped && *skipped ? NOT_A_NUMBER : is_finite(*loss) ? *loss : POSITIVE_INFINITY;
}
