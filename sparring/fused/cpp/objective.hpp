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
