// The layers of the network joined: some blocks of LANES images up to their logits and back. A block
// goes by itself through all layers but the dense ones, which all blocks go through together.
//
// Depth first: every layer hands each finished row on at once, so that a row is still in cache
// when the next layer reads it, forward and backward alike. A value that two layers take goes to
// both of them, row by row, and the rows of its gradient wait for each other (`graph.hpp`). Attacks cut
// residual networks into sections, and go depth first through each (`sections.hpp`).
#pragma once

#include <tuple>

#include "ascent.hpp"
#include "layer_kernels.hpp"
#include "transpose.hpp"

// One thread's state for some blocks of images, or for one that TRAIN keeps what the weights' gradients
// need of. All of it begins as zero bytes.
template <bool TRAIN>
class Chain {
 public:
  using Weights = Network::Weights;
  using Gradients = Network::Gradients;
  static constexpr int BLOCKS = TRAIN || TOGETHER < LANES ? 1 : TOGETHER / LANES;
  static constexpr int WIDTH = BLOCKS * LANES;  // images, at most
  // Whether the first dense layer uses each row as it comes: that of a single block, in cache.
  static constexpr bool STREAMS = BLOCKS == 1 && !TRAIN;
  // Whether the images themselves are what it takes, and their gradient what it gives.
  static constexpr bool BARE = CONVOLUTIONS == 0 && !NORMALIZED && !STREAMS && !TRAIN;

  // Takes images first.. of n, (channel, row, column) each, and what an attack stays close to.
  // Lanes without an image repeat the last, so that they stay finite.
  void load(const float* images, int64_t n, int64_t first) {
    blocks_ = n - first < WIDTH ? (int)((n - first + LANES - 1) / LANES) : BLOCKS;
    for (int b = 0; b < blocks_; b++) to_lanes(images, n, first + b * LANES, image_[b]);
  }
  void load_centre(const float* images, int64_t n, int64_t first) {
    for (int b = 0; b < blocks_; b++) to_lanes(images, n, first + b * LANES, centre_[b]);
  }
  void store(float* images, int64_t n, int64_t first) const {
    for (int b = 0; b < blocks_; b++) from_lanes(image_[b], images, n, first + b * LANES);
  }
  void store_gradient(float* images, int64_t n, int64_t first) const {
    for (int b = 0; b < blocks_; b++) from_lanes(gradient_[b], images, n, first + b * LANES);
  }
  // Lanes of the blocks that there are.
  int lanes() const { return blocks_ * LANES; }
  float logit(int c, int lane) const { return last_dense().value[lane / LANES][c][lane % LANES]; }
  Vec* logits(int block) { return last_dense().value[block]; }  // [class]
  void set_logit(int c, int lane, float z) { last_dense().value[lane / LANES][c][lane % LANES] = z; }

  // A step along the gradient that `backward` left.
  void ascend(const Settings& settings) {
    for (int b = 0; b < blocks_; b++)
      step<PIXELS, ImagesInLanes>(settings, gradient_[b], centre_[b], image_[b]);
  }

  // Images to logits.
  void forward(const Network::Weights& weights) {
    weights_ = &weights;
    if constexpr (BARE) return forward_denses<0>(image_[0]);
    constexpr int ROW = RowsOf<-1>::ROW;
    Below<-1> first{*this};
    if constexpr (STREAMS) first_dense().begin(1, std::get<CONVOLUTIONS>(weights));
    for (block_ = 0; block_ < blocks_; block_++) {
      take_kept();
      const Vec* image = image_[block_];
      for (int y = 0; y < RowsOf<-1>::COUNT; y++) {
        Vec* slot = first.slot(y);
        for (int i = 0; i < ROW; i++)
          slot[i] = NORMALIZED ? SCALE[i % CHANNELS] * image[y * ROW + i] + SHIFT[i % CHANNELS]
                               : image[y * ROW + i];
        first.arrived(y);
      }
      forward_sections<0>();
    }
    forward_denses<0>(inputs_[0]);
  }

  // From the gradient by the logits, in their place, to that by the image, or by the weights.
  void backward(const Weights& weights, Gradients* gradients) {
    weights_ = &weights;
    gradients_ = gradients;
    backward_denses<DENSES - 1>();
    if constexpr (!BARE && (CONVOLUTIONS > 0 || !TRAIN))
      for (block_ = 0; block_ < blocks_; block_++) {
        take_kept();
        for (int y = 0; y < FirstDense::ROWS; y++) {
          Vec* row = slot_of<CONVOLUTIONS, 0>(y);
          if constexpr (STREAMS) {
            Stage stage(CONVOLUTIONS + 1, STAGE_BACKWARD);
            first_dense().backward(row, y, y + 1, 1, std::get<CONVOLUTIONS>(weights));
          }
          deliver<CONVOLUTIONS, CONVOLUTIONS - 1>(y, row);
        }
        backward_sections<CONVOLUTIONS - 1>();
      }
  }

 private:
  using FirstDense = typename At<Denses, 0>::type;
  using Values = JoinsOf<TRAIN, std::make_integer_sequence<int, CONVOLUTIONS + 1>>;
  using Layers = typename Network::template Layers<TRAIN, BLOCKS>;
  using Plan = ScratchPlan<!TRAIN, Layers>;
  static constexpr int PLANE = HEIGHT * COLUMNS;  // pixels of a channel
  auto& first_dense() { return std::get<CONVOLUTIONS>(layers_); }
  auto& last_dense() { return std::get<LAYERS - 1>(layers_); }
  const auto& last_dense() const { return std::get<LAYERS - 1>(layers_); }

  // What layers keep of a block is this one's now.
  template <int I = 0>
  void take_kept() {
    if constexpr (I < CONVOLUTIONS) {
      auto& layer = std::get<I>(layers_);
      auto& kept = std::get<I>(kept_[block_]);
      using Scratch = typename ScratchOf<std::decay_t<decltype(layer)>>::type;
      if constexpr (std::is_void_v<Scratch>) layer.use(kept);
      else layer.use(kept, *reinterpret_cast<Scratch*>(scratch_ + Plan::before(I)));
      take_kept<I + 1>();
    }
  }

  // Whether value V is whole before any layer takes of it, and whether layer I is an addition to such a one.
  template <int V>
  static constexpr bool WHOLE = !TRAIN && cut(V);
  template <int I>
  static constexpr bool BESIDE = !TRAIN && standing(I) >= 0;
  template <int I>
  static constexpr bool beside() {
    if constexpr (I >= CONVOLUTIONS) return false;
    else return BESIDE<I>;
  }
  // Whether V is whole, and an addition the first of two that give its gradient.
  template <int V>
  static constexpr bool stands() {
    if constexpr (!WHOLE<V>) return false;
    else return takers(V) == 2 && is_addition(taker(V, 0).layer);
  }

  // Whether addition I takes V and another that is whole, as its sum is.
  template <int V, int I>
  static constexpr bool adds() {
    if constexpr (V < 0 || I >= CONVOLUTIONS) return false;
    else return BESIDE<I> && WHOLE<I> && Puts<std::tuple_element_t<V, Layers>>::value;
  }

  // Whether layer I takes the rows of V where they stand. Not if it puts its own row into the sum there: it
  // reads the row's other numbers until all of them are made.
  template <int V, int I>
  static constexpr bool takes() {
    if constexpr (!WHOLE<V> || I >= CONVOLUTIONS) return false;
    else
      return Takes<std::tuple_element_t<I, Layers>>::value && read_in_place(V, I) &&
             !adds<I, taker(I, 0).layer>();
  }

  // Where value V goes.
  template <int V>
  struct Below {
    static constexpr Taker FIRST = taker(V, 0), SECOND = taker(V, 1);
    // Whether its rows become, as they are made, those of a sum that is whole.
    static constexpr bool ADDS = !WHOLE<V> && adds<V, FIRST.layer>();
    Chain& chain;
    Vec* slot(int y) const {
      if constexpr (WHOLE<V>) return chain.template whole<V>(y);
      else return chain.template slot_of<FIRST.layer, FIRST.port>(y);
    }
    auto row(int y) const {
      if constexpr (ADDS) return chain.template sum_of<FIRST.layer>(y);
      else return slot(y);
    }
    void arrived(int y) const {
      if constexpr (!WHOLE<V> && !ADDS) hand_on(y, slot(y));
    }
    // Row y, which is in the first taker's slot, or else is brought there. An addition reads a whole
    // value where it stands.
    void hand_on(int y, const Vec* row) const {
      if constexpr (takers(V) == 2) give<SECOND>(y, row);
      give<FIRST>(y, row);
      forward<FIRST>(y);
      if constexpr (takers(V) == 2) forward<SECOND>(y);
    }

   private:
    template <const Taker& T>
    static constexpr bool READS = WHOLE<V> && is_addition(T.layer);
    template <const Taker& T>
    void give(int y, const Vec* row) const {
      if constexpr (READS<T>) return;
      if constexpr (takes<V, T.layer>()) return std::get<T.layer>(chain.layers_).take(y, row);
      Vec* to = chain.template slot_of<T.layer, T.port>(y);
      if (to != row) std::memcpy((void*)to, (const void*)row, sizeof(Vec) * RowsOf<V>::ROW);
    }
    template <const Taker& T>
    void forward(int y) const {
      if constexpr (!READS<T>) chain.template forward_row<T.layer, T.port>(y);
    }
  };

  // Where the gradient of what layer I takes goes.
  template <int I>
  struct Above {
    static constexpr int ONE = source(I, 0), OTHER = source(I, 1);
    static constexpr bool WANTED = !TRAIN || ONE >= 0 || OTHER >= 0;
    // Whether it is added to what an addition gave, which stands where the gradient is summed up.
    static constexpr bool ADDS = OTHER == NO_VALUE && stands<ONE>();
    // Whether the rows that the layer gets stand where they are until it has given what it makes of them.
    static constexpr bool STANDS = WHOLE<I> || (takers(I) == 1 && beside<taker(I, 0).layer>());
    Chain& chain;
    Vec* sum(int y) const { return chain.template whole<ONE>(y); }
    void arrived(int y, const Vec* row) const {
      chain.template deliver<I, ONE>(y, row);
      if constexpr (OTHER != NO_VALUE) chain.template deliver<I, OTHER>(y, row);
    }
  };

  template <int V>
  Vec* whole(int y) { return whole_[place(V)] + RowsOf<V>::SIDE + y * RowsOf<V>::STEP; }

  // Sections one after the other, from their first values on, and back.
  template <int V>
  void forward_sections() {
    if constexpr (V < CONVOLUTIONS) {
      if constexpr (WHOLE<V>) {
        const auto clear = [&](int y) {  // before row y, and behind the row above
          std::memset((void*)(whole<V>(y) - RowsOf<V>::SIDE), 0, sizeof(Vec) * RowsOf<V>::SIDE);
        };
        clear(0);
        for (int y = 0; y < RowsOf<V>::COUNT; y++) {
          clear(y + 1);
          Below<V>{*this}.hand_on(y, whole<V>(y));
        }
      }
      forward_sections<V + 1>();
    }
  }
  template <int V>
  void backward_sections() {
    if constexpr (V >= 0) {
      if constexpr (WHOLE<V>)
        for (int y = 0; y < RowsOf<V>::COUNT; y++) backward_row<V>(y, whole<V>(y));
      backward_sections<V - 1>();
    }
  }

  template <int I, int PORT>
  Vec* slot_of(int y) {
    if constexpr (BESIDE<I>) return std::get<I>(layers_).slot();
    else if constexpr (is_addition(I)) return std::get<I>(layers_).slot(PORT, y);
    else if constexpr (I < CONVOLUTIONS) return std::get<I>(layers_).slot(y);
    else return inputs_[block_] + (STREAMS ? 0 : y * FirstDense::ROW);
  }

  // Row y of the sum that addition I makes.
  template <int I>
  auto sum_of(int y) {
    return std::get<I>(layers_).row(y, whole<source(I, standing(I))>(y), whole<I>(y));
  }

  // Row y of what layer I takes is in its slot. Dense layers may wait for all rows of all blocks.
  template <int I, int PORT = 0>
  void forward_row(int y) {
    if constexpr (I < CONVOLUTIONS || STREAMS) {
      Stage stage(I + 1, STAGE_FORWARD);
      auto& layer = std::get<I>(layers_);
      const auto& weights = std::get<I>(*weights_);
      if constexpr (BESIDE<I>) layer.forward(y, whole<source(I, standing(I))>(y), Below<I>{*this});
      else if constexpr (is_addition(I)) layer.forward(PORT, y, Below<I>{*this});
      else if constexpr (I < CONVOLUTIONS) layer.forward(y, weights, Below<I>{*this});
      else layer.forward(inputs_[0], y, y + 1, 1, weights);
    }
  }

  // Row y of the gradient of value V, or of the part of it that layer I gives.
  template <int I, int V>
  void deliver(int y, const Vec* row) {
    constexpr int STREAM = I == taker(V, 0).layer ? 0 : 1, ROW = RowsOf<V>::ROW;
    if constexpr (V < 0 && TRAIN) return;
    else if constexpr (takers(V) == 1) backward_row<V>(y, row);
    else if constexpr (WHOLE<V>) {
      Vec* sum = whole<V>(y);
      bool both = true;
      if constexpr (!is_addition(taker(V, 0).layer)) {
        auto& meeting = std::get<V + 1>(joins_);
        both = meeting.waited_for(STREAM, y);
        meeting.arrived(STREAM, y);
      }
      if (both)
        for (int i = 0; i < ROW; i++) sum[i] += row[i];
      else
        std::memcpy((void*)sum, (const void*)row, sizeof(Vec) * ROW);
    } else {
      auto& join = std::get<V + 1>(joins_);
      const bool both = join.waited_for(STREAM, y);
      join.arrived(STREAM, y);
      Vec* sum = join.waiting(y);
      if (!both) {
        std::memcpy((void*)sum, (const void*)row, sizeof(Vec) * ROW);
        return;
      }
      for (int i = 0; i < ROW; i++) sum[i] += row[i];
      backward_row<V>(y, sum);
      join.give_back(y);
    }
  }

  // Dense layers from D on, of the inputs [block][row][slot].
  template <int D>
  void forward_denses(const Vec* in) {
    constexpr int I = CONVOLUTIONS + D;
    auto& layer = std::get<I>(layers_);
    if constexpr (D > 0 || !STREAMS) {
      Stage stage(I + 1, STAGE_FORWARD);
      const auto& weights = std::get<I>(*weights_);
      layer.begin(blocks_, weights);
      layer.forward(in, 0, At<Denses, D>::type::ROWS, blocks_, weights);
    }
    layer.finish(blocks_);
    if constexpr (D + 1 < DENSES) forward_denses<D + 1>(layer.value[0]);
  }

  // Dense layers from D back: the gradient of each one's inputs in their place, but where they stream.
  template <int D>
  void backward_denses() {
    constexpr int I = CONVOLUTIONS + D;
    using S = typename At<Denses, D>::type;
    auto& layer = std::get<I>(layers_);
    typename DenseLayer<S>::Gradient* gradient = nullptr;
    if constexpr (TRAIN) gradient = &std::get<I>(*gradients_);
    layer.begin_backward(blocks_, gradient);
    Vec* in = BARE ? gradient_[0] : inputs_[0];
    if constexpr (D > 0) in = std::get<I - 1>(layers_).value[0];
    {
      Stage stage(I + 1, STAGE_BACKWARD);
      if constexpr (TRAIN)
        for (int y = 0; y < S::ROWS; y++) layer.gradient_row(y, in + y * S::ROW, gradient);
      if constexpr (D > 0 || (!STREAMS && (I > 0 || !TRAIN)))
        layer.backward(in, 0, S::ROWS, blocks_, std::get<I>(*weights_));
    }
    if constexpr (D > 0) backward_denses<D - 1>();
  }

  // The gradient of value I is complete in row y.
  template <int I>
  void backward_row(int y, const Vec* row) {
    if constexpr (I >= 0) {
      Stage stage(I + 1, STAGE_BACKWARD);
      using S = typename At<Convolutions, I>::type;
      typename ConvolutionOf<S>::Gradient* gradient = nullptr;
      if constexpr (TRAIN) gradient = &std::get<I>(*gradients_);
      if constexpr (BESIDE<I>) {
        Vec* sum = whole<source(I, standing(I))>(y);
        std::get<I>(layers_).backward(y, row, sum);
        deliver<I, source(I, 1 - standing(I))>(y, sum);
      } else {
        std::get<I>(layers_).backward(y, row, std::get<I>(*weights_), gradient, Above<I>{*this});
      }
    } else {
      constexpr int ROW = RowsOf<-1>::ROW;
      for (int i = 0; i < ROW; i++)
        gradient_[block_][y * ROW + i] = NORMALIZED ? SCALE[i % CHANNELS] * row[i] : row[i];
    }
  }

  static void to_lanes(const float* images, int64_t n, int64_t first, Vec* out) {
    const float* from[LANES];
    for (int c = 0; c < CHANNELS; c++) {
      for (int i = 0; i < LANES; i++)
        from[i] = images + (first + i < n ? first + i : n - 1) * PIXELS + c * PLANE;
      ::to_lanes<PLANE, CHANNELS>(from, out + c);
    }
  }

  static void from_lanes(const Vec* in, float* images, int64_t n, int64_t first) {
    const int count = n - first < LANES ? (int)(n - first) : LANES;
    for (int c = 0; c < CHANNELS; c++)
      ::from_lanes<PLANE, CHANNELS, PIXELS>(in + c, images + first * PIXELS + c * PLANE, count);
  }

  int blocks_, block_;  // that there are, and the one that is on its way
  Vec image_[BLOCKS][PIXELS], centre_[BLOCKS][PIXELS];  // [row][column][channel]
  Vec gradient_[BLOCKS][PIXELS];                        // of the objective, by the image
  const Network::Weights* weights_;
  Network::Gradients* gradients_;
  Layers layers_;
  typename Network::template Kept<TRAIN> kept_[BLOCKS];
  typename Values::type joins_;
  alignas(64) unsigned char scratch_[Plan::all()];
  Vec whole_[2][Values::LARGEST];
  // Inputs of the first dense layer, or their gradient; a row of them if they stream.
  Vec inputs_[BLOCKS][BARE ? 1 : STREAMS ? FirstDense::ROW : FirstDense::INPUTS];
};
