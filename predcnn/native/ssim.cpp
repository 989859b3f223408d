// SSIM of image planes with a uniform 7x7 window (Wang et al. 2004, eq. 13), summed in double.
#include "vectors.h"

namespace {

constexpr int WINDOW = 7;

// sums of 7 neighbours, with 4 additions instead of 6
void slide(const double* in, double* two, double* out, int64_t n) {
    for (int64_t i = 0; i < n + 5; i++) two[i] = in[i] + in[i + 1];
    for (int64_t i = 0; i < n; i++) out[i] = (two[i] + two[i + 2]) + (two[i + 4] + in[i + 6]);
}

template <class T>
double plane(const T* x, const T* y, int64_t height, int64_t width, double c1, double c2, double* work) {
    const int64_t n = width - WINDOW + 1;
    double* columns[4];
    double* windows[4];
    for (int k = 0; k < 4; k++) {
        columns[k] = work + k * width;
        windows[k] = work + (4 + k) * width;
    }
    double* two = work + 8 * width;
    const double area = WINDOW * WINDOW, bessel = area * (area - 1);
    std::fill(work, work + 4 * width, 0.0);
    double sum = 0;
    for (int64_t row = 0; row < height; row++) {
        const T* a = x + row * width;
        const T* b = y + row * width;
        for (int64_t i = 0; i < width; i++) {
            const double p = a[i], q = b[i];
            columns[0][i] += p;
            columns[1][i] += q;
            columns[2][i] += p * q;
            columns[3][i] += p * p + q * q;
        }
        if (row < WINDOW - 1) continue;
        for (int k = 0; k < 4; k++) slide(columns[k], two, windows[k], n);
        double line[8] = {};
        for (int64_t i = 0; i < n; i++) {
            const double product = windows[0][i] * windows[1][i];
            const double squares = windows[0][i] * windows[0][i] + windows[1][i] * windows[1][i];
            const double covariance = windows[2][i] * area - product + c2 * bessel / 2;
            const double variance = windows[3][i] * area - squares + c2 * bessel;
            const double top = (product + c1 * area * area / 2) * covariance;
            windows[0][i] = top / ((squares + c1 * area * area) * variance);
        }
        for (int64_t i = 0; i < n; i++) line[i & 7] += windows[0][i];
        for (double value : line) sum += value;
        const T* old_a = x + (row - WINDOW + 1) * width;
        const T* old_b = y + (row - WINDOW + 1) * width;
        for (int64_t i = 0; i < width; i++) {
            const double p = old_a[i], q = old_b[i];
            columns[0][i] -= p;
            columns[1][i] -= q;
            columns[2][i] -= p * q;
            columns[3][i] -= p * p + q * q;
        }
    }
    return 4 * sum / (double(n) * (height - WINDOW + 1));
}

template <class T>
void ssim(const T* x, const T* y, double* out, int64_t count, int64_t height, int64_t width, double c1, double c2,
          int64_t threads) {
#pragma omp parallel num_threads(int(threads))
    {
        std::vector<double> work(9 * width + 8);
#pragma omp for schedule(static)
        for (int64_t k = 0; k < count; k++)
            out[k] = plane(x + k * height * width, y + k * height * width, height, width, c1, c2, work.data());
    }
}

}  // namespace

EXPORT(ssim)
