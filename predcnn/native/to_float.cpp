// Bytes to numbers in [0, 1], in one pass over memory; in the training process, not in a loader's.
#include <cstdint>

extern "C" void to_float_uint8(const uint8_t* bytes, float* out, int64_t count, int64_t threads) {
#pragma omp parallel for num_threads(int(threads)) schedule(static)
    for (int64_t i = 0; i < count; i++) out[i] = bytes[i] / 255.f;
}
