// The smallest kernel that proves a GPU: y[i] = 2 x[i]. It is compiled and run before any device is called usable.
extern "C" __global__ void probe(const float* x, float* y, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i] = 2.0f * x[i];
}
