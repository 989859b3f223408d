// Moving sprites: `walk` computes their tracks, `sprites` draws them over a still image or black by the
// maximum. Single-threaded: forked data loader workers call them, and OpenMP does not survive a fork.
// position: (N); steps, track: (T, N).
// frames: (B, T, P, H, W); still: (B, P, H, W) or null for black; pool: (N, h, w); which: (B, D), indices
// into the pool; counts: (B), sprites drawn of the D, or null for all; places: (T, 2, B, D), top and left.
#include <algorithm>
#include <cstdint>
#include <cstring>

namespace {

typedef uint8_t Bytes __attribute__((vector_size(16)));

static inline Bytes brighter(const uint8_t* at, const uint8_t* sprite) {
    Bytes below, above;
    std::memcpy(&below, at, sizeof(below));
    std::memcpy(&above, sprite, sizeof(above));
    return below > above ? below : above;
}
static inline void store(uint8_t* at, const Bytes& bytes) { std::memcpy(at, &bytes, sizeof(bytes)); }

void lay(const uint8_t* sprite, int64_t h, int64_t w, int64_t width, uint8_t* at) {
    constexpr int64_t V = sizeof(Bytes);
    for (int64_t y = 0; y < h; y++, sprite += w, at += width) {
        if (w < V) {
            for (int64_t x = 0; x < w; x++) at[x] = std::max(at[x], sprite[x]);
            continue;
        }
        // the last bytes overlap others: read them before those are written, which would stall the read
        const Bytes last = brighter(at + w - V, sprite + w - V);
        for (int64_t x = 0; x + V < w; x += V) store(at + x, brighter(at + x, sprite + x));
        store(at + w - V, last);
    }
}

void sprites(uint8_t* frames, const uint8_t* still, const uint8_t* pool, const int64_t* which, const int64_t* counts,
             const int64_t* places, int64_t batch, int64_t steps, int64_t planes, int64_t height, int64_t width,
             int64_t digits, int64_t h, int64_t w, int64_t) {
    const int64_t area = height * width, size = planes * area;
    for (int64_t b = 0; b < batch; b++)
        for (int64_t t = 0; t < steps; t++, frames += size) {
            if (still) std::memcpy(frames, still + b * size, size);
            else std::memset(frames, 0, size);
            for (int64_t d = 0; d < (counts ? counts[b] : digits); d++) {
                const int64_t top = places[((2 * t) * batch + b) * digits + d];
                const int64_t left = places[((2 * t + 1) * batch + b) * digits + d];
                const uint8_t* sprite = pool + which[b * digits + d] * h * w;
                for (int64_t p = 0; p < planes; p++) lay(sprite, h, w, width, frames + p * area + top * width + left);
            }
        }
}

void walk(const double* position, const double* steps, double* track, int64_t frames, int64_t count, int64_t) {
    for (int64_t n = 0; n < count; n++) {
        double at = position[n], heading = 1;
        for (int64_t i = n; i < frames * count; i += count) {
            at += heading * steps[i];  // the product is exact, so a fused multiply-add rounds the same
            if (at <= 0.0 || at >= 1.0) {
                at = at <= 0.0 ? 0.0 : 1.0;
                heading = -heading;
            }
            track[i] = at;
        }
    }
}

}  // namespace

auto sprites_uint8 = sprites;
auto walk_float64 = walk;
