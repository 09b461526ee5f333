// The engine: all steps of a block of images before the next block, blocks spread over threads.
//
// Compiled as LAYOUT=WIDE, a block is LANES images, one to a vector lane; as LAYOUT=TILE it is a few
// images, each with its places in the lanes. A plain C interface, for ctypes. Images are
// (n, channels, height, width) and labels int64. Weights are read, and their gradients written, in
// the packed space (`packed.hpp`). No two calls on one engine may overlap, and no pointer is kept
// after a call but that of `engine_use`.
#ifdef _OPENMP
#include <omp.h>
#endif

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include <algorithm>
#include <cstdlib>
#include <new>
#include <vector>

// Engines of many networks live in one process: only the C interface is anybody else's.
#pragma GCC visibility push(hidden)
#include "objective.hpp"
#define WIDE 1
#define TILE 2
#if LAYOUT == WIDE
#include "batch_chain.hpp"
#elif LAYOUT == TILE
#include "tile_chain.hpp"
#else
#error "compile with -DLAYOUT=WIDE or TILE"
#endif
#include "updates.hpp"

namespace {

// Zeroed and aligned to pages, which are huge ones, where the system lends them, for all but little:
// weights of wide layers span more small pages than a processor finds at once. Null if there is no memory.
template <class T>
T* zeroed(size_t count = 1) {
  constexpr size_t SMALL = 4096, HUGE = 512 * SMALL;
  const size_t page = count * sizeof(T) < HUGE / 4 ? SMALL : HUGE;
  const size_t bytes = (count * sizeof(T) + page - 1) / page * page;
  void* p = std::aligned_alloc(page, bytes);
#ifdef MADV_HUGEPAGE
  if (p && page == HUGE) madvise(p, bytes, MADV_HUGEPAGE);
#endif
  if (p) std::memset(p, 0, bytes);
  return static_cast<T*>(p);
}

struct Thread {
  Chain<false>* attack = nullptr;
  Chain<true>* train = nullptr;
  Chain<true>::Gradients* gradients = nullptr;
  float* sums = nullptr;  // a packed space of its own, for gradients
};

constexpr size_t PACKED = Packed::start(2 * LAYERS);  // floats

struct Engine {
  Chain<false>::Weights* weights = nullptr;
  std::vector<Thread> threads;
};

// Layers' weights stand in their segments from now on. What is derived of them is made here.
template <int I = 0>
void take_all(Chain<false>::Weights& weights, const float* packed) {
  if constexpr (I < LAYERS) {
    std::get<I>(weights).take(packed + Packed::start(2 * I), packed + Packed::start(2 * I + 1));
    take_all<I + 1>(weights, packed);
  }
}

static_assert(LAYERS < STAGE_LAYERS, "a stage has no place to be counted");

// Logits to the objective's gradient, in place; returns the summed cross-entropy of the images.
// Lanes without an image get the gradient zero.
template <class AnyChain>
double objective(AnyChain& chain, int which, const int64_t* labels, int64_t count, float scale) {
  double loss = 0;
  for (int lane = 0; lane < chain.lanes(); lane++) {
    float z[CLASSES];
    for (int c = 0; c < CLASSES; c++) z[c] = chain.logit(c, lane);
    if (lane < count) loss += objective_gradient<CLASSES>((Objective)which, labels[lane], z);
    for (int c = 0; c < CLASSES; c++) chain.set_logit(c, lane, lane < count ? scale * z[c] : 0.0f);
  }
  return loss;
}

// The same for attacks, which need no cross-entropy.
template <class AnyChain>
void objective(AnyChain& chain, int which, const int64_t* labels, int64_t count) {
#if LAYOUT == TILE
  objective(chain, which, labels, count, 1.0f);
#else
  for (int lane = 0; lane < chain.lanes(); lane += LANES)
    objective_gradients<CLASSES>((Objective)which, labels + lane, count - lane, chain.logits(lane / LANES));
#endif
}

// Images that a thread takes at a time: as many as AnyChain can, but no more than leave work to every
// thread, as evenly as can be. In the layout WIDE whole blocks.
template <class AnyChain>
int64_t block_of(int64_t n, int threads) {
#if LAYOUT == TILE
  int64_t share = (n + threads - 1) / threads;
  return share < 1 ? 1 : std::min<int64_t>(share, AnyChain::WIDTH);
#else
  const int64_t blocks = std::max<int64_t>((n + LANES - 1) / LANES, 1);
  const int64_t round = (int64_t)AnyChain::BLOCKS * threads, turns = (blocks + round - 1) / round * threads;
  return (blocks + turns - 1) / turns * LANES;
#endif
}

// Runs body(first image, end, thread's state) for every block; a fixed thread for each, so that
// sums over a thread's blocks do not depend on timing; then end(thread's state) for every thread.
template <class AnyChain, class Prepare, class Body, class End>
bool over_images(Engine& e, int64_t n, int threads, Prepare&& prepare, Body&& body, End&& end) {
  if (threads < 1) threads = 1;
  const int64_t block = block_of<AnyChain>(n, threads), count = (n + block - 1) / block;
  if (threads > count) threads = (int)std::max<int64_t>(count, 1);
  if ((int)e.threads.size() < threads) e.threads.resize(threads);
  bool ok = true;
#pragma omp parallel num_threads(threads) if (threads > 1)
  {
#ifdef _OPENMP
    int me = omp_get_thread_num(), all = omp_get_num_threads();
#else
    int me = 0, all = 1;
#endif
    Thread& mine = e.threads[me];
    Stage::start();
    if (prepare(mine)) {
      for (int64_t b = me; b < count; b += all) body(b * block, std::min(n, (b + 1) * block), mine);
      end(mine);
    } else
#pragma omp atomic write
      ok = false;
    Stage::stop();
  }
  return ok;
}

template <class AnyChain, class Prepare, class Body>
bool over_images(Engine& e, int64_t n, int threads, Prepare&& prepare, Body&& body) {
  return over_images<AnyChain>(e, n, threads, prepare, body, [](Thread&) {});
}

bool ready_to_attack(Thread& t) {
  if (!t.attack) t.attack = zeroed<Chain<false>>();
  return t.attack;
}

#if UPDATES
bool ready_to_train(Thread& t) {
  if (!t.train) t.train = zeroed<Chain<true>>();
  if (!t.gradients) t.gradients = zeroed<Chain<true>::Gradients>();
  return t.train && t.gradients;
}

#endif

}  // namespace

#pragma GCC visibility pop
#define EXPORT __attribute__((visibility("default")))

extern "C" {

EXPORT void* engine_create() {
  Engine* e = new (std::nothrow) Engine;
  if (!e) return nullptr;
  e->weights = zeroed<Chain<false>::Weights>();
  if (!e->weights) {
    delete e;
    return nullptr;
  }
  return e;
}

EXPORT void engine_destroy(void* engine) {
  Engine* e = static_cast<Engine*>(engine);
  for (Thread& t : e->threads) {
    std::free(t.attack);
    std::free(t.train);
    std::free(t.gradients);
    std::free(t.sums);
  }
  std::free(e->weights);
  delete e;
}

// Images of which one more takes every way that the kernel has through its layers.
EXPORT int engine_block() {
#if LAYOUT == WIDE
  return Chain<false>::BLOCKS > 1 ? 2 * LANES : LANES;
#else
  return Chain<false>::WIDTH;
#endif
}

// Floats in the packed space.
EXPORT int64_t engine_packed_size() { return (int64_t)PACKED; }

// Where each parameter's segment begins, and where the last ends: 2 LAYERS + 1 numbers.
EXPORT void engine_segments(int64_t* out) {
  over_parameters([=](auto parameter, int k) { out[k] = decltype(parameter)::START; });
  out[2 * LAYERS] = (int64_t)PACKED;
}

// Parameters, each as PyTorch has it, to the packed space; null, a layer without bias, to zeros.
EXPORT void engine_pack(const float* const* tensors, float* packed) {
  over_parameters([=](auto parameter, int k) {
    if (tensors[k]) decltype(parameter)::pack(tensors[k], packed);
    else decltype(parameter)::clear(packed);
  });
}

// The way back; what is null stays in the packed space.
EXPORT void engine_unpack(const float* packed, float* const* tensors) {
  over_parameters([=](auto parameter, int k) {
    if (tensors[k]) decltype(parameter)::unpack(packed, tensors[k]);
  });
}

// As engine_pack, but of those only whose bits are not those in `seen`, where the tensors stand one
// behind the other as they were packed last. Returns how many.
EXPORT int engine_repack(const float* const* tensors, float* seen, float* packed) {
  int count = 0;
  over_parameters([&](auto parameter, int k) {
    constexpr size_t SIZE = decltype(parameter)::TENSOR;
    if (tensors[k] && std::memcmp(seen, tensors[k], SIZE * sizeof(float))) {
      std::memcpy(seen, tensors[k], SIZE * sizeof(float));
      decltype(parameter)::pack(tensors[k], packed);
      count++;
    }
    seen += SIZE;
  });
  return count;
}

// Weights are read from `packed` until the next call. To be called again when they have changed.
EXPORT void engine_use(void* engine, const float* packed) {
  take_all(*static_cast<Engine*>(engine)->weights, packed);
}

// What calls return: done; no memory; a label that is no class (nothing is done then); done, but some
// image is marked by pixels that are no numbers. And what only a caller in error sees: the kernel was
// compiled without what was asked for.
enum Outcome { DONE, NO_MEMORY, NO_CLASS, MARKED, LEFT_OUT };

static bool are_classes(const int64_t* labels, int64_t n) {
  bool all = true;
  for (int64_t i = 0; i < n; i++) all &= labels[i] >= 0 && labels[i] < CLASSES;
  return all;
}

// Sums side by side: one after another each would wait for the last.
static bool all_finite(const float* p, int64_t count) {
  constexpr int SUMS = 64;
  float sums[SUMS] = {}, sum = 0;
  for (; count >= SUMS; count -= SUMS, p += SUMS)
    for (int i = 0; i < SUMS; i++) sums[i] += p[i] - p[i];
  for (int i = 0; i < SUMS; i++) sum += sums[i];
  for (; count > 0; count--, p++) sum += *p - *p;
  return sum == sum;
}

// Attack steps from `start`; `out` may be `start`.
EXPORT int engine_attack(void* engine, const float* start, const float* centre, const int64_t* labels,
                  float* out, int64_t n, int64_t steps, const Settings* settings, int threads) {
  Engine& e = *static_cast<Engine*>(engine);
  if (!are_classes(labels, n)) return NO_CLASS;
  bool marked = false;
  auto attack = [&](int64_t first, int64_t end, Thread& t) {
    Chain<false>& chain = *t.attack;
    chain.load(start, end, first);
    chain.load_centre(centre, end, first);
    for (int64_t k = 0; k < steps; k++) {
      chain.forward(*e.weights);
      objective(chain, settings->objective, labels + first, end - first);
      chain.backward(*e.weights, nullptr);
      chain.ascend(*settings);
    }
    chain.store(out, end, first);
    if (!all_finite(out + first * PIXELS, (end - first) * PIXELS))
#pragma omp atomic write
      marked = true;
  };
  if (!over_images<Chain<false>>(e, n, threads, ready_to_attack, attack)) return NO_MEMORY;
  return marked ? MARKED : DONE;
}

// The objective's gradient by each image.
EXPORT int engine_input_gradient(void* engine, const float* images, const int64_t* labels, float* out,
                          int64_t n, int which, int threads) {
  Engine& e = *static_cast<Engine*>(engine);
  if (!are_classes(labels, n)) return NO_CLASS;
  return !over_images<Chain<false>>(e, n, threads, ready_to_attack, [&](int64_t first, int64_t end, Thread& t) {
    Chain<false>& chain = *t.attack;
    chain.load(images, end, first);
    chain.forward(*e.weights);
    objective(chain, which, labels + first, end - first);
    chain.backward(*e.weights, nullptr);
    chain.store_gradient(out, end, first);
  });
}

EXPORT int engine_logits(void* engine, const float* images, float* out, int64_t n, int threads) {
  Engine& e = *static_cast<Engine*>(engine);
  return !over_images<Chain<false>>(e, n, threads, ready_to_attack, [&](int64_t first, int64_t end, Thread& t) {
    t.attack->load(images, end, first);
    t.attack->forward(*e.weights);
    for (int lane = 0; first + lane < end; lane++)
      for (int c = 0; c < CLASSES; c++)
        out[(first + lane) * CLASSES + c] = t.attack->logit(c, lane);
  });
}

// Writes to the packed space `out`, or adds, the gradient of `scale` times the summed
// cross-entropy; writes that sum, unscaled, to `loss`. `factors`: those layers that have them write
// factors, of the first image as those of this number in `out`; less than none: all write the gradient.
EXPORT int engine_gradients(void* engine, const float* images, const int64_t* labels, int64_t n,
                     float scale, float* out, int add, int64_t factors, double* loss, int threads) {
#if UPDATES
  Engine& e = *static_cast<Engine*>(engine);
  if (!are_classes(labels, n)) return NO_CLASS;
  std::vector<double> losses(n);  // of blocks, at their first images
  std::vector<float*> sums(threads < 1 ? 1 : threads);
  const bool in_factors = factors >= 0;
  auto train = [&](int64_t first, int64_t end, Thread& t) {
    Chain<true>& chain = *t.train;
    chain.load(images, end, first);
    chain.forward(*e.weights);
    losses[first] = objective(chain, CROSS_ENTROPY, labels + first, end - first, scale);
    place_factors(*t.gradients, in_factors ? out : nullptr, factors + first, (int)(end - first));
    chain.backward(*e.weights, t.gradients);
  };
  auto ready = [&](Thread& t) {
    size_t me = &t - e.threads.data();
    bool own = me > 0 || add;  // the first thread writes straight to where the sums belong
    if (own && !t.sums) t.sums = zeroed<float>(PACKED);
    if (!ready_to_train(t) || (own && !t.sums)) return false;
    sums[me] = own ? t.sums : out;
    begin_all(*t.gradients, sums[me]);
    return true;
  };
  auto close = [=](Thread& t) { finish_all(*t.gradients, in_factors); };
  if (!over_images<Chain<true>>(e, n, threads, ready, train, close)) return NO_MEMORY;
  std::vector<const float*> others;
  for (const float* sum : sums)
    if (sum && sum != out) others.push_back(sum);
  if (!others.empty()) add_sums(others, out, in_factors, threads);
  *loss = 0;
  for (double l : losses) *loss += l;
  return 0;
#else
  (void)engine, (void)images, (void)labels, (void)n, (void)scale, (void)out, (void)add, (void)factors;
  (void)loss, (void)threads;
  return LEFT_OUT;
#endif
}

// Images whose factors a packed space has room for; 0 if no layer has any.
EXPORT int64_t engine_factor_room() { return UPDATES ? (int64_t)room() : 0; }

// Floats of one image's factors.
EXPORT int64_t engine_factor_size() { return (int64_t)factor_size(); }

// Adds up what engine_gradients of several ranks wrote to their packed spaces: out[from..to) becomes the
// sum of those numbers. Of rank r, factors[r] images are in factors; less than none: none of it is.
EXPORT int engine_add_ranks(const float* const* ranks, const int64_t* factors, int count, int64_t from,
                     int64_t to, float* out, int threads) {
#if UPDATES
  const int64_t lines = (to - from + LINE - 1) / LINE;
  if (threads < 1) threads = 1;
#pragma omp parallel for num_threads(threads) if (threads > 1)
  for (int t = 0; t < threads; t++)
    add_ranks(ranks, factors, count, from + lines * t / threads * LINE,
              std::min(to, from + lines * (t + 1) / threads * LINE), out);
  return DONE;
#else
  (void)ranks, (void)factors, (void)count, (void)from, (void)to, (void)out, (void)threads;
  return LEFT_OUT;
#endif
}

#ifdef STAGE_TIMES
// The calling thread's ticks by stage since the last call: [layer][direction][kind].
EXPORT void engine_stages(int64_t* out) {
  std::memcpy(out, Stage::ticks(), STAGES * sizeof(int64_t));
  std::memset(Stage::ticks(), 0, STAGES * sizeof(int64_t));
}
#endif
}
