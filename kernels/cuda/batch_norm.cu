// Batch normalisation of x (M, C) by columns, Ioffe & Szegedy 2015: the statistics in one pass over x, y in a second,
// and backward in two. What stands behind it, a residual that is added and a ReLU, goes along and costs no pass of its
// own. All of it waits for memory, so a thread has WIDTH neighbouring columns and fetches their numbers at once.
#include "common.cuh"
#include "columns.cuh"
#ifndef WIDTH
#define WIDTH 1                                  // or 2 or 4, which divides C; batch_norm.py chooses
#endif

struct alignas(WIDTH * sizeof(real)) Several { real at[WIDTH]; };

__device__ inline Several several(const real* x) { return *reinterpret_cast<const Several*>(x); }

#define FOR_WIDTH(j) _Pragma("unroll") for (int j = 0; j < WIDTH; j++)
#define OWN_COLUMN ((blockIdx.x * COLUMNS + threadIdx.x) * WIDTH)

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
    __syncthreads();                             // before the next moments are written there
    return all;
}

// means, squares[part, c]: of the rows of the part. A thread sums x - (the first number it sees) and its square.
extern "C" __global__ void batch_norm_moments(const real* __restrict__ x, float* __restrict__ means,
                                              float* __restrict__ squares, int M, int C, int rows) {
    __shared__ Moments shared[ROWS][COLUMNS];
    int c = OWN_COLUMN, start = blockIdx.y * rows + threadIdx.y;
    float count = 0.0f, sum[WIDTH] = {}, sum_of_squares[WIDTH] = {};
    Several first = {};
    if (c < C && start < min((int)(blockIdx.y + 1) * rows, M)) {
        first = several(x + (long long)start * C + c);
        FOR_EACH_ROW(row, M, rows) {
            Several here = several(x + (long long)row * C + c);
            count += 1.0f;
            FOR_WIDTH(j) {
                float d = here.at[j] - first.at[j];
                sum[j] += d, sum_of_squares[j] += d * d;
            }
        }
    }
    FOR_WIDTH(j) {
        Moments mine = {0.0f, 0.0f, 0.0f};
        if (count > 0.0f)
            mine = {count, first.at[j] + sum[j] / count, fmaxf(sum_of_squares[j] - sum[j] * (sum[j] / count), 0.0f)};
        mine = joined_rows(shared, mine);
        if (c < C && threadIdx.y == 0) {
            means[blockIdx.y * C + c + j] = mine.mean;
            squares[blockIdx.y * C + c + j] = mine.squares;
        }
    }
}

// mean, var (C,) of all the parts; var is biased, squares / M.  A thread a column
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
    int c = OWN_COLUMN;
    if (c >= C) return;
    float mu[WIDTH], scale[WIDTH], shift[WIDTH];
    FOR_WIDTH(j) {
        mu[j] = mean[c + j], shift[j] = beta[c + j];
        scale[j] = gamma[c + j] * reciprocal_deviation(var[c + j], epsilon);
    }
    FOR_EACH_ROW(row, M, rows) {
        long long i = (long long)row * C + c;
        Several here = several(x + i), added = residual ? several(residual + i) : Several{};
        FOR_WIDTH(j) {
            float z = normalised(here.at[j], mu[j], scale[j], shift[j]);
            if (residual) z += added.at[j];
            here.at[j] = relu && z < 0.0f ? 0.0f : z;
        }
        *reinterpret_cast<Several*>(y + i) = here;
    }
}

// sums[part] (2, C): Σ g and Σ g x̂ over the rows of the part, where g is dy, with relu 0 where y was not above 0
extern "C" __global__ void batch_norm_gradients(const real* __restrict__ dy, const real* __restrict__ x,
                                                const float* __restrict__ gamma, const float* __restrict__ beta,
                                                const float* __restrict__ mean, const float* __restrict__ var,
                                                float* __restrict__ sums, int M, int C, int rows, float epsilon,
                                                int relu) {
    __shared__ float shared[ROWS][COLUMNS];
    int c = OWN_COLUMN;
    float constants[WIDTH] = {}, products[WIDTH] = {}, rstd[WIDTH], mu[WIDTH], scale[WIDTH], shift[WIDTH];
    if (c < C) {
        FOR_WIDTH(j) {
            rstd[j] = reciprocal_deviation(var[c + j], epsilon);
            mu[j] = mean[c + j], scale[j] = gamma[c + j] * rstd[j], shift[j] = beta[c + j];
        }
        FOR_EACH_ROW(row, M, rows) {
            long long i = (long long)row * C + c;
            Several here = several(x + i), d = several(dy + i);
            FOR_WIDTH(j) {
                float g = relu && normalised(here.at[j], mu[j], scale[j], shift[j]) <= 0.0f ? 0.0f : d.at[j];
                constants[j] += g, products[j] += g * (here.at[j] - mu[j]);
            }
        }
    }
    FOR_WIDTH(j) {
        float constant = sum_of_rows(shared, constants[j]), product = sum_of_rows(shared, products[j]);
        if (c < C && threadIdx.y == 0) {
            sums[2 * blockIdx.y * C + c + j] = constant;
            sums[(2 * blockIdx.y + 1) * C + c + j] = product * rstd[j];
        }
    }
}

// dx = γ/√(σ² + ε) (g - mean(g) - x̂ mean(g x̂)); without `training`, where μ and σ² are constants, γ/√(σ² + ε) g
extern "C" __global__ void batch_norm_input_gradient(const real* __restrict__ dy, const real* __restrict__ x,
                                                     const float* __restrict__ gamma, const float* __restrict__ beta,
                                                     const float* __restrict__ mean, const float* __restrict__ var,
                                                     const float* __restrict__ dgamma, const float* __restrict__ dbeta,
                                                     real* __restrict__ dx, int M, int C, int rows, float epsilon,
                                                     int relu, int training) {
    int c = OWN_COLUMN;
    if (c >= C) return;
    float mu[WIDTH], scale[WIDTH], shift[WIDTH], mean_g[WIDTH], slope[WIDTH];
    FOR_WIDTH(j) {
        float rstd = reciprocal_deviation(var[c + j], epsilon);
        mu[j] = mean[c + j], scale[j] = gamma[c + j] * rstd, shift[j] = beta[c + j];
        mean_g[j] = training ? dbeta[c + j] / M : 0.0f, slope[j] = training ? dgamma[c + j] / M * rstd : 0.0f;
    }
    FOR_EACH_ROW(row, M, rows) {
        long long i = (long long)row * C + c;
        Several here = several(x + i), d = several(dy + i);
        FOR_WIDTH(j) {
            float g = relu && normalised(here.at[j], mu[j], scale[j], shift[j]) <= 0.0f ? 0.0f : d.at[j];
            here.at[j] = scale[j] * (g - mean_g[j] - (here.at[j] - mu[j]) * slope[j]);
        }
        *reinterpret_cast<Several*>(dx + i) = here;
    }
}
