// A Winograd convolution of few channels on its way through an attack: one whole tile after the other.
//
// All frequencies of a tile, of all channels, fit in the first-level cache: a tile is transformed along
// both sides in registers, multiplied and transformed back before the next one is begun. Between layers
// only pixels are written to farther caches, and no frequencies, which are more.
#pragma once

#include "blocks.hpp"
#include "gate.hpp"
#include "packed.hpp"
#include "shapes.hpp"
#include "stages.hpp"
#include "winograd.hpp"

// C: the WinogradConvolution of S, which has the tiles' numbers and the weights.
template <class S, class C>
class WholeTiles {
  static constexpr int F = C::F, R = C::R, M = C::M, TX = C::TX, TY = C::TY, PADDED = C::PADDED;
  static constexpr int STEP = C::WHOLE_WIDTH;  // from one frequency of a tile to the next

  // A tile on its way, on the stack, where that of every layer lies in the same cache lines, about.
  struct Tile {
    Vec in[F * F * STEP], out[C::IN_PLACE ? 1 : F * F * STEP];
    Vec* products() { return C::IN_PLACE ? in : out; }
  };

 public:
  static constexpr bool PUTS = true;
  using Kept = typename Gate<S>::Kept;

  // What neither direction leaves to the other, nor to the next pass.
  union Scratch {
    struct There {
      Vec ring[F][PADDED * S::CI], waiting[M - 1][TX * M * S::CO];
    } there;
    struct Back {
      Vec gradient[M][TX * M * S::CO];
      Vec rows[M][PADDED * S::CI], carry[R - 1][PADDED * S::CI], left[S::CI][F][R - 1];
    } back;
  };
  void use(Kept& kept, Scratch& scratch) {
    gate_.use(kept);
    scratch_ = &scratch;
    for (int r = 0; r < F; r++) in_[r] = scratch.there.ring[r];
  }

  // Input row y stands at `row`, a pixel of zeros on both sides.
  static constexpr bool TAKES = S::P <= 1 && PADDED <= S::WI + 2 * S::P;
  void take(int y, const Vec* row) { in_[(y + S::P) % F] = row - S::P * S::CI; }

  // Where input row y belongs, [x][channel].
  Vec* slot(int y) { return scratch_->there.ring[(y + S::P) % F] + S::P * S::CI; }

  template <class Below>
  void forward(int y, const typename C::Weights& w, Below&& below) {
    Vec* own = scratch_->there.ring[(y + S::P) % F];
    if (y < F && in_[(y + S::P) % F] == own) clear_sides<S::P, S::WI, PADDED, S::CI>(own);
    while (next_tile_ < TY && (next_tile_ * M + F - 1 <= y + S::P || y == S::HI - 1)) {
      const int first = next_tile_ * M, count = S::HC - first < M ? S::HC - first : M;
      // The first row goes straight on, and all of a sum that stands; else the others wait for their turn.
      constexpr bool STANDS = std::decay_t<Below>::ADDS;
      decltype(gate_.row(first, below)) rows[M];
      for (int r = 0; r < count; r++)
        if constexpr (STANDS) rows[r] = gate_.row(first + r, below);
        else rows[r] = r == 0 ? gate_.row(first, below) : scratch_->there.waiting[r - 1];
      forward_tiles(first, count, w, rows);
      for (int r = 0; r < count; r++) {
        if constexpr (!STANDS)
          if (r > 0)
            std::memcpy((void*)gate_.row(first + r, below), (const void*)rows[r], sizeof(Vec) * S::WC * S::CO);
        gate_.filled(first + r, below, [](int, auto&&) { return Ties::none(); });
      }
      next_tile_++;
    }
    if (y == S::HI - 1) next_tile_ = 0;
  }

  template <class Gradient, class Above>
  void backward(int y, const Vec* up, const typename C::Weights& w, Gradient*, Above&& above) {
    if constexpr (!std::decay_t<Above>::WANTED) return;
    // Rows that stand are read where they are, if tiles end where they do.
    constexpr bool STAND = std::decay_t<Above>::STANDS && TX * M == S::WC;
    if constexpr (STAND) {
      up_[y % M] = up;
    } else {
      Vec* row = scratch_->back.gradient[y % M];
      if (y < M) clear_sides<0, S::WC, TX * M, S::CO>(row);
      for (int i = 0; i < S::WC * S::CO; i++) row[i] = gate_.pull(y, i, up);
    }
    if (y % M < M - 1 && y < S::HC - 1) return;
    const int ty = y / M, count = y % M + 1;
    auto get = [&](int r, int i) -> Vec {
      if (S::HC % M && r >= count) return Vec{};
      if constexpr (STAND) return gate_.pull(ty * M + r, i, up_[r]);
      else return scratch_->back.gradient[r][i];
    };
    if (ty == 0) std::memset((void*)scratch_->back.carry, 0, sizeof scratch_->back.carry);
    if constexpr (std::decay_t<Above>::ADDS) {
      Vec* sums[M];
      for (int r = 0; r < M; r++) {
        const int to = ty * M + r - S::P;
        sums[r] = to >= 0 && to < S::HI ? above.sum(to) : nullptr;
      }
      backward_tiles(get, w, [&](int r, int x, int c, Vec d) {
        if (sums[r] && x >= S::P && x < S::P + S::WI) sums[r][(x - S::P) * S::CI + c] += d;
      });
    } else {
      backward_tiles(get, w,
                     [this](int r, int x, int c, Vec d) { scratch_->back.rows[r][x * S::CI + c] = d; });
      for (int r = 0; r < M; r++) emit(ty * M + r, scratch_->back.rows[r], above);
    }
    if (y == S::HC - 1)
      for (int r = 0; r < R - 1; r++) emit(TY * M + r, scratch_->back.carry[r], above);
  }

 private:
  // A row of tiles from padded row `first` on, of which `count` rows of outputs are wanted.
  template <class Row>
  NEVER_INLINE void forward_tiles(int first, int count, const typename C::Weights& w, const Row* rows) {
    alignas(64) Tile tile;
    for (int t = 0; t < TX; t++) {
      transform(first, t, tile);
      multiply<S::CI, S::CO, C::FORWARD.channels>(tile, w.forward);
      transform_back(first, count, t, tile, w, rows);
    }
  }

  // And its adjoint, of the gradient get(row, element): put(row, padded column, channel, its gradient).
  template <class Get, class Put>
  NEVER_INLINE void backward_tiles(Get&& get, const typename C::Weights& w, Put&& put) {
    alignas(64) Tile tile;
    for (int t = 0; t < TX; t++) {
      adjoint(get, t, tile);
      multiply<S::CO, S::CI, C::BACKWARD.channels>(tile, w.backward);
      adjoint_back(t, tile, put);
    }
  }

  // Zeros beyond both ends of a row of WIDTH pixels, of which SKIP lie to its left.
  template <int SKIP, int WIDTH, int ALL, int CHANNELS>
  static void clear_sides(Vec* row) {
    constexpr int END = SKIP + WIDTH;
    if (SKIP > 0) std::memset((void*)row, 0, sizeof(Vec) * SKIP * CHANNELS);
    if (ALL > END) std::memset((void*)(row + END * CHANNELS), 0, sizeof(Vec) * (ALL - END) * CHANNELS);
  }

  // Of the tile that begins at padded row `first` and is number t of its row: pixels to frequencies.
  NEVER_INLINE void transform(int first, int t, Tile& tile) const {
    Stage stage(STAGE_TRANSFORM);
    const Vec* rows[F];
    for (int r = 0; r < F; r++) {
      const int y = first + r - S::P;
      rows[r] = y >= 0 && y < S::HI ? in_[(first + r) % F] + t * M * S::CI : zeros_;
    }
    for (int c = 0; c < S::CI; c++) {
      Vec along[F][F];
      UNROLL for (int r = 0; r < F; r++) {
        Vec d[F];
        UNROLL for (int j = 0; j < F; j++) d[j] = rows[r][j * S::CI + c];
        winograd::transform_input(d, along[r]);
      }
      UNROLL for (int f = 0; f < F; f++) {
        Vec d[F], u[F];
        UNROLL for (int r = 0; r < F; r++) d[r] = along[r][f];
        winograd::transform_input(d, u);
        UNROLL for (int q = 0; q < F; q++) tile.in[(f * F + q) * STEP + c] = u[q];
      }
    }
  }

  // Each frequency's INPUTS channels become its OUTPUTS ones, in their place where registers hold all.
  template <int INPUTS, int OUTPUTS, int CB>
  static NEVER_INLINE void multiply(Tile& tile, const float* weights) {
    Stage stage(STAGE_MULTIPLY);
    for (int k = 0; k < F * F; k++) {
      const Vec* in = tile.in + k * STEP;
      Vec* out = tile.products() + k * STEP;
      // All weights pass through the first-level cache with every tile: they are fetched in time.
      const float* next = weights + (size_t)(k + 1) * INPUTS * OUTPUTS;
      for (int i = 0; i < INPUTS * OUTPUTS; i += LINE) __builtin_prefetch(next + i);
      over_blocks<OUTPUTS, CB>([&](int c, auto cb_) {
        constexpr int cb = decltype(cb_)::value;
        Vec sums[1][cb] = {};
        multiply_block<1, cb, INPUTS, INPUTS>(
            sums, in, weights + (size_t)k * INPUTS * OUTPUTS + block_offset(c, INPUTS));
        UNROLL for (int j = 0; j < cb; j++) out[c + j] = sums[0][j];
      });
    }
  }

  // Products to `count` rows of pixels, with the bias, through the gate.
  template <class Row>
  NEVER_INLINE void transform_back(int first, int count, int t, Tile& tile, const typename C::Weights& w,
                                   const Row* rows) {
    Stage stage(STAGE_TRANSFORM);
    const int width = S::WC - t * M < M ? S::WC - t * M : M;
    for (int c = 0; c < S::CO; c++) {
      Vec down[F][M];
      UNROLL for (int f = 0; f < F; f++) {
        Vec m[F];
        UNROLL for (int q = 0; q < F; q++) m[q] = tile.products()[(f * F + q) * STEP + c];
        winograd::transform_output<M>(m, down[f]);
      }
      UNROLL for (int r = 0; r < M; r++)
        if (S::HC % M == 0 || r < count) {
          Vec m[F], v[M];
          UNROLL for (int f = 0; f < F; f++) m[f] = down[f][r];
          winograd::transform_output<M>(m, v);
          UNROLL for (int i = 0; i < M; i++)
            if (S::WC % M == 0 || i < width) {
              const int at = (t * M + i) * S::CO + c;
              put(rows[r], at, gate_.put(first + r, at, v[i] + w.bias[c]));
            }
        }
    }
  }

  // The adjoint of transform_back: the gradient's pixels to frequencies.
  template <class Get>
  static NEVER_INLINE void adjoint(Get&& get, int t, Tile& tile) {
    Stage stage(STAGE_TRANSFORM);
    for (int c = 0; c < S::CO; c++) {
      Vec along[M][F];
      UNROLL for (int r = 0; r < M; r++) {
        Vec y[M];
        UNROLL for (int i = 0; i < M; i++) y[i] = get(r, (t * M + i) * S::CO + c);
        winograd::adjoint_output<M>(y, along[r]);
      }
      UNROLL for (int f = 0; f < F; f++) {
        Vec y[M], m[F];
        UNROLL for (int r = 0; r < M; r++) y[r] = along[r][f];
        winograd::adjoint_output<M>(y, m);
        UNROLL for (int q = 0; q < F; q++) tile.in[(f * F + q) * STEP + c] = m[q];
      }
    }
  }

  // Products to pixels, added up where tiles overlap: M finished rows, and R - 1 for the tiles below.
  template <class Put>
  NEVER_INLINE void adjoint_back(int t, Tile& tile, Put&& put) {
    Stage stage(STAGE_TRANSFORM);
    for (int c = 0; c < S::CI; c++) {
      Vec down[F][F];
      UNROLL for (int f = 0; f < F; f++) {
        Vec u[F];
        UNROLL for (int q = 0; q < F; q++) u[q] = tile.products()[(f * F + q) * STEP + c];
        winograd::adjoint_input(u, down[f]);
      }
      UNROLL for (int r = 0; r < F; r++) {
        Vec u[F], d[F];
        UNROLL for (int f = 0; f < F; f++) u[f] = down[f][r];
        winograd::adjoint_input(u, d);
        UNROLL for (int i = 0; i < R - 1; i++) {
          if (t > 0) d[i] += scratch_->back.left[c][r][i];
          scratch_->back.left[c][r][i] = d[M + i];
        }
        // The last tile's rest has no tile to its right.
        UNROLL for (int i = 0; i < F; i++)
          if (i < M || t == TX - 1) {
            const int at = (t * M + i) * S::CI + c;
            if (r < R - 1) d[i] += scratch_->back.carry[r][at];
            if (r < M) put(r, t * M + i, c, d[i]);
            else scratch_->back.carry[r - M][at] = d[i];
          }
      }
    }
  }

  // Row `yp` of the padded input's gradient.
  template <class Above>
  void emit(int yp, const Vec* row, Above&& above) {
    const int y = yp - S::P;
    if (y >= 0 && y < S::HI) above.arrived(y, row + S::P * S::CI);
  }

  static_assert(M >= R - 1, "a tile's rest must end within the next tile");
  static_assert(!S::POOL, "pooling needs bounds by which to tell equal pixels");

  Gate<S> gate_;
  int next_tile_;
  const Vec *in_[F], *up_[M];  // rows that tiles are made of
  Vec zeros_[F * S::CI];
  Scratch* scratch_;
};
