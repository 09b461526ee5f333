// A convolution of one image by two-dimensional Winograd tiles, a tile to a lane.
//
// Tile (ty, tx) is lane ty * TX + tx. Each image row is unwoven into eight rows: input k of every
// tile of the row. Rows whose place in their tile is the same stand one behind the other, so that
// "input (r, k) of every tile" is one vector, wherever the tile begins, with nothing gathered.
#pragma once

#include "blocks.hpp"
#include "shapes.hpp"
#include "stages.hpp"
#include "ties.hpp"
#include "tile_planes.hpp"
#include "tile_winograd_gradient.hpp"
#include "winograd.hpp"
#include "winograd_weights.hpp"

template <class S>
struct TileWinograd {
  static constexpr int F = S::POINTS, R = S::K, M = F + 1 - R;
  static constexpr int TX = (S::WC + M - 1) / M, TY = (S::HC + M - 1) / M;  // tiles
  static constexpr int TV = vectors(TX * TY), T = TV * LANES;              // their vectors and lanes
  static constexpr int HP = S::HI + 2 * S::P, WP = S::WI + 2 * S::P, IN_PLANE = HP * WP;
  static constexpr int SPACE = M * LANES + 4 * LANES;  // floats behind a buffer, for whole vectors

  // Lanes of one row in its tile: those of the tiles, and a row of tiles more, since a tile reaches
  // into the next.
  static constexpr int PV = vectors(TX * TY + TX), P_LANES = vectors(T + TX) * LANES;
  // Vectors that go through a frequency together. In an attack the first-level cache holds all that they
  // touch, if it can; in updates, which add up the lanes of what goes together, both sides.
  static constexpr int NEAR = winograd::near_tiles(F, M, S::CI, S::CO);
  static constexpr int BOTH = sizeof(Vec) * F * (S::CI + S::CO) * TV <= 24 * 1024 || TV < 2 ? TV : 2;
  static constexpr int ATTACK_PIECE = NEAR ? even(TV, NEAR) : BOTH;
  static constexpr Blocking FORWARD = best_blocking(ATTACK_PIECE, S::CO);
  static constexpr Blocking BACKWARD = best_blocking(ATTACK_PIECE, S::CI);

  using Weights = WinogradWeights<S, FORWARD.channels, BACKWARD.channels>;
  using Gradient = TileWinogradGradient<S>;

  // The output, in tiles: MP x MP pixels of each, [channel][row][column][T]. Lanes that are no
  // pixel of the output are 0.
  static constexpr int MP = S::POOL ? M / 2 : M;
  static constexpr int TILES = S::CO * MP * MP * T;
  static constexpr int UP_X = S::P, UP_ROW = S::WI + S::P;  // of planes of the input's gradient

  // Whether lane `lane` of pixel (i, j) of its tile is one, and which.
  static constexpr int pixel_y(int i, int lane) { return lane / TX * MP + i; }
  static constexpr int pixel_x(int j, int lane) { return lane % TX * MP + j; }
  static constexpr bool is_pixel(int i, int j, int lane) {
    return lane < TX * TY && pixel_y(i, lane) < S::HO && pixel_x(j, lane) < S::WO;
  }

  template <bool TRAIN>
  struct State {
    // Of every lane of the output: does the gradient pass? With pooling, to which of four pixels.
    Mask mask[(size_t)S::CO * MP * MP * TV * (S::POOL ? 4 : 1)];
    alignas(64) float kept[TRAIN ? (size_t)S::CI * IN_PLANE + SPACE : 1];
  };

  // From tiles to planes of the output, [CO][HO][WO], in which nothing else is written than zeros.
  template <class To>
  static NEVER_INLINE void to_planes(const float* tiles, To to) {
    Stage stage(STAGE_TRANSFORM);
    for (int c = 0; c < S::CO; c++)
      for (int y = 0; y < S::HO; y++)
        over_blocks<TX, LANES>([&](int t, auto count_) {
          constexpr int count = decltype(count_)::value;
          const float* from = tiles + (size_t)(c * MP + y % MP) * MP * T + y / MP * TX + t;
          Vec in[MP];
          UNROLL for (int j = 0; j < MP; j++) in[j] = only<0, count>(load_vec(from + j * T));
          weave<vectors(count * MP)>(in, to.row(c, y) + t * MP);
        });
  }

  template <bool TRAIN>
  class Layer {
   public:
    // From planes of the output's gradient to tiles, [TILES].
    template <class Up>
    NEVER_INLINE void from_planes(const State<TRAIN>& s, Up up, float* tiles) {
      Stage stage(STAGE_TRANSFORM);
      for (int c = 0; c < S::CO; c++) {
        for (int y = 0; y < S::HO; y++)
          over_blocks<TX, LANES>([&](int t, auto count_) {
            Vec out[MP];
            unweave<MP, decltype(count_)::value>(up.row(c, y) + t * MP, out);
            float* to = arrived_[y % MP][0] + y / MP * TX + t;
            UNROLL for (int j = 0; j < MP; j++) store_vec(to + j * (T + LANES), out[j]);
          });
        for (int i = 0; i < MP; i++)
          for (int j = 0; j < MP; j++)
            for (int v = 0; v < TV; v++) {
              const size_t at = ((size_t)(c * MP + i) * MP + j) * TV + v;
              Vec g = load_vec(arrived_[i][j] + v * LANES);
              store_vec(tiles + at * LANES, S::POOL ? g : keep(s.mask[at], g));
            }
      }
    }

    // Where the image goes: planes with their padding, whose border stays zero.
    Planes<IN_PLANE, WP> input(State<TRAIN>& s) {
      return {(TRAIN ? s.kept : input_) + S::P * WP + S::P};
    }

    // out: [TILES], the layer's output.
    void forward(State<TRAIN>& s, const Weights& w, float* out) {
      to_x_frequencies(TRAIN ? s.kept : input_);
      for (int f = 0; f < F; f++)
        over_blocks<TV, PIECE>([&](int v, auto piece_) {
          constexpr int piece = decltype(piece_)::value;
          to_y_frequencies<piece>(f, v);
          {
            Stage stage(STAGE_MULTIPLY);
            for (int q = 0; q < F; q++) {
              soon_written<piece, S::CO>(q, [&](int c) { return wide(f, c, q) + v * LANES; });
              product<piece, S::CI, S::CO, FORWARD>(
                  in_ + q * piece * S::CI, w.forward + (size_t)(f * F + q) * S::CI * S::CO,
                  out_ + q * piece * S::CO);
            }
          }
          from_y_frequencies<piece>(f, v);
        });
      from_x_frequencies(s, w, out);
    }

    // up: the gradient of the output, in tiles, zero where no gradient passes; below: planes for
    // that of the input, if wanted.
    template <bool WANTED, class Below>
    void backward(const State<TRAIN>& s, const float* up, const Weights& w, Gradient* gradient,
                  Below below) {
      if constexpr (TRAIN) to_x_frequencies(s.kept);
      adjoint_from_x(s, up, gradient);
      for (int f = 0; f < F; f++)
        over_blocks<TV, PIECE>([&](int v, auto piece_) {
          constexpr int piece = decltype(piece_)::value;
          adjoint_from_y<piece>(f, v);
          if constexpr (TRAIN) {
            to_y_frequencies<piece>(f, v);
            gradient->template add<piece>(f, in_, out_);
          }
          if constexpr (WANTED) {
            {
              Stage stage(STAGE_MULTIPLY);
              for (int q = 0; q < F; q++) {
                soon_written<piece, S::CI>(q, [&](int c) { return narrow(f, c, q) + v * LANES; });
                product<piece, S::CO, S::CI, BACKWARD>(
                    out_ + q * piece * S::CO, w.backward + (size_t)(f * F + q) * S::CI * S::CO,
                    in_ + q * piece * S::CI);
              }
            }
            adjoint_to_y<piece>(f, v);
          }
        });
      if constexpr (WANTED) adjoint_to_x(below);
    }

   private:
    static constexpr int PIECE = TRAIN ? BOTH : ATTACK_PIECE;

    // Along x, of every row. [x frequency][channel][row in its tile][P_LANES].
    NEVER_INLINE void to_x_frequencies(const float* in) {
      Stage stage(STAGE_TRANSFORM);
      constexpr int ROWS = TY * M + R - 1;
      for (int c = 0; c < S::CI; c++) {
        for (int y = 0; y < ROWS; y++) {
          float* to = unwoven_ + (size_t)y % M * F * U_LANES + y / M * TX;
          over_blocks<TX, LANES>([&](int t, auto count_) {
            Vec d[F];
            if (y < HP)
              unweave<M, decltype(count_)::value>(in + (size_t)c * IN_PLANE + y * WP + t * M, d);
            else  // what a tile has below the image
              UNROLL for (int k = 0; k < F; k++) d[k] = Vec{};
            UNROLL for (int k = 0; k < F; k++) store_vec(to + k * U_LANES + t, d[k]);
          });
        }
        for (int r = 0; r < M; r++)
          for (int v = 0; v < PV; v++) {
            Vec d[F], u[F];
            const float* from = unwoven_ + (size_t)r * F * U_LANES + v * LANES;
            UNROLL for (int k = 0; k < F; k++) d[k] = load_vec(from + k * U_LANES);
            if constexpr (S::POOL) {
              Vec squares = c ? load_vec(squares_[r] + v * LANES) : Vec{};
              UNROLL for (int k = 0; k < F; k++) squares += d[k] * d[k];
              store_vec(squares_[r] + v * LANES, squares);
            }
            winograd::transform_input(d, u);
            UNROLL for (int f = 0; f < F; f++) store_vec(inputs(f, c, r) + v * LANES, u[f]);
          }
      }
    }

    // Along y, of `PIECE_` vectors of tiles from vector v: in_[y frequency][vector][channel].
    template <int PIECE_>
    ALWAYS_INLINE void to_y_frequencies(int f, int first) {
      Stage stage(STAGE_TRANSFORM);
      for (int c = 0; c < S::CI; c++)
        UNROLL for (int v = 0; v < PIECE_; v++) {
          Vec d[F], u[F];
          UNROLL for (int r = 0; r < F; r++)
            d[r] = load_vec(inputs(f, c, r % M) + r / M * TX + (first + v) * LANES);
          winograd::transform_input(d, u);
          UNROLL for (int q = 0; q < F; q++) in_[(q * PIECE_ + v) * S::CI + c] = u[q];
        }
    }

    // Row r of the tiles, at line(channel), is written once all products are made: its lines come while
    // those are, that stores need not wait for each other's.
    template <int PIECE_, int CHANNELS_, class Line>
    static ALWAYS_INLINE void soon_written(int r, Line&& line) {
      if (NEAR == 0 || TRAIN || r >= M) return;
      for (int c = 0; c < CHANNELS_; c++)
        UNROLL for (int v = 0; v < PIECE_; v++) __builtin_prefetch(line(c) + v * LANES, 1);
    }

    // One frequency: out[vector][OUTPUTS] from in[vector][INPUTS].
    template <int PIECE_, int INPUTS, int OUTPUTS, const Blocking& B>
    static ALWAYS_INLINE void product(const Vec* in, const float* w, Vec* out) {
      over_blocks<PIECE_, (B.tiles < PIECE_ ? B.tiles : PIECE_)>([&](int t, auto tb_) {
        constexpr int tb = decltype(tb_)::value;
        over_blocks<OUTPUTS, B.channels>([&](int c, auto cb_) {
          constexpr int cb = decltype(cb_)::value;
          Vec sums[tb][cb];
          UNROLL for (int i = 0; i < tb; i++) UNROLL for (int j = 0; j < cb; j++) sums[i][j] = Vec{};
          multiply_block<tb, cb, INPUTS, INPUTS>(sums, in + t * INPUTS, w + block_offset(c, INPUTS));
          UNROLL for (int i = 0; i < tb; i++)
            UNROLL for (int j = 0; j < cb; j++) out[(t + i) * OUTPUTS + c + j] = sums[i][j];
        });
      });
    }

    // To rows of the tiles: [x frequency][channel][row in its tile][T].
    template <int PIECE_>
    ALWAYS_INLINE void from_y_frequencies(int f, int first) {
      Stage stage(STAGE_TRANSFORM);
      for (int c = 0; c < S::CO; c++)
        UNROLL for (int v = 0; v < PIECE_; v++) {
          Vec m[F], y[M];
          UNROLL for (int q = 0; q < F; q++) m[q] = out_[(q * PIECE_ + v) * S::CO + c];
          winograd::transform_output<M>(m, y);
          UNROLL for (int i = 0; i < M; i++) store_vec(wide(f, c, i) + (first + v) * LANES, y[i]);
        }
    }

    // To pixels of the tiles, through ReLU and pooling.
    NEVER_INLINE void from_x_frequencies(State<TRAIN>& s, const Weights& w, float* out) {
      Stage stage(STAGE_TRANSFORM);
      if constexpr (S::POOL) {
        for (int v = 0; v < TV; v++) {
          const Vec norm = norm_of_tiles(v);
          for (int i = 0; i < MP; i++) pool(s, w, i, v, norm, out);
        }
      } else {
        for (int c = 0; c < S::CO; c++) {
          const Vec b = broadcast(w.bias[c]);
          for (int i = 0; i < M; i++)
            for (int v = 0; v < TV; v++) {  // as they stand in memory
              Vec y[M];
              // A line is fetched before it is written to: else the stores wait for each other's.
              float* soon = out + ((size_t)(c * M + i) * M * TV + v + 8) * LANES;
              UNROLL for (int j = 0; j < M; j++) __builtin_prefetch(soon + j * T, 1);
              pixels_of_row(c, i, v, b, y);
              UNROLL for (int j = 0; j < M; j++) {
                const size_t at = ((size_t)(c * M + i) * M + j) * TV + v;
                const Mask here = pixels_.lanes[i][j][v];
                const Mask pass = S::RELU ? (Mask)(positive(y[j]) & here) : here;
                s.mask[at] = pass;
                store_vec(out + at * LANES, keep(pass, y[j]));
              }
            }
        }
      }
    }

    // Row i of the tiles of vector v, before ReLU and pooling.
    ALWAYS_INLINE void pixels_of_row(int c, int i, int v, Vec bias, Vec (&y)[M]) {
      Vec m[F];
      UNROLL for (int f = 0; f < F; f++) m[f] = load_vec(wide(f, c, i) + v * LANES);
      winograd::transform_output<M>(m, y);
      UNROLL for (int j = 0; j < M; j++) y[j] = y[j] + bias;
    }

    // Row i of pooled pixels of all channels: whether pixels are equal, all of them tell.
    NEVER_INLINE void pool(State<TRAIN>& s, const Weights& w, int i, int v, Vec norm, float* out) {
      Ties equal[MP];
      for (int j = 0; j < MP; j++) equal[j] = Ties::in(pixels_.lanes[i][j][v]);
      bool any = true;
      for (int c = 0; c < S::CO; c++) {
        Vec (&y)[2][M] = unpooled_[c];
        UNROLL for (int dy = 0; dy < 2; dy++)
          pixels_of_row(c, 2 * i + dy, v, broadcast(w.bias[c]), y[dy]);
        if (!any) continue;
        any = false;
        const Vec bound = w.rounding.bound(c, norm);
        UNROLL for (int j = 0; j < MP; j++) {
          equal[j].narrow(window(c, j), bound);
          any |= equal[j].any();
        }
      }
      for (int j = 0; j < MP; j++) {
        const Ties ties = any ? equal[j] : Ties::none();
        const Mask here = pixels_.lanes[i][j][v];
        for (int c = 0; c < S::CO; c++) {
          const size_t at = ((size_t)(c * MP + i) * MP + j) * TV + v;
          Largest best = largest(window(c, j), ties);
          const Mask pass = S::RELU ? (Mask)(positive(best.value) & here) : here;
          Mask* m = s.mask + 4 * at;
          m[0] = best.a & pass;
          m[1] = best.b & pass;
          m[2] = best.c & pass;
          m[3] = best.d & pass;
          store_vec(out + at * LANES, keep(pass, best.value));
        }
      }
    }
    ALWAYS_INLINE Window window(int c, int j) const {
      const Vec (&y)[2][M] = unpooled_[c];
      return {y[0][2 * j], y[0][2 * j + 1], y[1][2 * j], y[1][2 * j + 1]};
    }

    // The Euclidean norms of the tiles' inputs, which bound their rounding.
    Vec norm_of_tiles(int v) const {
      Vec sum{};
      for (int r = 0; r < F; r++) sum += load_vec(squares_[r % M] + r / M * TX + v * LANES);
      for (int lane = 0; lane < LANES; lane++) sum[lane] = std::sqrt(sum[lane]);
      return sum;
    }

    // The way back, each the adjoint of its namesake.
    NEVER_INLINE void adjoint_from_x(const State<TRAIN>& s, const float* up, Gradient* gradient) {
      Stage stage(STAGE_TRANSFORM);
      for (int c = 0; c < S::CO; c++) {
        Vec bias{};
        for (int i = 0; i < M; i++)
          for (int v = 0; v < TV; v++) {
            Vec y[M], m[F];
            UNROLL for (int j = 0; j < M; j++) {
              if constexpr (S::POOL) {
                const size_t at = ((size_t)(c * MP + i / 2) * MP + j / 2) * TV + v;
                y[j] = j / 2 < MP && i / 2 < MP
                           ? keep(s.mask[4 * at + i % 2 * 2 + j % 2], load_vec(up + at * LANES))
                           : Vec{};
              } else {
                y[j] = load_vec(up + (((size_t)(c * M + i) * M + j) * TV + v) * LANES);
              }
            }
            if constexpr (TRAIN) UNROLL for (int j = 0; j < M; j++) bias += y[j];
            winograd::adjoint_output<M>(y, m);
            UNROLL for (int f = 0; f < F; f++) store_vec(wide(f, c, i) + v * LANES, m[f]);
          }
        if constexpr (TRAIN) gradient->add_bias(c, bias);
      }
    }

    template <int PIECE_>
    ALWAYS_INLINE void adjoint_from_y(int f, int first) {
      Stage stage(STAGE_TRANSFORM);
      for (int c = 0; c < S::CO; c++)
        UNROLL for (int v = 0; v < PIECE_; v++) {
          Vec y[M], m[F];
          UNROLL for (int i = 0; i < M; i++) y[i] = load_vec(wide(f, c, i) + (first + v) * LANES);
          winograd::adjoint_output<M>(y, m);
          UNROLL for (int q = 0; q < F; q++) out_[(q * PIECE_ + v) * S::CO + c] = m[q];
        }
    }

    // A tile's last F - M rows are rows of the tile below it, TX lanes further up: they are added
    // there at once, so that rows stand as `to_x_frequencies` leaves them.
    template <int PIECE_>
    ALWAYS_INLINE void adjoint_to_y(int f, int first) {
      Stage stage(STAGE_TRANSFORM);
      for (int c = 0; c < S::CI; c++) {
        Vec before[F - M][BACK];
        UNROLL for (int r = 0; r < F - M; r++)
          UNROLL for (int b = 0; b < BACK; b++) before[r][b] = first ? carry_[c][r][b] : Vec{};
        auto put = [&](int r, int v, Vec d, Vec now) {
          Vec newer = BACK > 1 ? before[r][BACK > 1 ? BACK - 2 : 0] : now;
          d += shuffled<MovedUp<TX - (BACK - 1) * LANES>>(before[r][BACK - 1], newer);
          store_vec(narrow(f, c, r) + v * LANES, d);
          UNROLL for (int b = BACK - 1; b > 0; b--) before[r][b] = before[r][b - 1];
          before[r][0] = now;
        };
        UNROLL for (int v = 0; v < PIECE_; v++) {
          Vec u[F], d[F];
          UNROLL for (int q = 0; q < F; q++) u[q] = in_[(q * PIECE_ + v) * S::CI + c];
          winograd::adjoint_input(u, d);
          UNROLL for (int r = 0; r < F - M; r++) put(r, first + v, d[r], d[M + r]);
          UNROLL for (int r = F - M; r < M; r++)
            store_vec(narrow(f, c, r) + (first + v) * LANES, d[r]);
        }
        if (first + PIECE_ == TV) {
          for (int v = TV; v < PV; v++) {
            UNROLL for (int r = 0; r < F - M; r++) put(r, v, Vec{}, Vec{});
            UNROLL for (int r = F - M; r < M; r++) store_vec(narrow(f, c, r) + v * LANES, Vec{});
          }
        } else {
          UNROLL for (int r = 0; r < F - M; r++)
            UNROLL for (int b = 0; b < BACK; b++) carry_[c][r][b] = before[r][b];
        }
      }
    }

    template <class Below>
    NEVER_INLINE void adjoint_to_x(Below below) {
      Stage stage(STAGE_TRANSFORM);
      for (int c = 0; c < S::CI; c++) {
        for (int r = 0; r < M; r++)
          for (int v = 0; v < PV; v++) {
            Vec u[F], d[F];
            UNROLL for (int f = 0; f < F; f++) u[f] = load_vec(narrow(f, c, r) + v * LANES);
            winograd::adjoint_input(u, d);
            float* to = unwoven_ + (size_t)r * F * U_LANES + LANES + v * LANES;
            UNROLL for (int k = 0; k < F; k++) store_vec(to + k * U_LANES, d[k]);
          }
        for (int y = S::P; y < S::P + S::HI; y++) {
          const float* from = unwoven_ + (size_t)y % M * F * U_LANES + LANES + y / M * TX;
          float* row = below.row(c, y - S::P) - S::P;
          over_blocks<TX + 1, LANES>([&](int t, auto count_) {
            constexpr int count = decltype(count_)::value;
            // A tile's last F - M columns are the first of the tile to its right.
            Vec sums[M];
            UNROLL for (int k = 0; k < M; k++) {
              Vec own = load_vec(from + k * U_LANES + t);
              if (t + count == TX + 1) own = only<0, count - 1>(own);
              if (k < F - M) {
                Vec left = load_vec(from + (k + M) * U_LANES + t - 1);
                own += t == 0 ? only<1, LANES>(left) : left;
              }
              sums[k] = own;
            }
            weave<vectors(count * M)>(sums, row + t * M);
          });
        }
      }
    }

    // Vectors that TX lanes reach back over.
    static constexpr int BACK = (TX + LANES - 1) / LANES;
    static constexpr int U_LANES = LANES + P_LANES + 2 * LANES;
    // Some floats more than needed, so that frequencies do not fall on the same cache sets.
    static constexpr int NARROW_STEP = S::CI * M * P_LANES + 16, WIDE_STEP = S::CO * M * T + 16;

    float* narrow(int f, int c, int r) {
      return narrow_ + (size_t)f * NARROW_STEP + (size_t)(c * M + r) * P_LANES;
    }
    // The same of the inputs, which stay there while gradients are made of them.
    float* inputs(int f, int c, int r) {
      return TRAIN ? inputs_ + (narrow(f, c, r) - narrow_) : narrow(f, c, r);
    }
    float* wide(int f, int c, int i) { return wide_ + (size_t)f * WIDE_STEP + (size_t)(c * M + i) * T; }

    struct Pixels {
      Mask lanes[MP][MP][TV];
      constexpr Pixels() : lanes() {
        for (int i = 0; i < MP; i++)
          for (int j = 0; j < MP; j++)
            for (int lane = 0; lane < T; lane++)
              if (is_pixel(i, j, lane))
                lanes[i][j][lane / LANES] = (Mask)(lanes[i][j][lane / LANES] | 1 << lane % LANES);
      }
    };
    static constexpr Pixels pixels_{};

    alignas(64) float input_[TRAIN ? 1 : (size_t)S::CI * IN_PLANE + SPACE];
    alignas(64) float unwoven_[(size_t)M * F * U_LANES];
    alignas(64) float narrow_[(size_t)F * NARROW_STEP], wide_[(size_t)F * WIDE_STEP];
    alignas(64) float inputs_[TRAIN ? (size_t)F * NARROW_STEP : 1];
    // Of pooled layers: sums over a row's inputs of their squares, and what is to be pooled.
    alignas(64) float squares_[M][S::POOL ? P_LANES : 1];
    Vec unpooled_[S::POOL ? S::CO : 1][2][M];
    alignas(64) float arrived_[MP][MP][T + LANES];
    Vec in_[F * PIECE * S::CI], out_[F * PIECE * S::CO];
    Vec carry_[S::CI][F - M][BACK];
  };
};
