// Deformable sampling (DCNv3, DCNv4): bilinear samples of channels-last maps, weighted and summed.
// x: (B, H, W, G * C); place: (B, P, G, K, 2), pixels (x, y); weight: (B, P, G, K); out:
// (B, P, G * C), P output pixels, K points; the map is zero outside. A work item is one group of one
// sample: no two items write to the same gradients.
#include "vectors.h"

namespace {

struct Shape {
    int64_t batch, height, width, groups, channels, pixels, points;
};

// The four pixels around a place, their bilinear weights and the derivatives of these.
template <class T> struct Corners {
    int64_t at[4];
    T share[4], along_x[4], along_y[4];
    bool inside[4];
};

template <class T> bool find(const T* place, const Shape& s, Corners<T>& c) {
    const T px = place[0], py = place[1];
    if (!(px > -1 && py > -1 && px < T(s.width) && py < T(s.height))) return false;
    const T left = std::floor(px), top = std::floor(py), fx = px - left, fy = py - top;
    for (int k = 0; k < 4; k++) {
        const int64_t x = int64_t(left) + (k & 1), y = int64_t(top) + (k >> 1);
        const T wx = k & 1 ? fx : 1 - fx, wy = k >> 1 ? fy : 1 - fy;
        c.inside[k] = x >= 0 && y >= 0 && x < s.width && y < s.height;
        c.at[k] = (y * s.width + x) * s.groups * s.channels;
        c.share[k] = wx * wy;
        c.along_x[k] = k & 1 ? wy : -wy;
        c.along_y[k] = k >> 1 ? wx : -wx;
    }
    return true;
}

template <class T>
void deform(const T* x, const T* place, const T* weight, T* out, int64_t batch, int64_t height, int64_t width,
            int64_t groups, int64_t channels, int64_t pixels, int64_t points, int64_t threads) {
    const Shape s{batch, height, width, groups, channels, pixels, points};
    const int64_t image = s.height * s.width * s.groups * s.channels;
#pragma omp parallel for num_threads(int(threads)) schedule(static)
    for (int64_t item = 0; item < s.batch * s.groups; item++) {
        const int64_t b = item / s.groups, g = item % s.groups, n = s.channels;
        const T* map = x + b * image + g * n;
        for (int64_t p = 0; p < s.pixels; p++) {
            const int64_t row = (b * s.pixels + p) * s.groups + g;
            T* to = out + row * n;
            std::fill(to, to + n, T(0));
            for (int64_t k = 0; k < s.points; k++) {
                Corners<T> c;
                if (!find(place + (row * s.points + k) * 2, s, c)) continue;
                for (int j = 0; j < 4; j++) {
                    if (!c.inside[j]) continue;
                    const T factor = weight[row * s.points + k] * c.share[j];
                    const T* from = map + c.at[j];
#pragma omp simd
                    for (int64_t i = 0; i < n; i++) to[i] += factor * from[i];
                }
            }
        }
    }
}

template <class T>
void deform_backward(const T* grad, const T* x, const T* place, const T* weight, T* grad_x, T* grad_place,
                     T* grad_weight, int64_t batch, int64_t height, int64_t width, int64_t groups, int64_t channels,
                     int64_t pixels, int64_t points, int64_t threads) {
    const Shape s{batch, height, width, groups, channels, pixels, points};
    const int64_t image = s.height * s.width * s.groups * s.channels;
#pragma omp parallel for num_threads(int(threads)) schedule(static)
    for (int64_t item = 0; item < s.batch * s.groups; item++) {
        const int64_t b = item / s.groups, g = item % s.groups, n = s.channels;
        const T* map = x + b * image + g * n;
        T* grad_map = grad_x + b * image + g * n;
        for (int64_t p = 0; p < s.pixels; p++) {
            const int64_t row = (b * s.pixels + p) * s.groups + g;
            const T* given = grad + row * n;
            for (int64_t k = 0; k < s.points; k++) {
                const int64_t at = row * s.points + k;
                T of_weight = 0, of_x = 0, of_y = 0;
                Corners<T> c;
                if (find(place + at * 2, s, c))
                    for (int j = 0; j < 4; j++) {
                        if (!c.inside[j]) continue;
                        const T factor = weight[at] * c.share[j];
                        const T* from = map + c.at[j];
                        T* to = grad_map + c.at[j];
                        T product = 0;
#pragma omp simd reduction(+ : product)
                        for (int64_t i = 0; i < n; i++) {
                            product += given[i] * from[i];
                            to[i] += factor * given[i];
                        }
                        of_weight += c.share[j] * product;
                        of_x += c.along_x[j] * product;
                        of_y += c.along_y[j] * product;
                    }
                grad_weight[at] = of_weight;
                grad_place[at * 2] = of_x * weight[at];
                grad_place[at * 2 + 1] = of_y * weight[at];
            }
        }
    }
}

}  // namespace

EXPORT(deform)
EXPORT(deform_backward)
