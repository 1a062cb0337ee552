// Optimiser updates, in place, of all parameters of a network in one launch; PyTorch's rules.
//
// `table` has a row of `columns` 64-bit words for each parameter: the address of its value, of its gradient, of each
// state array, and last its size. `chunks` has, for each block, a parameter and the first of the CHUNK elements that
// the block updates. What changes from step to step is given as lr, rate and unbias; or, by a Clock (optim.py), in
// `numbers` on the device, those three for each parameter, with `bad`, which, where it is not 0, keeps all as it was.
#include "common.cuh"

#define CHUNK 2048                               // as in optim.py

// for each element i of the block's chunk; `row` of the table
#define FOR_EACH_OF_CHUNK(i, row, columns)                                                                            \
    const long long* row = table + (long long)chunks[2 * blockIdx.x] * columns;                                       \
    int first_ = chunks[2 * blockIdx.x + 1], end_ = (int)min(row[columns - 1], (long long)first_ + CHUNK);             \
    for (int i = first_ + threadIdx.x; i < end_; i += blockDim.x)

__device__ inline float* array(const long long* row, int column) { return reinterpret_cast<float*>(row[column]); }

// Before an update: bad = 1 if a gradient is not finite (all who see one write the same), and for each parameter, whose
// update number t it is, the numbers lr, lr/(1 - (1 - rest1)ᵗ) and 1 - (1 - rest2)ᵗ; rest 0 where they are not wanted.
extern "C" __global__ void begin_step(const long long* table, const int* chunks, int* bad, const int* steps, float* numbers,
                                 const float* rate, float lr, float rest1, float rest2, int columns) {
    int parameter = chunks[2 * blockIdx.x];
    if (chunks[2 * blockIdx.x + 1] == 0 && threadIdx.x == 0) {
        double t = steps[parameter] + 1, now = rate ? *rate : lr;
        numbers[3 * parameter] = now;
        numbers[3 * parameter + 1] = now / -expm1(t * log1p(-(double)rest1));
        numbers[3 * parameter + 2] = -expm1(t * log1p(-(double)rest2));
    }
    bool finite = true;
    FOR_EACH_OF_CHUNK(i, row, columns) finite = finite && array(row, 1)[i] - array(row, 1)[i] == 0.0f;
    if (!finite) *bad = 1;
}

// After it: the parameters have made a step, unless it was bad, and `skipped` says whether.
extern "C" __global__ void finish_step(int* bad, int* skipped, int* steps, int n) {
    int was_bad = *bad;
    __syncthreads();
    for (int i = threadIdx.x; i < n; i += blockDim.x) steps[i] += !was_bad;
    if (threadIdx.x == 0) *skipped = was_bad, *bad = 0;
}

// What a block of an update needs of its parameter
#define NUMBER(which, otherwise) (numbers ? numbers[3 * chunks[2 * blockIdx.x] + which] : otherwise)

// g = grad + λ value;  v <- μ v + g;  value <- value - lr (v, or g + μ v with nesterov); without velocity g stands for
// v. Sutskever et al. 2013, sec. 2, in PyTorch's form (lr outside v).
extern "C" __global__ void sgd(const long long* table, const int* chunks, const float* numbers, const int* bad,
                               int columns, float lr, float momentum, int has_velocity, int nesterov,
                               float weight_decay) {
    if (bad && *bad) return;
    float rate = NUMBER(0, lr);
    FOR_EACH_OF_CHUNK(i, row, columns) {
        float *value = array(row, 0), *velocity = array(row, 2);
        float g = array(row, 1)[i] + weight_decay * value[i];
        if (has_velocity) {
            float v = momentum * velocity[i] + g;
            velocity[i] = v;
            g = nesterov ? g + momentum * v : v;
        }
        value[i] -= rate * g;
    }
}

// s <- ρ s + (1 - ρ) g²;  value <- value - lr g/(√s + ε).  Tieleman & Hinton 2012, lecture 6.5 centred (Graves 2013,
// sec. 4.2): m <- ρ m + (1 - ρ) g, and s - m² stands for s. velocity: v <- μ v + g/(√s + ε) stands for the quotient. In
// the table: square, then velocity and mean where there are such. rest = 1 - ρ
extern "C" __global__ void rmsprop(const long long* table, const int* chunks, const float* numbers, const int* bad,
                                   int columns, float lr, float rho, float rest, float epsilon, float momentum,
                                   int has_velocity, int centred, float weight_decay) {
    if (bad && *bad) return;
    float rate = NUMBER(0, lr);
    FOR_EACH_OF_CHUNK(i, row, columns) {
        float *value = array(row, 0), *square = array(row, 2);
        float g = array(row, 1)[i] + weight_decay * value[i];
        float spread = rho * square[i] + rest * g * g;
        square[i] = spread;
        if (centred) {
            float* mean = array(row, 3 + has_velocity);
            float m = rho * mean[i] + rest * g;
            mean[i] = m;
            spread = fmaxf(spread - m * m, 0.0f);                    // rounding may leave a variance below zero
        }
        float direction = g / (sqrtf(spread) + epsilon);
        if (has_velocity) {
            float* velocity = array(row, 3);
            direction = momentum * velocity[i] + direction;
            velocity[i] = direction;
        }
        value[i] -= rate * direction;
    }
}

// m <- β₁ m + (1 - β₁) g;  v <- β₂ v + (1 - β₂) g²;  value <- value - rate m/(√(v/unbias) + ε), rate = lr/(1 - β₁ᵗ) and
// unbias = 1 - β₂ᵗ, Kingma & Ba 2015, alg. 1. g = grad + λ value; or, decoupled, value <- value - lr λ value first,
// Loshchilov & Hutter 2019, alg. 2. rest1 = 1 - β₁, rest2 = 1 - β₂: not from float32 betas, whose distance from 1 has
// lost its digits
extern "C" __global__ void adam(const long long* table, const int* chunks, const float* numbers, const int* bad,
                                int columns, float lr, float rate, float unbias, float beta1, float rest1, float beta2,
                                float rest2, float epsilon, float weight_decay, int decoupled) {
    if (bad && *bad) return;
    lr = NUMBER(0, lr), rate = NUMBER(1, rate), unbias = NUMBER(2, unbias);
    FOR_EACH_OF_CHUNK(i, row, columns) {
        float *value = array(row, 0), *m = array(row, 2), *v = array(row, 3);
        float w = value[i], g = array(row, 1)[i];
        if (decoupled)
            w -= lr * weight_decay * w;
        else
            g += weight_decay * w;
        float first = beta1 * m[i] + rest1 * g, second = beta2 * v[i] + rest2 * g * g;
        m[i] = first, v[i] = second;
        value[i] = w - rate * (first / (sqrtf(second / unbias) + epsilon));
    }
}
