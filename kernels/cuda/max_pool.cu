// Max pooling: the largest element of each window, and where it was. Arrays (N, H, W, C), a thread an element of the
// result.
#include "common.cuh"

// y = max over the window; winners = ih W + iw of the first maximum. Padding never wins; NaN wins over all numbers; a
// window of nothing but padding gives -inf and -1.
extern "C" __global__ void max_pool2d(const real* __restrict__ x, real* __restrict__ y, int* __restrict__ winners,
                                      int n, int H, int W, int C, int OH, int OW, int KH, int KW, int SH, int SW,
                                      int top, int left, int DH, int DW) {
    FOR_EACH(i, n) {
        int c = i % C, ow = i / C % OW, oh = i / C / OW % OH, image = i / C / OW / OH;
        float most = MINUS_INFINITY;
        int winner = -1;
        for (int kh = 0; kh < KH; kh++) {
            int ih = oh * SH - top + kh * DH;
            if (ih < 0 || ih >= H) continue;
            for (int kw = 0; kw < KW; kw++) {
                int iw = ow * SW - left + kw * DW;
                if (iw < 0 || iw >= W) continue;
                float value = x[(((long long)image * H + ih) * W + iw) * C + c];
                if (winner < 0 || value > most || (value != value && most == most)) most = value, winner = ih * W + iw;
            }
        }
        y[i] = most;
        winners[i] = winner;
    }
}

// dx = Σ dy over the windows that the element has won. Each thread looks into the windows that hold its element, in
// their order: no two threads write to one place.
extern "C" __global__ void max_pool2d_backward(const real* __restrict__ dy, const int* __restrict__ winners,
                                               real* __restrict__ dx, int n, int H, int W, int C, int OH, int OW,
                                               int KH, int KW, int SH, int SW, int top, int left, int DH, int DW) {
    FOR_EACH(i, n) {
        int c = i % C, iw = i / C % W, ih = i / C / W % H, image = i / C / W / H;
        float sum = 0.0f;
        for (int kh = KH - 1; kh >= 0; kh--) {
            int oh = ih + top - kh * DH;
            if (oh < 0 || oh % SH || oh / SH >= OH) continue;
            for (int kw = KW - 1; kw >= 0; kw--) {
                int ow = iw + left - kw * DW;
                if (ow < 0 || ow % SW || ow / SW >= OW) continue;
                long long window = (((long long)image * OH + oh / SH) * OW + ow / SW) * C + c;
                if (winners[window] == ih * W + iw) sum += dy[window];
            }
        }
        dx[i] = sum;
    }
}
