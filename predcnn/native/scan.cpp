// Selective scan: h_l = exp(delta_l A) h_{l-1} + x_l B_l, y_l = sum_n C_l h_l, and its gradients.
// Time-major, channels innermost: delta, x, y (L, B, G, D), A (G, N, D), B, C (L, B, G, N). The
// forward pass keeps the state before every CHUNK-th step, the backward pass recomputes the others.
// A work item is one slab of channels of one sample and group. Each returns its own partial sums, so
// results do not depend on the number of threads.
#include "vectors.h"

namespace {

constexpr int64_t CHUNK = 16;

struct Shape {
    int64_t length, batch, groups, states, channels, slabs;
    int64_t rows() const { return batch * groups; }
    int64_t slab() const { return (channels + slabs - 1) / slabs; }
};

// Computes the states h at steps first .. last - 1 of one block of channels and calls visit(step, h) after each.
template <class T, class F>
void advance(const T* delta, const T* x, const T* A, const T* B, const Shape& s, int64_t row, int64_t d,
             int lanes, int64_t first, int64_t last, T* h, F visit) {
    constexpr int V = Lanes<T>::count;
    const T* a = A + (row % s.groups) * s.states * s.channels + d;
    for (int64_t l = first; l < last; l++) {
        const int64_t at = (l * s.rows() + row) * s.channels + d;
        const Vec<T> step = load(delta + at, lanes), in = load(x + at, lanes);
        const T* b = B + (l * s.rows() + row) * s.states;
        for (int64_t n = 0; n < s.states; n++) {
            const Vec<T> factor = exponential(step * load(a + n * s.channels, lanes));
            store(h + n * V, factor * load(h + n * V) + in * b[n]);
        }
        visit(l, h);
    }
}

template <class T>
void scan(const T* delta, const T* x, const T* A, const T* B, const T* C, T* y, T* kept, int64_t length, int64_t batch,
          int64_t groups, int64_t states, int64_t channels, int64_t threads) {
    const Shape s{length, batch, groups, states, channels, 1};
    constexpr int V = Lanes<T>::count;
    const int64_t blocks = (s.channels + V - 1) / V, state = s.rows() * s.states * s.channels;
#pragma omp parallel num_threads(int(threads))
    {
        std::vector<T> h(s.states * V);
#pragma omp for schedule(static)
        for (int64_t item = 0; item < s.rows() * blocks; item++) {
            const int64_t row = item / blocks, d = item % blocks * V;
            const int lanes = int(std::min<int64_t>(V, s.channels - d));
            const int64_t place = row * s.states * s.channels + d;
            std::fill(h.begin(), h.end(), T(0));
            for (int64_t first = 0; first < s.length; first += CHUNK) {
                if (kept)
                    for (int64_t n = 0; n < s.states; n++)
                        store(kept + first / CHUNK * state + place + n * s.channels, load(h.data() + n * V), lanes);
                advance(delta, x, A, B, s, row, d, lanes, first, std::min(s.length, first + CHUNK), h.data(),
                        [&](int64_t l, const T* now) {
                            const T* c = C + (l * s.rows() + row) * s.states;
                            Vec<T> sum = {};
                            for (int64_t n = 0; n < s.states; n++) sum += load(now + n * V) * c[n];
                            store(y + (l * s.rows() + row) * s.channels + d, sum, lanes);
                        });
            }
        }
    }
}

template <class T> struct Given {
    const T *grad_y, *delta, *x, *A, *B, *C, *kept;
};
template <class T> struct Gradients {
    T *delta, *x, *A, *B, *C;  // A (B, G, N, D), B and C (slabs, L, B, G, N)
};

template <class T>
void backward_block(const Given<T>& in, const Gradients<T>& out, const Shape& s, int64_t row, int64_t slab,
                    int64_t d, int lanes, std::vector<T>& work) {
    constexpr int V = Lanes<T>::count;
    const int64_t N = s.states, size = N * V, state = s.rows() * N * s.channels;
    const int64_t place = row * N * s.channels + d;
    const T* a = in.A + (row % s.groups) * N * s.channels + d;
    T *h = work.data(), *carry = h + size, *grad_A = carry + size, *states = grad_A + size;
    std::fill(carry, grad_A + size, T(0));
    for (int64_t first = (s.length - 1) / CHUNK * CHUNK; first >= 0; first -= CHUNK) {
        for (int64_t n = 0; n < N; n++)
            store(h + n * V, load(in.kept + first / CHUNK * state + place + n * s.channels, lanes));
        std::copy(h, h + size, states);  // before the chunk
        const int64_t end = std::min(s.length, first + CHUNK);
        advance(in.delta, in.x, in.A, in.B, s, row, d, lanes, first, end, h, [&](int64_t l, const T* now) {
            std::copy(now, now + size, states + (l - first + 1) * size);
        });
        for (int64_t l = end - 1; l >= first; l--) {
            const int64_t at = (l * s.rows() + row) * s.channels + d;
            const Vec<T> dy = load(in.grad_y + at, lanes), step = load(in.delta + at, lanes);
            const Vec<T> x = load(in.x + at, lanes);
            const T* b = in.B + (l * s.rows() + row) * N;
            const T* c = in.C + (l * s.rows() + row) * N;
            T* grad_b = out.B + ((slab * s.length + l) * s.rows() + row) * N;
            T* grad_c = out.C + ((slab * s.length + l) * s.rows() + row) * N;
            const T* now = states + (l - first + 1) * size;
            Vec<T> grad_x = {}, grad_delta = {};
            for (int64_t n = 0; n < N; n++) {
                const Vec<T> rate = load(a + n * s.channels, lanes);
                const Vec<T> dh = load(carry + n * V) + dy * c[n];
                grad_c[n] += total<T>(dy * load(now + n * V));
                grad_b[n] += total<T>(dh * x);
                grad_x += dh * b[n];
                const Vec<T> back = dh * exponential(step * rate);
                const Vec<T> exponent = back * load(now - size + n * V);
                grad_delta += exponent * rate;
                store(grad_A + n * V, load(grad_A + n * V) + exponent * step);
                store(carry + n * V, back);
            }
            store(out.x + at, grad_x, lanes);
            store(out.delta + at, grad_delta, lanes);
        }
    }
    for (int64_t n = 0; n < N; n++) store(out.A + place + n * s.channels, load(grad_A + n * V), lanes);
}

template <class T>
void scan_backward(const T* grad_y, const T* delta, const T* x, const T* A, const T* B,
                   const T* C, const T* kept, T* grad_delta, T* grad_x, T* grad_A, T* grad_B, T* grad_C,
                   int64_t length, int64_t batch, int64_t groups, int64_t states, int64_t channels, int64_t slabs,
                   int64_t threads) {
    const Given<T> in{grad_y, delta, x, A, B, C, kept};
    const Gradients<T> out{grad_delta, grad_x, grad_A, grad_B, grad_C};
    const Shape s{length, batch, groups, states, channels, slabs};
    constexpr int V = Lanes<T>::count;
#pragma omp parallel num_threads(int(threads))
    {
        std::vector<T> work((3 + CHUNK + 1) * s.states * V);
#pragma omp for schedule(static)
        for (int64_t item = 0; item < s.rows() * s.slabs; item++) {
            const int64_t row = item / s.slabs, slab = item % s.slabs;
            const int64_t end = std::min(s.channels, (slab + 1) * s.slab());
            for (int64_t d = slab * s.slab(); d < end; d += V)
                backward_block(in, out, s, row, slab, d, int(std::min<int64_t>(V, end - d)), work);
        }
    }
}

}  // namespace

EXPORT(scan)
EXPORT(scan_backward)
