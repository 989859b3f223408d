// 3x3 convolution of channels-last maps, stride 1, size kept, by Winograd's F(4x4, 3x3): 36 products for 16 pixels
// where the sum over taps takes 144. Lavin & Gray 2016, https://arxiv.org/abs/1509.09308 (sec. 4.3).
// x: (B, H, W, in); taps: (3, 3, in, out); out: (B, H, W, out). A work item is a run of 4x4 tiles; results do not
// depend on the number of threads. Products are of ROWS tiles and one panel: two vectors of output channels.
#include "vectors.h"

namespace {

constexpr int OUT = 4, IN = 6, POINTS = IN * IN;  // sides of an output and of an input tile
constexpr int ROWS = BYTES == 64 ? 12 : 6;        // 2 * ROWS sums fit into the registers
constexpr int64_t RUN = 24;                       // maximum tiles of a work item
constexpr int64_t CACHED = 64 << 10;              // numbers of transformed tiles that fit into the cache
constexpr int PANELS = 2;                         // multiplied before their results are transformed back

struct Shape {
    int64_t batch, height, width, in, out;
    int64_t down() const { return (height + OUT - 1) / OUT; }
    int64_t across() const { return (width + OUT - 1) / OUT; }
    int64_t tiles() const { return batch * down() * across(); }
};

template <class T> struct Panel {
    static constexpr int lanes = Lanes<T>::count, size = 2 * lanes;
    static int64_t count(int64_t channels) { return (channels + size - 1) / size; }
};

// B^T d
template <class V> static inline void to_points(const V* d, V* to) {
    const V even = d[4] - 4 * d[2], odd = d[3] - 4 * d[1];
    const V even2 = d[4] - d[2], odd2 = 2 * (d[3] - d[1]);
    to[0] = 4 * d[0] - 5 * d[2] + d[4];
    to[1] = even + odd;
    to[2] = even - odd;
    to[3] = even2 + odd2;
    to[4] = even2 - odd2;
    to[5] = 4 * d[1] - 5 * d[3] + d[5];
}
// A^T m
template <class V> static inline void from_points(const V* m, V* to) {
    const V sum = m[1] + m[2], difference = m[1] - m[2];
    const V sum2 = m[3] + m[4], difference2 = m[3] - m[4];
    to[0] = m[0] + sum + sum2;
    to[1] = difference + 2 * difference2;
    to[2] = sum + 4 * sum2;
    to[3] = difference + 8 * difference2 + m[5];
}
// G g of three taps, `step` apart
template <class V> static inline void taps_to_points(const V* g, int step, V* to) {
    const V ends = g[0] + g[2 * step], middle = g[step];
    const V wide = g[0] / 24 + g[2 * step] / 6, middle2 = middle / 12;
    to[0] = g[0] / 4;
    to[1] = (ends + middle) / -6;
    to[2] = (ends - middle) / -6;
    to[3] = wide + middle2;
    to[4] = wide - middle2;
    to[5] = g[2 * step];
}

// (3, 3, in, out) -> (POINTS, panels, in, panel), padded with zero channels
template <class T> void transform_taps(const T* taps, const Shape& s, T* to, int threads) {
    using P = Panel<T>;
    const int64_t panels = P::count(s.out), plane = s.in * s.out, point = panels * s.in * P::size;
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t item = 0; item < panels * s.in; item++) {
        const int64_t panel = item / s.in, i = item % s.in;
        for (int half = 0; half < 2; half++) {
            const int64_t c = panel * P::size + half * P::lanes;
            const int n = int(std::max<int64_t>(0, std::min<int64_t>(P::lanes, s.out - c)));
            Vec<T> g[9], rows[IN * 3], all[IN];
            for (int k = 0; k < 9; k++) g[k] = n ? load(taps + k * plane + i * s.out + c, n) : Vec<T>{};
            for (int x = 0; x < 3; x++) {
                taps_to_points(g + x, 3, all);
                for (int y = 0; y < IN; y++) rows[y * 3 + x] = all[y];
            }
            for (int y = 0; y < IN; y++) {
                taps_to_points(rows + y * 3, 1, all);
                for (int x = 0; x < IN; x++)
                    store(to + (y * IN + x) * point + item * P::size + half * P::lanes, all[x]);
            }
        }
    }
}

// one input tile -> (POINTS, `apart`)
template <class T>
void transform_tile(const T* x, const Shape& s, int64_t tile, T* to, int64_t apart) {
    constexpr int L = Lanes<T>::count;
    const int64_t per_map = s.down() * s.across(), b = tile / per_map;
    const int64_t top = tile % per_map / s.across() * OUT - 1, left = tile % s.across() * OUT - 1;
    const bool inside = top >= 0 && left >= 0 && top + IN <= s.height && left + IN <= s.width;
    for (int64_t c = 0; c < s.in; c += L) {
        const int n = int(std::min<int64_t>(L, s.in - c));
        Vec<T> d[IN], half[POINTS], all[IN];
        const T* at = x + ((b * s.height + top) * s.width + left) * s.in + c;
        for (int j = 0; j < IN; j++) {
            for (int i = 0; i < IN; i++) {
                const T* pixel = at + (i * s.width + j) * s.in;
                const int64_t row = top + i, column = left + j;
                const bool there = inside || (row >= 0 && row < s.height && column >= 0 && column < s.width);
                d[i] = there ? load(pixel, n) : Vec<T>{};
            }
            to_points(d, all);
            for (int i = 0; i < IN; i++) half[i * IN + j] = all[i];
        }
        for (int i = 0; i < IN; i++) {
            to_points(half + i * IN, all);
            for (int j = 0; j < IN; j++) store(to + (i * IN + j) * apart + c, all[j]);
        }
    }
}

// sums over the input channels, of ROWS tiles and one panel
template <class T>
static inline void multiply(const T* v, int64_t pitch, const T* u, int64_t in, T* to, int64_t to_pitch) {
    constexpr int L = Lanes<T>::count;
    Vec<T> sum[ROWS][2] = {};
    for (int64_t c = 0; c < in; c++, u += 2 * L) {
        const Vec<T> one = load(u), two = load(u + L);
        for (int r = 0; r < ROWS; r++) {
            sum[r][0] += v[r * pitch + c] * one;
            sum[r][1] += v[r * pitch + c] * two;
        }
    }
    for (int r = 0; r < ROWS; r++) {
        store(to + r * to_pitch, sum[r][0]);
        store(to + r * to_pitch + L, sum[r][1]);
    }
}

// (POINTS, `apart`) of one tile and panel -> its output pixels
template <class T>
void transform_back(const T* m, int64_t apart, const T* bias, const Shape& s, int64_t tile, int64_t first, T* out) {
    constexpr int L = Lanes<T>::count;
    const int64_t per_map = s.down() * s.across(), b = tile / per_map;
    const int64_t top = tile % per_map / s.across() * OUT, left = tile % s.across() * OUT;
    for (int part = 0; part < 2 && first + part * L < s.out; part++) {
        const int64_t c = first + part * L;
        const int n = int(std::min<int64_t>(L, s.out - c));
        const Vec<T> start = bias ? load(bias + c, n) : Vec<T>{};
        Vec<T> points[IN], half[OUT * IN], all[OUT];
        for (int j = 0; j < IN; j++) {
            for (int i = 0; i < IN; i++) points[i] = load(m + (i * IN + j) * apart + part * L);
            from_points(points, all);
            for (int i = 0; i < OUT; i++) half[i * IN + j] = all[i];
        }
        for (int i = 0; i < OUT && top + i < s.height; i++) {
            from_points(half + i * IN, all);
            T* to = out + ((b * s.height + top + i) * s.width + left) * s.out + c;
            for (int j = 0; j < OUT && left + j < s.width; j++) store(to + j * s.out, all[j] + start, n);
        }
    }
}

template <class T>
void winograd(const T* x, const T* taps, const T* bias, T* out, int64_t batch, int64_t height, int64_t width,
              int64_t in, int64_t channels, int64_t threads) {
    const Shape s{batch, height, width, in, channels};
    using P = Panel<T>;
    const int64_t panels = P::count(s.out), tiles = s.tiles();
    const int64_t pitch = (s.in + P::lanes - 1) / P::lanes * P::lanes;
    const int64_t run = std::max<int64_t>(ROWS, std::min(RUN, CACHED / (pitch * POINTS)) / ROWS * ROWS);
    // an extra cache line, so that the points of a tile do not all map to the same cache sets
    const int64_t apart = run * pitch + 64 / sizeof(T), m_pitch = PANELS * P::size;
    const int64_t m_apart = run * m_pitch + 64 / sizeof(T), u_point = panels * s.in * P::size;
    std::vector<T> u(POINTS * u_point);
    transform_taps(taps, s, u.data(), int(threads));
#pragma omp parallel num_threads(int(threads))
    {
        std::vector<T> v(POINTS * apart), m(POINTS * m_apart);
#pragma omp for schedule(static)
        for (int64_t item = 0; item < (tiles + run - 1) / run; item++) {
            const int64_t begin = item * run, n = std::min(run, tiles - begin);
            for (int64_t t = 0; t < n; t++) transform_tile(x, s, begin + t, v.data() + t * pitch, apart);
            for (int64_t panel = 0; panel < panels; panel += PANELS) {
                const int64_t many = std::min<int64_t>(PANELS, panels - panel);
                for (int k = 0; k < POINTS; k++)
                    for (int64_t p = 0; p < many; p++)
                        for (int64_t t = 0; t < n; t += ROWS)
                            multiply(v.data() + k * apart + t * pitch, pitch,
                                     u.data() + k * u_point + (panel + p) * s.in * P::size, s.in,
                                     m.data() + k * m_apart + t * m_pitch + p * P::size, m_pitch);
                for (int64_t t = 0; t < n; t++)
                    for (int64_t p = 0; p < many; p++)
                        transform_back(m.data() + t * m_pitch + p * P::size, m_apart, bias, s, begin + t,
                                       (panel + p) * P::size, out);
            }
        }
    }
}

}  // namespace

EXPORT(winograd)
