// Depthwise convolution of channels-last maps, stride 1, size kept, any odd kernel and dilation.
// x, out, grad: (B, H, W, C), x and grad perhaps a slice of the channels of maps of more channels,
// `pitch` apart from pixel to pixel; weight: (kh * kw, C). One work item is one block of channels of one
// sample (forward) or of all samples in order (weights), so results do not depend on threads.
#include "vectors.h"

namespace {

struct Shape {
    int64_t batch, height, width, channels;
    int kh, kw, dilation;
    int64_t pad_y() const { return int64_t(kh / 2) * dilation; }
    int64_t pad_x() const { return int64_t(kw / 2) * dilation; }
};

// taps whose rows lie inside the map, seen from row y: first and one past the last
static inline void taps(int64_t low, int64_t high, int64_t pad, int64_t size, int k, int d, int& a, int& b) {
    const int64_t first = pad - high, last = pad - low + size - 1;
    a = first <= 0 ? 0 : int((first + d - 1) / d);
    b = last < 0 ? 0 : int(std::min<int64_t>(k, last / d + 1));
}

// one block of channels with `pad` zero columns on both sides (and a tile more on the right)
template <class T>
void pack(const T* x, const Shape& s, int64_t pitch, int64_t c, int lanes, int64_t pad, int64_t wide, T* to) {
    constexpr int V = Lanes<T>::count;
    for (int64_t y = 0; y < s.height; y++)
        for (int64_t i = 0; i < s.width; i++)
            store(to + (y * wide + pad + i) * V, load(x + (y * s.width + i) * pitch + c, lanes));
}

constexpr int TILE = 8;

template <class T>
void forward_block(const T* x, const T* w, const Vec<T>& bias, const Shape& s, int64_t c, int lanes,
                   int64_t wide, T* out) {
    constexpr int V = Lanes<T>::count;
    for (int64_t y = 0; y < s.height; y++)
        for (int64_t i = 0; i < s.width; i += TILE) {
            int y0, y1, x0, x1;
            taps(y, y, s.pad_y(), s.height, s.kh, s.dilation, y0, y1);
            taps(i, i + TILE - 1, s.pad_x(), s.width, s.kw, s.dilation, x0, x1);
            Vec<T> acc[TILE];
            for (int r = 0; r < TILE; r++) acc[r] = bias;
            for (int ky = y0; ky < y1; ky++) {
                const T* row = x + ((y + int64_t(ky) * s.dilation - s.pad_y()) * wide + i) * V;
                for (int kx = x0; kx < x1; kx++) {
                    const Vec<T> tap = load(w + (int64_t(ky) * s.kw + kx) * V);
                    const T* at = row + int64_t(kx) * s.dilation * V;
                    for (int r = 0; r < TILE; r++) acc[r] += tap * load(at + r * V);
                }
            }
            const int64_t valid = std::min<int64_t>(TILE, s.width - i);
            for (int64_t r = 0; r < valid; r++)
                store(out + (y * s.width + i + r) * s.channels + c, acc[r], lanes);
        }
}

template <class T>
void forward(const T* x, int64_t pitch, const T* weight, const T* bias, T* out, const Shape& s, int threads) {
    constexpr int V = Lanes<T>::count;
    const int64_t blocks = (s.channels + V - 1) / V, wide = s.width + 2 * s.pad_x() + TILE;
    const int64_t taps_all = int64_t(s.kh) * s.kw;
#pragma omp parallel num_threads(threads)
    {
        std::vector<T> map(s.height * wide * V, T(0)), w(taps_all * V);
#pragma omp for schedule(static)
        for (int64_t item = 0; item < s.batch * blocks; item++) {
            const int64_t b = item / blocks, c = item % blocks * V;
            const int lanes = int(std::min<int64_t>(V, s.channels - c));
            pack(x + b * s.height * s.width * pitch, s, pitch, c, lanes, s.pad_x(), wide, map.data());
            for (int64_t k = 0; k < taps_all; k++)
                store(w.data() + k * V, load(weight + k * s.channels + c, lanes));
            const Vec<T> start = bias ? load(bias + c, lanes) : Vec<T>{};
            forward_block(map.data(), w.data(), start, s, c, lanes, wide,
                          out + b * s.height * s.width * s.channels);
        }
    }
}

// taps x0 .. x0 + K - 1 of row ky, summed over one sample
template <class T, int K>
void weight_taps(const T* x, const T* g, const Shape& s, int64_t wide, int ky, int x0, T* out) {
    constexpr int V = Lanes<T>::count;
    const int64_t shift = int64_t(ky) * s.dilation - s.pad_y();
    const int64_t first = std::max<int64_t>(0, -shift), last = std::min(s.height, s.height - shift);
    Vec<T> acc[K] = {};
    for (int64_t y = first; y < last; y++) {
        const T* row = x + ((y + shift) * wide + int64_t(x0) * s.dilation) * V;
        const T* grad = g + y * s.width * V;
        for (int64_t i = 0; i < s.width; i++) {
            const Vec<T> one = load(grad + i * V);
            for (int k = 0; k < K; k++) acc[k] += one * load(row + (i + int64_t(k) * s.dilation) * V);
        }
    }
    T* to = out + (int64_t(ky) * s.kw + x0) * V;
    for (int k = 0; k < K; k++) store(to + k * V, load(to + k * V) + acc[k]);
}

template <class T>
void weight_row(const T* x, const T* g, const Shape& s, int64_t wide, int ky, T* out) {
    for (int x0 = 0; x0 < s.kw;) {
        const int left = s.kw - x0;
        const int k = left >= 14 || left == 7 ? 7 : left > 7 ? (left + 1) / 2 : left;
        switch (k) {
            case 7: weight_taps<T, 7>(x, g, s, wide, ky, x0, out); break;
            case 6: weight_taps<T, 6>(x, g, s, wide, ky, x0, out); break;
            case 5: weight_taps<T, 5>(x, g, s, wide, ky, x0, out); break;
            case 4: weight_taps<T, 4>(x, g, s, wide, ky, x0, out); break;
            case 3: weight_taps<T, 3>(x, g, s, wide, ky, x0, out); break;
            case 2: weight_taps<T, 2>(x, g, s, wide, ky, x0, out); break;
            default: weight_taps<T, 1>(x, g, s, wide, ky, x0, out);
        }
        x0 += k;
    }
}

template <class T>
void weights(const T* x, int64_t pitch, const T* grad, int64_t grad_pitch, T* weight_grad, T* bias_grad,
             const Shape& s, int threads) {
    constexpr int V = Lanes<T>::count;
    const int64_t blocks = (s.channels + V - 1) / V, wide = s.width + 2 * s.pad_x();
    const int64_t taps_all = int64_t(s.kh) * s.kw, pixels = s.height * s.width;
#pragma omp parallel num_threads(threads)
    {
        std::vector<T> map(s.height * wide * V, T(0)), g(s.height * s.width * V), w(taps_all * V);
#pragma omp for schedule(static)
        for (int64_t block = 0; block < blocks; block++) {
            const int64_t c = block * V;
            const int lanes = int(std::min<int64_t>(V, s.channels - c));
            std::fill(w.begin(), w.end(), T(0));
            Vec<T> sum = {};
            for (int64_t b = 0; b < s.batch; b++) {
                pack(x + b * pixels * pitch, s, pitch, c, lanes, s.pad_x(), wide, map.data());
                pack(grad + b * pixels * grad_pitch, s, grad_pitch, c, lanes, 0, s.width, g.data());
                for (int ky = 0; ky < s.kh; ky++) weight_row(map.data(), g.data(), s, wide, ky, w.data());
                Vec<T> part = {};
                for (int64_t i = 0; i < s.height * s.width; i++) part += load(g.data() + i * V);
                sum += part;
            }
            for (int64_t k = 0; k < taps_all; k++)
                store(weight_grad + k * s.channels + c, load(w.data() + k * V), lanes);
            store(bias_grad + c, sum, lanes);
        }
    }
}

}  // namespace

#define DEPTHWISE(T, NAME)                                                                          \
    extern "C" void depthwise_##NAME(const T* x, int64_t pitch, const T* weight, const T* bias, T* out, \
                                     int64_t batch, int64_t height, int64_t width, int64_t channels, \
                                     int64_t kh, int64_t kw, int64_t dilation, int64_t threads) {   \
        forward(x, pitch, weight, bias, out,                                                        \
                Shape{batch, height, width, channels, int(kh), int(kw), int(dilation)}, int(threads)); \
    }                                                                                               \
    extern "C" void depthwise_weights_##NAME(                                                       \
        const T* x, int64_t pitch, const T* grad, int64_t grad_pitch, T* weight_grad, T* bias_grad, \
        int64_t batch, int64_t height, int64_t width, int64_t channels, int64_t kh, int64_t kw,     \
        int64_t dilation, int64_t threads) {                                                        \
        weights(x, pitch, grad, grad_pitch, weight_grad, bias_grad,                                 \
                Shape{batch, height, width, channels, int(kh), int(kw), int(dilation)}, int(threads)); \
    }
DEPTHWISE(float, float32)
DEPTHWISE(double, float64)
