// Products of a chain of matrices by OpenMP threads, each calling one given SGEMM.
//
// A plain C interface, for ctypes. Matrices are float32, row by row, one after another in `dims`:
// matrix i has dims[i] rows and dims[i + 1] columns. A product is three numbers (a, b, c): matrices
// a..b-1, multiplied before, times matrices b..c-1. What is known of a span stands in slot `a`.
// Every function writes the whole product to `out` and returns 0, or a Failure.
//
// The caller decides how many threads SGEMM itself takes (torch.set_num_threads): 1 in `blocks` and
// `queue`, whose threads call it at the same time.
#include <omp.h>

#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <thread>
#include <utility>
#include <vector>

namespace {

enum Failure { TOO_FEW_THREADS = -2, NO_MEMORY = -3 };

// BLAS, 32-bit integers, columns first.
using Sgemm = void (*)(const char*, const char*, const int*, const int*, const int*, const float*,
                       const float*, const int*, const float*, const int*, const float*, float*,
                       const int*);

struct Block {
  std::unique_ptr<float[]> data;
  int64_t size = 0;
};

// Memory of products that are used up, for later products of the same thread.
class Spares {
 public:
  Block take(int64_t size) {
    size_t best = kept_.size();
    for (size_t i = 0; i < kept_.size(); i++)
      if (kept_[i].size >= size && (best == kept_.size() || kept_[i].size < kept_[best].size))
        best = i;
    if (best == kept_.size()) return {std::unique_ptr<float[]>(new float[size]), size};
    Block found = std::move(kept_[best]);
    kept_.erase(kept_.begin() + best);
    return found;
  }
  void keep(Block block) {
    if (!block.size) return;
    if (kept_.size() == MOST) kept_.erase(kept_.begin());
    kept_.push_back(std::move(block));
  }

 private:
  static constexpr size_t MOST = 4;
  std::vector<Block> kept_;
};

class Chain {
 public:
  Chain(void* gemm, int64_t count, const int64_t* dims, const float* const* matrices)
      : gemm_(reinterpret_cast<Sgemm>(gemm)), dims_(dims), slots_(count), data_(count) {
    for (int64_t i = 0; i < count; i++) data_[i] = matrices[i];
  }

  // Slot a becomes slot a times slot b.
  void multiply(int64_t a, int64_t b, int64_t c, Spares& spares) {
    const int m = dims_[a], k = dims_[b], n = dims_[c];
    const float one = 1, zero = 0;
    Block made = spares.take(int64_t(m) * n);
    // Rows first is columns first of the transposed: C' = B' A'.
    gemm_("N", "N", &n, &m, &k, &one, data_[b], &n, data_[a], &k, &zero, made.data.get(), &n);
    spares.keep(std::move(slots_[a]));
    spares.keep(std::move(slots_[b]));
    data_[a] = made.data.get();
    slots_[a] = std::move(made);
  }

  void copy(float* out) const {
    std::memcpy(out, data_[0], sizeof(float) * dims_[0] * dims_[slots_.size()]);
  }

 private:
  Sgemm gemm_;
  const int64_t* dims_;
  std::vector<Block> slots_;           // products; empty for the chain's own matrices
  std::vector<const float*> data_;     // what stands in a slot
};

// Whole spans of the chain in order, each free or in a product, and pairs of neighbours to multiply.
class Queue {
 public:
  explicit Queue(int64_t count) : spans_(count), left_(count - 1) {
    pairs_.reserve(count);  // so that no push needs memory
    for (int64_t i = 0; i < count; i++) spans_[i] = {i - 1, i + 1, true};
    for (int64_t i = 0; i + 1 < count; i += 2) claim(i);
  }
  bool finished() const { return left_ == 0; }

  // The pair that waits longest: a, b and the end c of b.
  bool take(int64_t (&pair)[3]) {
    if (next_ == pairs_.size()) return false;
    pair[0] = pairs_[next_++];
    pair[1] = spans_[pair[0]].end;
    pair[2] = spans_[pair[1]].end;
    return true;
  }

  // The product is free, and multiplied with a neighbour that is free too: first the left one.
  void done(const int64_t (&pair)[3]) {
    Span& span = spans_[pair[0]];
    span.end = pair[2];
    span.free = true;
    if (pair[2] < int64_t(spans_.size())) spans_[pair[2]].before = pair[0];
    left_--;
    if (span.before >= 0 && spans_[span.before].free) claim(span.before);
    else if (span.end < int64_t(spans_.size()) && spans_[span.end].free) claim(pair[0]);
  }

 private:
  struct Span {
    int64_t before, end;  // where the neighbours begin
    bool free;
  };
  void claim(int64_t a) {
    spans_[a].free = spans_[spans_[a].end].free = false;
    pairs_.push_back(a);
  }
  std::vector<Span> spans_;
  std::vector<int64_t> pairs_;  // all that there ever were
  size_t next_ = 0;
  int64_t left_;
};

}  // namespace

extern "C" {

// The products of `order`, one after another, on the calling thread.
int chain_in_order(void* gemm, int64_t count, const int64_t* dims, const float* const* matrices,
                   const int64_t* order, float* out) try {
  Chain chain(gemm, count, dims, matrices);
  Spares spares;
  for (int64_t i = 0; i < count - 1; i++, order += 3)
    chain.multiply(order[0], order[1], order[2], spares);
  chain.copy(out);
  return 0;
} catch (const std::bad_alloc&) {
  return NO_MEMORY;
}

// Thread t multiplies matrices starts[t] .. starts[t + 1] - 1 from left to right; then the calling
// thread multiplies the threads' products from left to right.
int chain_blocks(void* gemm, int64_t count, const int64_t* dims, const float* const* matrices,
                 const int64_t* starts, int threads, float* out) try {
  Chain chain(gemm, count, dims, matrices);
  int failure = 0;
#pragma omp parallel num_threads(threads) reduction(min : failure)
  {
    const int t = omp_get_thread_num();
    try {
      Spares spares;
      if (omp_get_num_threads() != threads) failure = TOO_FEW_THREADS;
      else
        for (int64_t i = starts[t] + 1; i < starts[t + 1]; i++)
          chain.multiply(starts[t], i, i + 1, spares);
    } catch (const std::bad_alloc&) {
      failure = NO_MEMORY;
    }
  }
  if (failure) return failure;
  Spares spares;
  for (int t = 1; t < threads; t++) chain.multiply(0, starts[t], starts[t + 1], spares);
  chain.copy(out);
  return 0;
} catch (const std::bad_alloc&) {
  return NO_MEMORY;
}

// Threads take pairs of neighbours from a queue, first in first out. `order` gets the products in
// the order in which they began, which is an order for chain_in_order.
int chain_queue(void* gemm, int64_t count, const int64_t* dims, const float* const* matrices,
                int threads, int64_t* order, float* out) try {
  Chain chain(gemm, count, dims, matrices);
  Queue queue(count);
  int failure = 0;
#pragma omp parallel num_threads(threads)
  {
    Spares spares;
    int64_t pair[3];
    bool working = omp_get_num_threads() == threads;
    if (!working) {
#pragma omp critical(chain_queue_pairs)
      failure = TOO_FEW_THREADS;
    }
    while (working) {
      bool taken = false;
#pragma omp critical(chain_queue_pairs)
      {
        working = !queue.finished() && !failure;
        if (working && (taken = queue.take(pair))) {
          std::memcpy(order, pair, sizeof pair);
          order += 3;
        }
      }
      if (!taken) {
        std::this_thread::yield();
        continue;
      }
      try {
        chain.multiply(pair[0], pair[1], pair[2], spares);
#pragma omp critical(chain_queue_pairs)
        queue.done(pair);
      } catch (const std::bad_alloc&) {
#pragma omp critical(chain_queue_pairs)
        failure = NO_MEMORY;
        working = false;
      }
    }
  }
  if (failure) return failure;
  chain.copy(out);
  return 0;
} catch (const std::bad_alloc&) {
  return NO_MEMORY;
}
}
