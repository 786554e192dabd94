// Arithmetic in bfloat16 with AVX512: vectors of 16 numbers, gates, and products in tiles.
//
// A product multiplies all rows of a step by weights in tiles of 6 rows and 64 columns, whose sums
// stay in registers: what depends on them is computed immediately. The weights are packed
// in the order in which the tiles read them.

#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>
#include <initializer_list>

using Bfloat16 = std::uint16_t;
using Index = std::int64_t;
using Vector = __m512;

constexpr Index kLanes = 16;
constexpr int kGates = 4;
constexpr int kRows = 6;     // with kColumns 24 of the 32 registers; 4 hold weights
constexpr int kColumns = 4;  // vectors of a tile
constexpr float kLog2E = 1.44269504f;

inline Vector constant(float value) { return _mm512_set1_ps(value); }

inline Vector load(const Bfloat16* from) {
  const __m256i values = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(values), 16));
}

inline Vector load(const float* from) { return _mm512_loadu_ps(from); }

inline void store(Bfloat16* to, Vector values) {
  const __m256bh rounded = _mm512_cvtneps_pbh(values);
  std::memcpy(to, &rounded, sizeof rounded);
}

inline void store(float* to, Vector values) { _mm512_storeu_ps(to, values); }

inline Bfloat16 rounded(float value) {
  const __m128bh all = _mm_cvtneps_pbh(_mm_set_ss(value));
  Bfloat16 first;
  std::memcpy(&first, &all, sizeof first);
  return first;
}

// 1 / (1 + 2^x), to 1e-4: bfloat16 rounds to 2e-3. Taylor series of 2^x between whole x.
inline Vector falling(Vector x) {
  const Vector fraction = _mm512_reduce_ps(x, _MM_FROUND_TO_NEAREST_INT);
  Vector series = constant(0.00961813f);
  for (const float factor : {0.05550411f, 0.24022651f, 0.69314718f, 1.0f})
    series = _mm512_fmadd_ps(series, fraction, constant(factor));
  const Vector power = _mm512_scalef_ps(series, _mm512_sub_ps(x, fraction));
  return _mm512_rcp14_ps(_mm512_add_ps(power, constant(1.0f)));
}

inline Vector sigmoid(Vector x) { return falling(_mm512_mul_ps(x, constant(-kLog2E))); }

inline Vector tanh(Vector x) {
  const Vector half = falling(_mm512_mul_ps(x, constant(-2 * kLog2E)));
  return _mm512_sub_ps(_mm512_add_ps(half, half), constant(1.0f));
}

// Gradient before a sigmoid, from the gradient after it: gradient * gate * (1 - gate).
inline Vector before_sigmoid(Vector gate, Vector gradient) {
  return _mm512_mul_ps(gradient, _mm512_fnmadd_ps(gate, gate, gate));
}

// The same for a tanh: gradient * (1 - value^2).
inline Vector before_tanh(Vector value, Vector gradient) {
  return _mm512_fnmadd_ps(_mm512_mul_ps(gradient, value), value, gradient);
}

// Add the products of R rows and C vectors of columns to the sums, two inner values at a time.
template <int R, int C>
inline void multiply(const Bfloat16* rows, Index stride, const Bfloat16* weights, Index num_pairs,
                     Vector (&sums)[R][C]) {
  for (Index pair = 0; pair < num_pairs; ++pair) {
    __m512bh columns[C];
    for (int c = 0; c < C; ++c)  // as one copy of them all, GCC 12 spills the registers
      columns[c] = (__m512bh)_mm512_loadu_si512(weights + (pair * C + c) * 2 * kLanes);
    for (int r = 0; r < R; ++r) {
      std::int32_t both;
      std::memcpy(&both, rows + r * stride + 2 * pair, sizeof both);
      const auto repeated = (__m512bh)_mm512_set1_epi32(both);
      for (int c = 0; c < C; ++c) sums[r][c] = _mm512_dpbf16_ps(sums[r][c], repeated, columns[c]);
    }
  }
}

// Call tile.run<R>(row) for all rows, as many at once as a tile holds.
template <class Tile>
inline void for_rows(const Tile& tile, Index num_rows) {
  Index row = 0;
  for (; row + kRows <= num_rows; row += kRows) tile.template run<kRows>(row);
  switch (num_rows - row) {
    case 5: return tile.template run<5>(row);
    case 4: return tile.template run<4>(row);
    case 3: return tile.template run<3>(row);
    case 2: return tile.template run<2>(row);
    case 1: return tile.template run<1>(row);
  }
}

// One step of a layer (lstm.cpp), which fills gates, hidden and cell; cell may be
// cell_before. Shapes: B rows, S units; inputs (B, S) with their own weights, or null;
// weights packed by lstm_pack; bias (4, S); gates (B, 4, S) start as the sums of other inputs.
// The name is long because glibc has a function `step`, which a call of that name would find.
extern "C" void lstm_step(Index rows, Index size, const Bfloat16* inputs,
                          const Bfloat16* input_weights, const Bfloat16* weights,
                          const float* bias, const Bfloat16* hidden_before,
                          const float* cell_before, Bfloat16* gates, Bfloat16* hidden,
                          float* cell);
