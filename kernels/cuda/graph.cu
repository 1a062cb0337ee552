// A number that the host puts into memory, before a recorded step that reads it is replayed: an argument of a launch is
// copied when it is launched, so nothing has to wait until it has arrived.
extern "C" __global__ void write_int(int* place, int value) { *place = value; }

extern "C" __global__ void write_float(float* place, float value) { *place = value; }
