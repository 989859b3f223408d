// SIMD vectors by the compilers' vector extension, an exponential, and the export of kernels.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#ifdef __AVX512F__
constexpr int BYTES = 64;
#else
constexpr int BYTES = 32;
#endif

template <class T> struct Lanes;
template <> struct Lanes<float> {
    static constexpr int count = BYTES / sizeof(float);
    typedef float type __attribute__((vector_size(BYTES)));
    typedef int32_t bits __attribute__((vector_size(BYTES)));
};
template <> struct Lanes<double> {
    static constexpr int count = BYTES / sizeof(double);
    typedef double type __attribute__((vector_size(BYTES)));
};
template <class T> using Vec = typename Lanes<T>::type;

template <class T> static inline Vec<T> load(const T* p) {
    Vec<T> v;
    std::memcpy(&v, p, sizeof(v));
    return v;
}
// first n lanes, the others 0
template <class T> static inline Vec<T> load(const T* p, int n) {
    if (n >= Lanes<T>::count) return load(p);
    Vec<T> v = {};
    std::memcpy(&v, p, n * sizeof(T));
    return v;
}
template <class T> static inline void store(T* p, const Vec<T>& v) { std::memcpy(p, &v, sizeof(v)); }
template <class T> static inline void store(T* p, const Vec<T>& v, int n) {
    if (n >= Lanes<T>::count) return store(p, v);
    std::memcpy(p, &v, n * sizeof(T));
}
// sum of all lanes
template <class T> static inline T total(const Vec<T>& v) {
    T sum = 0;
    for (int i = 0; i < Lanes<T>::count; i++) sum += v[i];
    return sum;
}

// e^x with a relative error of 1e-7, arguments clamped so that the result is a normal number; NaN stays
// NaN. Cephes' polynomial (Moshier, 1992).
static inline Vec<float> exponential(Vec<float> x) {
    const Vec<float> zero = {}, low = zero - 87.f, high = zero + 88.f;
    x = x < low ? low : x;
    x = x > high ? high : x;
    const float round = 12582912.f;  // 1.5 * 2^23: adding it leaves an integer
    const Vec<float> n = (x * 1.44269504f + round) - round;
    const Vec<float> r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    Vec<float> p = r * 1.9875691500e-4f + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * (r * r) + r + 1.f;
    const Lanes<float>::bits power = (__builtin_convertvector(n, Lanes<float>::bits) + 127) << 23;
    Vec<float> scale;
    std::memcpy(&scale, &power, sizeof(scale));
    return p * scale;
}
static inline Vec<double> exponential(Vec<double> x) {
    for (int i = 0; i < Lanes<double>::count; i++) x[i] = std::exp(x[i]);
    return x;
}

// Pointers that the caller looks up by name: kernel<float> as kernel_float32, kernel<double> as kernel_float64.
#define EXPORT(KERNEL)                   \
    auto KERNEL##_float32 = KERNEL<float>; \
    auto KERNEL##_float64 = KERNEL<double>;
