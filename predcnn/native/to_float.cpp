// Bytes to floats in [0, 1] in one pass. Runs in the training process, not in data loader workers.
#include <cstdint>

static void to_float(const uint8_t* bytes, float* out, int64_t count, int64_t threads) {
#pragma omp parallel for num_threads(int(threads)) schedule(static)
    for (int64_t i = 0; i < count; i++) out[i] = bytes[i] / 255.f;
}
auto to_float_uint8 = to_float;
