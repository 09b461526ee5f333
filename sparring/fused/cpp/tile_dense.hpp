// A dense layer for few images: outputs in the lanes, and only the rows of inputs that are not 0.
//
// A ReLU leaves much of what it passes on at 0. Such an input adds nothing to the outputs, and its
// gradient is not wanted: forward and backward walk over a list of the others. Backward walks it
// the other way round, so that what was read last, and is still in cache, comes first.
#pragma once

#include "packed.hpp"
#include "stages.hpp"
#include "tile_lanes.hpp"

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

  struct Tables {
    int32_t row[PLACES];             // -1 where there is no input
    int32_t place[S::INPUTS];        // of a row
    uint8_t compressed[256][8];      // the set bits of a byte, lowest first
    Tables() {
      for (int p = 0; p < PLACES; p++) {
        row[p] = p < COUNT ? From::row(p) : -1;
        if (row[p] >= 0) place[row[p]] = p;
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

  // One image's inputs, which become their gradient, and the list of those that matter.
  struct State {
    alignas(64) float value[PLACES + 2 * LANES + LINE];
    uint32_t list[PLACES + REGIONS * LANES + LANES + AHEAD];
    int first[REGIONS + 1];
  };

  class Gradient {
   public:
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
      const float *values[MOST], *gradients[MOST];
      for (int b = 0; b < count; b++) values[b] = state(b).value, gradients[b] = g(b);
      const int32_t* place = tables().place;
      over_panels([&](int panel, auto vectors_) {
        constexpr int V = decltype(vectors_)::value;
        float* to = weight_ + Rows::panel(panel);
        for (int r = 0; r < S::INPUTS; r++, to += V * LANES) {
          Vec sums[V];
          UNROLL for (int v = 0; v < V; v++) sums[v] = begun_ ? load_vec(to + v * LANES) : Vec{};
          for (int b = 0; b < count; b++) {
            const float a = values[b][place[r]];
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
          Quad sum = begun_ ? quad(to) : Quad{};
          for (int b = 0; b < count; b++) sum += values[b][place[r]] * quad(gradients[b] + Rows::MAIN);
          std::memcpy(to, &sum, sizeof(float) * (S::J - Rows::MAIN));
          if constexpr (Rows::MAIN + Rows::TAIL > S::J) to[Rows::TAIL - 1] = 0.0f;
        }
      }
      begun_ = true;
    }

   private:
    static constexpr int MOST = 8;
    float *weight_, *bias_;
    bool begun_;
  };

  // Lists the inputs that matter, region by region if `apart`: each region's are then used by all
  // images while its rows are in cache.
  static NEVER_INLINE void list(State& s, bool apart) {
    const int32_t* row = tables().row;
    s.value[COUNT] = 0.0f;  // the list is filled up with it
    int n = 0;
    for (int region = 0; region < REGIONS; region++) {
      s.first[region] = n;
      int end = (region + 1) * REGION < PLACES ? (region + 1) * REGION : PLACES;
      for (int p = region * REGION; p < end; p += LANES) {
        if constexpr (From::GATED) n += append(s.list + n, p, not_zero(load_vec(s.value + p)));
        else
          for (int i = 0; i < LANES; i++) {
            s.list[n] = p + i;
            n += row[p + i] >= 0;
          }
      }
      if (apart || region == REGIONS - 1)
        while (n % LANES) s.list[n++] = COUNT;
    }
    s.first[REGIONS] = n;
    for (int i = 0; i < AHEAD; i++) s.list[n + i] = COUNT;
  }

  // out = bias, of all images; then adds what regions first..last - 1 of the inputs give.
  static void begin(const Weights& w, float* out) {
    std::memcpy(out, w.bias, S::J * sizeof(float));
    std::memset(out + S::J, 0, (HIDDEN - S::J) * sizeof(float));
  }
  // FETCH: the rows may not be in cache yet.
  template <bool FETCH>
  static NEVER_INLINE void forward(const State& s, const Weights& w, int first, int last, float* out) {
    Stage stage(STAGE_MULTIPLY);
    over_panels([&](int panel, auto vectors_) {
      constexpr int V = decltype(vectors_)::value;
      const bool tail = Rows::TAIL && panel == 0;
      if (tail) walk<V, Rows::TAIL, FETCH>(s, w, panel, s.first[first], s.first[last], out);
      else walk<V, 0, FETCH>(s, w, panel, s.first[first], s.first[last], out);
    });
  }

  // The inputs' gradients, in their place, from that of the outputs, of regions last to first.
  template <bool FETCH>
  static NEVER_INLINE void backward(State& s, const Weights& w, int first, int last, const float* g) {
    Stage stage(STAGE_MULTIPLY);
    over_panels([&](int panel, auto vectors_) {
      constexpr int V = decltype(vectors_)::value;
      const bool tail = Rows::TAIL && panel == 0;
      if (tail) walk_back<V, Rows::TAIL, FETCH>(s, w, panel, s.first[first], s.first[last], g);
      else walk_back<V, 0, FETCH>(s, w, panel, s.first[first], s.first[last], g);
    });
    s.value[COUNT] = 0.0f;  // the layer below takes it for padding
  }

 private:
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

  template <int V, int TAIL, bool FETCH>
  static ALWAYS_INLINE void walk(const State& s, const Weights& w, int panel, int from, int to,
                                 float* out) {
    constexpr int SETS = V >= 8 ? 1 : (V >= 4 ? 2 : 4);  // sums that do not wait for each other
    const float *rows = w.rows + Rows::panel(panel), *tails = w.rows + Rows::TAILS;
    const int32_t* row = tables().row;
    float* h = out + panel * Rows::WIDTH;
    Vec sums[SETS][V];
    Quad rest[SETS];
    UNROLL for (int k = 0; k < SETS; k++) {
      UNROLL for (int v = 0; v < V; v++) sums[k][v] = k ? Vec{} : load_vec(h + v * LANES);
      rest[k] = k || !TAIL ? Quad{} : quad(out + Rows::MAIN);
    }
    for (int i = from; i < to; i += SETS)
      UNROLL for (int k = 0; k < SETS; k++) {
        const uint32_t p = s.list[i + k];
        const size_t r = (size_t)(row[p] < 0 ? 0 : row[p]);
        if constexpr (FETCH) {
          const int32_t next = row[s.list[i + k + AHEAD]];
          fetch(rows + (size_t)(next < 0 ? 0 : next) * V * LANES, V);
        }
        const float a = s.value[p];
        UNROLL for (int v = 0; v < V; v++) sums[k][v] += a * load_vec(rows + (r * V + v) * LANES);
        if constexpr (TAIL > 0) rest[k] += a * quad(tails + r * TAIL);
      }
    UNROLL for (int v = 0; v < V; v++) {
      UNROLL for (int k = 1; k < SETS; k++) sums[0][v] += sums[k][v];
      store_vec(h + v * LANES, sums[0][v]);
    }
    if constexpr (TAIL > 0) {
      UNROLL for (int k = 1; k < SETS; k++) rest[0] += rest[k];
      std::memcpy(out + Rows::MAIN, &rest[0], sizeof(float) * TAIL);
    }
  }

  template <int V, int TAIL, bool FETCH>
  static ALWAYS_INLINE void walk_back(State& s, const Weights& w, int panel, int from, int to,
                                      const float* g) {
    const float *rows = w.rows + Rows::panel(panel), *tails = w.rows + Rows::TAILS;
    const int32_t* row = tables().row;
    Vec d[V];
    UNROLL for (int v = 0; v < V; v++) d[v] = load_vec(g + panel * Rows::WIDTH + v * LANES);
    const Quad rest = quad(g + Rows::MAIN - (TAIL ? 0 : Rows::MAIN));
    for (int i = to - LANES; i >= from; i -= LANES) {
      Vec sums[LANES];
      const uint32_t* places = s.list + i;
      UNROLL for (int k = 0; k < LANES; k++) {
        const int32_t at = row[places[k]];
        const size_t r = (size_t)(at < 0 ? 0 : at);
        if (FETCH && i >= AHEAD) {
          const int32_t next = row[places[k - AHEAD]];
          fetch(rows + (size_t)(next < 0 ? 0 : next) * V * LANES, V);
        }
        sums[k] = d[0] * load_vec(rows + r * V * LANES);
        UNROLL for (int v = 1; v < V; v++) sums[k] += d[v] * load_vec(rows + (r * V + v) * LANES);
        if constexpr (TAIL > 0) sums[k] += widened(rest * quad(tails + r * TAIL));
      }
      float all[LANES];
      store_vec(all, lane_sums(sums));
      UNROLL for (int k = 0; k < LANES; k++)
        s.value[places[k]] = panel ? s.value[places[k]] + all[k] : all[k];
    }
  }
};
