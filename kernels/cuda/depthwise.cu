// Depthwise convolution: each channel is filtered alone, by m filters of its own. w (KH, KW, 1, F), F = C m; output
// channel f reads input channel f / m. Chollet 2017, sec. 1.2. Few products for each number that is read: the memory
// decides.
#include "common.cuh"
#include "columns.cuh"

// y = b + Σ_{kh, kw} x[.., oh SH - top + kh DH, ow SW - left + kw DW, f / m] w[kh, kw, f]
extern "C" __global__ void depthwise_conv2d(const float* __restrict__ x, const float* __restrict__ w,
                                            const float* __restrict__ b, float* __restrict__ y, int n, int F, int H,
                                            int W, int C, int OH, int OW, int KH, int KW, int SH, int SW, int top,
                                            int left, int DH, int DW) {
    FOR_EACH(i, n) {
        int f = i % F, ow = i / F % OW, oh = i / F / OW % OH, image = i / F / OW / OH, c = f / (F / C);
        float sum = b ? b[f] : 0.0f;
        for (int kh = 0; kh < KH; kh++) {
            int ih = oh * SH - top + kh * DH;
            if (ih < 0 || ih >= H) continue;
            for (int kw = 0; kw < KW; kw++) {
                int iw = ow * SW - left + kw * DW;
                if (iw >= 0 && iw < W)
                    sum += x[(((long long)image * H + ih) * W + iw) * C + c] * w[(kh * KW + kw) * F + f];
            }
        }
        y[i] = sum;
    }
}

// dx = Σ dy w over the windows that hold the pixel and the m filters of its channel
extern "C" __global__ void depthwise_conv2d_backward_data(const float* __restrict__ dy, const float* __restrict__ w,
                                                          float* __restrict__ dx, int n, int F, int H, int W, int C,
                                                          int OH, int OW, int KH, int KW, int SH, int SW, int top,
                                                          int left, int DH, int DW) {
    FOR_EACH(i, n) {
        int c = i % C, iw = i / C % W, ih = i / C / W % H, image = i / C / W / H, m = F / C;
        float sum = 0.0f;
        for (int kh = 0; kh < KH; kh++) {
            int oh = ih + top - kh * DH;
            if (oh < 0 || oh % SH || oh / SH >= OH) continue;
            for (int kw = 0; kw < KW; kw++) {
                int ow = iw + left - kw * DW;
                if (ow < 0 || ow % SW || ow / SW >= OW) continue;
                long long at = (((long long)image * OH + oh / SH) * OW + ow / SW) * F;
                for (int f = c * m; f < (c + 1) * m; f++) sum += dy[at + f] * w[(kh * KW + kw) * F + f];
            }
        }
        dx[i] = sum;
    }
}

// dw[part, kh, kw, f] = Σ dy[.., f] x[.., f / m] over the part's rows of the M = N OH OW.  Grid: columns of F, parts,
// taps
extern "C" __global__ void depthwise_conv2d_backward_weights(const float* __restrict__ dy, const float* __restrict__ x,
                                                             float* __restrict__ dw, int M, int rows, int F, int H,
                                                             int W, int C, int OH, int OW, int KH, int KW, int SH,
                                                             int SW, int top, int left, int DH, int DW) {
    __shared__ float shared[ROWS][COLUMNS];
    int f = blockIdx.x * COLUMNS + threadIdx.x, c = f / (F / C);
    int down = (int)blockIdx.z / KW * DH - top, right = (int)blockIdx.z % KW * DW - left;
    float sum = 0.0f;
    if (f < F) {
        FOR_EACH_ROW(row, M, rows) {
            int iw = row % OW * SW + right, ih = row / OW % OH * SH + down, image = row / OW / OH;
            if (ih >= 0 && ih < H && iw >= 0 && iw < W)
                sum += dy[(long long)row * F + f] * x[(((long long)image * H + ih) * W + iw) * C + c];
        }
    }
    sum = sum_of_rows(shared, sum);
    if (f < F && threadIdx.y == 0) dw[((long long)blockIdx.y * KH * KW + blockIdx.z) * F + f] = sum;
}
