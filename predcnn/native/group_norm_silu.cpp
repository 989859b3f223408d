// Group norm, SiLU and perhaps a pixel shuffle by 2 before both, of channels-last maps in one pass.
// x: (N, H, W, C * r * r), out: (N, H * r, W * r, C), r is 1 or 2. Channel c * r * r + i * r + j of x becomes
// channel c of pixel (h * r + i, w * r + j); a group's channels stay together, so the statistics of
// the shuffled map are those of the unshuffled one. One work item is one sample. Neighbouring pixels of
// few channels are taken for one pixel of more (`fold` of them, without the shuffle, which needs them one by
// one): sums over a handful of channels would wait for each other.
#include "vectors.h"

namespace {

constexpr int R = 2;  // of the pixel shuffle
constexpr int64_t FOLDED = 64;  // channels from which on nothing waits

struct Shape {
    int64_t samples, height, width, channels;  // channels of the result
    int groups, factor;
    int64_t wide() const { return channels * factor * factor; }
    int64_t pixels() const { return height * width; }
    // of the shuffled map: numbers in a line, and where the R x R pixels of pixel p begin
    int64_t line() const { return width * R * channels; }
    int64_t corner(int64_t p) const { return p / width * R * line() + p % width * R * channels; }
    int64_t fold() const {
        int64_t n = 1;
        while (factor == 1 && 2 * n * wide() <= FOLDED && pixels() % (2 * n) == 0 && n < FOLDED) n *= 2;
        return n;
    }
};

constexpr int64_t FLUSH = 64;    // pixels summed before the sum is widened to double
constexpr int64_t SAMPLED = 64;  // pixels that give a first guess of the mean

// Sums over every `stride`-th pixel of x - shift and of its square, per channel.
template <class T>
void channel_sums(const T* x, int64_t pixels, int64_t stride, int64_t wide, const T* shift, T* part,
                  T* squares, double* sums, double* sums_of_squares) {
    constexpr int V = Lanes<T>::count;
    std::fill(sums, sums + wide, 0.0);
    std::fill(sums_of_squares, sums_of_squares + wide, 0.0);
    for (int64_t start = 0; start < pixels; start += FLUSH * stride) {
        std::fill(part, part + wide, T(0));
        std::fill(squares, squares + wide, T(0));
        for (int64_t p = start; p < std::min(pixels, start + FLUSH * stride); p += stride)
            for (int64_t c = 0; c < wide; c += V) {
                const int n = int(std::min<int64_t>(V, wide - c));
                const Vec<T> d = load(x + p * wide + c, n) - load(shift + c);
                store(part + c, load(part + c) + d);
                store(squares + c, load(squares + c) + d * d);
            }
        for (int64_t c = 0; c < wide; c++) {
            sums[c] += part[c];
            sums_of_squares[c] += squares[c];
        }
    }
}

// values of the channels, once for each of the pixels folded into one; and the sum over those pixels
template <class T> void repeat(std::vector<T>& values, int64_t wide, int64_t fold) {
    for (int64_t i = wide; i < wide * fold; i++) values[i] = values[i - wide];
}
inline void unfold(std::vector<double>& sums, int64_t wide, int64_t fold) {
    for (int64_t i = wide; i < wide * fold; i++) sums[i % wide] += sums[i];
}

template <class T> int64_t padded(int64_t n) { return n + Lanes<T>::count; }

// one pixel's channels to its R x R pixels of the shuffled map, whose lines are `line` numbers long
template <class T>
void scatter(const T* __restrict pixel, int64_t channels, int64_t line, T* __restrict to) {
    for (int64_t c = 0; c < channels; c++)
        for (int i = 0; i < R; i++)
            for (int j = 0; j < R; j++) to[i * line + j * channels + c] = pixel[(c * R + i) * R + j];
}
template <class T>
void gather(const T* __restrict from, int64_t channels, int64_t line, T* __restrict pixel) {
    for (int64_t c = 0; c < channels; c++)
        for (int i = 0; i < R; i++)
            for (int j = 0; j < R; j++) pixel[(c * R + i) * R + j] = from[i * line + j * channels + c];
}

template <class T>
void forward(const T* x, const T* weight, const T* bias, T* out, T* mean, T* rstd, const Shape& s,
             double eps, int threads) {
    constexpr int V = Lanes<T>::count;
    const int64_t base = s.wide(), group = base / s.groups, fold = s.fold();
    const int64_t wide = base * fold, pixels = s.pixels() / fold;
    const double count = double(group) * s.pixels();
#pragma omp parallel num_threads(threads)
    {
        std::vector<T> part(padded<T>(wide), T(0)), squares(part), shift(part), scale(part), offset(part);
        std::vector<T> pixel(part);
        std::vector<double> sums(wide), of_squares(wide);
        auto sum_group = [&](const std::vector<double>& values, int g) {
            double sum = 0;
            for (int64_t c = g * group; c < (g + 1) * group; c++) sum += values[c];
            return sum;
        };
#pragma omp for schedule(static)
        for (int64_t n = 0; n < s.samples; n++) {
            const T* from = x + n * pixels * wide;
            T* to = out + n * pixels * wide;
            // the mean of some pixels first: about it, sums of squares lose nothing
            std::fill(shift.begin(), shift.end(), T(0));
            const int64_t stride = std::max<int64_t>(1, pixels / SAMPLED);
            const double sampled = double(group * fold) * ((pixels + stride - 1) / stride);
            channel_sums(from, pixels, stride, wide, shift.data(), part.data(), squares.data(), sums.data(),
                         of_squares.data());
            unfold(sums, base, fold);
            for (int g = 0; g < s.groups; g++)
                std::fill_n(shift.begin() + g * group, group, T(sum_group(sums, g) / sampled));
            repeat(shift, base, fold);
            channel_sums(from, pixels, int64_t(1), wide, shift.data(), part.data(), squares.data(),
                         sums.data(), of_squares.data());
            unfold(sums, base, fold);
            unfold(of_squares, base, fold);
            for (int g = 0; g < s.groups; g++) {
                const double off = sum_group(sums, g) / count;
                const double variance = std::max(0.0, sum_group(of_squares, g) / count - off * off);
                const T r = T(1 / std::sqrt(variance + eps)), m = T(shift[g * group] + off);
                mean[n * s.groups + g] = m;
                rstd[n * s.groups + g] = r;
                for (int64_t c = g * group; c < (g + 1) * group; c++) {
                    const int64_t k = c / (s.factor * s.factor);
                    scale[c] = weight[k] * r;
                    offset[c] = bias[k] - m * scale[c];
                }
            }
            repeat(scale, base, fold);
            repeat(offset, base, fold);
            for (int64_t p = 0; p < pixels; p++) {
                T* at = s.factor == 1 ? to + p * wide : pixel.data();
                for (int64_t c = 0; c < wide; c += V) {
                    const int m = int(std::min<int64_t>(V, wide - c));
                    const Vec<T> y = load(from + p * wide + c, m) * load(scale.data() + c) + load(offset.data() + c);
                    store(at + c, y / (T(1) + exponential(-y)), m);
                }
                if (s.factor > 1) scatter(at, s.channels, s.line(), to + s.corner(p));
            }
        }
    }
}

template <class T>
void backward(const T* grad, const T* x, const T* weight, const T* bias, const T* mean, const T* rstd,
              T* grad_x, T* grad_weight, T* grad_bias, const Shape& s, int threads) {
    constexpr int V = Lanes<T>::count;
    const int64_t base = s.wide(), group = base / s.groups, spread = int64_t(s.factor) * s.factor;
    const int64_t fold = s.fold(), wide = base * fold, pixels = s.pixels() / fold;
    const double count = double(group) * s.pixels();
#pragma omp parallel num_threads(threads)
    {
        std::vector<T> zero(padded<T>(wide), T(0)), w(zero), scale(zero), offset(zero), middle(zero), r(zero);
        std::vector<T> direct(zero), through(zero), pixel(zero), part(zero), part_x(zero);
        std::vector<double> sum(wide), sum_x(wide);
#pragma omp for schedule(static)
        for (int64_t n = 0; n < s.samples; n++) {
            const T* from = x + n * pixels * wide;
            const T* given = grad + n * pixels * wide;
            T* to = grad_x + n * pixels * wide;
            for (int64_t c = 0; c < base; c++) {
                const int64_t g = n * s.groups + c / group;
                w[c] = weight[c / spread];
                middle[c] = mean[g];
                r[c] = rstd[g];
                scale[c] = w[c] * r[c];
                offset[c] = bias[c / spread] - mean[g] * scale[c];
            }
            for (auto* values : {&w, &middle, &r, &scale, &offset}) repeat(*values, base, fold);
            std::fill(sum.begin(), sum.end(), 0.0);
            std::fill(sum_x.begin(), sum_x.end(), 0.0);
            for (int64_t start = 0; start < pixels; start += FLUSH) {
                std::fill(part.begin(), part.end(), T(0));
                std::fill(part_x.begin(), part_x.end(), T(0));
                for (int64_t p = start; p < std::min(pixels, start + FLUSH); p++) {
                    const T* dz = given + p * wide;
                    if (s.factor > 1) {
                        gather(given + s.corner(p), s.channels, s.line(), pixel.data());
                        dz = pixel.data();
                    }
                    for (int64_t c = 0; c < wide; c += V) {
                        const int m = int(std::min<int64_t>(V, wide - c));
                        const Vec<T> v = load(from + p * wide + c, m);
                        const Vec<T> y = v * load(scale.data() + c) + load(offset.data() + c);
                        const Vec<T> gate = T(1) / (T(1) + exponential(-y));
                        const Vec<T> dy = load(dz + c, m) * gate * (T(1) + y * (T(1) - gate));
                        const Vec<T> hat = (v - load(middle.data() + c)) * load(r.data() + c);
                        store(to + p * wide + c, dy, m);
                        store(part.data() + c, load(part.data() + c) + dy);
                        store(part_x.data() + c, load(part_x.data() + c) + dy * hat);
                    }
                }
                for (int64_t c = 0; c < wide; c++) {
                    sum[c] += part[c];
                    sum_x[c] += part_x[c];
                }
            }
            unfold(sum, base, fold);
            unfold(sum_x, base, fold);
            for (int64_t k = 0; k < s.channels; k++) {
                double a = 0, b = 0;
                for (int64_t c = k * spread; c < (k + 1) * spread; c++) {
                    a += sum[c];
                    b += sum_x[c];
                }
                grad_bias[n * s.channels + k] = T(a);
                grad_weight[n * s.channels + k] = T(b);
            }
            for (int g = 0; g < s.groups; g++) {
                double a = 0, b = 0;
                for (int64_t c = g * group; c < (g + 1) * group; c++) {
                    a += w[c] * sum[c];
                    b += w[c] * sum_x[c];
                }
                std::fill_n(direct.begin() + g * group, group, T(a / count));
                std::fill_n(through.begin() + g * group, group, T(b / count));
            }
            repeat(direct, base, fold);
            repeat(through, base, fold);
            for (int64_t p = 0; p < pixels; p++)
                for (int64_t c = 0; c < wide; c += V) {
                    const int m = int(std::min<int64_t>(V, wide - c));
                    const Vec<T> one = load(r.data() + c);
                    const Vec<T> hat = (load(from + p * wide + c, m) - load(middle.data() + c)) * one;
                    const Vec<T> dy = load(to + p * wide + c, m);
                    const Vec<T> rest = load(direct.data() + c) + hat * load(through.data() + c);
                    store(to + p * wide + c, one * (load(w.data() + c) * dy - rest), m);
                }
        }
    }
}

}  // namespace

#define GROUP_NORM_SILU(T, NAME)                                                                    \
    extern "C" void group_norm_silu_##NAME(const T* x, const T* weight, const T* bias, T* out, T* mean, \
                                           T* rstd, int64_t samples, int64_t height, int64_t width, \
                                           int64_t channels, int64_t groups, int64_t factor, double eps, \
                                           int64_t threads) {                                       \
        forward(x, weight, bias, out, mean, rstd,                                                   \
                Shape{samples, height, width, channels, int(groups), int(factor)}, eps, int(threads)); \
    }                                                                                               \
    extern "C" void group_norm_silu_backward_##NAME(                                                \
        const T* grad, const T* x, const T* weight, const T* bias, const T* mean, const T* rstd,    \
        T* grad_x, T* grad_weight, T* grad_bias, int64_t samples, int64_t height, int64_t width,    \
        int64_t channels, int64_t groups, int64_t factor, int64_t threads) {                        \
        backward(grad, x, weight, bias, mean, rstd, grad_x, grad_weight, grad_bias,                 \
                 Shape{samples, height, width, channels, int(groups), int(factor)}, int(threads));  \
    }
GROUP_NORM_SILU(float, float32)
GROUP_NORM_SILU(double, float64)
