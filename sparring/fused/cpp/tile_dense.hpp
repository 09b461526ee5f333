// A dense layer for few images: outputs in the lanes, and only the rows of inputs that are not 0.
//
// A ReLU leaves much of what it passes on at 0. Such an input adds nothing to the outputs, and its
// gradient is not wanted: forward and backward walk over a list of the others. Backward walks it
// the other way round, so that what was read last, and is still in cache, comes first. With many
// registers the images of a block walk together, over the inputs that any of them needs: to reach a
// row costs more than to use it.
#pragma once

#include <array>

#include "blocks.hpp"
#include "factors.hpp"
#include "packed.hpp"
#include "stages.hpp"
#include "tile_lanes.hpp"

constexpr int TILE_BLOCK = 8;  // images that go through the dense layers together, at most

// Where an input of a layer stands, and which row of its weights it has: `From` tells. GATED: what
// is 0 needs no gradient, since it came through a ReLU that is closed.
template <class S, class From>
struct TileDense {
  using Rows = DenseRows<S>;
  static constexpr int COUNT = From::COUNT;  // places; some may hold no input
  static constexpr int PLACES = (COUNT + LANES) / LANES * LANES;  // with one, at COUNT, that is 0
  // Of an image's channels so many whose rows together fit in a second-level cache, with room for
  // what else is there.
  static constexpr size_t FIT = 160 * 1024;
  static constexpr size_t BYTES = sizeof(float) * S::INPUTS * Rows::MAIN / (COUNT / From::REGION);
  static constexpr int TOGETHER = COUNT == From::REGION || BYTES > FIT ? 1 : (int)(FIT / BYTES);
  static constexpr int REGION = (TOGETHER * From::REGION + LANES - 1) / LANES * LANES;
  static constexpr int REGIONS = (PLACES + REGION - 1) / REGION;
  static constexpr int OUTPUTS = Rows::MAIN + Rows::TAIL;
  static constexpr int HIDDEN = (int)whole_lines(OUTPUTS) + LANES;
  static constexpr int AHEAD = 16;  // rows that are fetched before they are needed
  static constexpr int GROUP = LANES == 16 ? TILE_BLOCK : 1;  // images that walk together, at most
  static constexpr int GROUPS = TILE_BLOCK / GROUP;
  static constexpr int ROOM = 24;  // registers for their sums
  // Of so few images each walks back by itself, over what it alone needs: their products would fill
  // no more lanes than its own. They take turns, piece by piece of the inputs: the rows of a piece stay
  // in the first-level cache until the last of them has walked it.
  static constexpr int APART = 3;
  static constexpr size_t NEAR = 40 * 1024;
  static constexpr int NEAR_ROWS = (int)(NEAR / (sizeof(float) * Rows::MAIN));
  static constexpr int PIECE = NEAR_ROWS < LANES ? LANES : NEAR_ROWS / LANES * LANES;
  static constexpr int PIECES = (PLACES + PIECE - 1) / PIECE;

  struct Tables {
    int32_t row[PLACES];             // 0 where there is no input
    Mask inputs[PLACES / LANES];     // of a vector of places, where there is one
    int32_t place[S::INPUTS];        // of a row
    uint8_t compressed[256][8];      // the set bits of a byte, lowest first
    Tables() {
      for (int p = 0; p < PLACES; p++) {
        const int found = p < COUNT ? From::row(p) : -1;
        row[p] = found < 0 ? 0 : found;
        if (p % LANES == 0) inputs[p / LANES] = 0;
        if (found < 0) continue;
        inputs[p / LANES] = (Mask)(inputs[p / LANES] | 1u << p % LANES);
        place[found] = p;
      }
      for (int b = 0; b < 256; b++)
        for (int i = 0, n = 0; i < 8; i++)
          if (b >> i & 1) compressed[b][n++] = (uint8_t)i;
    }
  };
  static const Tables& tables() {
    static const Tables t;
    return t;
  }

  struct Weights {
    const float *rows, *bias;
    void take(const float* weight, const float* b) { rows = weight, bias = b; }
  };

  // One image's inputs, which become their gradient.
  struct State {
    alignas(64) float value[PLACES + 2 * LANES + LINE];
  };
  // The inputs that matter to any image of a group, region by region.
  struct List {
    uint32_t place[PLACES + REGIONS * LANES + LANES + AHEAD];
    int first[REGIONS + 1];
  };

  // Those that matter to one image of a group, and where each piece's begin.
  struct OwnList {
    uint32_t place[PLACES + LANES + AHEAD];
    int first[PIECES + 1];
  };
  using OwnLists = std::array<OwnList, (GROUP > 1 ? APART : 1)>;

  class Gradient {
   public:
    FactorPlace place;
    void begin(float* weight, float* bias) { weight_ = weight, bias_ = bias, begun_ = false; }
    void finish() {}

    // The images' parts: of state(b) the inputs, of g(b) the outputs' gradient, [HIDDEN].
    template <class StateOf, class GradientOf>
    NEVER_INLINE void add(int count, StateOf&& state, GradientOf&& g) {
      Stage stage(STAGE_WEIGHTS);
      for (int j = 0; j < S::J; j++) {
        float sum = begun_ ? bias_[j] : 0.0f;
        for (int b = 0; b < count; b++) sum += g(b)[j];
        bias_[j] = sum;
      }
      const float *values[TILE_BLOCK], *gradients[TILE_BLOCK];
      for (int b = 0; b < count; b++) values[b] = state(b).value, gradients[b] = g(b);
      const bool begun = begun_;
      begun_ = true;
      const int32_t* at = tables().place;
      if (place.factors) {
        for (int b = 0; b < count; b++) {
          float* to = place.factors + b * Factors<S>::SIZE;
          for (int r = 0; r < S::INPUTS; r++) to[r] = values[b][at[r]];
          std::memcpy(to + Factors<S>::INPUTS, gradients[b], sizeof(float) * OUTPUTS);
        }
        return;
      }
      over_panels([&](int panel, auto vectors_) {
        constexpr int V = decltype(vectors_)::value;
        float* to = weight_ + Rows::panel(panel);
        for (int r = 0; r < S::INPUTS; r++, to += V * LANES) {
          Vec sums[V];
          UNROLL for (int v = 0; v < V; v++) sums[v] = begun ? load_vec(to + v * LANES) : Vec{};
          for (int b = 0; b < count; b++) {
            const float a = values[b][at[r]];
            const float* d = gradients[b] + panel * Rows::WIDTH;
            UNROLL for (int v = 0; v < V; v++) sums[v] += a * load_vec(d + v * LANES);
          }
          UNROLL for (int v = 0; v < V; v++) store_vec(to + v * LANES, sums[v]);
          // A padding output's gradient is 0 also where an input is no number.
          if (panel == Rows::PANELS - 1)
            for (int j = S::J - panel * Rows::WIDTH; j < V * LANES; j++) to[j] = 0.0f;
        }
      });
      if constexpr (Rows::TAIL) {
        float* to = weight_ + Rows::TAILS;
        for (int r = 0; r < S::INPUTS; r++, to += Rows::TAIL) {
          Quad sum = begun ? quad(to) : Quad{};
          for (int b = 0; b < count; b++) sum += values[b][at[r]] * quad(gradients[b] + Rows::MAIN);
          std::memcpy(to, &sum, sizeof(float) * (S::J - Rows::MAIN));
          if constexpr (Rows::MAIN + Rows::TAIL > S::J) to[Rows::TAIL - 1] = 0.0f;
        }
      }
    }

   private:
    float *weight_, *bias_;
    bool begun_;
  };

  // Lists the inputs that matter to images whose inputs stand at `values`, region by region if
  // `apart`: each region's are then used by all groups while its rows are in cache.
  template <int G>
  static NEVER_INLINE void list(float* const* values, List& list, bool apart) {
    UNROLL for (int g = 0; g < G; g++) values[g][COUNT] = 0.0f;  // the list is filled up with it
    int n = 0;
    for (int region = 0; region < REGIONS; region++) {
      list.first[region] = n;
      int end = (region + 1) * REGION < PLACES ? (region + 1) * REGION : PLACES;
      for (int p = region * REGION; p < end; p += LANES) {
        Mask any = 0;
        if constexpr (From::GATED)
          UNROLL for (int g = 0; g < G; g++) any = (Mask)(any | not_zero(load_vec(values[g] + p)));
        else any = tables().inputs[p / LANES];
        n += append(list.place + n, p, any);
      }
      if (apart || region == REGIONS - 1)
        while (n % LANES) list.place[n++] = COUNT;
    }
    list.first[REGIONS] = n;
    for (int i = 0; i < AHEAD; i++) list.place[n + i] = COUNT;
  }

  // out = bias, of all images; then adds what regions first..last - 1 of the inputs give.
  static void begin(const Weights& w, float* out) {
    std::memcpy(out, w.bias, S::J * sizeof(float));
    std::memset(out + S::J, 0, (HIDDEN - S::J) * sizeof(float));
  }
  // FETCH: the rows may not be in cache yet.
  template <int G, bool FETCH>
  static NEVER_INLINE void forward(float* const* values, const List& list, const Weights& w,
                                   int first, int last, float* const* out) {
    Stage stage(STAGE_MULTIPLY);
    const int from = list.first[first], to = list.first[last];
    over_panels([&](int panel, auto vectors_) {
      constexpr int V = decltype(vectors_)::value;
      // As many outputs at once as have room in registers, for all of the group.
      over_blocks<V, even_part(V, ROOM / G)>([&](int v, auto part_) {
        constexpr int PART = decltype(part_)::value;
        if (Rows::TAIL && panel == 0 && v == 0)
          walk<G, V, PART, Rows::TAIL, FETCH>(values, list, w, panel, v, from, to, out);
        else walk<G, V, PART, 0, FETCH>(values, list, w, panel, v, from, to, out);
      });
    });
  }

  // The inputs' gradients, in their place, from that of the outputs, of regions last to first. A group
  // has all regions at once, and its images lists of their own, which are made here.
  template <int G, bool FETCH>
  static NEVER_INLINE void backward(float* const* values, const List& list, OwnLists& own,
                                    const Weights& w, int first, int last,
                                    const float* const* gradients) {
    Stage stage(STAGE_MULTIPLY);
    if constexpr (G > APART) {
      walk_back_together<G>(values, list, w, list.first[last], gradients);
    } else if constexpr (G > 1) {
      for (int g = 0; g < G; g++) list_pieces(values[g], own[g]);
      for (int piece = PIECES - 1; piece >= 0; piece--) {
        one_back<true>(values[G - 1], own[G - 1].place, own[G - 1].first + piece, w, gradients[G - 1]);
        for (int g = G - 2; g >= 0; g--)
          one_back<false>(values[g], own[g].place, own[g].first + piece, w, gradients[g]);
      }
    } else {
      const int ends[2] = {list.first[first], list.first[last]};
      one_back<FETCH>(values[0], list.place, ends, w, gradients[0]);
    }
    // The layer below takes it for padding.
    UNROLL for (int g = 0; g < G; g++) values[g][COUNT] = 0.0f;
  }

 private:
  // One image's part of a list, all panels of its outputs.
  template <bool FETCH>
  static void one_back(float* value, const uint32_t* places, const int* ends, const Weights& w,
                       const float* gradient) {
    over_panels([&](int panel, auto vectors_) {
      constexpr int V = decltype(vectors_)::value;
      if (Rows::TAIL && panel == 0)
        walk_back<V, Rows::TAIL, FETCH>(value, places, w, panel, ends[0], ends[1], gradient);
      else walk_back<V, 0, FETCH>(value, places, w, panel, ends[0], ends[1], gradient);
    });
  }

  // A piece begins where a vector of the list does: it may have some inputs of the piece before.
  static NEVER_INLINE void list_pieces(const float* value, OwnList& list) {
    int n = 0;
    for (int piece = 0; piece < PIECES; piece++) {
      list.first[piece] = n / LANES * LANES;
      const int end = (piece + 1) * PIECE < PLACES ? (piece + 1) * PIECE : PLACES;
      for (int p = piece * PIECE; p < end; p += LANES) {
        if constexpr (From::GATED) n += append(list.place + n, p, not_zero(load_vec(value + p)));
        else n += append(list.place + n, p, tables().inputs[p / LANES]);
      }
    }
    while (n % LANES) list.place[n++] = COUNT;
    list.first[PIECES] = n;
  }

  template <class Body>
  static ALWAYS_INLINE void over_panels(Body&& body) {
    constexpr int LAST = Rows::PANELS - 1;
    for (int panel = 0; panel < LAST; panel++)
      body(panel, std::integral_constant<int, Rows::WIDTH / LANES>{});
    body(LAST, std::integral_constant<int, Rows::width(LAST) / LANES>{});
  }

  static ALWAYS_INLINE Quad quad(const float* p) { return load_quad<Rows::TAIL ? Rows::TAIL : 1>(p); }

  static ALWAYS_INLINE int append(uint32_t* to, int p, Mask m) {
#if defined(__AVX512VL__) && LANES == 16
    __m512i all = _mm512_add_epi32(
        _mm512_set1_epi32(p), _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
    _mm512_storeu_si512(to, _mm512_maskz_compress_epi32(m, all));
    return __builtin_popcount(m);
#elif defined(__AVX2__) && LANES == 8
    __m128i lanes = _mm_loadl_epi64((const __m128i*)tables().compressed[m]);
    _mm256_storeu_si256((__m256i*)to,
                        _mm256_add_epi32(_mm256_cvtepu8_epi32(lanes), _mm256_set1_epi32(p)));
    return __builtin_popcount(m);
#else
    int n = 0;
    for (int i = 0; i < LANES; i++) {
      to[n] = p + i;
      n += m >> i & 1;
    }
    return n;
#endif
  }

  static ALWAYS_INLINE void fetch(const float* row, int vectors) {
    UNROLL for (int i = 0; i < vectors * LANES; i += LINE) __builtin_prefetch(row + i);
  }

  static constexpr int even_part(int count, int most) {
    int parts = (count + most - 1) / most;
    return (count + parts - 1) / parts;
  }

  // Of a panel of V vectors, N from the first on.
  template <int G, int V, int N, int TAIL, bool FETCH>
  static ALWAYS_INLINE void walk(float* const* values, const List& list, const Weights& w, int panel,
                                 int first, int begin, int end, float* const* out) {
    // Sums that do not wait for each other.
    constexpr int SETS = G * N >= 8 ? 1 : (G * N >= 4 ? 2 : 4);
    const float* rows = w.rows + Rows::panel(panel) + first * LANES;
    const float* tails = w.rows + Rows::TAILS;
    const int32_t* row = tables().row;
    const int at = panel * Rows::WIDTH + first * LANES;
    Vec sums[SETS][G][N];
    Quad rest[SETS][G];
    UNROLL for (int k = 0; k < SETS; k++)
      UNROLL for (int g = 0; g < G; g++) {
        UNROLL for (int v = 0; v < N; v++)
          sums[k][g][v] = k ? Vec{} : load_vec(out[g] + at + v * LANES);
        rest[k][g] = k || !TAIL ? Quad{} : quad(out[g] + Rows::MAIN);
      }
    for (int i = begin; i < end; i += SETS)
      UNROLL for (int k = 0; k < SETS; k++) {
        const uint32_t p = list.place[i + k];
        const size_t r = (size_t)row[p];
        const float* from = rows + r * V * LANES;
        if constexpr (FETCH) fetch(rows + (size_t)row[list.place[i + k + AHEAD]] * V * LANES, N);
        Vec a[G];
        UNROLL for (int g = 0; g < G; g++) {
          a[g] = broadcast(values[g][p]);
          pin(a[g]);  // loaded as it is: a number that is loaded first is spread out by a shuffle
        }
        UNROLL for (int v = 0; v < N; v++) {
          Vec x = load_vec(from + v * LANES);
          if constexpr (G > 1) pin(x);
          UNROLL for (int g = 0; g < G; g++) sums[k][g][v] += a[g] * x;
        }
        if constexpr (TAIL > 0) {
          const Quad x = quad(tails + r * TAIL);
          UNROLL for (int g = 0; g < G; g++) rest[k][g] += lowest(a[g]) * x;
        }
      }
    UNROLL for (int g = 0; g < G; g++) {
      UNROLL for (int v = 0; v < N; v++) {
        UNROLL for (int k = 1; k < SETS; k++) sums[0][g][v] += sums[k][g][v];
        store_vec(out[g] + at + v * LANES, sums[0][g][v]);
      }
      if constexpr (TAIL > 0) {
        UNROLL for (int k = 1; k < SETS; k++) rest[0][g] += rest[k][g];
        std::memcpy(out[g] + Rows::MAIN, &rest[0][g], sizeof(float) * TAIL);
      }
    }
  }

  template <int V, int TAIL, bool FETCH>
  static ALWAYS_INLINE void walk_back(float* value, const uint32_t* list, const Weights& w, int panel,
                                      int from, int to, const float* g) {
    const float *rows = w.rows + Rows::panel(panel), *tails = w.rows + Rows::TAILS;
    const int32_t* row = tables().row;
    Vec d[V];
    UNROLL for (int v = 0; v < V; v++) d[v] = load_vec(g + panel * Rows::WIDTH + v * LANES);
    const Quad rest = quad(g + Rows::MAIN - (TAIL ? 0 : Rows::MAIN));
    for (int i = to - LANES; i >= from; i -= LANES) {
      Vec sums[LANES];
      const uint32_t* places = list + i;
      UNROLL for (int k = 0; k < LANES; k++) {
        const size_t r = (size_t)row[places[k]];
        const float* x = rows + r * V * LANES;
        if (FETCH && i >= AHEAD) fetch(rows + (size_t)row[places[k - AHEAD]] * V * LANES, V);
        sums[k] = d[0] * load_vec(x);
        UNROLL for (int v = 1; v < V; v++) sums[k] += d[v] * load_vec(x + v * LANES);
        if constexpr (TAIL > 0) sums[k] += widened(rest * quad(tails + r * TAIL));
      }
      float all[LANES];
      store_vec(all, lane_sums(sums));
      UNROLL for (int k = 0; k < LANES; k++)
        value[places[k]] = panel ? value[places[k]] + all[k] : all[k];
    }
  }

  // A group's: in the lanes are I images, and of each J outputs' products with an input's weights.
  // Those weights, repeated for all images, come from memory as they are.
  template <int G>
  static ALWAYS_INLINE void walk_back_together(float* const* values, const List& list,
                                               const Weights& w, int end,
                                               const float* const* gradients) {
    constexpr int I = G <= 4 ? 4 : 8, J = LANES / I;
    constexpr int TAIL = Rows::TAIL < J ? Rows::TAIL : J;  // of the tail's outputs, in a vector
    constexpr int TAILS = TAIL ? Rows::TAIL / TAIL : 0;
    alignas(64) float d[Rows::MAIN / J + TAILS][LANES] = {};
    for (int i = 0; i < G; i++) {
      for (int j = 0; j < Rows::MAIN; j++) d[j / J][i * J + j % J] = gradients[i][j];
      for (int j = 0; j < Rows::TAIL; j++)
        d[Rows::MAIN / J + j / TAIL][i * J + j % TAIL] = gradients[i][Rows::MAIN + j];
    }
    const int32_t* row = tables().row;
    Vec sums[LANES] = {};
    // What fills up the list gets no gradient.
    while (end > 0 && list.place[end - 1] == COUNT) end--;
    while (end > 0) {
      const uint32_t first = list.place[end - 1] / LANES * LANES;  // a vector of places
      int begin = end - 1;
      while (begin > 0 && list.place[begin - 1] >= first) begin--;
      over_panels([&](int panel, auto vectors_) {
        constexpr int V = decltype(vectors_)::value, OUTPUTS = V * LANES / J;
        const float* rows = w.rows + Rows::panel(panel);
        over_blocks<OUTPUTS, even_part(OUTPUTS, ROOM)>([&](int o, auto part_) {
          constexpr int PART = decltype(part_)::value;
          constexpr int CHAINS = PART < 4 ? PART : 4;  // sums that do not wait for each other
          const bool tail = Rows::TAIL && panel == 0 && o == 0;
          Vec g[PART], rest[TAILS + 1];
          UNROLL for (int k = 0; k < PART; k++) g[k] = load_vec(d[panel * Rows::WIDTH / J + o + k]);
          UNROLL for (int k = 0; k < TAILS; k++) rest[k] = load_vec(d[Rows::MAIN / J + k]);
          for (int i = end - 1; i >= begin; i--) {
            const uint32_t p = list.place[i];
            const size_t r = (size_t)row[p];
            const size_t next = (size_t)row[list.place[i < AHEAD ? 0 : i - AHEAD]];
            fetch(rows + next * V * LANES + o * J, (PART * J + LANES - 1) / LANES);
            const float* from = rows + r * V * LANES + o * J;
            Vec apart[CHAINS] = {panel || o ? sums[p - first] : Vec{}};
            UNROLL for (int k = 0; k < PART; k++)
              apart[k % CHAINS] += g[k] * repeated<J>(from + k * J);
            if constexpr (TAILS > 0)
              if (tail)
                UNROLL for (int k = 0; k < TAILS; k++)
                  apart[(PART + k) % CHAINS] +=
                      rest[k] * repeated<TAIL>(w.rows + Rows::TAILS + r * Rows::TAIL + k * TAIL);
            UNROLL for (int k = 1; k < CHAINS; k++) apart[0] += apart[k];
            sums[p - first] = apart[0];
          }
        });
      });
      Mask listed = 0;
      if constexpr (!From::GATED)
        for (int i = begin; i < end; i++) listed = (Mask)(listed | 1u << (list.place[i] - first));
      Vec of[I];
      sums_of_parts<I>(sums, of);
      UNROLL for (int i = 0; i < G; i++) {
        float* value = values[i] + first;
        Vec old = load_vec(value);
        if constexpr (From::GATED) store_vec(value, keep(not_zero(old), of[i]));
        else store_vec(value, choose(listed, of[i], old));
      }
      end = begin;
    }
  }
};
