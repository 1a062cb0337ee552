// Losses and their gradients in the predictions. The terms of a loss are added by one block, in a fixed order.
#include "common.cuh"

// t_k of a row: a probability, or 1 at the label and 0 elsewhere; smoothed: (1 - s) t + s/K, Szegedy et al. 2016, sec.
// 7
__device__ inline float target(const float* probabilities, long long label, int k, int K, float s) {
    float t = probabilities ? probabilities[k] : k == label ? 1.0f : 0.0f;
    return s != 0.0f ? (1.0f - s) * t + s / K : t;
}

// terms[row] = -Σ_k t_k log softmax(z)_k and dz = (softmax(z) Σ_k t_k - t)/N, a warp a row, where log softmax(z) =
// z - max z - log Σ e^(z - max z). Where t is 0 so is the product, also at a logit of -inf.
// z, dz (N, K); labels (N,), or null and probabilities (N, K)
extern "C" __global__ void softmax_cross_entropy(const float* __restrict__ z, const long long* __restrict__ labels,
                                                 const float* __restrict__ probabilities, float* __restrict__ terms,
                                                 float* __restrict__ dz, int N, int K, float label_smoothing) {
    int row = blockIdx.x * blockDim.y + threadIdx.y;
    if (row >= N) return;
    long long at = (long long)row * K, label = labels ? labels[row] : -1;
    const float* t_row = probabilities ? probabilities + at : nullptr;
    float most = MINUS_INFINITY, sum = 0.0f, targets = 0.0f, term = 0.0f;
    for (int k = threadIdx.x; k < K; k += 32) most = most != most || most > z[at + k] ? most : z[at + k];
    most = warp_max(most);
    for (int k = threadIdx.x; k < K; k += 32) sum += expf(z[at + k] - most);
    float log_sum = logf(warp_sum(sum));
    for (int k = threadIdx.x; k < K; k += 32) {
        float t = target(t_row, label, k, K, label_smoothing);
        targets += t;
        if (t != 0.0f) term -= t * (z[at + k] - most - log_sum);
    }
    targets = warp_sum(targets);
    term = warp_sum(term);
    if (threadIdx.x == 0) terms[row] = term;
    for (int k = threadIdx.x; k < K; k += 32)
        dz[at + k] = (expf(z[at + k] - most - log_sum) * targets - target(t_row, label, k, K, label_smoothing)) / N;
}

// L = mean(max(z, 0) - z t + log(1 + e^-|z|)), dz = (σ(z) - t)/n for logits z. For probabilities p the logarithms of
// -t log p - (1 - t) log(1 - p) stop at -100, and p (1 - p) of dp = (p - t)/(p (1 - p))/n at 1e-12, as PyTorch's do.
extern "C" __global__ void binary_cross_entropy(const float* __restrict__ p, const float* __restrict__ t,
                                                float* __restrict__ terms, float* __restrict__ dp, int n,
                                                int from_logits) {
    FOR_EACH(i, n) {
        if (from_logits) {
            float small = expf(-fabsf(p[i]));
            terms[i] = (p[i] < 0.0f ? 0.0f : p[i]) - p[i] * t[i] + log1pf(small);
            dp[i] = ((p[i] >= 0.0f ? 1.0f : small) / (1.0f + small) - t[i]) / n;
        } else {
            float log_p = logf(p[i]), log_q = log1pf(-p[i]), slope = p[i] * (1.0f - p[i]);
            log_p = log_p < -100.0f ? -100.0f : log_p, log_q = log_q < -100.0f ? -100.0f : log_q;
            terms[i] = -(t[i] * log_p + (1.0f - t[i]) * log_q);
            dp[i] = (p[i] - t[i]) / (slope < 1e-12f ? 1e-12f : slope) / n;
        }
    }
}

// L = mean((p - t)²), dp = 2 (p - t)/n
extern "C" __global__ void mean_squared_error(const float* __restrict__ p, const float* __restrict__ t,
                                              float* __restrict__ terms, float* __restrict__ dp, int n) {
    FOR_EACH(i, n) {
        float difference = p[i] - t[i];
        terms[i] = difference * difference;
        dp[i] = 2.0f * difference / n;
    }
}

// sum[0] = Σ terms / divisor, by one block of 256 threads
extern "C" __global__ void mean_of_terms(const float* __restrict__ terms, float* __restrict__ sum, int n, int divisor) {
    __shared__ float shared[256];
    float mine = 0.0f;
    for (int i = threadIdx.x; i < n; i += 256) mine += terms[i];
    shared[threadIdx.x] = mine;
    for (int half = 128; half > 0; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half) shared[threadIdx.x] += shared[threadIdx.x + half];
    }
    if (threadIdx.x == 0) sum[0] = shared[0] / divisor;
}
