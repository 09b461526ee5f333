// A machine's roofs: multiply-adds from registers, and streams through a working set.
//
// Compiled with -DLANES=16, 8 or 4, the float32 lanes of the widest vector. A plain C interface,
// for ctypes. Each function measures once, on exactly `threads` threads that start together, and
// gives the seconds until the last was done, or a Failure. Where `cpus` is not null, thread i
// runs on CPU cpus[i] alone, and as it was before when the function returns.
#ifdef _OPENMP
#include <omp.h>
#endif
#ifdef __linux__
#include <sched.h>
#endif
#ifdef __SSE2__
#include <immintrin.h>
#endif

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

#define UNROLL _Pragma("GCC unroll 64")
// What memory holds is unknown from here on: passes over it can neither be merged nor left out.
#define FORGET(pointer) asm volatile("" ::"r"(pointer) : "memory")

typedef float Vec __attribute__((vector_size(4 * LANES)));
typedef uint32_t Words __attribute__((vector_size(4 * LANES), may_alias));

namespace {

enum Failure { WRONG_RESULT = -1, TOO_FEW_THREADS = -2, NO_MEMORY = -3, NO_SUCH_STREAM = -4,
               NOT_PINNED = -5 };
enum Stream { READ = 0, TRIAD = 1, TRIAD_NONTEMPORAL = 2 };

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Binds the thread that makes it to one CPU, as long as it lives.
class Pinned {
 public:
  Pinned(const int* cpus, int thread) {
#ifdef __linux__
    if (!cpus) return;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpus[thread], &one);
    changed_ = !sched_getaffinity(0, sizeof before_, &before_);
    ok = changed_ && !sched_setaffinity(0, sizeof one, &one);
#else
    ok = !cpus;
#endif
  }
  ~Pinned() {
#ifdef __linux__
    if (changed_) sched_setaffinity(0, sizeof before_, &before_);
#endif
  }
  bool ok = true;

 private:
#ifdef __linux__
  cpu_set_t before_;
  bool changed_ = false;
#endif
};

// Calls prepare(thread) -> state, then times run(state), then check(state), on every thread.
template <class Prepare, class Run, class Check>
double measure(int threads, const int* cpus, Prepare&& prepare, Run&& run, Check&& check) {
  double started = 0, ended = 0;
  int failure = 0, present = 1;
#pragma omp parallel num_threads(threads)
  {
    int me = 0;
#ifdef _OPENMP
    me = omp_get_thread_num();
#pragma omp single
    present = omp_get_num_threads();
#endif
    Pinned pinned(present == threads ? cpus : nullptr, me);
    auto state = prepare(me);
    if (!pinned.ok || !state.ok)
#pragma omp atomic write
      failure = pinned.ok ? NO_MEMORY : NOT_PINNED;
#pragma omp barrier
    if (!failure && present == threads) {
#pragma omp barrier
#pragma omp master
      started = now();
      run(state);
#pragma omp barrier
#pragma omp master
      ended = now();
      if (!check(state))
#pragma omp atomic write
        failure = WRONG_RESULT;
    }
  }
  if (present != threads) return TOO_FEW_THREADS;
  return failure ? failure : ended - started;
}

// As many sums as hide an FMA's latency and leave registers for its operands.
#ifdef __AVX512VL__
constexpr int SUMS = 24;
#else
constexpr int SUMS = 12;
#endif

// Arrays that one thread streams through, each at a page of its own but for some cache lines, so
// that no two begin at the same place of a page: stores would seem to hit later loads.
struct Arrays {
  Arrays(Stream kind, int64_t bytes) {
    int count = kind == READ ? 1 : 3;
    length = bytes / count / (int64_t)sizeof(Vec);
    int64_t gap = (length * (int64_t)sizeof(Vec) + 4095) / 4096 * 4096 + 320;
    memory = static_cast<char*>(std::aligned_alloc(4096, (gap * count + 4095) / 4096 * 4096));
    ok = memory;
    if (!ok) return;
    for (int i = 0; i < count; i++) at[i] = reinterpret_cast<Vec*>(memory + i * gap);
    // First touched by the thread that streams, so that pages lie in its memory. The numbers
    // repeat after PERIOD vectors, and the rest is a copy of what lies so far before it.
    constexpr int64_t PERIOD = 1021;
    for (int64_t i = 0; i < length && i < PERIOD; i++)
      for (int lane = 0; lane < LANES; lane++) {
        float n = (float)((i * LANES + lane) % PERIOD);
        if (count == 1) at[0][i][lane] = n;
        else at[0][i][lane] = -1, at[1][i][lane] = n, at[2][i][lane] = n + 1;
      }
    for (int array = 0; array < count; array++)
      for (int64_t i = PERIOD; i < length; i += PERIOD) {
        int64_t some = length - i < PERIOD ? length - i : PERIOD;
        std::memcpy(at[array] + i, at[array] + i - PERIOD, some * sizeof(Vec));
      }
  }
  ~Arrays() { std::free(memory); }
  Arrays(const Arrays&) = delete;
  Arrays& operator=(const Arrays&) = delete;

  char* memory;
  Vec* at[3];
  int64_t length;  // vectors
  bool ok;
  Words sum{};
};

// Sums the words: integers, so that the sum is exact, and no adder of floats is the limit. It goes
// through four parts of the array at once, as matrix products go through rows: a prefetcher follows
// each, and from main memory one alone gets less.
void read(Arrays& a, int64_t passes) {
  constexpr int PARTS = 4, N = 2;
  Words sums[PARTS][N] = {};
  const int64_t part = a.length / PARTS / N * N;
  for (int64_t p = 0; p < passes; p++) {
    const Words* in = reinterpret_cast<const Words*>(a.at[0]);
    for (int64_t i = 0; i < part; i += N)
      UNROLL for (int j = 0; j < PARTS; j++)
        UNROLL for (int k = 0; k < N; k++) sums[j][k] += in[j * part + i + k];
    for (int64_t i = PARTS * part; i < a.length; i++) sums[0][0] += in[i];
    FORGET(in);
  }
  for (int j = 0; j < PARTS; j++)
    for (int k = 0; k < N; k++) a.sum += sums[j][k];
}

bool sum_is_right(const Arrays& a, int64_t passes) {
  Words once{};
  for (int64_t i = 0; i < a.length; i++) once += reinterpret_cast<const Words*>(a.at[0])[i];
  for (int lane = 0; lane < LANES; lane++)
    if (a.sum[lane] != once[lane] * (uint32_t)passes) return false;
  return true;
}

constexpr float FACTOR = 3.0f;

struct Store {
  static void put(Vec* to, Vec v) { *to = v; }
  static void finish() {}
};

#ifdef __SSE2__
struct NonTemporal {
  static void put(Vec* to, Vec v) {
#if LANES == 16
    _mm512_stream_ps(reinterpret_cast<float*>(to), (__m512)v);
#elif LANES == 8
    _mm256_stream_ps(reinterpret_cast<float*>(to), (__m256)v);
#else
    _mm_stream_ps(reinterpret_cast<float*>(to), (__m128)v);
#endif
  }
  static void finish() { _mm_sfence(); }
};
#endif

template <class How>
void triad(Arrays& a, int64_t passes) {
  constexpr int N = 8;
  for (int64_t p = 0; p < passes; p++) {
    Vec* out = a.at[0];
    const Vec *b = a.at[1], *c = a.at[2];
    int64_t i = 0;
    for (; i + N <= a.length; i += N)
      UNROLL for (int k = 0; k < N; k++) How::put(out + i + k, b[i + k] + FACTOR * c[i + k]);
    for (; i < a.length; i++) How::put(out + i, b[i] + FACTOR * c[i]);
    How::finish();
    FORGET(out);
  }
}

bool triad_is_right(const Arrays& a) {
  Words wrong{};
  for (int64_t i = 0; i < a.length; i++)
    wrong |= (Words)(a.at[0][i] != a.at[1][i] + FACTOR * a.at[2][i]);
  for (int lane = 0; lane < LANES; lane++)
    if (wrong[lane]) return false;
  return true;
}

struct Sums {
  bool ok = true;
  Vec value[SUMS];
};

struct Streamed {
  std::unique_ptr<Arrays> arrays;
  bool ok = false;

  void run(void (*triads)(Arrays&, int64_t), int kind, int64_t passes) {
    if (kind == READ) read(*arrays, passes);
    else triads(*arrays, passes);
  }
};

}  // namespace

extern "C" {

// Multiply-adds that each thread does in one round of ceilings_fma.
int ceilings_fma_round() { return SUMS * LANES; }

// Rounds of x = x/2 + 1, which ends at exactly 2 wherever it began: 30 rounds are enough.
double ceilings_fma(int64_t rounds, int threads, const int* cpus) {
  return measure(
      threads, cpus,
      [](int) {
        Sums s;
        for (int i = 0; i < SUMS; i++)
          for (int lane = 0; lane < LANES; lane++) s.value[i][lane] = (float)i / (lane + 1);
        return s;
      },
      [&](Sums& s) {
        Vec x[SUMS], half = Vec{} + 0.5f, one = Vec{} + 1.0f;
        // Values that the compiler cannot know.
        asm volatile("" : "+m"(half), "+m"(one));
        std::memcpy(x, s.value, sizeof x);
        for (int64_t r = 0; r < rounds; r++)
          UNROLL for (int i = 0; i < SUMS; i++) x[i] = x[i] * half + one;
        std::memcpy(s.value, x, sizeof x);
        FORGET(&s);
      },
      [](const Sums& s) {
        for (int i = 0; i < SUMS; i++)
          for (int lane = 0; lane < LANES; lane++)
            if (s.value[i][lane] != 2.0f) return false;
        return true;
      });
}

// Cycles of one round of ceilings_cycles.
int ceilings_cycles_round() { return 3 * 64; }

// Rounds of integer multiplications that each wait for the one before, three cycles each on Intel's
// processors since Nehalem and on AMD's since Zen (A. Fog, "Instruction tables"): how fast the clock
// runs. (Additions would not tell: recent cores add constants while they rename.) Beside them some
// multiply-adds, so that it is the clock of vector code.
double ceilings_cycles(int64_t rounds, const int* cpus) {
  return measure(
      1, cpus, [](int) { return Sums{}; },
      [&](Sums& s) {
        uint64_t x = 3, factor = 5;
        asm volatile("" : "+r"(factor));
        Vec v = s.value[0] + 0.5f, half = Vec{} + 0.5f;
        for (int64_t r = 0; r < rounds; r++)
          UNROLL for (int i = 0; i < 64; i++) {
            x *= factor;
            asm volatile("" : "+r"(x));
            if (i % 16 == 0) v = v * half + half;
          }
        s.value[0] = v;
        FORGET(&s);
      },
      [](const Sums&) { return true; });
}

// Entries of a loop of `rounds` empty rounds, each of two instructions that every processor since
// Haswell does in a cycle: what an entry takes beyond them is what its end costs.
double ceilings_loops(int64_t entries, int64_t rounds, const int* cpus) {
  return measure(
      1, cpus, [](int) { return Sums{}; },
      [&](Sums&) {
        for (int64_t e = 0; e < entries; e++)
          for (int64_t r = 0; r < rounds; r++) asm volatile("" : "+r"(r));
      },
      [](const Sums&) { return true; });
}

// Bytes that one pass moves on each thread, stores counted once (McCalpin's convention).
int64_t ceilings_stream_bytes(int kind, int64_t bytes) {
  int count = kind == READ ? 1 : 3;
  return bytes / count / (int64_t)sizeof(Vec) * (int64_t)sizeof(Vec) * count;
}

// Passes over `bytes` of each thread's own, after one that brings them near and is not timed.
double ceilings_stream(int kind, int64_t bytes, int64_t passes, int threads, const int* cpus) {
  void (*triads)(Arrays&, int64_t) = triad<Store>;
  if (kind == TRIAD_NONTEMPORAL) {
#ifdef __SSE2__
    triads = triad<NonTemporal>;
#else
    return NO_SUCH_STREAM;
#endif
  }
  return measure(
      threads, cpus,
      [&](int) {
        Streamed s{std::unique_ptr<Arrays>(new (std::nothrow) Arrays((Stream)kind, bytes))};
        s.ok = s.arrays && s.arrays->ok;
        if (s.ok) s.run(triads, kind, 1);
        return s;
      },
      [&](Streamed& s) { s.run(triads, kind, passes); },
      [&](const Streamed& s) {
        return kind == READ ? sum_is_right(*s.arrays, passes + 1) : triad_is_right(*s.arrays);
      });
}
}
