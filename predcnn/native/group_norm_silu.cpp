// SiLU(GroupNorm(PixelShuffle(x))) of channels-last maps in one pass. A work item is one sample.
// x: (N, H, W, C * r * r), out: (N, H * r, W * r, C), r is 1 (no shuffle) or 2. Channel c * r * r + i * r + j of
// x becomes channel c of pixel (h * r + i, w * r + j). A group's channels stay together, so the statistics of
// the shuffled map are those of the unshuffled one. Without the shuffle, `fold` adjacent pixels of few channels
// are treated as one pixel of more channels, because short dependent sums would stall.
#include "vectors.h"

namespace {

constexpr int R = 2;  // of the pixel shuffle
constexpr int64_t FOLDED = 64;  // maximum channels after folding

struct Shape {
    int64_t samples, height, width, channels;  // channels of the result
    int groups, factor;
    int64_t wide() const { return channels * factor * factor; }
    int64_t pixels() const { return height * width; }
    // of the shuffled map: numbers in a line, and the offset of the R x R pixels of pixel p
    int64_t line() const { return width * R * channels; }
    int64_t corner(int64_t p) const { return p / width * R * line() + p % width * R * channels; }
    int64_t fold() const {
        int64_t n = 1;
        while (factor == 1 && 2 * n * wide() <= FOLDED && pixels() % (2 * n) == 0 && n < FOLDED) n *= 2;
        return n;
    }
};

constexpr int64_t FLUSH = 64;    // pixels summed before the sum is added to a double
constexpr int64_t SAMPLED = 64;  // pixels of the first estimate of the mean

template <class T> int64_t padded(int64_t n) { return n + Lanes<T>::count; }

// one pixel's channels -> its R x R pixels of the shuffled map, whose lines are `line` numbers long; and back
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

// One thread's buffers for one sample.
template <class T> struct Sample {
    static constexpr int V = Lanes<T>::count;
    const Shape& s;
    const int64_t base, fold, wide, pixels, group, spread;
    const double count;
    // values per channel, repeated for each of the folded pixels
    std::vector<T> weight, scale, offset, middle, rstd, direct, through;
    std::vector<T> part, part_two, pixel;
    std::vector<double> sums, sums_two;

    explicit Sample(const Shape& shape)
        : s(shape), base(s.wide()), fold(s.fold()), wide(base * fold), pixels(s.pixels() / fold),
          group(base / s.groups), spread(int64_t(s.factor) * s.factor), count(double(group) * s.pixels()),
          weight(padded<T>(wide), T(0)), scale(weight), offset(weight), middle(weight), rstd(weight),
          direct(weight), through(weight), part(weight), part_two(weight), pixel(weight), sums(wide),
          sums_two(wide) {}

    int64_t size() const { return pixels * wide; }
    void repeat(std::vector<T>& values) {
        for (int64_t i = base; i < wide; i++) values[i] = values[i - base];
    }
    // Sums over every `stride`-th pixel of what `add(pixel)` adds to part and part_two, per channel.
    template <class F> void sum_up(int64_t stride, F add) {
        std::fill(sums.begin(), sums.end(), 0.0);
        std::fill(sums_two.begin(), sums_two.end(), 0.0);
        for (int64_t start = 0; start < pixels; start += FLUSH * stride) {
            std::fill(part.begin(), part.end(), T(0));
            std::fill(part_two.begin(), part_two.end(), T(0));
            for (int64_t p = start; p < std::min(pixels, start + FLUSH * stride); p += stride) add(p);
            for (int64_t c = 0; c < wide; c++) {
                sums[c] += part[c];
                sums_two[c] += part_two[c];
            }
        }
        for (int64_t i = base; i < wide; i++) {
            sums[i % base] += sums[i];
            sums_two[i % base] += sums_two[i];
        }
    }
    // of x - middle and of its square
    void moments(const T* x, int64_t stride) {
        const T* shift = middle.data();
        T *sum = part.data(), *squares = part_two.data();
        const int64_t size = wide;
        sum_up(stride, [=](int64_t p) {
            for (int64_t c = 0; c < size; c += V) {
                const int n = int(std::min<int64_t>(V, size - c));
                const Vec<T> d = load(x + p * size + c, n) - load(shift + c);
                store(sum + c, load(sum + c) + d);
                store(squares + c, load(squares + c) + d * d);
            }
        });
    }
    double of_group(const std::vector<double>& values, int g) const {
        double sum = 0;
        for (int64_t c = g * group; c < (g + 1) * group; c++) sum += values[c];
        return sum;
    }

    void statistics(const T* x, double eps, T* mean, T* root) {
        // sums of squares about the mean of some pixels do not cancel
        std::fill(middle.begin(), middle.end(), T(0));
        const int64_t stride = std::max<int64_t>(1, pixels / SAMPLED);
        const double sampled = double(group * fold) * ((pixels + stride - 1) / stride);
        moments(x, stride);
        for (int g = 0; g < s.groups; g++)
            std::fill_n(middle.begin() + g * group, group, T(of_group(sums, g) / sampled));
        repeat(middle);
        moments(x, 1);
        for (int g = 0; g < s.groups; g++) {
            const double off = of_group(sums, g) / count;
            const double variance = std::max(0.0, of_group(sums_two, g) / count - off * off);
            mean[g] = T(middle[g * group] + off);
            root[g] = T(1 / std::sqrt(variance + eps));
        }
    }

    void take(const T* w, const T* bias, const T* mean, const T* root) {
        for (int64_t c = 0; c < base; c++) {
            weight[c] = w[c / spread];
            middle[c] = mean[c / group];
            rstd[c] = root[c / group];
            scale[c] = weight[c] * rstd[c];
            offset[c] = bias[c / spread] - middle[c] * scale[c];
        }
        for (auto* values : {&weight, &middle, &rstd, &scale, &offset}) repeat(*values);
    }

    void activate(const T* x, T* out) {
        const T *times = scale.data(), *plus = offset.data();
        for (int64_t p = 0; p < pixels; p++) {
            T* at = s.factor == 1 ? out + p * wide : pixel.data();
            for (int64_t c = 0; c < wide; c += V) {
                const int n = int(std::min<int64_t>(V, wide - c));
                const Vec<T> y = load(x + p * wide + c, n) * load(times + c) + load(plus + c);
                store(at + c, y / (T(1) + exponential(-y)), n);
            }
            if (s.factor > 1) scatter(at, s.channels, s.line(), out + s.corner(p));
        }
    }

    // grad_x = gradient of the norm's output; sums it over pixels, also times the normalised x
    void through_silu(const T* grad, const T* x, T* grad_x) {
        sum_up(1, [=](int64_t p) {
            const T* given = grad + p * wide;
            if (s.factor > 1) {
                gather(grad + s.corner(p), s.channels, s.line(), pixel.data());
                given = pixel.data();
            }
            pixel_through_silu(given, x + p * wide, grad_x + p * wide);
        });
    }

    void pixel_through_silu(const T* grad, const T* x, T* grad_x) {
        const T *times = scale.data(), *plus = offset.data(), *mean = middle.data(), *root = rstd.data();
        T *sum = part.data(), *sum_x = part_two.data();
        for (int64_t c = 0; c < wide; c += V) {
            const int n = int(std::min<int64_t>(V, wide - c));
            const Vec<T> v = load(x + c, n), y = v * load(times + c) + load(plus + c);
            const Vec<T> gate = T(1) / (T(1) + exponential(-y));
            const Vec<T> dy = load(grad + c, n) * gate * (T(1) + y * (T(1) - gate));
            const Vec<T> hat = (v - load(mean + c)) * load(root + c);
            store(grad_x + c, dy, n);
            store(sum + c, load(sum + c) + dy);
            store(sum_x + c, load(sum_x + c) + dy * hat);
        }
    }

    void of_parameters(T* grad_weight, T* grad_bias) const {
        for (int64_t k = 0; k < s.channels; k++) {
            double a = 0, b = 0;
            for (int64_t c = k * spread; c < (k + 1) * spread; c++) {
                a += sums[c];
                b += sums_two[c];
            }
            grad_bias[k] = T(a);
            grad_weight[k] = T(b);
        }
    }

    // reads the grad_x of through_silu
    void through_norm(const T* x, T* grad_x) {
        for (int64_t c = 0; c < base; c++) {
            sums[c] *= weight[c];
            sums_two[c] *= weight[c];
        }
        for (int g = 0; g < s.groups; g++) {
            std::fill_n(direct.begin() + g * group, group, T(of_group(sums, g) / count));
            std::fill_n(through.begin() + g * group, group, T(of_group(sums_two, g) / count));
        }
        repeat(direct);
        repeat(through);
        const T *w = weight.data(), *mean = middle.data(), *root = rstd.data(), *d = direct.data(), *t = through.data();
        for (int64_t p = 0; p < pixels; p++)
            for (int64_t c = 0; c < wide; c += V) {
                const int n = int(std::min<int64_t>(V, wide - c));
                const Vec<T> one = load(root + c), hat = (load(x + p * wide + c, n) - load(mean + c)) * one;
                const Vec<T> dy = load(grad_x + p * wide + c, n), rest = load(d + c) + hat * load(t + c);
                store(grad_x + p * wide + c, one * (load(w + c) * dy - rest), n);
            }
    }
};

template <class T>
void group_norm_silu(const T* x, const T* weight, const T* bias, T* out, T* mean, T* rstd, int64_t samples,
                     int64_t height, int64_t width, int64_t channels, int64_t groups, int64_t factor, double eps,
                     int64_t threads) {
    const Shape s{samples, height, width, channels, int(groups), int(factor)};
#pragma omp parallel num_threads(int(threads))
    {
        Sample<T> work(s);
#pragma omp for schedule(static)
        for (int64_t n = 0; n < s.samples; n++) {
            const T* from = x + n * work.size();
            T *middle = mean + n * s.groups, *root = rstd + n * s.groups;
            work.statistics(from, eps, middle, root);
            work.take(weight, bias, middle, root);
            work.activate(from, out + n * work.size());
        }
    }
}

template <class T>
void group_norm_silu_backward(const T* grad, const T* x, const T* weight, const T* bias, const T* mean,
                              const T* rstd, T* grad_x, T* grad_weight, T* grad_bias, int64_t samples,
                              int64_t height, int64_t width, int64_t channels, int64_t groups, int64_t factor,
                              int64_t threads) {
    const Shape s{samples, height, width, channels, int(groups), int(factor)};
#pragma omp parallel num_threads(int(threads))
    {
        Sample<T> work(s);
#pragma omp for schedule(static)
        for (int64_t n = 0; n < s.samples; n++) {
            const int64_t at = n * work.size();
            work.take(weight, bias, mean + n * s.groups, rstd + n * s.groups);
            work.through_silu(grad + at, x + at, grad_x + at);
            work.of_parameters(grad_weight + n * s.channels, grad_bias + n * s.channels);
            work.through_norm(x + at, grad_x + at);
        }
    }
}

}  // namespace

EXPORT(group_norm_silu)
EXPORT(group_norm_silu_backward)
