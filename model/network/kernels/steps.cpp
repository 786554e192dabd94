// One step of a whole network, for generation; fused_stepping.py does the rest.
//
// Shapes: L layers, B rows, H units, S = H rounded up to a multiple of 16, V symbols, W = V rounded
// up to a multiple of 64, I = kInner.

#include <algorithm>
#include <cmath>
#include <vector>

#include "tiles.h"

namespace {

constexpr float kNormEpsilon = 1e-5f;  // torch's

// Mask of the next 16 positions that exist, given how many are left.
inline __mmask16 there(Index left) {
  return left >= kLanes ? 0xffff : left > 0 ? (1 << left) - 1 : 0;
}

// 64 logits of a step, or fewer.
struct OutputTile {
  Index size, vocabulary, column;
  const Number* weights;
  const float* bias;       // (W,)
  const Number* values;  // (B, S)
  float* logits;           // (B, V)

  template <int R>
  void run(Index row) const {
    Vector sums[R][kColumns];
    for (int r = 0; r < R; ++r)
      for (int c = 0; c < kColumns; ++c) sums[r][c] = load(bias + column + c * kLanes);
    multiply(values + row * size, size, weights + column * size, size, sums);
    for (int r = 0; r < R; ++r)
      for (int c = 0; c < kColumns; ++c) {
        const Index symbol = column + c * kLanes;
        _mm512_mask_storeu_ps(logits + (row + r) * vocabulary + symbol, there(vocabulary - symbol),
                              sums[r][c]);
      }
  }
};

// Layer norm of a row of H values; scale and shift (S,) are 0 beyond H.
void normalize(Index hidden, Index size, const float* scale, const float* shift,
               const Number* values, Number* normalized) {
  Vector sum = constant(0), squares = constant(0);
  for (Index unit = 0; unit < size; unit += kLanes) sum = _mm512_add_ps(sum, load(values + unit));
  const float mean = _mm512_reduce_add_ps(sum) / hidden;
  for (Index unit = 0; unit < size; unit += kLanes) {
    const Vector apart =
        _mm512_maskz_sub_ps(there(hidden - unit), load(values + unit), constant(mean));
    squares = _mm512_fmadd_ps(apart, apart, squares);
  }
  const float deviation = std::sqrt(_mm512_reduce_add_ps(squares) / hidden + kNormEpsilon);
  for (Index unit = 0; unit < size; unit += kLanes) {
    const Vector apart = _mm512_sub_ps(load(values + unit), constant(mean));
    const Vector factor = _mm512_div_ps(load(scale + unit), constant(deviation));
    store(normalized + unit, _mm512_fmadd_ps(apart, factor, load(shift + unit)));
  }
}

}  // namespace

// Laid out by fused_stepping.py.
struct Layer {
  const Number* input_weights;  // packed by lstm_pack; null in the first layer
  const Number* weights;
  const float* bias;              // (4, S)
  const float* norm_scale;        // (S,); null without layer norm
  const float* norm_shift;
};

struct Network {
  Index num_layers, hidden, size, vocabulary;  // L, H, S, V
  const Layer* layers;
  const Number* table;           // (V, 4, S): a symbol's contribution to the first layer's gates
  const Number* output_weights;  // W / 64 blocks of S / I groups of values, 64 symbols, I values
  const float* output_bias;        // (W,)
};

// One more symbol per row: hidden (L, B, S) and logits (B, V) are filled, cells (L, B, S)
// overwritten. Returns false and changes nothing if a symbol is not in the table.
extern "C" bool lstm_next(const Network* network, Index rows, const Index* symbols,
                          const Number* hidden_before, Number* hidden, float* cells,
                          float* logits) {
  const Index size = network->size, state = rows * size, width = kGates * size;
  for (Index row = 0; row < rows; ++row)
    if (symbols[row] < 0 || symbols[row] >= network->vocabulary) return false;
  std::vector<Number> gates(rows * width), normalized(state);
  const Number* values = nullptr;
  for (Index number = 0; number < network->num_layers; ++number) {
    const Layer& layer = network->layers[number];
    for (Index row = 0; row < rows; ++row)
      if (number == 0)
        std::copy_n(network->table + symbols[row] * width, width, gates.data() + row * width);
      else
        std::fill_n(gates.data() + row * width, width, Number{0});
    lstm_step(rows, size, values, layer.input_weights, layer.weights, layer.bias,
              hidden_before + number * state, cells + number * state, gates.data(),
              hidden + number * state, cells + number * state);
    values = hidden + number * state;
    if (layer.norm_scale) {
      for (Index row = 0; row < rows; ++row)
        normalize(network->hidden, size, layer.norm_scale, layer.norm_shift, values + row * size,
                  normalized.data() + row * size);
      values = normalized.data();
    }
  }
  for (Index column = 0; column < network->vocabulary; column += kColumns * kLanes)
    for_rows(OutputTile{size, network->vocabulary, column, network->output_weights,
                        network->output_bias, values, logits},
             rows);
  return true;
}
