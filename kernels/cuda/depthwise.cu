// Depthwise convolution: each channel is filtered alone, by m filters of its own. w (KH, KW, 1, F), F = C m; output
// channel f reads input channel f / m. Chollet 2017, sec. 1.2. Few products for each number that is read: the memory
// decides. So a thread has CHANNELS channels, 16 bytes that lie together (one channel where m or C do not allow it), of
// PIXELS neighbours in a line, for which it reads each weight once. Neighbouring threads have neighbouring channels.
#include "common.cuh"
#include "columns.cuh"
#ifndef CHANNELS
#define CHANNELS 1
#endif
#ifndef TAPS
#define TAPS 1                                   // KW, for backward-weights alone, whose sums for a line are in registers
#endif
#define PIXELS 4

struct alignas(CHANNELS * sizeof(real)) Some { real numbers[CHANNELS]; };
struct alignas(CHANNELS < 4 ? 4 : 16) Weights { float numbers[CHANNELS]; };

template <class Numbers, class Number> __device__ inline Numbers load(const Number* from) {
    return *reinterpret_cast<const Numbers*>(from);
}

// The strip's sums to its pixels, as many as the line still has, whose numbers are `apart` from one to the next.
__device__ inline void write(real* to, const float (&sum)[PIXELS][CHANNELS], int pixels, int apart) {
#pragma unroll
    for (int p = 0; p < PIXELS; p++) {
        Some some;
#pragma unroll
        for (int e = 0; e < CHANNELS; e++) some.numbers[e] = sum[p][e];
        if (p < pixels) *reinterpret_cast<Some*>(to + (long long)p * apart) = some;
    }
}

// y = b + Σ_{kh, kw} x[.., oh SH - top + kh DH, ow SW - left + kw DW, f / m] w[kh, kw, f].  n threads have something to do
extern "C" __global__ void depthwise_conv2d(const real* __restrict__ x, const float* __restrict__ w,
                                            const float* __restrict__ b, real* __restrict__ y, int n, int F, int H,
                                            int W, int C, int OH, int OW, int KH, int KW, int SH, int SW, int top,
                                            int left, int DH, int DW) {
    int i = blockIdx.x * blockDim.x + threadIdx.x, strips = (OW + PIXELS - 1) / PIXELS, line = i / (F / CHANNELS) / strips;
    if (i >= n) return;
    int f = i % (F / CHANNELS) * CHANNELS, c = f / (F / C), first = i / (F / CHANNELS) % strips * PIXELS;
    float sum[PIXELS][CHANNELS];
#pragma unroll
    for (int p = 0; p < PIXELS; p++)
#pragma unroll
        for (int e = 0; e < CHANNELS; e++) sum[p][e] = b ? b[f + e] : 0.0f;
    for (int kh = 0; kh < KH; kh++) {
        int ih = line % OH * SH - top + kh * DH;
        if (ih < 0 || ih >= H) continue;
        const real* row = x + ((long long)(line / OH) * H + ih) * W * C + c;
        for (int kw = 0; kw < KW; kw++) {
            Weights weights = load<Weights>(w + (kh * KW + kw) * F + f);
#pragma unroll
            for (int p = 0; p < PIXELS; p++) {
                int iw = (first + p) * SW - left + kw * DW;
                if (iw < 0 || iw >= W) continue;
                Some some = load<Some>(row + (long long)iw * C);
#pragma unroll
                for (int e = 0; e < CHANNELS; e++) sum[p][e] += some.numbers[e] * weights.numbers[e];
            }
        }
    }
    write(y + ((long long)line * OW + first) * F + f, sum, OW - first, F);
}

// dx = Σ dy w over the windows that hold the pixel and the m filters of its channel.  n threads have something to do
extern "C" __global__ void depthwise_conv2d_backward_data(const real* __restrict__ dy, const float* __restrict__ w,
                                                          real* __restrict__ dx, int n, int F, int H, int W, int C,
                                                          int OH, int OW, int KH, int KW, int SH, int SW, int top,
                                                          int left, int DH, int DW) {
    int i = blockIdx.x * blockDim.x + threadIdx.x, strips = (W + PIXELS - 1) / PIXELS, line = i / (C / CHANNELS) / strips;
    if (i >= n) return;
    int c = i % (C / CHANNELS) * CHANNELS, first = i / (C / CHANNELS) % strips * PIXELS, m = F / C;
    float sum[PIXELS][CHANNELS] = {};
    for (int kh = 0; kh < KH; kh++) {
        int down = line % H + top - kh * DH, oh = down / SH;
        if (down < 0 || oh * SH != down || oh >= OH) continue;
        const real* row = dy + ((long long)(line / H) * OH + oh) * OW * F;
        for (int kw = 0; kw < KW; kw++)
            for (int f = c * m; f < c * m + m; f++) {
                Weights weights = load<Weights>(w + (kh * KW + kw) * F + f);
#pragma unroll
                for (int p = 0; p < PIXELS; p++) {
                    int right = first + p + left - kw * DW, ow = right / SW;
                    if (right < 0 || ow * SW != right || ow >= OW) continue;
                    Some some = load<Some>(row + (long long)ow * F + f);
#pragma unroll
                    for (int e = 0; e < CHANNELS; e++) sum[p][e] += some.numbers[e] * weights.numbers[e];
                }
            }
    }
    write(dx + ((long long)line * W + first) * C + c, sum, W - first, C);
}

// dw[part, kh, kw, f] = Σ dy[.., f] x[.., f / m] over the part's rows of the M = N OH OW, for all taps of a line of the
// window at once: dy is read KH times.  Grid: columns of F / CHANNELS, parts, KH
extern "C" __global__ void depthwise_conv2d_backward_weights(const real* __restrict__ dy, const real* __restrict__ x,
                                                             float* __restrict__ dw, int M, int rows, int F, int H,
                                                             int W, int C, int OH, int OW, int KH, int KW, int SH,
                                                             int SW, int top, int left, int DH, int DW) {
    __shared__ float shared[ROWS][COLUMNS];
    int f = (blockIdx.x * COLUMNS + threadIdx.x) * CHANNELS, c = f / (F / C), down = (int)blockIdx.z * DH - top;
    float sum[TAPS][CHANNELS] = {};
    if (f < F) {
        FOR_EACH_ROW(row, M, rows) {
            int iw = row % OW * SW - left, ih = row / OW % OH * SH + down, image = row / OW / OH;
            if (ih < 0 || ih >= H) continue;
            Some gradients = load<Some>(dy + (long long)row * F + f);
#pragma unroll
            for (int kw = 0; kw < TAPS; kw++, iw += DW) {
                if (iw < 0 || iw >= W) continue;
                Some some = load<Some>(x + (((long long)image * H + ih) * W + iw) * C + c);
#pragma unroll
                for (int e = 0; e < CHANNELS; e++) sum[kw][e] += gradients.numbers[e] * some.numbers[e];
            }
        }
    }
#pragma unroll
    for (int kw = 0; kw < TAPS; kw++)
#pragma unroll
        for (int e = 0; e < CHANNELS; e++) {
            float total = sum_of_rows(shared, sum[kw][e]);
            if (f < F && threadIdx.y == 0)
                dw[(((long long)blockIdx.y * KH + blockIdx.z) * KW + kw) * F + f + e] = total;
        }
}
