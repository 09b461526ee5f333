// A convolution of one image, channels in the lanes of a vector: for batches too small to fill
// the lanes with images.
//
// An output vector (LANES channels of one pixel) is a sum of weight vectors times single input
// values; a register block holds several pixels of a row, so that each weight vector serves all
// of them. Channels are padded with zero weights to whole vectors.
#pragma once

#include "blocks.hpp"
#include "shapes.hpp"
#include "stages.hpp"

ALWAYS_INLINE Vec load_vec(const float* p) {
  Vec v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

ALWAYS_INLINE void store_vec(float* p, Vec v) { std::memcpy(p, &v, sizeof v); }

constexpr int vectors(int channels) { return (channels + LANES - 1) / LANES; }

// Vector v of the CHANNELS of one pixel; of the last one only the channels that there are.
template <int CHANNELS>
ALWAYS_INLINE void put_channels(float* pixel, int v, Vec value) {
  if (CHANNELS % LANES && v == vectors(CHANNELS) - 1)
    std::memcpy(pixel + v * LANES, &value, CHANNELS % LANES * sizeof(float));
  else
    store_vec(pixel + v * LANES, value);
}

// Vector v of the CHANNELS of one pixel, zero beyond them: what stands there is the next pixel's, or
// of an earlier image, and if it were NaN, zero weights would not help.
template <int CHANNELS>
ALWAYS_INLINE Vec get_channels(const float* pixel, int v) {
  Vec value = load_vec(pixel + v * LANES);
  if (CHANNELS % LANES && v == vectors(CHANNELS) - 1)
    value = keep((Mask)((1u << CHANNELS % LANES) - 1), value);
  return value;
}

// Pixels of an image, each `stride` floats after the last, rows `row` floats apart; `data` is
// pixel (0, 0). A vector read from a pixel may reach into the next one.
struct Pixels {
  float* data;
  int stride, row;
  float* at(int y, int x) const { return data + (ptrdiff_t)y * row + (ptrdiff_t)x * stride; }
};

// FIRST: the input is the image itself, whose channels are not padded.
template <class S, bool FIRST>
struct ImageConvolution {
  static constexpr int K = S::K, B = K - 1 - S::P;  // B: border of the gradient plane
  static constexpr int CIV = vectors(S::CI), COV = vectors(S::CO), COP = COV * LANES;
  static constexpr int CIP = CIV * LANES, IN_STRIDE = FIRST ? S::CI : CIP;
  static constexpr Blocking FORWARD = best_blocking(S::WC, COV);
  static constexpr Blocking BACKWARD = best_blocking(S::WI, CIV);
  // The gradient of few input channels: lanes over the output channels, summed at the end.
  static constexpr bool DOT = S::CI * COV < S::CO * CIV;
  static constexpr int DOT_WIDTH = REGISTERS / 2;

  struct Weights {
    alignas(64) float forward[(size_t)K * K * S::CI * COP];
    alignas(64) float backward[(size_t)K * K * (DOT ? S::CI * COP : S::CO * CIP)];
    alignas(64) float bias[COP];

    // The padding is zero since the whole engine begins as zero bytes.
    void pack(const float* weight, const float* b) {
      for (int co = 0; co < S::CO; co++) {
        bias[co] = b ? b[co] : 0.0f;
        for (int ci = 0; ci < S::CI; ci++)
          for (int k = 0; k < K * K; k++) {
            float w = weight[(co * S::CI + ci) * K * K + k];
            int turned = K * K - 1 - k;
            forward[((size_t)k * S::CI + ci) * COP + co] = w;
            if constexpr (DOT) backward[((size_t)turned * S::CI + ci) * COP + co] = w;
            else backward[((size_t)turned * S::CO + co) * CIP + ci] = w;
          }
      }
    }
  };

  struct Gradient {
    alignas(64) float weights[(size_t)K * K * S::CI * COP];
    alignas(64) float bias[COP];

    void clear() { std::memset((void*)this, 0, sizeof *this); }

    void add_to(float* weight, float* b) const {
      for (int co = 0; co < S::CO; co++) {
        for (int ci = 0; ci < S::CI; ci++)
          for (int k = 0; k < K * K; k++)
            weight[(co * S::CI + ci) * K * K + k] += weights[((size_t)k * S::CI + ci) * COP + co];
        if (b) b[co] += bias[co];
      }
    }
  };

  class Layer {
   public:
    // Where the input image goes.
    Pixels input() { return {input_ + (S::P * IN_W + S::P) * IN_STRIDE, IN_STRIDE, IN_W * IN_STRIDE}; }

    NEVER_INLINE void forward(const Weights& w, Pixels out) {
      Stage stage(STAGE_MULTIPLY);
      Pixels to = S::POOL ? raw() : out;
      for (int y = 0; y < S::HC; y++)
        convolve<S::WC, S::CI, COV, FORWARD.tiles, FORWARD.channels, IN_STRIDE>(
            y, S::P, S::HI, [&](int ky) { return input_ + (size_t)(y + ky) * IN_W * IN_STRIDE; },
            w.forward, COP, w.bias, [&](int x, int v, Vec sum) {
              if constexpr (S::RELU && !S::POOL) sum = keep(positive(sum), sum);
              put_channels<S::CO>(to.at(y, x), v, sum);
            });
      if constexpr (S::POOL) pool(out);
    }

    // From the gradient of the output to that of the convolution, kept for the two below. `out`
    // is the output that forward gave.
    NEVER_INLINE void gate(Pixels out, Pixels up) {
      if constexpr (S::POOL) {
        unpool(up);
        return;
      }
      for (int y = 0; y < S::HC; y++)
        for (int x = 0; x < S::WC; x++)
          for (int v = 0; v < COV; v++) {
            Vec g = get_channels<S::CO>(up.at(y, x), v);
            if constexpr (S::RELU) g = keep(positive(load_vec(out.at(y, x) + v * LANES)), g);
            store_vec(gradient().at(y, x) + v * LANES, g);
          }
    }

    // The gradient of the input image.
    NEVER_INLINE void backward(const Weights& w, Pixels out) {
      Stage stage(STAGE_MULTIPLY);
      for (int y = 0; y < S::HI; y++) {
        auto row = [&](int ky) { return gradient_ + (size_t)(y + ky) * G_W * COP; };
        if constexpr (DOT) dots(row, w.backward, y, out);
        else
          convolve<S::WI, S::CO, CIV, BACKWARD.tiles, BACKWARD.channels, COP>(
              y, B, S::HC, row, w.backward, CIP, nullptr,
              [&](int x, int v, Vec sum) { put_channels<S::CI>(out.at(y, x), v, sum); });
      }
    }

    // Adds this image's part of the weights' gradient.
    NEVER_INLINE void add_gradient(Gradient* sums) {
      Stage stage(STAGE_WEIGHTS);
      for (int y = 0; y < S::HC; y++)
        for (int x = 0; x < S::WC; x++)
          for (int v = 0; v < COV; v++)
            store_vec(sums->bias + v * LANES, load_vec(sums->bias + v * LANES) +
                                                  load_vec(gradient().at(y, x) + v * LANES));
      constexpr int VB = REGISTERS >= 3 * K * COV ? COV : 1;
      for (int ky = 0; ky < K; ky++)
        for (int ci = 0; ci < S::CI; ci++)
          for (int v0 = 0; v0 < COV; v0 += VB) {
            Vec s[K][VB];
            UNROLL for (int k = 0; k < K; k++) UNROLL for (int v = 0; v < VB; v++) s[k][v] = Vec{};
            for (int y = 0; y < S::HC; y++) {
              const float* in = input_ + (size_t)(y + ky) * IN_W * IN_STRIDE + ci;
              const float* g = gradient().at(y, 0) + v0 * LANES;
              for (int x = 0; x < S::WC; x++, in += IN_STRIDE, g += COP) {
                Vec d[VB];
                UNROLL for (int v = 0; v < VB; v++) d[v] = load_vec(g + v * LANES);
                UNROLL for (int k = 0; k < K; k++)
                  UNROLL for (int v = 0; v < VB; v++) s[k][v] += in[k * IN_STRIDE] * d[v];
              }
            }
            UNROLL for (int k = 0; k < K; k++)
              UNROLL for (int v = 0; v < VB; v++) {
                float* to = sums->weights + ((size_t)(ky * K + k) * S::CI + ci) * COP + (v0 + v) * LANES;
                store_vec(to, load_vec(to) + s[k][v]);
              }
          }
    }

   private:
    static constexpr int IN_W = S::WI + 2 * S::P, IN_H = S::HI + 2 * S::P;
    static constexpr int G_W = S::WC + 2 * B, G_H = S::HC + 2 * B;

    Pixels raw() { return {raw_, COP, S::WC * COP}; }
    Pixels gradient() { return {gradient_ + (B * G_W + B) * COP, COP, G_W * COP}; }

    // Output row y: WIDTH pixels of V vectors, from K rows of pixels STRIDE floats apart, but for
    // those in the border, which are zero.
    template <int WIDTH, int INPUTS, int V, int TB, int CB, int STRIDE, class Row, class Put>
    static ALWAYS_INLINE void convolve(int y, int border, int height, Row&& row,
                                       const float* weights, int padded, const float* bias,
                                       Put&& put) {
      const int from = y < border ? border - y : 0;
      const int to = height + border - y < K ? height + border - y : K;
      over_blocks<WIDTH, TB>([&](int x, auto tb_) {
        constexpr int tb = decltype(tb_)::value;
        over_blocks<V, CB>([&](int v, auto cb_) {
          constexpr int cb = decltype(cb_)::value;
          Vec sums[tb][cb];
          UNROLL for (int i = 0; i < tb; i++)
            UNROLL for (int j = 0; j < cb; j++)
              sums[i][j] = bias ? load_vec(bias + (v + j) * LANES) : Vec{};
          for (int ky = from; ky < to; ky++)
            for (int kx = 0; kx < K; kx++) {
              const float* in = row(ky) + (x + kx) * STRIDE;
              const float* w = weights + (size_t)(ky * K + kx) * INPUTS * padded + v * LANES;
              for (int d = 0; d < INPUTS; d++, w += padded) {
                Vec wv[cb];
                UNROLL for (int j = 0; j < cb; j++) wv[j] = load_vec(w + j * LANES);
                UNROLL for (int i = 0; i < tb; i++) {
                  float value = in[i * STRIDE + d];
                  UNROLL for (int j = 0; j < cb; j++) sums[i][j] += value * wv[j];
                }
              }
            }
          UNROLL for (int i = 0; i < tb; i++)
            UNROLL for (int j = 0; j < cb; j++) put(x + i, v + j, sums[i][j]);
        });
      });
    }

    template <class Row>
    static ALWAYS_INLINE void dots(Row&& row, const float* weights, int y, Pixels out) {
      for (int ci = 0; ci < S::CI; ci++)
        over_blocks<S::WI, DOT_WIDTH>([&](int x, auto width_) {
          constexpr int width = decltype(width_)::value;
          Vec sums[width];
          UNROLL for (int i = 0; i < width; i++) sums[i] = Vec{};
          for (int ky = 0; ky < K; ky++)
            for (int kx = 0; kx < K; kx++)
              for (int v = 0; v < COV; v++) {
                const float* g = row(ky) + (x + kx) * COP + v * LANES;
                Vec w = load_vec(weights + ((size_t)(ky * K + kx) * S::CI + ci) * COP + v * LANES);
                UNROLL for (int i = 0; i < width; i++) sums[i] += load_vec(g + i * COP) * w;
              }
          for (int i = 0; i < width; i++) out.at(y, x + i)[ci] = sum_of_lanes(sums[i]);
        });
    }

    // Of equal pixels the first in reading order wins, as in PyTorch.
    void pool(Pixels out) {
      for (int y = 0; y < S::HO; y++)
        for (int x = 0; x < S::WO; x++)
          for (int v = 0; v < COV; v++) {
            Vec best = load_vec(raw().at(2 * y, 2 * x) + v * LANES);
            for (int i = 1; i < 4; i++) {
              Vec next = load_vec(raw().at(2 * y + i / 2, 2 * x + i % 2) + v * LANES);
              best = choose(beats<false>(next, best), next, best);
            }
            if constexpr (S::RELU) best = keep(positive(best), best);
            put_channels<S::CO>(out.at(y, x), v, best);
          }
    }

    // What pooling left out, an odd last row or column, keeps its zeros.
    void unpool(Pixels up) {
      for (int y = 0; y < S::HO; y++)
        for (int x = 0; x < S::WO; x++)
          for (int v = 0; v < COV; v++) {
            Vec best = load_vec(raw().at(2 * y, 2 * x) + v * LANES);
            Mask wins[4] = {(Mask)~(Mask)0, 0, 0, 0};
            for (int i = 1; i < 4; i++) {
              Vec next = load_vec(raw().at(2 * y + i / 2, 2 * x + i % 2) + v * LANES);
              wins[i] = beats<false>(next, best);
              best = choose(wins[i], next, best);
              for (int j = 0; j < i; j++) wins[j] &= (Mask)~wins[i];
            }
            Vec g = get_channels<S::CO>(up.at(y, x), v);
            if constexpr (S::RELU) g = keep(positive(best), g);
            for (int i = 0; i < 4; i++)
              store_vec(gradient().at(2 * y + i / 2, 2 * x + i % 2) + v * LANES, keep(wins[i], g));
          }
    }

    // A vector may reach LANES - 1 floats beyond the last pixel.
    alignas(64) float input_[(size_t)IN_H * IN_W * IN_STRIDE + LANES];
    alignas(64) float gradient_[(size_t)G_H * G_W * COP + LANES];
    alignas(64) float raw_[S::POOL ? (size_t)S::HC * S::WC * COP : 1];
  };
};
