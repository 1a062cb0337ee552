// Pointwise activations and softmax. Those whose derivative is simplest in y take y in their backward.
#include "common.cuh"

// y = max_value if x >= max_value; x if x >= threshold; else negative_slope (x - threshold). NaN stays NaN.
// A zero slope is not multiplied, since 0 (x - threshold) is NaN at -inf. No max_value is NaN, which nothing reaches.
extern "C" __global__ void relu(const real* __restrict__ x, real* __restrict__ y, int n, float negative_slope,
                                float max_value, float threshold) {
    FOR_EACH(i, n) {
        float below = negative_slope != 0.0f ? negative_slope * (x[i] - threshold) : 0.0f;
        float value = x[i] < threshold ? below : x[i];
        y[i] = value >= max_value ? max_value : value;
    }
}

// dx = 0 if x >= max_value; negative_slope dy if x <= threshold; else dy. At the kink the left slope.
extern "C" __global__ void relu_backward(const real* __restrict__ dy, const real* __restrict__ x,
                                         real* __restrict__ dx, int n, float negative_slope, float max_value,
                                         float threshold) {
    FOR_EACH(i, n) {
        float below = negative_slope != 0.0f ? negative_slope * dy[i] : 0.0f;
        dx[i] = x[i] >= max_value ? 0.0f : x[i] <= threshold ? below : dy[i];
    }
}

extern "C" __global__ void tanh_forward(const real* __restrict__ x, real* __restrict__ y, int n) {
    FOR_EACH(i, n) y[i] = tanhf(x[i]);
}

// dx = dy (1 - y²)
extern "C" __global__ void tanh_backward(const real* __restrict__ dy, const real* __restrict__ y,
                                         real* __restrict__ dx, int n) {
    FOR_EACH(i, n) dx[i] = dy[i] * (1.0f - y[i] * y[i]);
}

// y = 1/(1 + e^-x), written e^x/(1 + e^x) for negative x, so that no exponential overflows
extern "C" __global__ void sigmoid(const real* __restrict__ x, real* __restrict__ y, int n) {
    FOR_EACH(i, n) {
        float small = expf(-fabsf(x[i]));
        y[i] = (x[i] >= 0.0f ? 1.0f : small) / (1.0f + small);
    }
}

// dx = dy y (1 - y)
extern "C" __global__ void sigmoid_backward(const real* __restrict__ dy, const real* __restrict__ y,
                                            real* __restrict__ dx, int n) {
    FOR_EACH(i, n) dx[i] = dy[i] * y[i] * (1.0f - y[i]);
}

// y_k = e^(x_k - max x) / Σ_j e^(x_j - max x), a warp a row.  x, y (rows, K); blocks of (32, rows at once)
extern "C" __global__ void softmax(const real* __restrict__ x, float* __restrict__ y, int rows, int K) {
    int row = blockIdx.x * blockDim.y + threadIdx.y;
    if (row >= rows) return;
    const real* x_row = x + (long long)row * K;
    float most = MINUS_INFINITY, sum = 0.0f;
    for (int k = threadIdx.x; k < K; k += 32) most = most != most || most > x_row[k] ? most : x_row[k];
    most = warp_max(most);
    for (int k = threadIdx.x; k < K; k += 32) sum += expf(x_row[k] - most);
    sum = warp_sum(sum);
    for (int k = threadIdx.x; k < K; k += 32) y[(long long)row * K + k] = expf(x_row[k] - most) / sum;
}

// ∂y_k/∂x_j = y_k (δ_kj - y_j), so dx = y (dy - Σ_k dy_k y_k)
extern "C" __global__ void softmax_backward(const float* __restrict__ dy, const float* __restrict__ y,
                                            float* __restrict__ dx, int rows, int K) {
    int row = blockIdx.x * blockDim.y + threadIdx.y;
    if (row >= rows) return;
    long long at = (long long)row * K;
    float sum = 0.0f;
    for (int k = threadIdx.x; k < K; k += 32) sum += dy[at + k] * y[at + k];
    sum = warp_sum(sum);
    for (int k = threadIdx.x; k < K; k += 32) dx[at + k] = y[at + k] * (dy[at + k] - sum);
}
