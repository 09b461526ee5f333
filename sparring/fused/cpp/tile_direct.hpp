// A convolution of one image as it is written down, pixels of a row in the lanes.
//
// A vector of outputs is a sum of single weights times vectors of inputs, each a little further
// along the row. Where rows do not fill whole vectors, the lanes run on from row to row over the
// padded image as if it were one long row; what then lies between the rows is dropped.
#pragma once

#include "blocks.hpp"
#include "shapes.hpp"
#include "stages.hpp"
#include "tile_gate.hpp"

// As few passes over rows as can be, all of nearly the same number.
constexpr int rows_at_once(int rows, int most) {
  int passes = (rows + most - 1) / most;
  return (rows + passes - 1) / passes;
}

template <class S>
struct TileDirect {
  static constexpr int K = S::K, B = K - 1 - S::P;  // B: zeros around the convolution's gradient
  static constexpr int HP = S::HI + 2 * S::P, WP = S::WI + 2 * S::P;
  static constexpr int SPACE = (int)sizeof(Vec);  // floats behind a buffer, for whole vectors

  // Forward: ROWS rows of VX vectors, each STEP inputs after the last.
  static constexpr int LONG = vectors((S::HC - 1) * WP + S::WC);
  static constexpr bool FLAT = LONG < S::HC * vectors(S::WC);
  static constexpr int ROWS = FLAT ? 1 : S::HC, VX = FLAT ? LONG : vectors(S::WC);
  static constexpr int RAW_ROW = FLAT ? WP : VX * LANES;
  static constexpr int RAW = FLAT ? VX * LANES : S::HC * RAW_ROW;  // a channel
  static constexpr Blocking FORWARD = best_blocking(VX < 4 ? VX : 4, S::CO);

  // Backward: N rows of VB vectors at a time, so that a vector of gradients serves up to K rows.
  static constexpr int VB = vectors(S::WI) < 4 ? vectors(S::WI) : 4;
  static constexpr int FREE = REGISTERS == 32 ? 24 : 12;
  static constexpr int N_MOST = FREE / VB < 1 ? 1 : FREE / VB;
  static constexpr int N = rows_at_once(S::HI, N_MOST);
  static constexpr int UP_ROW = vectors(S::WI) * LANES, UP_X = 0;  // of the input's gradient

  struct Weights {
    alignas(64) float forward[S::WEIGHTS];    // [block of CO][CI][K][K][CO of the block]
    alignas(64) float backward[S::WEIGHTS];   // [CI][CO][kx][ky]
    const float* bias;

    void take(const float* weight, const float* b) {
      bias = b;
      pack_blocks<S::CO, FORWARD.channels>(forward, S::CI * K * K, [&](int d, int co) {
        return weight[(size_t)co * S::CI * K * K + d];
      });
      for (int co = 0; co < S::CO; co++)
        for (int ci = 0; ci < S::CI; ci++)
          for (int k = 0; k < K * K; k++)
            backward[((size_t)ci * S::CO + co) * K * K + k % K * K + k / K] =
                weight[((size_t)co * S::CI + ci) * K * K + k];
    }
  };

  // The gradient of weights and biases, summed over images, pixels still in the lanes.
  class Gradient {
   public:
    void begin(float* weight, float* bias) {
      std::memset((void*)this, 0, sizeof *this);
      weight_ = weight;
      bias_ = bias;
    }

    // g: [CO] planes of rows WP apart, zero between the rows; in: [CI] padded planes.
    NEVER_INLINE void add(const float* g, const float* in) {
      Stage stage(STAGE_WEIGHTS);
      for (int co = 0; co < S::CO; co++)
        for (int v = 0; v < LONG; v++)
          bias_sums_[co] += load_vec(g + (size_t)co * G_PLANE + v * LANES);
      over_blocks<S::CO, CB>([&](int co, auto cb_) {
        constexpr int cb = decltype(cb_)::value;
        for (int ci = 0; ci < S::CI; ci++)
          for (int ky = 0; ky < K; ky++)
            over_blocks<K, KB>([&](int kx, auto kb_) {
              constexpr int kb = decltype(kb_)::value;
              Vec sums[cb][kb];
              UNROLL for (int c = 0; c < cb; c++) UNROLL for (int k = 0; k < kb; k++) sums[c][k] = Vec{};
              const float* gp = g + (size_t)co * G_PLANE;
              const float* p = in + (size_t)ci * IN_PLANE + ky * WP + kx;
              for (int v = 0; v < LONG; v++, gp += LANES, p += LANES) {
                Vec d[cb];
                UNROLL for (int c = 0; c < cb; c++) d[c] = load_vec(gp + (size_t)c * G_PLANE);
                UNROLL for (int k = 0; k < kb; k++) {
                  Vec pixels = load_vec(p + k);
                  pin(pixels);
                  UNROLL for (int c = 0; c < cb; c++) sums[c][k] += d[c] * pixels;
                }
              }
              UNROLL for (int c = 0; c < cb; c++)
                UNROLL for (int k = 0; k < kb; k++)
                  sums_[(((size_t)(co + c) * S::CI + ci) * K + ky) * K + kx + k] += sums[c][k];
            });
      });
    }

    void finish() {
      for (size_t i = 0; i < S::WEIGHTS; i++) weight_[i] = sum_of_lanes(sums_[i]);
      for (int co = 0; co < S::CO; co++) bias_[co] = sum_of_lanes(bias_sums_[co]);
    }

   private:
    static constexpr int KB = K < 7 ? K : 7;
    static constexpr int FIT = (REGISTERS - 2) / (KB + 1);
    static constexpr int CB = FIT < 1 ? 1 : (FIT > S::CO ? S::CO : FIT);
    Vec sums_[S::WEIGHTS], bias_sums_[S::CO];
    float *weight_, *bias_;
  };

  static constexpr int IN_PLANE = HP * WP;
  // Behind the gradient's last row, zeros up to whole vectors.
  static constexpr int G_PLANE = (S::HC + 2 * B) * WP + (B == 0 ? LANES : 0);

  // What one image keeps between forward and backward.
  template <bool TRAIN>
  struct State {
    TileGate<S> gate;
    // Padded; the border is never written and stays zero.
    alignas(64) float kept[TRAIN ? (size_t)S::CI * IN_PLANE + SPACE : 1];
  };

  template <bool TRAIN>
  class Layer {
   public:
    // Where the image goes: planes with their padding.
    Planes<IN_PLANE, WP> input(State<TRAIN>& s) {
      return {(TRAIN ? s.kept : input_) + S::P * WP + S::P};
    }

    // out: planes for the layer's output.
    template <class Out>
    NEVER_INLINE void forward(State<TRAIN>& s, const Weights& w, Out out) {
      const float* in = TRAIN ? s.kept : input_;
      over_blocks<S::CO, FORWARD.channels>([&](int co, auto cb_) {
        constexpr int cb = decltype(cb_)::value;
        {
          Stage stage(STAGE_MULTIPLY);
          for (int y = 0; y < ROWS; y++)
            over_blocks<VX, FORWARD.tiles>([&](int x, auto tb_) {
              constexpr int tb = decltype(tb_)::value;
              block<tb, cb>(in + y * WP + x * LANES, w.forward + block_offset(co, S::CI * K * K),
                            w.bias + co, raw_ + y * RAW_ROW + x * LANES);
            });
        }
        for (int c = 0; c < cb; c++)
          s.gate.forward(
              co + c, [&](int y) { return raw_ + (size_t)c * RAW + y * RAW_ROW; },
              [&](int y) { return out.row(co + c, y); });
      });
    }

    // up: the gradient of the layer's output; below: planes for that of its input, if wanted.
    template <bool WANTED, class Up, class Below>
    NEVER_INLINE void backward(const State<TRAIN>& s, Up up, const Weights& w, Gradient* gradient,
                               Below below) {
      for (int co = 0; co < S::CO; co++)
        s.gate.backward(co, up, [&](int y) { return gradient_ + (size_t)co * G_PLANE + (y + B) * WP + B; });
      if constexpr (TRAIN)
        gradient->add(gradient_ + B * WP + B, s.kept);
      if constexpr (WANTED) {
        Stage stage(STAGE_MULTIPLY);
        for (int ci = 0; ci < S::CI; ci++)
          over_blocks<S::HI, N>([&](int y, auto n_) {
            constexpr int n = decltype(n_)::value;
            over_blocks<vectors(S::WI), VB>([&](int x, auto vb_) {
              constexpr int vb = decltype(vb_)::value;
              back_block<n, vb>(ci, y, x * LANES, w, below);
            });
          });
      }
    }

   private:
    template <int TB, int CB>
    static ALWAYS_INLINE void block(const float* in, const float* w, const float* bias, float* out) {
      Vec sums[TB][CB];
      UNROLL for (int c = 0; c < CB; c++)
        UNROLL for (int t = 0; t < TB; t++) sums[t][c] = broadcast(bias[c]);
      for (int ci = 0; ci < S::CI; ci++)
        for (int ky = 0; ky < K; ky++) {
          const float* p = in + (size_t)ci * IN_PLANE + ky * WP;
#pragma GCC unroll 1
          for (int kx = 0; kx < K; kx++, w += CB) {
            Vec v[TB];
            UNROLL for (int t = 0; t < TB; t++) {
              v[t] = load_vec(p + kx + t * LANES);
              pin(v[t]);
            }
            UNROLL for (int c = 0; c < CB; c++) {
              const float f = w[c];
              UNROLL for (int t = 0; t < TB; t++) sums[t][c] += f * v[t];
            }
          }
        }
      UNROLL for (int c = 0; c < CB; c++)
        UNROLL for (int t = 0; t < TB; t++) store_vec(out + (size_t)c * RAW + t * LANES, sums[t][c]);
    }

    // N rows of the input's gradient from row y, V vectors from column x.
    template <int ROWS_, int V, class Below>
    ALWAYS_INLINE void back_block(int ci, int y, int x, const Weights& w, Below below) {
      Vec sums[ROWS_][V];
      UNROLL for (int r = 0; r < ROWS_; r++) UNROLL for (int v = 0; v < V; v++) sums[r][v] = Vec{};
      const float* f = w.backward + (size_t)ci * S::CO * K * K;
      const float* g0 = gradient_ + (size_t)y * WP + x + K - 1;
      for (int co = 0; co < S::CO; co++, g0 += G_PLANE)
#pragma GCC unroll 1
        for (int kx = 0; kx < K; kx++, f += K) {
          const float* g = g0 - kx;
          UNROLL for (int i = 0; i < ROWS_ + K - 1; i++) {
            Vec d[V];
            UNROLL for (int v = 0; v < V; v++) {
              d[v] = load_vec(g + i * WP + v * LANES);
              pin(d[v]);
            }
            UNROLL for (int r = 0; r < ROWS_; r++) {
              const int ky = r + K - 1 - i;
              if (ky < 0 || ky >= K) continue;
              UNROLL for (int v = 0; v < V; v++) sums[r][v] += f[ky] * d[v];
            }
          }
        }
      UNROLL for (int r = 0; r < ROWS_; r++)
        UNROLL for (int v = 0; v < V; v++)
          store_vec(below.row(ci, y + r) + x + v * LANES, sums[r][v]);
    }

    alignas(64) float input_[TRAIN ? 1 : (size_t)S::CI * IN_PLANE + SPACE];
    alignas(64) float raw_[(size_t)FORWARD.channels * RAW + SPACE];
    alignas(64) float gradient_[(size_t)S::CO * G_PLANE + SPACE];
  };
};
