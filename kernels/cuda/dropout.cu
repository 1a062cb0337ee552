// Dropout with a mask that is a function of (seed, layer, call, element): Philox4x32-10, the same bits on every device.
// Salmon, Moraes, Dror & Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3", sec. 3.3.
#include "common.cuh"

struct Words { unsigned w[4]; };

__device__ inline Words philox(unsigned c0, unsigned c1, unsigned c2, unsigned c3, unsigned k0, unsigned k1) {
    for (int round = 0; round < 10; round++) {
        unsigned high0 = __umulhi(0xD2511F53u, c0), low0 = 0xD2511F53u * c0;
        unsigned high1 = __umulhi(0xCD9E8D57u, c2), low1 = 0xCD9E8D57u * c2;
        c0 = high1 ^ c1 ^ k0, c1 = low1, c2 = high0 ^ c3 ^ k1, c3 = low0;
        k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
    }
    return {{c0, c1, c2, c3}};
}

// Element e is kept if word e % 4 of block e / 4 is at least `threshold`, up to 2³². A thread makes a block: n of them.
// The call's number is `call`, or, in a step that is replayed, what stands in call_there.
extern "C" __global__ void dropout(const real* __restrict__ x, real* __restrict__ y, unsigned char* __restrict__ mask,
                                   int n, int size, long long threshold, float scale, long long seed, long long layer,
                                   long long call, const int* __restrict__ call_there) {
    unsigned number = call_there ? *call_there : call;
    FOR_EACH(block, n) {
        Words words = philox(block, 0, number, (unsigned)layer, (unsigned)seed, (unsigned)(seed >> 32));
#pragma unroll
        for (int j = 0; j < 4; j++) {
            if (4 * block + j >= size) break;
            unsigned char kept = words.w[j] >= threshold;
            mask[4 * block + j] = kept;
            y[4 * block + j] = x[4 * block + j] * kept * scale;
        }
    }
}

// dx = dy mask/(1 - rate)
extern "C" __global__ void dropout_backward(const real* __restrict__ dy, const unsigned char* __restrict__ mask,
                                            real* __restrict__ dx, int n, float scale) {
    FOR_EACH(i, n) dx[i] = dy[i] * mask[i] * scale;
}
