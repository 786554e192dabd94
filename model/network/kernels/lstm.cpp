// The recurrence of an LSTM layer, forward and backward, for lstm.py; and one step of a whole
// network, for fused_stepping.py.
//
// Shapes: T steps, B rows, H units, S = H rounded up to a multiple of 16 (the units beyond H have
// weights of 0 and stay 0), 4 gates in torch's order: input, forget, cell, output. L layers,
// V symbols, W = V rounded up to a multiple of 64, I = kInner.

#include <algorithm>
#include <cmath>
#include <vector>

#include "tiles.h"

namespace {

// 16 units of one step, all 4 gates.
struct ForwardTile {
  Index size, unit;
  const Number* inputs;         // (B, S) with their own weights, or null
  const Number* input_weights;
  const Number* weights;
  const float* bias;            // (4, S)
  const Number* hidden_before;  // (B, S)
  const float* cell_before;     // (B, S)
  Number* gates;                // (B, 4, S): contributions of other inputs, then the gates
  Number* hidden;
  float* cell;

  template <int R>
  void run(Index row) const {
    Vector sums[R][kGates];
    for (int r = 0; r < R; ++r)
      for (int gate = 0; gate < kGates; ++gate)
        sums[r][gate] = _mm512_add_ps(load(gates + ((row + r) * kGates + gate) * size + unit),
                                      load(bias + gate * size + unit));
    if (inputs)
      multiply(inputs + row * size, size, input_weights + unit * kGates * size, size, sums);
    multiply(hidden_before + row * size, size, weights + unit * kGates * size, size, sums);
    for (int r = 0; r < R; ++r) {
      const Index place = (row + r) * size + unit;
      const Vector activated[kGates] = {sigmoid(sums[r][0]), sigmoid(sums[r][1]),
                                        tanh(sums[r][2]), sigmoid(sums[r][3])};
      for (int gate = 0; gate < kGates; ++gate)
        store(gates + ((row + r) * kGates + gate) * size + unit, activated[gate]);
      const Vector now = _mm512_fmadd_ps(activated[1], load(cell_before + place),
                                         _mm512_mul_ps(activated[0], activated[2]));
      store(cell + place, now);
      store(hidden + place, _mm512_mul_ps(activated[3], tanh(now)));
    }
  }
};

// All units of a step; tile.cell may be tile.cell_before.
inline void run_step(ForwardTile tile, Index rows) {
  for (; tile.unit < tile.size; tile.unit += kLanes) for_rows(tile, rows);
}

// 16 C units of one step.
template <int C>
struct BackwardTile {
  Index size, unit;
  const Number* weights;
  const Number* gradients_after;   // (B, 4, S) of the gates one step later; null at the last
  const Number* output_gradients;  // (B, S)
  const Number* gates;             // (B, 4, S)
  const float* cell_before;        // (B, S)
  const float* cell;
  float* cell_gradients;           // of the cell after this step, then before it
  Number* gradients;               // (B, 4, S) of the gates before sigmoid or tanh

  template <int R>
  void run(Index row) const {
    Vector sums[R][C];
    for (int r = 0; r < R; ++r)
      for (int c = 0; c < C; ++c)
        sums[r][c] = load(output_gradients + (row + r) * size + unit + c * kLanes);
    if (gradients_after)
      multiply(gradients_after + row * kGates * size, kGates * size,
               weights + unit * kGates * size, kGates * size, sums);
    for (int r = 0; r < R; ++r)
      for (int c = 0; c < C; ++c) finish(row + r, unit + c * kLanes, sums[r][c]);
  }

  inline void finish(Index row, Index first, Vector of_hidden) const {
    const Index place = row * size + first;
    const Number* gate = gates + row * kGates * size + first;
    const Vector input = load(gate), forget = load(gate + size);
    const Vector added = load(gate + 2 * size), output = load(gate + 3 * size);
    const Vector squashed = tanh(load(cell + place));
    const Vector of_cell =
        _mm512_add_ps(load(cell_gradients + place),
                      before_tanh(squashed, _mm512_mul_ps(of_hidden, output)));
    store(cell_gradients + place, _mm512_mul_ps(of_cell, forget));
    Number* to = gradients + row * kGates * size + first;
    store(to, before_sigmoid(input, _mm512_mul_ps(of_cell, added)));
    store(to + size, before_sigmoid(forget, _mm512_mul_ps(of_cell, load(cell_before + place))));
    store(to + 2 * size, before_tanh(added, _mm512_mul_ps(of_cell, input)));
    store(to + 3 * size, before_sigmoid(output, _mm512_mul_ps(of_hidden, squashed)));
  }
};

constexpr float kNormEpsilon = 1e-5f;  // torch's

// Mask of the next 16 positions that exist, given how many are left.
inline __mmask16 there(Index left) {
  return left >= kLanes ? 0xffff : left > 0 ? (1 << left) - 1 : 0;
}

// 64 logits of a step, or fewer.
struct OutputTile {
  Index size, vocabulary, column;
  const Number* weights;
  const float* bias;     // (W,)
  const Number* values;  // (B, S)
  float* logits;         // (B, V)

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

extern "C" {

// Pack weights (4, H, H) twice, 4 S S numbers each:
// forward (S / 16 blocks of units, S / I groups of inputs, 4 gates, 16 units, I inputs) and
// backward (blocks of 64 inputs or fewer, 4 S / I groups of gates' units, inputs, I units), where
// I = kInner.
void lstm_pack(Index hidden, Index size, const float* weights, Number* forward, Number* backward) {
  const auto at = [=](Index gate, Index unit, Index input) {
    const bool is_there = unit < hidden && input < hidden;
    return is_there ? rounded(weights[(gate * hidden + unit) * hidden + input]) : Number{0};
  };
  for (Index block = 0; block < size; block += kLanes)
    for (Index input = 0; input < size; input += kInner)
      for (Index gate = 0; gate < kGates; ++gate)
        for (Index unit = block; unit < block + kLanes; ++unit)
          for (Index i = 0; i < kInner; ++i) *forward++ = at(gate, unit, input + i);
  for (Index block = 0; block < size; block += kColumns * kLanes)
    for (Index gate = 0; gate < kGates; ++gate)
      for (Index unit = 0; unit < size; unit += kInner)
        for (Index input = block; input < block + kColumns * kLanes && input < size; ++input)
          for (Index i = 0; i < kInner; ++i) *backward++ = at(gate, unit + i, input);
}

// gates (T, B, 4, S) hold the contributions of the inputs; hidden and cells (T + 1, B, S) start
// with the initial state. All are filled.
void lstm_forward(Index steps, Index rows, Index size, const Number* weights, const float* bias,
                  Number* gates, Number* hidden, float* cells) {
  const Index state = rows * size;
  for (; steps > 0; --steps, gates += kGates * state, hidden += state, cells += state)
    run_step({size, 0, nullptr, nullptr, weights, bias, hidden, cells, gates, hidden + state,
              cells + state},
             rows);
}

// output_gradients (T, B, S); gates and cells as `lstm_forward` left them; cell_gradients (B, S)
// of the last cell become those of the first; gradients (T, B, 4, S) are filled.
void lstm_backward(Index steps, Index rows, Index size, const Number* weights,
                   const Number* output_gradients, const Number* gates, const float* cells,
                   float* cell_gradients, Number* gradients) {
  const Index state = rows * size;
  for (Index step = steps - 1; step >= 0; --step) {
    const Number* after =
        step + 1 < steps ? gradients + (step + 1) * kGates * state : nullptr;
    const auto columns = [&](auto tile, Index unit) {
      for_rows(decltype(tile){size, unit, weights, after, output_gradients + step * state,
                              gates + step * kGates * state, cells + step * state,
                              cells + (step + 1) * state, cell_gradients,
                              gradients + step * kGates * state},
               rows);
    };
    for (Index unit = 0; unit < size; unit += kColumns * kLanes) switch ((size - unit) / kLanes) {
        case 1: columns(BackwardTile<1>{}, unit); break;
        case 2: columns(BackwardTile<2>{}, unit); break;
        case 3: columns(BackwardTile<3>{}, unit); break;
        default: columns(BackwardTile<kColumns>{}, unit);
      }
  }
}

// Laid out by fused_stepping.py.
struct Layer {
  const Number* input_weights;  // packed by lstm_pack; null in the first layer
  const Number* weights;
  const float* bias;            // (4, S)
  const float* norm_scale;      // (S,); null without layer norm
  const float* norm_shift;
};

struct Network {
  Index num_layers, hidden, size, vocabulary;  // L, H, S, V
  const Layer* layers;
  const Number* table;           // (V, 4, S): a symbol's contribution to the first layer's gates
  const Number* output_weights;  // W / 64 blocks of S / I groups of values, 64 symbols, I values
  const float* output_bias;      // (W,)
};

// One more symbol per row: hidden (L, B, S) and logits (B, V) are filled, cells (L, B, S)
// overwritten. Returns false and changes nothing if a symbol is not in the table.
bool lstm_next(const Network* network, Index rows, const Index* symbols,
               const Number* hidden_before, Number* hidden, float* cells, float* logits) {
  const Index size = network->size, state = rows * size, width = kGates * size;
  for (Index row = 0; row < rows; ++row)
    if (symbols[row] < 0 || symbols[row] >= network->vocabulary) return false;
  std::vector<Number> gates(rows * width), normalized(state);
  for (Index row = 0; row < rows; ++row)
    std::copy_n(network->table + symbols[row] * width, width, gates.data() + row * width);
  const Number* values = nullptr;
  for (Index number = 0; number < network->num_layers; ++number) {
    const Layer& layer = network->layers[number];
    run_step({size, 0, values, layer.input_weights, layer.weights, layer.bias,
              hidden_before + number * state, cells + number * state, gates.data(),
              hidden + number * state, cells + number * state},
             rows);
    std::fill(gates.begin(), gates.end(), Number{0});  // only the first layer has a table
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

}  // extern "C"
