// A dense layer, of several blocks of images at once.
//
// The weights are read where they stand (`packed.hpp`): all three directions walk them, or their
// gradient, row by row from front to back. That matters, since here alone the weights are larger
// than the images' own values. Of several blocks, four stand side by side (two, with 16 registers), so
// that a weight loaded serves four products: forward some rows of inputs at a time, which the first-level
// cache holds, give to some outputs of all blocks, then to the next. Backward some inputs of all blocks
// take from a panel of outputs. A sum has the same order whatever the number of blocks.
#pragma once

#include "blocks.hpp"
#include "factors.hpp"
#include "packed.hpp"
#include "shapes.hpp"
#include "stages.hpp"

// Where input r of an image row, in the order of the packed rows, stands in the slot of Vecs,
// [column][channel].
template <class S>
struct Slots {
  int at[S::ROW];
  bool same = true;  // the two orders
  constexpr Slots() : at() {
    for (int x = 0; x < S::COLUMNS; x++)
      for (int c = 0; c < S::CHANNELS; c++) at[DenseRows<S>::in_row(x, c)] = x * S::CHANNELS + c;
    for (int r = 0; r < S::ROW; r++) same = same && at[r] == r;
  }
};

template <class S>
struct DenseLayer {
  using Rows = DenseRows<S>;
  static constexpr bool CURVED = !std::is_void_v<typename S::CURVE>;
  static constexpr Slots<S> SLOTS{};
  static ALWAYS_INLINE int slot(int r) {
    if constexpr (SLOTS.same) return r;
    else return SLOTS.at[r];
  }
  // What the first-level cache holds: of one block, weights; of several, bytes of their inputs and of
  // the lines of weights that some outputs read.
  static constexpr int CACHED = 2048, CACHE = 24 * 1024;

  // Blocks side by side, at most, of which a weight that is loaded serves all.
  static constexpr int ABREAST = REGISTERS == 32 ? 4 : 2;
  // Outputs, and inputs on the way back, whose sums stay in registers: of one block, of two, of four.
  static constexpr int sums(int blocks) {
    if (REGISTERS == 32) return blocks == 1 ? 28 : blocks == 2 ? 13 : 6;
    return blocks == 1 ? 13 : 6;
  }

  // So many outputs of a panel at a time that the tails find room beside the last of them.
  static constexpr int outputs_at_once(int real, int tails, int most) {
    int count = even(real + tails, most);
    while (count > 1 && real - (real - 1) / count * count + tails > most) count--;
    return count;
  }

  // The last panel, its first output, and its outputs below J.
  static constexpr int LAST = Rows::PANELS - 1, FIRST = LAST * Rows::WIDTH;
  static constexpr int REAL = (S::J < Rows::MAIN ? S::J : Rows::MAIN) - FIRST;

  // Calls body(panel's first output, its place, constants: its width and its outputs below J) for
  // every panel, the tails being one.
  template <class Body>
  static ALWAYS_INLINE void over_panels(Body&& body) {
    using std::integral_constant;
    for (int p = 0; p < LAST; p++)
      body(p * Rows::WIDTH, Rows::panel(p), integral_constant<int, Rows::WIDTH>{},
           integral_constant<int, Rows::WIDTH>{});
    body(FIRST, Rows::panel(LAST), integral_constant<int, Rows::width(LAST)>{},
         integral_constant<int, REAL>{});
    if constexpr (Rows::TAIL > 0)
      body(Rows::MAIN, Rows::TAILS, integral_constant<int, Rows::TAIL>{},
           integral_constant<int, S::J - Rows::MAIN>{});
  }

  struct Weights {
    const float *weight, *bias;
    void take(const float* w, const float* b) { weight = w, bias = b; }
  };

  // Sums over images of input times gradient, where the weights stand, and of gradients.
  // The first block of images writes them, the others add to them: they are many.
  struct Gradient {
    float *weight, *bias;
    int blocks;
    FactorPlace place;

    void begin(float* w, float* b) {
      weight = w, bias = b, blocks = 0;
      std::memset(bias, 0, sizeof(float) * S::J);
    }

    void finish() {
      if (blocks == 0) std::memset(weight, 0, sizeof(float) * Rows::SIZE);
    }
  };

  // BLOCKS: blocks of images, at most. Inputs, and their gradients in their place, are
  // [block][row][slot].
  template <bool TRAIN, int BLOCKS>
  class Layer {
   public:
    // Before the first row.
    void begin(int blocks, const Weights& w) {
      for (int b = 0; b < blocks; b++)
        for (int j = 0; j < S::J; j++) value[b][j] = broadcast(w.bias[j]);
    }

    // Adds what rows from..to give, the first of which is at `in`: some after others, or all at once.
    NEVER_INLINE void forward(const Vec* in, int from, int to, int blocks, const Weights& w) {
      Stage stage(STAGE_MULTIPLY);
      constexpr int BEHIND = S::J - FIRST - REAL;  // outputs in the tail
      if constexpr (GATHERS) {
        over_rows<GATHERED>(from, to, [&](int y, int r, auto rows_) {
          constexpr int rows = decltype(rows_)::value;
          for (int b = 0; b < blocks; b++)
            for (int i = 0; i < rows; i++)
              gathered_[b * GATHERED + i] = in[b * S::INPUTS + (y - from) * S::ROW + slot(r + i)];
          const size_t row = (size_t)y * S::ROW + r;
          for (int p = 0; p < LAST; p++)
            add_some<Rows::WIDTH, Rows::WIDTH, 0, rows>(gathered_, r, row, blocks, w, p * Rows::WIDTH,
                                                        Rows::panel(p),
                                                        Rows::panel(p + 1) + row * Rows::width(p + 1));
          add_some<Rows::width(LAST), REAL, BEHIND, rows>(gathered_, r, row, blocks, w, FIRST,
                                                          Rows::panel(LAST), (row + rows) * Rows::WIDTH);
        });
      } else {
        for (int p = 0; p < LAST; p++)
          add_panel<Rows::WIDTH, Rows::WIDTH, 0>(in, from, to, blocks, w, p * Rows::WIDTH, Rows::panel(p));
        add_panel<Rows::width(LAST), REAL, BEHIND>(in, from, to, blocks, w, FIRST, Rows::panel(LAST));
      }
    }

    // `value` becomes the layer's output.
    void finish(int blocks) {
      for (int b = 0; b < blocks; b++)
        for (int j = 0; j < S::J; j++) {
          Vec& v = value[b][j];
          if constexpr (S::RELU) {
            mask_[b][j] = positive(v);
            v = keep(mask_[b][j], v);
          }
          if constexpr (CURVED) {
            const auto point = S::CURVE::at(v);
            v = point.value;
            slope_[b][j] = point.slope;
          }
        }
    }

    // `value` holds the gradient of the layer's output; those stay, side by side, where any image has one.
    void begin_backward(int blocks, Gradient* gradient) {
      alive_ = 0;
      int panel = 0;
      over_panels([&](int first, size_t, auto, auto real_) {
        begins_[panel++] = alive_;
        for (int j = first; j < first + decltype(real_)::value; j++) {
          bool any = false;
          for (int b = 0; b < blocks; b++) {
            Vec v = value[b][j];
            if constexpr (S::RELU) v = keep(mask_[b][j], v);
            if constexpr (CURVED) v *= slope_[b][j];
            any |= not_zero(v) != 0;
            value[b][alive_] = v;
            if constexpr (TRAIN) {
              gradient->bias[j] += sum_of_lanes(v);
              for (int i = 0; i < LANES; i++) by_image_[i][j] = v[i];
            }
          }
          if (any) unit_[alive_++] = j - first;  // a dead unit adds exact zeros to every gradient
        }
      });
      begins_[panel] = alive_;
      if constexpr (TRAIN) gradient->blocks++;
    }

    // The gradient of the inputs in rows from..to, the first of which is at `out`.
    NEVER_INLINE void backward(Vec* out, int from, int to, int blocks, const Weights& w) const {
      Stage stage(STAGE_MULTIPLY);
      if (BLOCKS == 1 || blocks == 1) rows_back<1>(out, from, to, 1, w);
      else if constexpr (BLOCKS > 1) {
        if (BLOCKS < ABREAST || blocks < ABREAST) rows_back<2>(out, from, to, blocks, w);
        else rows_back<BLOCKS < ABREAST ? 2 : ABREAST>(out, from, to, blocks, w);
      }
    }

    // Adds row y's part of the weights' gradient, with the outputs in the lanes: images are the
    // summed dimension of a small matrix product.
    NEVER_INLINE void gradient_row(int y, const Vec* row, Gradient* gradient) {
      Stage stage(STAGE_WEIGHTS);
      if (gradient->place.factors) return keep_factors(y, row, gradient->place);
      const bool begun = gradient->blocks > 1;
      over_panels([&](int first, size_t place, auto width_, auto real_) {
        constexpr int width = decltype(width_)::value, real = decltype(real_)::value;
        float* sums = gradient->weight + place + (size_t)y * S::ROW * width;
        if constexpr (width % LANES == 0) outer_products<Vec, width, real>(row, first, sums, begun);
        else outer_products<Tail, width, real>(row, first, sums, begun);
      });
    }

    Vec value[BLOCKS][S::J];

   private:
    static constexpr int TAIL = Rows::TAIL ? Rows::TAIL : 1;
    typedef float Tail __attribute__((vector_size(4 * TAIL)));

    // Of each image its inputs of row y, in the order of the packed rows, and once its gradient.
    void keep_factors(int y, const Vec* row, const FactorPlace& place) const {
      using F = Factors<S>;
      for (int i = 0; y == 0 && i < place.images; i++)
        std::memcpy(place.factors + i * F::SIZE + F::INPUTS, by_image_[i], sizeof(float) * F::OUT);
      // A line of each image at a time.
      over_blocks<S::ROW, LINE>([&](int r, auto count_) {
        constexpr int count = decltype(count_)::value;
        const float* in[count];
        UNROLL for (int k = 0; k < count; k++)
          in[k] = reinterpret_cast<const float*>(row + slot(r + k));
        for (int i = 0; i < place.images; i++) {
          float* to = place.factors + i * F::SIZE + (size_t)y * S::ROW + r;
          UNROLL for (int k = 0; k < count; k++) to[k] = in[k][i];
        }
      });
    }

    // Rows whose inputs, of all blocks, and weights of some outputs the first-level cache holds.
    static constexpr int FIT = CACHE / (BLOCKS * (int)sizeof(Vec) + 2 * LINE * 4);
    // Inputs that stand in slots of another order lie whole images' columns apart, in the same few sets
    // of the cache: those of some rows are brought side by side, and meet every panel.
    static constexpr bool GATHERS = BLOCKS > 1 && !SLOTS.same;
    static constexpr int GATHERED = FIT < S::ROW ? even(S::ROW, FIT) : S::ROW;
    static constexpr int APART = GATHERS ? GATHERED : S::INPUTS;  // blocks' inputs

    // Calls body(image row, first input, constant: how many) for at most MOST inputs at a time.
    template <int MOST, class Body>
    static ALWAYS_INLINE void over_rows(int from, int to, Body&& body) {
      for (int y = from; y < to; y++)
        over_blocks<S::ROW, MOST>([&](int r, auto rows_) { body(y, r, rows_); });
    }

    // Adds what those rows give to the REAL outputs of a panel, and to the TAILS behind them.
    template <int STRIDE, int REAL, int TAILS>
    ALWAYS_INLINE void add_panel(const Vec* in, int from, int to, int blocks, const Weights& w, int first,
                                 size_t place) {
      constexpr int MOST = BLOCKS == 1 ? CACHED / STRIDE : FIT;
      constexpr int ROWS = MOST < S::ROW ? even(S::ROW, MOST) : S::ROW;
      over_rows<ROWS>(from, to, [&](int y, int r, auto rows_) {
        constexpr int rows = decltype(rows_)::value;
        const size_t row = (size_t)y * S::ROW + r;
        add_some<STRIDE, REAL, TAILS, rows>(in + (y - from) * S::ROW, r, row, blocks, w, first, place,
                                            place + (row + rows) * STRIDE);
      });
    }

    // The same of ROWS rows from `row`, whose inputs begin at number r of `in`. Weights at `next` follow.
    template <int STRIDE, int REAL, int TAILS, int ROWS>
    ALWAYS_INLINE void add_some(const Vec* in, int r, size_t row, int blocks, const Weights& w, int first,
                                size_t place, size_t next) {
      const float *p = w.weight + place + row * STRIDE, *q = w.weight + Rows::TAILS + row * Rows::TAIL;
      const float* then = w.weight + next;
      Vec* to = value[0] + first;
      // Few sums wait for each other: they are split, by rows.
      constexpr int ALL = REAL + TAILS;
      constexpr int SPLIT = ROWS == 1 || ALL >= 8 ? 1 : (ALL >= 4 || ROWS < 4 ? 2 : 4);
      constexpr int MOST = BLOCKS < ABREAST || SPLIT > 1 ? 2 : ABREAST;
      if (BLOCKS == 1 || blocks == 1)
        add_chunk<1, STRIDE, REAL, TAILS, ROWS, SPLIT>(in, r, p, q, to, 1, then);
      else if constexpr (BLOCKS > 1) {
        if (blocks < MOST) add_chunk<2, STRIDE, REAL, TAILS, ROWS, SPLIT>(in, r, p, q, to, blocks, then);
        else add_chunk<MOST, STRIDE, REAL, TAILS, ROWS, SPLIT>(in, r, p, q, to, blocks, then);
      }
    }

    // The same of ROWS inputs from r, and of N blocks at a time: some outputs of all blocks, then more.
    template <int N, int STRIDE, int REAL, int TAILS, int ROWS, int SPLIT>
    static ALWAYS_INLINE void add_chunk(const Vec* in, int r, const float* p, const float* q, Vec* out,
                                        int blocks, const float* next) {
      constexpr int COUNT = outputs_at_once(REAL, TAILS, sums(N)), WHOLE = (REAL - 1) / COUNT * COUNT;
      constexpr int PASSES = WHOLE / COUNT + 1;
      // The rows that come next are fetched meanwhile, some by each block of outputs: they are
      // read in pieces, whose order no prefetcher foresees.
      for (int j = 0; j < WHOLE; j += COUNT)
        over_images<N>(blocks, [&](int b, auto n_) {
          constexpr int n = decltype(n_)::value;
          add_rows<n, STRIDE, COUNT, 0, ROWS, SPLIT>(in + b * APART, r, p + j, q, out + b * S::J + j,
                                                     b ? nullptr : p + j + 2 * COUNT - 1, j / COUNT, PASSES);
        });
      over_images<N>(blocks, [&](int b, auto n_) {
        constexpr int n = decltype(n_)::value;
        add_rows<n, STRIDE, REAL - WHOLE, TAILS, ROWS, SPLIT>(
            in + b * APART, r, p + WHOLE, q, out + b * S::J + WHOLE, b ? nullptr : next,
            PASSES - 1, PASSES);
      });
    }

    // out[block][j] += products of ROWS inputs from r with COUNT weights each, which lie STRIDE apart,
    // and TAILS more.
    template <int N, int STRIDE, int COUNT, int TAILS, int ROWS, int SPLIT>
    static ALWAYS_INLINE void add_rows(const Vec* in, int r, const float* weights, const float* tails,
                                       Vec* out, const float* fetch, int pass, int passes) {
      static_assert(COUNT > 0, "a tail stands behind a panel");
      constexpr int ALL = COUNT + TAILS;
      Vec sums[SPLIT][N][ALL];
      UNROLL for (int n = 0; n < N; n++)
        UNROLL for (int c = 0; c < ALL; c++) sums[0][n][c] = out[n * S::J + c];
      UNROLL for (int s = 1; s < SPLIT; s++)
        UNROLL for (int n = 0; n < N; n++) UNROLL for (int c = 0; c < ALL; c++) sums[s][n][c] = Vec{};
      auto add = [&](int i, Vec(&to)[N][ALL]) __attribute__((always_inline)) {
        Vec input[N];
        UNROLL for (int n = 0; n < N; n++) input[n] = in[n * APART + (GATHERS ? i : slot(r + i))];
        if constexpr (BLOCKS > 1) {
          if (fetch) __builtin_prefetch(fetch + i * STRIDE);
        } else if (STRIDE > COUNT && i == pass) {
          UNROLL for (int line = 0; line < STRIDE; line += LINE)
            __builtin_prefetch(weights + (ROWS + i) * STRIDE + line);
          pass += passes;
        }
        UNROLL for (int c = 0; c < COUNT; c++) {
          const float weight = weights[i * STRIDE + c];
          UNROLL for (int n = 0; n < N; n++) to[n][c] += weight * input[n];
        }
        UNROLL for (int c = 0; c < TAILS; c++) {
          const float weight = tails[i * Rows::TAIL + c];
          UNROLL for (int n = 0; n < N; n++) to[n][COUNT + c] += weight * input[n];
        }
      };
      for (int i = 0; i < ROWS / SPLIT * SPLIT; i += SPLIT)
        UNROLL for (int s = 0; s < SPLIT; s++) add(i + s, sums[s]);
      UNROLL for (int i = ROWS / SPLIT * SPLIT; i < ROWS; i++) add(i, sums[0]);
      UNROLL for (int n = 0; n < N; n++)
        UNROLL for (int c = 0; c < ALL; c++) {
          UNROLL for (int s = 1; s < SPLIT; s++) sums[0][n][c] += sums[s][n][c];
          out[n * S::J + c] = sums[0][n][c];
        }
    }

    // The gradients of as many inputs at a time as have room for N blocks' sums.
    template <int N>
    ALWAYS_INLINE void rows_back(Vec* out, int from, int to, int blocks, const Weights& w) const {
      constexpr int COUNT = even(S::ROW, sums(N));
      out -= (ptrdiff_t)from * S::ROW;
      // Few panels are read together, so that a sum stays in registers. Of many, one after the
      // other: to jump between them would leave the prefetcher nothing to foresee.
      if constexpr (Rows::PANELS <= (N > 2 ? 1 : 2)) {
        over_inputs<COUNT>(from, to, [&](int y, int r, auto count_) {
          constexpr int count = decltype(count_)::value;
          over_images<N>(blocks, [&](int b, auto together_) {
            constexpr int together = decltype(together_)::value;
            Vec sums[together][count];
            UNROLL for (int n = 0; n < together; n++)
              UNROLL for (int t = 0; t < count; t++) sums[n][t] = Vec{};
            over_panels([&](int first, size_t place, auto width_, auto) {
              add_units<decltype(width_)::value>(y * S::ROW + r, w.weight + place, first, b, sums);
            });
            put(sums, out + b * S::INPUTS + y * S::ROW, r);
          });
        });
      } else {
        over_panels([&](int first, size_t place, auto width_, auto) {
          over_inputs<COUNT>(from, to, [&](int y, int r, auto count_) {
            constexpr int count = decltype(count_)::value;
            over_images<N>(blocks, [&](int b, auto together_) {
              constexpr int together = decltype(together_)::value;
              Vec sums[together][count], *to = out + b * S::INPUTS + y * S::ROW;
              UNROLL for (int n = 0; n < together; n++)
                UNROLL for (int t = 0; t < count; t++)
                  sums[n][t] = first ? to[n * S::INPUTS + slot(r + t)] : Vec{};
              add_units<decltype(width_)::value>(y * S::ROW + r, w.weight + place, first, b, sums);
              put(sums, to, r);
            });
          });
        });
      }
    }

    template <int COUNT, class Body>
    static ALWAYS_INLINE void over_inputs(int from, int to, Body&& body) {
      for (int y = from; y < to; y++)
        over_blocks<S::ROW, COUNT>([&](int r, auto count_) { body(y, r, count_); });
    }

    // Calls body(first block, constant: how many) for N blocks at a time, and for a last one.
    template <int N, class Body>
    static ALWAYS_INLINE void over_images(int blocks, Body&& body) {
      int b = 0;
      for (; b + N <= blocks; b += N) body(b, std::integral_constant<int, N>{});
      if constexpr (N > 1)
        for (; b < blocks; b++) body(b, std::integral_constant<int, 1>{});
    }

    template <int N, int COUNT>
    static ALWAYS_INLINE void put(const Vec (&sums)[N][COUNT], Vec* out, int r) {
      UNROLL for (int n = 0; n < N; n++)
        UNROLL for (int t = 0; t < COUNT; t++) out[n * S::INPUTS + slot(r + t)] = sums[n][t];
    }

    // Adds what a panel's outputs give to the gradients of inputs from r, of N blocks from b.
    template <int STRIDE, int N, int COUNT>
    ALWAYS_INLINE void add_units(int r, const float* panel, int first, int b, Vec (&sums)[N][COUNT]) const {
      const float* weights = panel + (size_t)r * STRIDE;
      const int number = first < Rows::MAIN ? first / Rows::WIDTH : Rows::PANELS;
      // Units read down these rows: of the next ones, what is read first would be waited for.
      const float* next = weights + COUNT * STRIDE;
      const Vec* up = value[b];
      for (int k = begins_[number]; k < begins_[number + 1]; k++, next += COUNT) {
        if (b == 0)
          UNROLL for (int line = 0; line < COUNT; line += LINE) __builtin_prefetch(next + line);
        const float* p = weights + unit_[k];
        Vec d[N];
        UNROLL for (int n = 0; n < N; n++) d[n] = up[n * S::J + k];
        UNROLL for (int t = 0; t < COUNT; t++) {
          const float weight = p[t * STRIDE];
          UNROLL for (int n = 0; n < N; n++) sums[n][t] += weight * d[n];
        }
      }
    }

    // sums[input][output] (+)= sum over images of input times gradient, of the WIDTH outputs from
    // `first`, of which those from REAL on stay zero whatever the inputs are.
    template <class V, int WIDTH, int REAL>
    ALWAYS_INLINE void outer_products(const Vec* row, int first, float* sums, bool begun) const {
      constexpr int N = sizeof(V) / sizeof(float), COUNT = WIDTH / N;
      constexpr Blocking B = best_blocking(S::ROW, COUNT);
      over_blocks<S::ROW, B.tiles>([&](int r, auto rb_) {
        constexpr int rb = decltype(rb_)::value;
        const float* in[rb];
        UNROLL for (int a = 0; a < rb; a++)
          in[a] = reinterpret_cast<const float*>(row + slot(r + a));
        over_blocks<COUNT, B.channels>([&](int v, auto vb_) {
          constexpr int vb = decltype(vb_)::value;
          V s[rb][vb];
          UNROLL for (int a = 0; a < rb; a++)
            UNROLL for (int b = 0; b < vb; b++)
              if (begun) std::memcpy(&s[a][b], sums + (r + a) * WIDTH + (v + b) * N, sizeof(V));
              else s[a][b] = V{};
          for (int i = 0; i < LANES; i++) {
            V d[vb];
            UNROLL for (int b = 0; b < vb; b++)
              std::memcpy(&d[b], by_image_[i] + first + (v + b) * N, sizeof(V));
            UNROLL for (int a = 0; a < rb; a++)
              UNROLL for (int b = 0; b < vb; b++) s[a][b] += in[a][i] * d[b];
          }
          UNROLL for (int a = 0; a < rb; a++)
            UNROLL for (int b = 0; b < vb; b++) {
              if constexpr (REAL < WIDTH)
                UNROLL for (int k = 0; k < N; k++)
                  if ((v + b) * N + k >= REAL) s[a][b][k] = 0.0f;
              std::memcpy(sums + (r + a) * WIDTH + (v + b) * N, &s[a][b], sizeof(V));
            }
        });
      });
    }

    Vec gathered_[GATHERS ? BLOCKS * GATHERED : 1];
    Mask mask_[BLOCKS][S::J];
    int unit_[S::J], begins_[Rows::PANELS + 2];  // outputs' places in panels; where each panel's begin
    int alive_ = 0;
    alignas(64) float by_image_[TRAIN ? LANES : 1][Rows::MAIN + LINE];  // beyond J zeros
    Vec slope_[CURVED ? BLOCKS : 1][CURVED ? S::J : 1];
  };
};
