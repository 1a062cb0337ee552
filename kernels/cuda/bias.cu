// The bias of a convolution or a dense layer: added, with the activation behind it, and its gradient, a sum of columns.
#include "common.cuh"
#include "columns.cuh"

// y = activation(y + b), in place.  y (n/C, C), b (C,) or null
extern "C" __global__ void add_bias(real* y, const float* __restrict__ b, int n, int C, int activation) {
    FOR_EACH(i, n) y[i] = activated(b ? y[i] + b[i % C] : y[i], activation);
}

// sums[part, c] = Σ over the rows of the part: x[row, c]
extern "C" __global__ void column_sums(const real* __restrict__ x, float* __restrict__ sums, int M, int C, int rows) {
    __shared__ float shared[ROWS][COLUMNS];
    int c = blockIdx.x * COLUMNS + threadIdx.x;
    float sum = 0.0f;
    if (c < C) FOR_EACH_ROW(row, M, rows) sum += x[(long long)row * C + c];
    sum = sum_of_rows(shared, sum);
    if (c < C && threadIdx.y == 0) sums[(long long)blockIdx.y * C + c] = sum;
}

// dz = dy act'(z), told from y: dy where y > 0 (RELU), dy (1 - y²) (TANH); sums[part, c] = Σ over the part's rows: dz
extern "C" __global__ void activation_bias_backward(const real* __restrict__ dy, const real* __restrict__ y,
                                                    real* __restrict__ dz, float* __restrict__ sums, int M, int C,
                                                    int rows, int activation) {
    __shared__ float shared[ROWS][COLUMNS];
    int c = blockIdx.x * COLUMNS + threadIdx.x;
    float sum = 0.0f;
    if (c < C) FOR_EACH_ROW(row, M, rows) {
        long long i = (long long)row * C + c;
        float g = activation == RELU ? (y[i] <= 0.0f ? 0.0f : dy[i]) : dy[i] * (1.0f - y[i] * y[i]);
        dz[i] = g;
        sum += g;
    }
    sum = sum_of_rows(shared, sum);
    if (c < C && threadIdx.y == 0) sums[(long long)blockIdx.y * C + c] = sum;
}
