// Depthwise convolution of channels-last maps, stride 1, size kept, any odd kernel and dilation.
// x, out, grad: (B, H, W, C); x and grad may be a slice of the channels of a larger map, whose pixels are
// `pitch` numbers apart; weight: (C, kh * kw). A work item is one block of channels of one sample (forward)
// or of all samples in order (weights), so results do not depend on the number of threads.
#include "vectors.h"

namespace {

struct Shape {
    int64_t batch, height, width, channels;
    int kh, kw, dilation;
    int64_t pad_y() const { return int64_t(kh / 2) * dilation; }
    int64_t pad_x() const { return int64_t(kw / 2) * dilation; }
};

// range [a, b) of the taps that fall inside the map for some output in low .. high
static inline void taps(int64_t low, int64_t high, int64_t pad, int64_t size, int k, int d, int& a, int& b) {
    const int64_t first = pad - high, last = pad - low + size - 1;
    a = first <= 0 ? 0 : int((first + d - 1) / d);
    b = last < 0 ? 0 : int(std::min<int64_t>(k, last / d + 1));
}

// A block of channels: one cache line, in one or two vectors.
template <class T> struct Block {
    static constexpr int vectors = 64 / BYTES, lanes = Lanes<T>::count, size = vectors * lanes;
    Vec<T> v[vectors];
};
template <class T> static inline Block<T> load_block(const T* p) {
    Block<T> out;
    for (int k = 0; k < Block<T>::vectors; k++) out.v[k] = load(p + k * Block<T>::lanes);
    return out;
}
template <class T> static inline void store_block(T* p, const Block<T>& block) {
    for (int k = 0; k < Block<T>::vectors; k++) store(p + k * Block<T>::lanes, block.v[k]);
}
// first n channels, the others 0
template <class T> static inline void copy_block(const T* from, int n, T* to) {
    if (n == Block<T>::size) return store_block(to, load_block(from));
    for (int i = 0; i < n; i++) to[i] = from[i];
    for (int i = n; i < Block<T>::size; i++) to[i] = 0;
}
template <class T> static inline void multiply_add(Block<T>& sum, const Block<T>& a, const T* b) {
    for (int k = 0; k < Block<T>::vectors; k++) sum.v[k] += a.v[k] * load(b + k * Block<T>::lanes);
}

// copies one block of channels, with `pad` zero columns on the left and at least as many on the right
template <class T>
void pack(const T* x, const Shape& s, int64_t pitch, int64_t c, int n, int64_t pad, int64_t wide, T* to) {
    for (int64_t y = 0; y < s.height; y++)
        for (int64_t i = 0; i < s.width; i++)
            copy_block(x + (y * s.width + i) * pitch + c, n, to + (y * wide + pad + i) * Block<T>::size);
}

// Copies the taps of one block of channels; flipped for the gradient of the input. Taps behind the first n
// channels are left as they are: their sums are not stored.
template <class T>
void pack_taps(const T* weight, int64_t taps, int64_t c, int n, bool flipped, T* to) {
    constexpr int S = Block<T>::size;
    for (int j = 0; j < n; j++) {
        const T* from = weight + (c + j) * taps;
        for (int64_t k = 0; k < taps; k++) to[k * S + j] = from[flipped ? taps - 1 - k : k];
    }
}

constexpr int TILE = BYTES == 64 ? 8 : 4;  // pixels at once: as many sums as fit into the registers

template <class T>
void forward_block(const T* x, const T* w, const T* bias, const Shape& s, int64_t c, int n, int64_t wide,
                   T* out) {
    constexpr int S = Block<T>::size;
    const int64_t step = int64_t(s.dilation) * S;
    T tail[S];
    for (int64_t y = 0; y < s.height; y++) {
        int y0, y1;
        taps(y, y, s.pad_y(), s.height, s.kh, s.dilation, y0, y1);
        for (int64_t i = 0; i < s.width; i += TILE) {
            int x0, x1;
            taps(i, i + TILE - 1, s.pad_x(), s.width, s.kw, s.dilation, x0, x1);
            Block<T> sum[TILE];
            for (int r = 0; r < TILE; r++) sum[r] = load_block(bias);
            for (int ky = y0; ky < y1; ky++) {
                const T* at = x + ((y + int64_t(ky) * s.dilation - s.pad_y()) * wide + i) * S + x0 * step;
                const T* tap = w + (int64_t(ky) * s.kw + x0) * S;
                for (int kx = x0; kx < x1; kx++, at += step, tap += S) {
                    const Block<T> one = load_block(tap);
                    for (int r = 0; r < TILE; r++) multiply_add(sum[r], one, at + r * S);
                }
            }
            const int64_t valid = std::min<int64_t>(TILE, s.width - i);
            for (int64_t r = 0; r < valid; r++) {
                T* to = out + (y * s.width + i + r) * s.channels + c;
                store_block(n == S ? to : tail, sum[r]);
                if (n < S) std::copy(tail, tail + n, to);
            }
        }
    }
}

template <class T>
void depthwise(const T* x, int64_t pitch, const T* weight, const T* bias, T* out, int64_t batch, int64_t height,
               int64_t width, int64_t channels, int64_t kh, int64_t kw, int64_t dilation, int64_t flipped,
               int64_t threads) {
    const Shape s{batch, height, width, channels, int(kh), int(kw), int(dilation)};
    constexpr int S = Block<T>::size;
    const int64_t blocks = (s.channels + S - 1) / S, wide = s.width + 2 * s.pad_x() + TILE;
    const int64_t taps_all = int64_t(s.kh) * s.kw, pixels = s.height * s.width;
#pragma omp parallel num_threads(int(threads))
    {
        std::vector<T> map(s.height * wide * S, T(0)), w(taps_all * S), start(S, T(0));
        int64_t packed = -1;
#pragma omp for schedule(static)
        for (int64_t item = 0; item < s.batch * blocks; item++) {
            const int64_t b = item % s.batch, c = item / s.batch * S;
            const int n = int(std::min<int64_t>(S, s.channels - c));
            pack(x + b * pixels * pitch, s, pitch, c, n, s.pad_x(), wide, map.data());
            if (c != packed) {
                pack_taps(weight, taps_all, c, n, flipped != 0, w.data());
                if (bias) copy_block(bias + c, n, start.data());
                packed = c;
            }
            forward_block(map.data(), w.data(), start.data(), s, c, n, wide, out + b * pixels * s.channels);
        }
    }
}

// taps x0 .. x0 + K - 1 of row ky, summed over one sample
template <class T, int K>
void weight_taps(const T* x, const T* g, const Shape& s, int64_t wide, int ky, int x0, T* out) {
    constexpr int S = Block<T>::size;
    const int64_t shift = int64_t(ky) * s.dilation - s.pad_y(), step = int64_t(s.dilation) * S;
    const int64_t first = std::max<int64_t>(0, -shift), last = std::min(s.height, s.height - shift);
    Block<T> sum[K] = {};
    for (int64_t y = first; y < last; y++) {
        const T* row = x + (y + shift) * wide * S + x0 * step;
        const T* grad = g + y * s.width * S;
        for (int64_t i = 0; i < s.width; i++, row += S, grad += S) {
            const Block<T> one = load_block(grad);
            for (int k = 0; k < K; k++) multiply_add(sum[k], one, row + k * step);
        }
    }
    T* to = out + (int64_t(ky) * s.kw + x0) * S;
    for (int k = 0; k < K; k++)
        for (int j = 0; j < Block<T>::vectors; j++) {
            T* at = to + k * S + j * Block<T>::lanes;
            store(at, load(at) + sum[k].v[j]);
        }
}

// weight_taps of k taps, at most K
template <class T, int K>
void weight_part(int k, const T* x, const T* g, const Shape& s, int64_t wide, int ky, int x0, T* out) {
    if (k == K) return weight_taps<T, K>(x, g, s, wide, ky, x0, out);
    if constexpr (K > 1) weight_part<T, K - 1>(k, x, g, s, wide, ky, x0, out);
}

template <class T>
void weight_row(const T* x, const T* g, const Shape& s, int64_t wide, int ky, T* out) {
    constexpr int most = BYTES == 64 ? 7 : 6;  // twice 6 sums and the gradient fit into 16 registers
    for (int x0 = 0; x0 < s.kw;) {
        const int left = s.kw - x0, parts = (left + most - 1) / most, k = (left + parts - 1) / parts;
        weight_part<T, most>(k, x, g, s, wide, ky, x0, out);
        x0 += k;
    }
}

template <class T>
void depthwise_weights(const T* x, int64_t pitch, const T* grad, int64_t grad_pitch, T* weight_grad, T* bias_grad,
                       int64_t batch, int64_t height, int64_t width, int64_t channels, int64_t kh, int64_t kw,
                       int64_t dilation, int64_t threads) {
    const Shape s{batch, height, width, channels, int(kh), int(kw), int(dilation)};
    constexpr int S = Block<T>::size;
    const int64_t blocks = (s.channels + S - 1) / S, wide = s.width + 2 * s.pad_x();
    const int64_t taps_all = int64_t(s.kh) * s.kw, pixels = s.height * s.width;
#pragma omp parallel num_threads(int(threads))
    {
        std::vector<T> map(s.height * wide * S, T(0)), g(pixels * S), w(taps_all * S), sum(S);
#pragma omp for schedule(static)
        for (int64_t block = 0; block < blocks; block++) {
            const int64_t c = block * S;
            const int n = int(std::min<int64_t>(S, s.channels - c));
            std::fill(w.begin(), w.end(), T(0));
            std::fill(sum.begin(), sum.end(), T(0));
            for (int64_t b = 0; b < s.batch; b++) {
                pack(x + b * pixels * pitch, s, pitch, c, n, s.pad_x(), wide, map.data());
                pack(grad + b * pixels * grad_pitch, s, grad_pitch, c, n, 0, s.width, g.data());
                for (int ky = 0; ky < s.kh; ky++) weight_row(map.data(), g.data(), s, wide, ky, w.data());
                T part[S] = {};
                for (int64_t i = 0; i < pixels; i++)
                    for (int k = 0; k < S; k++) part[k] += g[i * S + k];
                for (int k = 0; k < S; k++) sum[k] += part[k];
            }
            for (int j = 0; j < n; j++)
                for (int64_t k = 0; k < taps_all; k++) weight_grad[(c + j) * taps_all + k] = w[k * S + j];
            std::copy_n(sum.data(), n, bias_grad + c);
        }
    }
}

}  // namespace

EXPORT(depthwise)
EXPORT(depthwise_weights)
