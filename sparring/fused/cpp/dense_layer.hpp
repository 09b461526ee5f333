// A dense layer, fed row by row: each row of inputs is used as it comes, while in cache.
//
// The weights are read where they stand (`packed.hpp`): all three directions walk them, or their
// gradient, row by row from front to back. That matters, since here alone the weights are larger
// than the images' own values.
#pragma once

#include "blocks.hpp"
#include "packed.hpp"
#include "shapes.hpp"
#include "stages.hpp"

// Where input r of an image row, in the order of the packed rows, stands in the slot of Vecs,
// [column][channel].
template <class S>
struct Slots {
  int at[S::ROW];
  constexpr Slots() : at() {
    for (int x = 0; x < S::COLUMNS; x++)
      for (int c = 0; c < S::CHANNELS; c++) at[DenseRows<S>::in_row(x, c)] = x * S::CHANNELS + c;
  }
};

template <class S>
struct DenseLayer {
  using Rows = DenseRows<S>;
  static constexpr bool CURVED = !std::is_void_v<typename S::CURVE>;
  static constexpr Slots<S> SLOTS{};

  // Outputs, and inputs on the way back, whose sums stay in registers.
  static constexpr int SUMS = REGISTERS == 32 ? 28 : 13;
  static constexpr int GROUP = even(S::ROW, REGISTERS - 4);

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

    void begin(float* w, float* b) {
      weight = w, bias = b, blocks = 0;
      std::memset(bias, 0, sizeof(float) * S::J);
    }

    void finish() {
      if (blocks == 0) std::memset(weight, 0, sizeof(float) * Rows::SIZE);
    }
  };

  template <bool TRAIN>
  class Layer {
   public:
    Vec* slot(int y) { return input_[TRAIN ? y : 0]; }

    // Before the first row.
    void begin(const Weights& w) {
      for (int j = 0; j < S::J; j++) value[j] = broadcast(w.bias[j]);
    }

    NEVER_INLINE void arrived(int y, const Weights& w) {
      Stage stage(STAGE_MULTIPLY);
      for (int p = 0; p < LAST; p++)
        add_panel<Rows::WIDTH, Rows::WIDTH, 0>(y, w, p * Rows::WIDTH, Rows::panel(p));
      add_panel<Rows::width(LAST), REAL, S::J - FIRST - REAL>(y, w, FIRST, Rows::panel(LAST));
    }

    // After the last row: `value` becomes the layer's output.
    void finish() {
      if constexpr (S::RELU)
        for (int j = 0; j < S::J; j++) {
          mask_[j] = positive(value[j]);
          value[j] = keep(mask_[j], value[j]);
        }
      if constexpr (CURVED)
        for (int j = 0; j < S::J; j++) {
          const auto point = S::CURVE::at(value[j]);
          value[j] = point.value;
          slope_[j] = point.slope;
        }
    }

    // `value` holds the gradient of the layer's output; lists the outputs where any image has one.
    void begin_backward(Gradient* gradient) {
      alive_ = 0;
      int panel = 0;
      over_panels([&](int first, size_t, auto, auto real_) {
        begins_[panel++] = alive_;
        for (int j = first; j < first + decltype(real_)::value; j++) {
          if constexpr (S::RELU) value[j] = keep(mask_[j], value[j]);
          if constexpr (CURVED) value[j] *= slope_[j];
          bool any = false;
          for (int i = 0; i < LANES; i++) any |= value[j][i] != 0.0f;
          if (any) unit_[alive_++] = j;  // a dead unit adds exact zeros to every gradient
        }
      });
      begins_[panel] = alive_;
      if constexpr (TRAIN) {
        gradient->blocks++;
        for (int j = 0; j < S::J; j++) {
          gradient->bias[j] += sum_of_lanes(value[j]);
          for (int i = 0; i < LANES; i++) by_image_[i][j] = value[j][i];
        }
      }
    }

    // The gradient of input row y.
    NEVER_INLINE void backward_row(int y, const Weights& w, Vec* out) const {
      Stage stage(STAGE_MULTIPLY);
      // Few panels are read together, so that a sum stays in registers. Of many, one after the
      // other: to jump between them would leave the prefetcher nothing to foresee.
      if constexpr (Rows::PANELS <= 2)
        over_blocks<S::ROW, GROUP>([&](int r, auto count_) {
          constexpr int count = decltype(count_)::value;
          Vec sums[count];
          UNROLL for (int t = 0; t < count; t++) sums[t] = Vec{};
          over_panels([&](int first, size_t place, auto width_, auto) {
            add_units<decltype(width_)::value>(y * S::ROW + r, w.weight + place, first, sums);
          });
          UNROLL for (int t = 0; t < count; t++) out[SLOTS.at[r + t]] = sums[t];
        });
      else
        over_panels([&](int first, size_t place, auto width_, auto) {
          over_blocks<S::ROW, GROUP>([&](int r, auto count_) {
            constexpr int count = decltype(count_)::value;
            Vec sums[count];
            UNROLL for (int t = 0; t < count; t++) sums[t] = first ? out[SLOTS.at[r + t]] : Vec{};
            add_units<decltype(width_)::value>(y * S::ROW + r, w.weight + place, first, sums);
            UNROLL for (int t = 0; t < count; t++) out[SLOTS.at[r + t]] = sums[t];
          });
        });
    }

    // Adds row y's part of the weights' gradient, with the outputs in the lanes: images are the
    // summed dimension of a small matrix product.
    NEVER_INLINE void gradient_row(int y, Gradient* gradient) {
      Stage stage(STAGE_WEIGHTS);
      const Vec* row = slot(y);
      const bool begun = gradient->blocks > 1;
      over_panels([&](int first, size_t place, auto width_, auto real_) {
        constexpr int width = decltype(width_)::value, real = decltype(real_)::value;
        float* sums = gradient->weight + place + (size_t)y * S::ROW * width;
        if constexpr (width % LANES == 0) outer_products<Vec, width, real>(row, first, sums, begun);
        else outer_products<Tail, width, real>(row, first, sums, begun);
      });
    }

    Vec value[S::J];

   private:
    static constexpr int TAIL = Rows::TAIL ? Rows::TAIL : 1;
    typedef float Tail __attribute__((vector_size(4 * TAIL)));

    // Adds what input row y gives to the REAL outputs of a panel, and to the TAILS behind them.
    template <int STRIDE, int REAL, int TAILS>
    ALWAYS_INLINE void add_panel(int y, const Weights& w, int first, size_t place) {
      const float* weights = w.weight + place + (size_t)y * S::ROW * STRIDE;
      const float* tails = w.weight + Rows::TAILS + (size_t)y * S::ROW * Rows::TAIL;
      // So few rows at a time that their weights stay in the first-level cache.
      constexpr int FIT = 1024 / STRIDE, ROWS = FIT < S::ROW ? even(S::ROW, FIT) : S::ROW;
      constexpr int COUNT = even(REAL + TAILS, SUMS), WHOLE = (REAL + TAILS - 1) / COUNT * COUNT;
      constexpr int PASSES = WHOLE / COUNT + 1;
      over_blocks<S::ROW, ROWS>([&](int r, auto rows_) {
        constexpr int rows = decltype(rows_)::value;
        const float *p = weights + (size_t)r * STRIDE, *q = tails + r * Rows::TAIL;
        // The rows that come next are fetched meanwhile, some by each block of outputs: they are
        // read in pieces, whose order no prefetcher foresees.
        for (int j = 0; j < WHOLE; j += COUNT)
          add_rows<STRIDE, COUNT, 0, rows>(slot(y), r, p + j, q, value + first + j, j / COUNT, PASSES);
        add_rows<STRIDE, REAL - WHOLE, TAILS, rows>(slot(y), r, p + WHOLE, q, value + first + WHOLE,
                                                    PASSES - 1, PASSES);
      });
    }

    // Adds what a panel's outputs give to the gradients of inputs from r.
    template <int STRIDE, int COUNT>
    ALWAYS_INLINE void add_units(int r, const float* panel, int first, Vec (&sums)[COUNT]) const {
      const float* weights = panel + (size_t)r * STRIDE;
      const int number = first < Rows::MAIN ? first / Rows::WIDTH : Rows::PANELS;
      const int *unit = unit_ + begins_[number], *end = unit_ + begins_[number + 1];
      // Units read down these rows: of the next ones, what is read first would be waited for.
      const float *next = weights + COUNT * STRIDE, *next_end = next + COUNT * STRIDE;
      for (; unit < end; unit++) {
        for (int line = 0; line < 2 && next < next_end; line++, next += LINE) __builtin_prefetch(next);
        const float* p = weights + (*unit - first);
        Vec d = value[*unit];
        UNROLL for (int t = 0; t < COUNT; t++) sums[t] += p[t * STRIDE] * d;
      }
    }

    // value[j] += products of ROWS inputs from r with COUNT weights each, which lie STRIDE apart,
    // and TAILS more. Few sums wait for each other: they are split, by rows.
    template <int STRIDE, int COUNT, int TAILS, int ROWS>
    static ALWAYS_INLINE void add_rows(const Vec* row, int r, const float* weights,
                                       const float* tails, Vec* value, int pass, int passes) {
      static_assert(COUNT > 0, "a tail stands behind a panel");
      constexpr int ALL = COUNT + TAILS;
      constexpr int SPLIT = ROWS == 1 || ALL >= 8 ? 1 : (ALL >= 4 || ROWS < 4 ? 2 : 4);
      Vec sums[SPLIT][ALL];
      UNROLL for (int c = 0; c < ALL; c++) sums[0][c] = value[c];
      UNROLL for (int s = 1; s < SPLIT; s++) UNROLL for (int c = 0; c < ALL; c++) sums[s][c] = Vec{};
      auto add = [&](int i, Vec(&to)[ALL]) __attribute__((always_inline)) {
        Vec in = row[SLOTS.at[r + i]];
        if (STRIDE > COUNT && i == pass) {
          UNROLL for (int line = 0; line < STRIDE; line += LINE)
            __builtin_prefetch(weights + (ROWS + i) * STRIDE + line);
          pass += passes;
        }
        UNROLL for (int c = 0; c < COUNT; c++) to[c] += weights[i * STRIDE + c] * in;
        UNROLL for (int c = 0; c < TAILS; c++) to[COUNT + c] += tails[i * Rows::TAIL + c] * in;
      };
      for (int i = 0; i < ROWS / SPLIT * SPLIT; i += SPLIT)
        UNROLL for (int s = 0; s < SPLIT; s++) add(i + s, sums[s]);
      UNROLL for (int i = ROWS / SPLIT * SPLIT; i < ROWS; i++) add(i, sums[0]);
      UNROLL for (int s = 1; s < SPLIT; s++)
        UNROLL for (int c = 0; c < ALL; c++) sums[0][c] += sums[s][c];
      UNROLL for (int c = 0; c < ALL; c++) value[c] = sums[0][c];
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
          in[a] = reinterpret_cast<const float*>(row + SLOTS.at[r + a]);
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

    Vec input_[TRAIN ? S::ROWS : 1][S::ROW];
    Mask mask_[S::J];
    int unit_[S::J], begins_[Rows::PANELS + 2];  // outputs, and where each panel's begin
    int alive_ = 0;
    alignas(64) float by_image_[TRAIN ? LANES : 1][Rows::MAIN + LINE];  // beyond J zeros
    Vec slope_[CURVED ? S::J : 1];
  };
};
