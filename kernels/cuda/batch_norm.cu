// Batch normalisation of x (M, C) by columns, Ioffe & Szegedy 2015: the statistics in one pass over x, y in a second,
// and backward in two. What stands behind it, a residual that is added and a ReLU, goes along and costs no pass of its
// own.
#include "common.cuh"
#include "columns.cuh"

// Count, mean and sum of squared distances from the mean of some numbers.
struct Moments { float count, mean, squares; };

// Of both together. Chan, Golub & LeVeque 1979, eq. 2.1. Differences of means, never of sums of squares: no digits are
// lost.
__device__ inline Moments joined(Moments a, Moments b) {
    float count = a.count + b.count, distance = b.mean - a.mean, share = b.count / count;
    return {count, a.mean + distance * share, a.squares + b.squares + distance * distance * a.count * share};
}

__device__ inline Moments joined_rows(Moments (&shared)[ROWS][COLUMNS], Moments mine) {
    shared[threadIdx.y][threadIdx.x] = mine;
    __syncthreads();
    Moments all = {0.0f, 0.0f, 0.0f};
    if (threadIdx.y == 0)
        for (int row = 0; row < ROWS; row++) all = joined(all, shared[row][threadIdx.x]);
    return all;
}

// means, squares[part, c]: of the rows of the part. A thread sums x - (the first number it sees) and its square.
extern "C" __global__ void batch_norm_moments(const real* __restrict__ x, float* __restrict__ means,
                                              float* __restrict__ squares, int M, int C, int rows) {
    __shared__ Moments shared[ROWS][COLUMNS];
    int c = blockIdx.x * COLUMNS + threadIdx.x, start = blockIdx.y * rows + threadIdx.y;
    Moments mine = {0.0f, 0.0f, 0.0f};
    if (c < C && start < min((int)(blockIdx.y + 1) * rows, M)) {
        float first = x[(long long)start * C + c], count = 0.0f, sum = 0.0f, sum_of_squares = 0.0f;
        FOR_EACH_ROW(row, M, rows) {
            float d = x[(long long)row * C + c] - first;
            count += 1.0f, sum += d, sum_of_squares += d * d;
        }
        mine = {count, first + sum / count, fmaxf(sum_of_squares - sum * (sum / count), 0.0f)};
    }
    mine = joined_rows(shared, mine);
    if (c < C && threadIdx.y == 0) {
        means[blockIdx.y * C + c] = mine.mean;
        squares[blockIdx.y * C + c] = mine.squares;
    }
}

// mean, var (C,) of all the parts; var is biased, squares / M
extern "C" __global__ void batch_norm_join(const float* __restrict__ means, const float* __restrict__ squares,
                                           float* __restrict__ mean, float* __restrict__ var, int parts, int M, int C,
                                           int rows) {
    __shared__ Moments shared[ROWS][COLUMNS];
    int c = blockIdx.x * COLUMNS + threadIdx.x;
    Moments mine = {0.0f, 0.0f, 0.0f};
    if (c < C) {
        for (int part = threadIdx.y; part < parts; part += ROWS) {
            float count = min((part + 1) * rows, M) - part * rows;
            mine = joined(mine, {count, means[part * C + c], squares[part * C + c]});
        }
    }
    mine = joined_rows(shared, mine);
    if (c < C && threadIdx.y == 0) {
        mean[c] = mine.mean;
        var[c] = mine.squares / M;
    }
}

// 1/√(σ² + ε)
__device__ inline float reciprocal_deviation(float var, float epsilon) { return 1.0f / sqrtf(var + epsilon); }

// z of a backward is, bit for bit, that of its forward: one function, one rounding
__device__ inline float normalised(float x, float mean, float scale, float shift) {
    return __fmaf_rn(x - mean, scale, shift);
}

// y = γ (x - μ)/√(σ² + ε) + β, + residual where there is one, negatives to 0 with relu
extern "C" __global__ void batch_norm_apply(const real* __restrict__ x, const real* __restrict__ residual,
                                            const float* __restrict__ gamma, const float* __restrict__ beta,
                                            const float* __restrict__ mean, const float* __restrict__ var,
                                            real* __restrict__ y, int M, int C, int rows, float epsilon, int relu) {
    int c = blockIdx.x * COLUMNS + threadIdx.x;
    if (c >= C) return;
    float mu = mean[c], scale = gamma[c] * reciprocal_deviation(var[c], epsilon), shift = beta[c];
    FOR_EACH_ROW(row, M, rows) {
        long long i = (long long)row * C + c;
        float z = normalised(x[i], mu, scale, shift);
        if (residual) z += residual[i];
        y[i] = relu && z < 0.0f ? 0.0f : z;
    }
}

// sums[part] (2, C): Σ g and Σ g x̂ over the rows of the part, where g is dy, with relu 0 where y was not above 0
extern "C" __global__ void batch_norm_gradients(const real* __restrict__ dy, const real* __restrict__ x,
                                                const float* __restrict__ gamma, const float* __restrict__ beta,
                                                const float* __restrict__ mean, const float* __restrict__ var,
                                                float* __restrict__ sums, int M, int C, int rows, float epsilon,
                                                int relu) {
    __shared__ float shared[ROWS][COLUMNS];
    int c = blockIdx.x * COLUMNS + threadIdx.x;
    float constants = 0.0f, products = 0.0f, rstd = 0.0f;
    if (c < C) {
        rstd = reciprocal_deviation(var[c], epsilon);
        float mu = mean[c], scale = gamma[c] * rstd, shift = beta[c];
        FOR_EACH_ROW(row, M, rows) {
            long long i = (long long)row * C + c;
            float g = relu && normalised(x[i], mu, scale, shift) <= 0.0f ? 0.0f : dy[i];
            constants += g, products += g * (x[i] - mu);
        }
    }
    constants = sum_of_rows(shared, constants);
    products = sum_of_rows(shared, products);
    if (c < C && threadIdx.y == 0) {
        sums[2 * blockIdx.y * C + c] = constants;
        sums[(2 * blockIdx.y + 1) * C + c] = products * rstd;
    }
}

// dx = γ/√(σ² + ε) (g - mean(g) - x̂ mean(g x̂)); without `training`, where μ and σ² are constants, γ/√(σ² + ε) g
extern "C" __global__ void batch_norm_input_gradient(const real* __restrict__ dy, const real* __restrict__ x,
                                                     const float* __restrict__ gamma, const float* __restrict__ beta,
                                                     const float* __restrict__ mean, const float* __restrict__ var,
                                                     const float* __restrict__ dgamma, const float* __restrict__ dbeta,
                                                     real* __restrict__ dx, int M, int C, int rows, float epsilon,
                                                     int relu, int training) {
    int c = blockIdx.x * COLUMNS + threadIdx.x;
    if (c >= C) return;
    float rstd = reciprocal_deviation(var[c], epsilon), mu = mean[c], scale = gamma[c] * rstd, shift = beta[c];
    float mean_g = training ? dbeta[c] / M : 0.0f, slope = training ? dgamma[c] / M * rstd : 0.0f;
    FOR_EACH_ROW(row, M, rows) {
        long long i = (long long)row * C + c;
        float g = relu && normalised(x[i], mu, scale, shift) <= 0.0f ? 0.0f : dy[i];
        dx[i] = scale * (g - mean_g - (x[i] - mu) * slope);
    }
}
