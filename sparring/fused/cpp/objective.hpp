// What is ascended or minimised: gradients with respect to the logits, image by image.
//
// The true class's entry of a cross-entropy's gradient is minus the sum of the other
// probabilities. Its other form, p - 1, cancels to noise in float32 once the network is confident.
#pragma once

#include "lanes.hpp"

enum Objective {
  CROSS_ENTROPY = 0,  // -log p_y
  LOG_ODDS = 1,       // log((1 - p_y) / p_y): the same direction, and never vanishing
  STUDY = 2,          // sum_j z_j - 2 z_y, the original study's
  MARGIN = 3,         // max_{j != y} z_j - z_y
};

// Logits z become the gradient of the objective, for one image of label y; returns -log p_y.
template <int CLASSES>
inline float objective_gradient(Objective objective, int64_t y, float* z) {
  if (objective == STUDY) {
    for (int c = 0; c < CLASSES; c++) z[c] = 1.0f;
    z[y] = -1.0f;
    return 0.0f;
  }
  if (objective == MARGIN) {
    int best = y == 0;  // the first of equals, as PyTorch's max; NaN above all
    for (int c = best + 1; c < CLASSES; c++)
      if (c != y && !(z[c] <= z[best]) && z[best] == z[best]) best = c;
    for (int c = 0; c < CLASSES; c++) z[c] = 0.0f;
    z[best] = 1.0f;
    z[y] = -1.0f;
    return 0.0f;
  }
  float largest = -INFINITY, others = 0;
  for (int c = 0; c < CLASSES; c++)
    if (c != y) largest = z[c] > largest ? z[c] : largest;
  float odds = z[y] - largest;  // of the true class against the best other one, as a logarithm
  for (int c = 0; c < CLASSES; c++)
    if (c != y) {
      z[c] = std::exp(z[c] - largest);
      others += z[c];
    }
  // log((1 - p_y) / p_y) = log(others) - odds.
  float against = std::log(others) - odds;
  float scale = objective == LOG_ODDS ? 1.0f : 1.0f / (1.0f + std::exp(-against));
  for (int c = 0; c < CLASSES; c++) z[c] *= scale / others;
  z[y] = -scale;
  return against > 0 ? against + std::log1p(std::exp(-against)) : std::log1p(std::exp(against));
}

// The same of LANES images, one to a lane, without the cross-entropy itself: logits `values` become the
// gradient, from image `count` on zero.
template <int CLASSES, class Values>
inline void objective_gradients(Objective objective, const int64_t* labels, int64_t count, Values* values) {
  if (objective == STUDY || objective == MARGIN) {
    for (int i = 0; i < LANES; i++) {
      float z[CLASSES] = {};
      for (int c = 0; c < CLASSES && i < count; c++) z[c] = values[c][i];
      if (i < count) objective_gradient<CLASSES>(objective, labels[i], z);
      for (int c = 0; c < CLASSES; c++) values[c][i] = z[c];
    }
    return;
  }
  Ints label;
  for (int i = 0; i < LANES; i++) label[i] = i < count ? (int32_t)labels[i] : -1;
  const Vec lowest = broadcast(-INFINITY), zero{};
  Vec z[CLASSES], largest = lowest, true_one{}, others{};
  for (int c = 0; c < CLASSES; c++) {
    z[c] = values[c];
    largest = most(label == c ? lowest : z[c], largest);
    true_one = label == c ? z[c] : true_one;
  }
  for (int c = 0; c < CLASSES; c++) {
    z[c] = label == c ? zero : exponential(z[c] - largest);
    others += z[c];
  }
  // The others' probability: others / (others + exp(odds)), written with the exponential that is below 1,
  // which is 0 from where float32 has no normal numbers.
  const Vec odds = true_one - largest, size = magnitude(odds);
  const Vec small = choose(above(size, broadcast(88.0f)), zero, exponential(-size));
  const Mask ahead = above(odds, zero);
  const Vec over = choose(ahead, others * small, others), under = choose(ahead, broadcast(1.0f), small);
  const Vec scale = objective == LOG_ODDS ? broadcast(1.0f) : over / (over + under), each = scale / others;
  for (int c = 0; c < CLASSES; c++) {
    const Vec slope = label == c ? -scale : z[c] * each;
    values[c] = label < 0 ? zero : slope;
  }
}
