// The recurrence of an LSTM layer, forward and backward; lstm.py does the rest.
//
// Shapes: T steps, B rows, H units, S = H rounded up to a multiple of 16 (the units beyond H have
// weights of 0 and stay 0), 4 gates in torch's order: input, forget, cell, output.

#include "tiles.h"

namespace {

// 16 units of one step, all 4 gates.
struct ForwardTile {
  Index size, unit;
  const Number* inputs;        // (B, S) with their own weights, or null
  const Number* input_weights;
  const Number* weights;
  const float* bias;             // (4, S)
  const Number* hidden_before; // (B, S)
  const float* cell_before;      // (B, S)
  Number* gates;               // (B, 4, S): contributions of other inputs, then the gates
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

// 16 C units of one step.
template <int C>
struct BackwardTile {
  Index size, unit;
  const Number* weights;
  const Number* gradients_after;  // (B, 4, S) of the gates one step later; null at the last
  const Number* output_gradients; // (B, S)
  const Number* gates;            // (B, 4, S)
  const float* cell_before;         // (B, S)
  const float* cell;
  float* cell_gradients;            // of the cell after this step, then before it
  Number* gradients;              // (B, 4, S) of the gates before sigmoid or tanh

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

void lstm_step(Index rows, Index size, const Number* inputs, const Number* input_weights,
          const Number* weights, const float* bias, const Number* hidden_before,
          const float* cell_before, Number* gates, Number* hidden, float* cell) {
  for (Index unit = 0; unit < size; unit += kLanes)
    for_rows(ForwardTile{size, unit, inputs, input_weights, weights, bias, hidden_before,
                         cell_before, gates, hidden, cell},
             rows);
}

// gates (T, B, 4, S) hold the contributions of the inputs; hidden and cells (T + 1, B, S) start
// with the initial state. All are filled.
void lstm_forward(Index steps, Index rows, Index size, const Number* weights, const float* bias,
             Number* gates, Number* hidden, float* cells) {
  const Index state = rows * size;
  for (; steps > 0; --steps, gates += kGates * state, hidden += state, cells += state)
    lstm_step(rows, size, nullptr, nullptr, weights, bias, hidden, cells, gates, hidden + state,
         cells + state);
}

// output_gradients (T, B, S); gates and cells as `forward` left them; cell_gradients (B, S) of
// the last cell become those of the first; gradients (T, B, 4, S) are filled.
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

}  // extern "C"
