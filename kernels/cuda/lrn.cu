// Local response normalisation across channels, Krizhevsky, Sutskever & Hinton 2012, sec. 3.3. A thread an element
// (row, c).
#include "common.cuh"

// scale = k + alpha/size Σ_window x², y = x scale^-beta; the window: `before` channels before and `after` after.
extern "C" __global__ void local_response_norm(const real* __restrict__ x, real* __restrict__ y,
                                               float* __restrict__ scale, int n, int C, int before, int after,
                                               float alpha_by_size, float beta, float k) {
    FOR_EACH(i, n) {
        int c = i % C;
        float sum = 0.0f;
        for (int j = max(c - before, 0); j <= min(c + after, C - 1); j++) sum += x[i - c + j] * x[i - c + j];
        float s = k + alpha_by_size * sum;
        scale[i] = s;
        y[i] = x[i] * powf(s, -beta);
    }
}

// dx = dy scale^-beta - 2 alpha beta/size x Σ_window' dy x scale^-(beta + 1): window' is the mirrored one, the channels
// whose own window holds this one
extern "C" __global__ void local_response_norm_backward(const real* __restrict__ dy, const real* __restrict__ x,
                                                        const float* __restrict__ scale, real* __restrict__ dx, int n,
                                                        int C, int before, int after, float alpha_by_size, float beta) {
    FOR_EACH(i, n) {
        int c = i % C;
        float sum = 0.0f;
        for (int j = max(c - before, 0); j <= min(c + after, C - 1); j++) {
            int other = i - c + j;
            sum += dy[other] * x[other] * powf(scale[other], -beta) / scale[other];
        }
        dx[i] = dy[i] * powf(scale[i], -beta) - 2.0f * alpha_by_size * beta * x[i] * sum;
    }
}
