// Where the time goes: ticks by layer, direction and kind of work, counted without overlap.
//
// Compiled with -DSTAGE_TIMES. Otherwise a Stage is nothing. A tick's length is for the caller to
// find, from the wall-clock time of what it ran. A test has a STAGE_CLOCK that counts operations.
#pragma once

#include <cstdint>

enum StageKind { STAGE_OTHER, STAGE_TRANSFORM, STAGE_MULTIPLY, STAGE_WEIGHTS, STAGE_KINDS };
enum StageDirection { STAGE_FORWARD, STAGE_BACKWARD, STAGE_DIRECTIONS };
constexpr int STAGE_LAYERS = 256;  // layer 0 is what belongs to none: steps, objective, images
constexpr int STAGES = STAGE_LAYERS * STAGE_DIRECTIONS * STAGE_KINDS;

#ifdef STAGE_TIMES
#include <chrono>

// Inside a stage another one may begin; the outer one's clock then stands still.
class Stage {
 public:
  explicit Stage(StageKind kind) : Stage(base_, kind) {}
  Stage(int layer, StageDirection direction)
      : Stage((layer * STAGE_DIRECTIONS + direction) * STAGE_KINDS, STAGE_OTHER) {}
  ~Stage() {
    tick();
    base_ = outer_base_;
    current_ = outer_current_;
  }
  // The calling thread's clock runs from here to `stop`.
  static void start() { last_ = now(); }
  static void stop() { tick(); }
  static int64_t* ticks() { return ticks_; }

 private:
  Stage(int base, StageKind kind) : outer_base_(base_), outer_current_(current_) {
    tick();
    base_ = base;
    current_ = base + kind;
  }
  // The processor's own counter where there is one: a stage may last less than a microsecond.
  static int64_t now() {
#if defined(STAGE_CLOCK)
    return STAGE_CLOCK;
#elif defined(__x86_64__)
    return (int64_t)__builtin_ia32_rdtsc();
#else
    return std::chrono::steady_clock::now().time_since_epoch().count();
#endif
  }
  static void tick() {
    int64_t t = now();
    ticks_[current_] += t - last_;
    last_ = t;
  }
  int outer_base_, outer_current_;
  static inline thread_local int base_ = 0, current_ = 0;
  static inline thread_local int64_t last_ = 0;
  static inline thread_local int64_t ticks_[STAGES] = {};
};
#else
struct Stage {
  static void start() {}
  static void stop() {}
  explicit Stage(StageKind) {}
  Stage(int, StageDirection) {}
  ~Stage() {}  // not trivial, so that an unused variable draws no warning
};
#endif
