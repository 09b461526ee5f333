// The engine: all steps of a block of images before the next block, blocks spread over threads.
//
// Compiled as LAYOUT=BATCH, a block is LANES images, one to a vector lane; as LAYOUT=IMAGE it is
// one image, with channels in the lanes. A plain C interface, for ctypes. Images are
// (n, channels, height, width) and labels int64; no pointer is kept after a call, and no two calls
// on one engine may overlap.
#ifdef _OPENMP
#include <omp.h>
#endif

#include <cstdlib>
#include <new>
#include <vector>

// Engines of many networks live in one process: only the C interface is anybody else's.
#pragma GCC visibility push(hidden)
#include "objective.hpp"
#define BATCH 1
#define IMAGE 2
#if LAYOUT == BATCH
#include "batch_chain.hpp"
#elif LAYOUT == IMAGE
#include "image_chain.hpp"
#else
#error "compile with -DLAYOUT=BATCH or IMAGE"
#endif

namespace {

// Zeroed and aligned to pages; null if there is no memory.
template <class T>
T* zeroed() {
  size_t bytes = (sizeof(T) + 4095) / 4096 * 4096;
  void* p = std::aligned_alloc(4096, bytes);
  if (p) std::memset(p, 0, bytes);
  return static_cast<T*>(p);
}

struct Thread {
  Chain<false>* attack = nullptr;
  Chain<true>* train = nullptr;
  Chain<true>::Gradients* gradients = nullptr;
};

struct Engine {
  Chain<false>::Weights* weights = nullptr;
  std::vector<float> seen[2 * LAYERS];  // the tensors as they were packed
  std::vector<Thread> threads;
};

template <int I = 0>
void pack(Engine& e, const bool* changed) {
  if constexpr (I < LAYERS) {
    if (changed[I])
      std::get<I>(*e.weights)
          .pack(e.seen[2 * I].data(), e.seen[2 * I + 1].empty() ? nullptr : e.seen[2 * I + 1].data());
    pack<I + 1>(e, changed);
  }
}

constexpr int WIDTH = Chain<false>::WIDTH;
static_assert(LAYERS < STAGE_LAYERS, "a stage has no place to be counted");

// Logits to the objective's gradient, in place; returns the summed cross-entropy of the images.
// Lanes without an image get the gradient zero.
template <class AnyChain>
double objective(AnyChain& chain, int which, const int64_t* labels, int64_t count, float scale) {
  double loss = 0;
  for (int lane = 0; lane < WIDTH; lane++) {
    float z[CLASSES];
    for (int c = 0; c < CLASSES; c++) z[c] = chain.logit(c, lane);
    if (lane < count) loss += objective_gradient<CLASSES>((Objective)which, labels[lane], z);
    for (int c = 0; c < CLASSES; c++) chain.set_logit(c, lane, lane < count ? scale * z[c] : 0.0f);
  }
  return loss;
}

int64_t blocks(int64_t n) { return (n + WIDTH - 1) / WIDTH; }

// Runs body(block, thread's state) for every block; a fixed thread for each, so that sums over a
// thread's blocks do not depend on timing.
template <class Prepare, class Body>
bool over_images(Engine& e, int64_t n, int threads, Prepare&& prepare, Body&& body) {
  int64_t count = blocks(n);
  if (threads > count) threads = (int)count;
  if (threads < 1) threads = 1;
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
    if (prepare(mine))
      for (int64_t b = me; b < count; b += all) body(b * WIDTH, mine);
    else
#pragma omp atomic write
      ok = false;
    Stage::stop();
  }
  return ok;
}

bool ready_to_attack(Thread& t) {
  if (!t.attack) t.attack = zeroed<Chain<false>>();
  return t.attack;
}

template <int I = 0>
void add_gradients(const Chain<true>::Gradients& g, float* const* out) {
  if constexpr (I < LAYERS) {
    std::get<I>(g).add_to(out[2 * I], out[2 * I + 1]);
    add_gradients<I + 1>(g, out);
  }
}

template <int I = 0>
void clear(Chain<true>::Gradients& g) {
  if constexpr (I < LAYERS) {
    std::get<I>(g).clear();
    clear<I + 1>(g);
  }
}

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
  }
  std::free(e->weights);
  delete e;
}

EXPORT int engine_block() { return WIDTH; }

// Takes the weights: for each layer its weight and its bias (null if it has none). Only layers
// whose bits changed are packed; returns how many.
EXPORT int engine_load(void* engine, const float* const* tensors) {
  Engine& e = *static_cast<Engine*>(engine);
  bool changed[LAYERS] = {};
  int count = 0;
  for (int i = 0; i < LAYERS; i++) {
    size_t sizes[2] = {Tensors::WEIGHTS[i], tensors[2 * i + 1] ? (size_t)Tensors::BIASES[i] : 0};
    for (int part = 0; part < 2; part++) {
      std::vector<float>& seen = e.seen[2 * i + part];
      const float* now = tensors[2 * i + part];
      if (seen.size() == sizes[part] &&
          (sizes[part] == 0 || !std::memcmp(seen.data(), now, 4 * sizes[part])))
        continue;
      seen.assign(now, now + sizes[part]);
      changed[i] = true;
    }
    count += changed[i];
  }
  pack(e, changed);
  return count;
}

// Attack steps from `start`; `out` may be `start`. Returns 0, or 1 for lack of memory.
EXPORT int engine_attack(void* engine, const float* start, const float* centre, const int64_t* labels,
                  float* out, int64_t n, int64_t steps, const Settings* settings, int threads) {
  Engine& e = *static_cast<Engine*>(engine);
  return !over_images(e, n, threads, ready_to_attack, [&](int64_t first, Thread& t) {
    Chain<false>& chain = *t.attack;
    chain.load(start, n, first);
    chain.load_centre(centre, n, first);
    for (int64_t k = 0; k < steps; k++) {
      chain.forward(*e.weights);
      objective(chain, settings->objective, labels + first, n - first, 1.0f);
      chain.backward(*e.weights, nullptr);
      chain.ascend(*settings);
    }
    chain.store(out, n, first);
  });
}

// The objective's gradient by each image.
EXPORT int engine_input_gradient(void* engine, const float* images, const int64_t* labels, float* out,
                          int64_t n, int which, int threads) {
  Engine& e = *static_cast<Engine*>(engine);
  return !over_images(e, n, threads, ready_to_attack, [&](int64_t first, Thread& t) {
    Chain<false>& chain = *t.attack;
    chain.load(images, n, first);
    chain.forward(*e.weights);
    objective(chain, which, labels + first, n - first, 1.0f);
    chain.backward(*e.weights, nullptr);
    chain.store_gradient(out, n, first);
  });
}

EXPORT int engine_logits(void* engine, const float* images, float* out, int64_t n, int threads) {
  Engine& e = *static_cast<Engine*>(engine);
  return !over_images(e, n, threads, ready_to_attack, [&](int64_t first, Thread& t) {
    t.attack->load(images, n, first);
    t.attack->forward(*e.weights);
    for (int lane = 0; lane < WIDTH && first + lane < n; lane++)
      for (int c = 0; c < CLASSES; c++)
        out[(first + lane) * CLASSES + c] = t.attack->logit(c, lane);
  });
}

// Adds to `out`, in the order of engine_load, the gradient of `scale` times the summed
// cross-entropy; writes that sum, unscaled, to `loss`.
EXPORT int engine_gradients(void* engine, const float* images, const int64_t* labels, int64_t n,
                     float scale, float* const* out, double* loss, int threads) {
  Engine& e = *static_cast<Engine*>(engine);
  std::vector<double> losses(blocks(n));
  std::vector<char> used(threads < 1 ? 1 : threads);
  auto ready = [&](Thread& t) {
    if (!t.train) t.train = zeroed<Chain<true>>();
    if (!t.gradients) t.gradients = zeroed<Chain<true>::Gradients>();
    if (!t.train || !t.gradients) return false;
    clear(*t.gradients);
    used[&t - e.threads.data()] = 1;
    return true;
  };
  bool ok = over_images(e, n, threads, ready, [&](int64_t first, Thread& t) {
    Chain<true>& chain = *t.train;
    chain.load(images, n, first);
    chain.forward(*e.weights);
    losses[first / WIDTH] = objective(chain, CROSS_ENTROPY, labels + first, n - first, scale);
    chain.backward(*e.weights, t.gradients);
  });
  if (!ok) return 1;
  for (size_t i = 0; i < used.size(); i++)
    if (used[i]) add_gradients(*e.threads[i].gradients, out);
  *loss = 0;
  for (double l : losses) *loss += l;
  return 0;
}

#ifdef STAGE_TIMES
// The calling thread's ticks by stage since the last call: [layer][direction][kind].
EXPORT void engine_stages(int64_t* out) {
  std::memcpy(out, Stage::ticks(), STAGES * sizeof(int64_t));
  std::memset(Stage::ticks(), 0, STAGES * sizeof(int64_t));
}
#endif
}
