// The last part of making a batch, on images that came as bytes.
#include "common.cuh"

// y (N, OH, OW, C) = x scale + shift for each channel, zeros around x (N, H, W, C) first. Two roundings, never one
// fused: the bits of scratchnet/data/preprocessing.py.  n numbers of y
extern "C" __global__ void normalised(const unsigned char* __restrict__ x, const float* __restrict__ scale,
                                      const float* __restrict__ shift, float* __restrict__ y, int n, int H, int W,
                                      int C, int OH, int OW, int top, int left) {
    FOR_EACH(i, n) {
        int c = i % C, w = i / C % OW - left, h = i / C / OW % OH - top, image = i / C / OW / OH;
        bool inside = h >= 0 && h < H && w >= 0 && w < W;
        float pixel = inside ? x[((image * H + h) * W + w) * C + c] : 0;
        y[i] = __fadd_rn(__fmul_rn(pixel, scale[c]), shift[c]);
    }
}
