// A convolution by two-dimensional Winograd tiles, forward and adjoint, one row at a time.
//
// Rows stream through: an input row is transformed along x as it arrives and waits in a ring of F;
// when F are there, a row of tiles is transformed along y, multiplied and transformed back, one of the
// F x-frequencies and some tiles at a time, so that what they need (their products, and the weights of
// F y-frequencies) stays in the first-level cache.
//
// A stride of D is one of 1 on images of D x D pixels in one, side by side as channels, with a kernel of
// K / D: D pixels of a row lie so anyway, and D rows make one of those.
#pragma once

#include "blocks.hpp"
#include "direct_gradient.hpp"
#include "gate.hpp"
#include "shapes.hpp"
#include "stages.hpp"
#include "winograd.hpp"
#include "winograd_gradient.hpp"
#include "winograd_norms.hpp"
#include "winograd_weights.hpp"
#include "winograd_whole.hpp"

template <class S>
struct WinogradConvolution {
  static constexpr int F = S::POINTS, D = S::STRIDE, R = S::K / D, M = F + 1 - R;
  static constexpr int CI = D * D * S::CI, SIDE = D * S::CI;  // channels, and those of one row
  static constexpr int TX = (S::WC + M - 1) / M, TY = (S::HC + M - 1) / M;  // tiles
  static constexpr int IN = TX * CI, OUT = TX * S::CO;                      // a row of tiles
  static constexpr int PADDED = TX * M + R - 1, DOWN = TY * M + R - 1;      // pixels that tiles see
  static constexpr int TOP = S::P / D, BOTTOM = (S::HI - 1 + S::P) / D;     // rows that the image has
  // Numbers of an input row; a stride may leave some at its end that no tile sees.
  static constexpr int ROW = (PADDED * D > S::P + S::WI ? PADDED * D : S::P + S::WI) * S::CI;
  static constexpr int CACHE = winograd::CACHE, WHOLE_CACHE = 40 * 1024;  // bytes of the first level
  // From one frequency to the next: never a power of two, at which they would meet in a few cache sets.
  static constexpr int apart(int numbers) { return numbers + (25 - numbers % 16) % 16; }
  static constexpr int IN_STEP = apart(IN), OUT_STEP = apart(OUT);
  // Tiles that go through a frequency together. Where the first-level cache does not hold all that one
  // touches, so many, in pairs at least, that it holds the larger side; or else all of them.
  static constexpr int CHANNELS = CI > S::CO ? CI : S::CO;
  static constexpr int NEAR = winograd::near_tiles(F, M, CI, S::CO);
  static constexpr int FIT = CACHE / ((int)sizeof(Vec) * F * CHANNELS);
  static constexpr int CHUNK = NEAR ? even(TX, NEAR) : FIT < 2 || FIT >= TX ? TX : even(TX, FIT);
  // Whether attacks go through whole tiles, each of which the first-level cache holds (WholeTiles);
  // products stand in the place of what they are made of where registers hold those of all channels.
  // Where they do not, updates would lose what attacks gain: they read the weights in the same order.
  static constexpr int WHOLE_WIDTH = CHANNELS | 1;
  static constexpr bool IN_PLACE = CHANNELS + 2 <= REGISTERS;
  static constexpr bool WHOLE =
      !S::POOL && D == 1 && (IN_PLACE || !UPDATES) &&
      (int)sizeof(Vec) * F * F * WHOLE_WIDTH * (IN_PLACE ? 1 : 2) <= WHOLE_CACHE;
  static constexpr Blocking FORWARD = best_blocking(WHOLE ? 1 : CHUNK, S::CO);
  static constexpr Blocking BACKWARD = best_blocking(WHOLE ? 1 : CHUNK, CI);
  // Channels that are multiplied and transformed back together: one register block, so that its
  // products stay in the first-level cache, unless that would fetch the other side again and again.
  static constexpr bool fits(int channels) { return sizeof(Vec) * F * CHUNK * channels <= CACHE; }
  static constexpr int GROUP = fits(CI) ? FORWARD.channels : S::CO;
  static constexpr int GROUP_BACK = fits(S::CO) ? BACKWARD.channels : CI;

  // Updates have no strides here (`strided_tiles.hpp`).
  using Gradient = std::conditional_t<D == 1, WinogradGradient<S>, DirectGradient<S>>;

  using Weights = WinogradWeights<S, FORWARD.channels, BACKWARD.channels>;

  template <bool TRAIN>
  class Rows;
  template <bool TRAIN>
  using Layer =
      std::conditional_t<!TRAIN && WHOLE, WholeTiles<S, WinogradConvolution>, Rows<TRAIN>>;

  template <bool TRAIN>
  class Rows {
   public:
    static constexpr bool PUTS = !S::POOL;
    using Kept = typename Gate<S>::Kept;

   private:
    // Sums of the weights' gradient are fetched once for a whole row of tiles.
    static constexpr int TOGETHER = TRAIN ? TX : CHUNK;

    // An attack needs the ring on its way there and the others on its way back.
    struct Back {
      Vec rows[(size_t)M * F * IN_STEP], carry[(size_t)(R - 1) * F * IN_STEP];
    };
    struct Both {
      Vec ring[F][F * IN_STEP];
      Back back;
    };
    union Either {
      Vec ring[F][F * IN_STEP];
      Back back;
    };

   public:
    // What neither direction leaves to the other, nor to the next pass.
    struct Scratch {
      Vec inputs[F * apart(TOGETHER * CI)], outputs[F * apart(TOGETHER * S::CO)];
      Vec spectrum[(size_t)M * F * OUT_STEP];
      std::conditional_t<TRAIN, Both, Either> kept;
    };
    void use(Kept& kept, Scratch& scratch) {
      gate_.use(kept);
      scratch_ = &scratch;
    }

    // Where input row y belongs, [x][channel].
    Vec* slot(int y) { return padded(y) + S::P * S::CI; }

    // It stands at `row`, a pixel of zeros on both sides.
    static constexpr bool TAKES = !TRAIN && !S::POOL && D == 1 && S::P <= 1 && PADDED <= S::WI + 2 * S::P;
    void take(int, const Vec* row) { in_ = row - S::P * S::CI; }

    // Input row y is in its slot. (Stages name what profiles report.)
    template <class Below>
    void forward(int y, const Weights& w, Below&& below) {
      {
        Stage stage(STAGE_TRANSFORM);
        if (TAKES && in_) transform_row(in_, scratch_->kept.ring[(y + S::P) % F]);
        else to_ring((y + S::P) / D, (y + S::P) % D);
        for (int phase = 0; y == 0 && phase < S::P % D; phase++) to_ring(TOP, phase);
        for (int phase = (y + S::P) % D + 1; y == S::HI - 1 && phase < D; phase++) to_ring(BOTTOM, phase);
        if constexpr (S::POOL) norms_.row_arrived(padded(y), y + S::P);
      }
      // Row y completes the tiles whose last input row it is; the last row also those below it,
      // whose other rows are padding.
      const int last = (y + S::P + 1) / D - 1;
      while (next_tile_ < TY && (next_tile_ * M + F - 1 <= last || y == S::HI - 1)) {
        forward_tiles(next_tile_, w);
        if constexpr (S::POOL) norms_.of_tiles(next_tile_ * M, S::P, S::P + y);
        for (int r = 0; r < M && next_tile_ * M + r < S::HC; r++) {
          int yc = next_tile_ * M + r;
          {
            Stage stage(STAGE_TRANSFORM);
            transform_back(r, yc, w, gate_.row(yc, below));
          }
          gate_.filled(yc, below, [&](int x, auto&& window) {
            const Vec norm = norms_[2 * x / M];
            Ties equal;
            for (int c = 0; c < S::CO && equal.any(); c++)
              equal.narrow(window(c), w.rounding.bound(c, norm));
            return equal;
          });
        }
        next_tile_++;
      }
      if (y == S::HI - 1) next_tile_ = 0;
    }

    // Row y of the gradient of this layer's output. Above is the layer before: arrived(y, row).
    template <class Above>
    void backward(int y, const Vec* up, const Weights& w, Gradient* gradient, Above&& above) {
      for (int dy = 0; dy < Gate<S>::rows_from(y); dy++) {
        int yc = (S::POOL ? 2 * y : y) + dy;
        constexpr bool WANTED = std::decay_t<Above>::WANTED;
        // Without pooling an attack's gradient passes the gate on its way into the transform.
        if constexpr (S::POOL || TRAIN) gate_.back(y, dy, up, gradient_row_);
        if constexpr (TRAIN) gradient->row_arrived(gradient_row_);
        {
          Stage stage(STAGE_TRANSFORM);
          Vec* out = scratch_->spectrum + (size_t)(yc % M) * F * OUT_STEP;
          if constexpr (S::POOL || TRAIN) adjoint_row([=](int i) { return gradient_row_[i]; }, out);
          else adjoint_row([=](int i) { return gate_.pull(yc, i, up); }, out);
        }
        if (yc % M < M - 1 && yc < S::HC - 1) continue;
        for (int r = yc % M + 1; r < M; r++)  // tiles reach below the last row
          std::memset((void*)(scratch_->spectrum + (size_t)r * F * OUT_STEP), 0, sizeof(Vec) * F * OUT_STEP);
        int ty = yc / M;
        if (ty == 0) std::memset((void*)scratch_->kept.back.carry, 0, sizeof scratch_->kept.back.carry);
        backward_tiles<WANTED>(ty, w, gradient);
        if constexpr (!WANTED) continue;
        for (int r = 0; r < M; r++)
          emit(ty * M + r, scratch_->kept.back.rows + (size_t)r * F * IN_STEP, above);
        if (yc == S::HC - 1) {
          for (int r = 0; r < R - 1; r++)
            emit(TY * M + r, scratch_->kept.back.carry + (size_t)r * F * IN_STEP, above);
          emit_rest(above);
        }
      }
    }

   private:
    Vec* padded(int y) { return input_[TRAIN ? y : 0]; }

    // Row v of the padded image, or its part of number `phase`, to the ring; zeros beyond the image.
    void to_ring(int v, int phase) {
      const int y = v * D + phase - S::P;
      Vec* out = scratch_->kept.ring[v % F] + phase * SIDE;
      if (D > 1 && v >= DOWN) return;
      if (D == 1 || (y >= 0 && y < S::HI)) return transform_row(padded(y), out);
      for (int f = 0; f < F; f++)
        for (int t = 0; t < TX; t++)
          std::memset((void*)(out + f * IN_STEP + t * CI), 0, sizeof(Vec) * SIDE);
    }

    // Along x: pixels [x][channel] to [frequency][tile][channel].
    static NEVER_INLINE void transform_row(const Vec* row, Vec* out) {
      for (int t = 0; t < TX; t++)
        for (int c = 0; c < SIDE; c++) {
          Vec d[F], u[F];
          UNROLL for (int j = 0; j < F; j++) d[j] = row[(t * M + j) * SIDE + c];
          winograd::transform_input(d, u);
          UNROLL for (int f = 0; f < F; f++) out[f * IN_STEP + t * CI + c] = u[f];
        }
    }

    // Along y, of TILES tiles from t of tile row ty at x frequency f, from the ring to the scratch's inputs.
    template <int TILES>
    ALWAYS_INLINE void transform_columns(int ty, int t, int f) {
      Stage stage(STAGE_TRANSFORM);
      const Vec* rows[F];
      for (int r = 0; r < F; r++) {
        int v = ty * M + r;
        rows[r] = v >= TOP && v <= BOTTOM ? scratch_->kept.ring[v % F] + f * IN_STEP + t * CI : zeros_;
      }
      for (int i = 0; i < TILES * CI; i++) {
        Vec d[F], u[F];
        UNROLL for (int r = 0; r < F; r++) d[r] = rows[r][i];
        winograd::transform_input(d, u);
        UNROLL for (int q = 0; q < F; q++) scratch_->inputs[q * apart(TILES * CI) + i] = u[q];
      }
    }

    NEVER_INLINE void forward_tiles(int ty, const Weights& w) {
      for (int f = 0; f < F; f++)
        over_blocks<TX, TOGETHER>([&](int t, auto tiles_) {
          constexpr int tiles = decltype(tiles_)::value;
          transform_columns<tiles>(ty, t, f);
          over_blocks<S::CO, GROUP>([&](int c, auto group_) {
            constexpr int group = decltype(group_)::value;
            {
              Stage stage(STAGE_MULTIPLY);
              for (int q = 0; q < F; q++)
                product<tiles, CI, group, FORWARD.tiles, FORWARD.channels>(
                    scratch_->inputs + q * apart(tiles * CI),
                    w.forward + (size_t)(f * F + q) * CI * S::CO + block_offset(c, CI),
                    scratch_->outputs + q * apart(tiles * group));
            }
            Stage stage(STAGE_TRANSFORM);
            for (int i = 0; i < tiles; i++)
              for (int j = 0; j < group; j++) {
                Vec m[F], v[M];
                UNROLL for (int q = 0; q < F; q++) m[q] = scratch_->outputs[q * apart(tiles * group) + i * group + j];
                winograd::transform_output<M>(m, v);
                UNROLL for (int r = 0; r < M; r++)
                  scratch_->spectrum[(size_t)(r * F + f) * OUT_STEP + (t + i) * S::CO + c + j] = v[r];
              }
          });
        });
    }

    // One frequency: out[tile][OUTPUTS] from in[tile][INPUTS].
    template <int TILES, int INPUTS, int OUTPUTS, int TB, int CB>
    static ALWAYS_INLINE void product(const Vec* in, const float* w, Vec* out) {
      over_blocks<TILES, TB>([&](int t, auto tb_) {
        constexpr int tb = decltype(tb_)::value;
        over_blocks<OUTPUTS, CB>([&](int c, auto cb_) {
          constexpr int cb = decltype(cb_)::value;
          Vec sums[tb][cb];
          UNROLL for (int i = 0; i < tb; i++) UNROLL for (int j = 0; j < cb; j++) sums[i][j] = Vec{};
          multiply_block<tb, cb, INPUTS, INPUTS>(sums, in + t * INPUTS,
                                                 w + block_offset(c, INPUTS));
          UNROLL for (int i = 0; i < tb; i++)
            UNROLL for (int j = 0; j < cb; j++) out[(t + i) * OUTPUTS + c + j] = sums[i][j];
        });
      });
    }

    // Along x, of row r of the tiles: to pixels, with the bias.
    template <class Row>
    NEVER_INLINE void transform_back(int r, int yc, const Weights& w, Row row) {
      const Vec* spectrum = scratch_->spectrum + (size_t)r * F * OUT_STEP;
      for (int t = 0; t < TX; t++) {
        int width = S::WC - t * M < M ? S::WC - t * M : M;
        for (int c = 0; c < S::CO; c++) {
          Vec m[F], v[M];
          UNROLL for (int f = 0; f < F; f++) m[f] = spectrum[f * OUT_STEP + t * S::CO + c];
          winograd::transform_output<M>(m, v);
          UNROLL for (int i = 0; i < M; i++)
            if (S::WC % M == 0 || i < width) {
              int at = (t * M + i) * S::CO + c;
              put(row, at, gate_.put(yc, at, v[i] + w.bias[c]));
            }
        }
      }
    }

    // From element(i), the convolution's gradient at [x][channel] = i.
    template <class Element>
    static NEVER_INLINE void adjoint_row(Element&& element, Vec* out) {
      for (int t = 0; t < TX; t++)
        for (int c = 0; c < S::CO; c++) {
          Vec y[M], m[F];
          UNROLL for (int i = 0; i < M; i++) {
            int x = t * M + i;
            y[i] = S::WC % M == 0 || x < S::WC ? element(x * S::CO + c) : Vec{};
          }
          winograd::adjoint_output<M>(y, m);
          UNROLL for (int f = 0; f < F; f++) out[f * OUT_STEP + t * S::CO + c] = m[f];
        }
    }

    // Leaves M finished rows in the scratch's rows and R - 1 unfinished ones in its carry, if they are wanted, and
    // adds to the weights' gradient, if there is one.
    template <bool WANTED>
    NEVER_INLINE void backward_tiles(int ty, const Weights& w, Gradient* gradient) {
      if constexpr (TRAIN) {
        // The ring is free again, and the inputs are kept: their transforms are made once more.
        Stage stage(STAGE_WEIGHTS);
        for (int v = ty ? (ty - 1) * M + F : TOP; v <= ty * M + F - 1 && v <= BOTTOM; v++)
          to_ring(v, 0);
      }
      for (int f = 0; f < F; f++) over_blocks<TX, TOGETHER>([&](int t, auto tiles_) {
        constexpr int tiles = decltype(tiles_)::value;
        {
          Stage stage(STAGE_TRANSFORM);
          for (int i = 0; i < tiles * S::CO; i++) {
            Vec y[M], m[F];
            UNROLL for (int r = 0; r < M; r++)
              y[r] = scratch_->spectrum[(size_t)(r * F + f) * OUT_STEP + t * S::CO + i];
            winograd::adjoint_output<M>(y, m);
            UNROLL for (int q = 0; q < F; q++) scratch_->outputs[q * apart(tiles * S::CO) + i] = m[q];
          }
        }
        if constexpr (TRAIN) {
          transform_columns<tiles>(ty, t, f);
          Stage stage(STAGE_WEIGHTS);
          for (int q = 0; q < F; q++)
            gradient->template tiles_arrived<tiles>(f * F + q, scratch_->inputs + q * apart(tiles * CI),
                                                    scratch_->outputs + q * apart(tiles * S::CO));
        }
        if constexpr (WANTED)
          over_blocks<CI, GROUP_BACK>([&](int c, auto group_) {
            constexpr int group = decltype(group_)::value;
            const int to = f * IN_STEP + t * CI + c;
            {
              Stage stage(STAGE_MULTIPLY);
              for (int q = 0; q < F; q++) {
                // Row q will be written; its lines come meanwhile.
                if constexpr (NEAR && !TRAIN)
                  for (int i = 0; i < tiles; i++)
                    for (int j = 0; j < group; j++) __builtin_prefetch(row_back(q) + to + i * CI + j, 1);
                product<tiles, S::CO, group, BACKWARD.tiles, BACKWARD.channels>(
                    scratch_->outputs + q * apart(tiles * S::CO),
                    w.backward + (size_t)(f * F + q) * CI * S::CO + block_offset(c, S::CO),
                    scratch_->inputs + q * apart(tiles * group));
              }
            }
            Stage stage(STAGE_TRANSFORM);
            for (int i = 0; i < tiles; i++)
              for (int j = 0; j < group; j++) columns_back<apart(tiles * group)>(i * group + j, to + i * CI + j);
          });
      });
    }

    // Along y, from number i of the scratch's inputs [y frequency][STEP] to number `at` of each row of the spectrum.
    template <int STEP>
    ALWAYS_INLINE void columns_back(int i, int at) {
      Vec u[F], d[F];
      UNROLL for (int q = 0; q < F; q++) u[q] = scratch_->inputs[q * STEP + i];
      winograd::adjoint_input(u, d);
      // The first R - 1 rows overlap the tiles above.
      Vec before[R - 1];
      UNROLL for (int r = 0; r < R - 1; r++) before[r] = row_back(M + r)[at];
      UNROLL for (int r = 0; r < F; r++) {
        if (r < R - 1) d[r] += before[r];
        row_back(r)[at] = d[r];
      }
    }

    // Row r of a tile's gradient, from its spectrum along x: the last R - 1 wait for the tiles below.
    Vec* row_back(int r) {
      return r < M ? scratch_->kept.back.rows + (size_t)r * F * IN_STEP
                   : scratch_->kept.back.carry + (size_t)(r - M) * F * IN_STEP;
    }

    // Row v of the padded input's gradient, from its spectrum.
    template <class Above>
    void emit(int v, const Vec* spectrum, Above&& above) {
      for (int phase = 0; phase < D; phase++) {
        const int y = v * D + phase - S::P;
        if (y < 0 || y >= S::HI) continue;
        Stage stage(STAGE_TRANSFORM);
        if constexpr (std::decay_t<Above>::ADDS) {
          adjoint_back(spectrum + phase * SIDE, [sum = above.sum(y)](int x, int c, Vec d) {
            if (x >= S::P && x < S::P + S::WI) sum[(x - S::P) * SIDE + c] += d;
          });
        } else {
          adjoint_back(spectrum + phase * SIDE,
                       [this](int x, int c, Vec d) { input_gradient_[x * SIDE + c] = d; });
          above.arrived(y, input_gradient_ + S::P * S::CI);
        }
      }
    }

    // Rows that no tile sees.
    template <class Above>
    void emit_rest(Above&& above) {
      for (int y = DOWN * D - S::P; D > 1 && y < S::HI; y++) {
        std::memset((void*)input_gradient_, 0, sizeof input_gradient_);
        above.arrived(y, input_gradient_ + S::P * S::CI);
      }
    }

    // Along x: put(padded column, channel, its gradient) for all that tiles see.
    template <class Put>
    static NEVER_INLINE void adjoint_back(const Vec* spectrum, Put&& put) {
      for (int c = 0; c < SIDE; c++) {
        Vec carry[R - 1];
        UNROLL for (int i = 0; i < R - 1; i++) carry[i] = Vec{};
        for (int t = 0; t < TX; t++) {
          Vec u[F], d[F];
          UNROLL for (int f = 0; f < F; f++) u[f] = spectrum[f * IN_STEP + t * CI + c];
          winograd::adjoint_input(u, d);
          UNROLL for (int i = 0; i < R - 1; i++) d[i] += carry[i];
          UNROLL for (int i = 0; i < M; i++) put(t * M + i, c, d[i]);
          UNROLL for (int i = 0; i < R - 1; i++) carry[i] = d[M + i];
        }
        UNROLL for (int i = 0; i < R - 1; i++) put(TX * M + i, c, carry[i]);
      }
    }

    static_assert(M >= R - 1, "a tile's carry must end within the next tile");

    Gate<S> gate_;
    TileNorms<TX, M, F, S::CI> norms_;
    int next_tile_ = 0;
    const Vec* in_ = nullptr;  // the row, if it does not stand in input_
    // What lies beyond the image, left and right, is never written and stays zero.
    Vec input_[TRAIN ? S::HI : 1][ROW];
    Vec gradient_row_[S::POOL || TRAIN ? S::WC * S::CO : 1];
    Vec input_gradient_[ROW];
    Vec zeros_[TOGETHER * CI];
    Scratch* scratch_;
  };
};
