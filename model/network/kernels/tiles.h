// Arithmetic with AVX512: vectors of 16 numbers, gates, and products in tiles.
//
// A Number is bfloat16 if BFLOAT16 is defined, and float otherwise: library.py compiles both.
//
// A product multiplies all rows of a step by weights in tiles of 6 rows and 64 columns, whose sums
// stay in registers: what depends on them is computed immediately. The weights are packed
// in the order in which the tiles read them.

#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>
#include <iterator>

using Index = std::int64_t;
using Vector = __m512;

constexpr Index kLanes = 16;
constexpr int kGates = 4;
constexpr int kRows = 6;     // with kColumns 24 of the 32 registers; 4 hold weights
constexpr int kColumns = 4;  // vectors of a tile
constexpr float kLog2E = 1.44269504f;

inline Vector constant(float value) { return _mm512_set1_ps(value); }

inline Vector load(const float* from) { return _mm512_loadu_ps(from); }

inline void store(float* to, Vector values) { _mm512_storeu_ps(to, values); }

#ifdef BFLOAT16

using Number = std::uint16_t;
using Factors = __m512bh;
constexpr Index kInner = 2;  // products that an instruction adds to each sum

inline Vector load(const Number* from) {
  const __m256i values = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(values), 16));
}

inline void store(Number* to, Vector values) {
  const __m256bh rounded = _mm512_cvtneps_pbh(values);
  std::memcpy(to, &rounded, sizeof rounded);
}

inline Number rounded(float value) {
  const __m128bh all = _mm_cvtneps_pbh(_mm_set_ss(value));
  Number first;
  std::memcpy(&first, &all, sizeof first);
  return first;
}

inline Factors factors(const Number* from) { return (Factors)_mm512_loadu_si512(from); }

inline Factors repeated(const Number* from) {
  std::int32_t both;
  std::memcpy(&both, from, sizeof both);
  return (Factors)_mm512_set1_epi32(both);
}

inline Vector add_products(Vector sums, Factors left, Factors right) {
  return _mm512_dpbf16_ps(sums, left, right);
}

// 1 / x, to 6e-5.
inline Vector reciprocal(Vector x) { return _mm512_rcp14_ps(x); }

// Taylor series of 2^x for |x| <= 0.5, to 4e-5 without the last terms: bfloat16 rounds to 2e-3.
constexpr float kPowerOfTwo[] = {0.00961813f, 0.05550411f, 0.24022651f, 0.69314718f, 1.0f};

#else

using Number = float;
using Factors = Vector;
constexpr Index kInner = 1;

inline Number rounded(float value) { return value; }

inline Factors factors(const Number* from) { return load(from); }

inline Factors repeated(const Number* from) { return constant(*from); }

inline Vector add_products(Vector sums, Factors left, Factors right) {
  return _mm512_fmadd_ps(left, right, sums);
}

inline Vector reciprocal(Vector x) { return _mm512_div_ps(constant(1.0f), x); }

constexpr float kPowerOfTwo[] = {1.5252734e-5f, 1.5403530e-4f, 1.3333558e-3f, 9.6181291e-3f,
                                 0.05550411f,   0.24022651f,   0.69314718f,   1.0f};

#endif

// 1 / (1 + 2^x).
inline Vector falling(Vector x) {
  const Vector fraction = _mm512_reduce_ps(x, _MM_FROUND_TO_NEAREST_INT);
  Vector series = constant(kPowerOfTwo[0]);
  for (std::size_t place = 1; place < std::size(kPowerOfTwo); ++place)
    series = _mm512_fmadd_ps(series, fraction, constant(kPowerOfTwo[place]));
  const Vector power = _mm512_scalef_ps(series, _mm512_sub_ps(x, fraction));
  return reciprocal(_mm512_add_ps(power, constant(1.0f)));
}

inline Vector sigmoid(Vector x) { return falling(_mm512_mul_ps(x, constant(-kLog2E))); }

// Exact to 1e-7 in float32, as sums of many: of a value near 0 only that much is left.
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

// Add the products of R rows and C vectors of columns to the sums, kInner inner values at a time.
template <int R, int C>
inline void multiply(const Number* rows, Index stride, const Number* weights, Index num_inner,
                     Vector (&sums)[R][C]) {
  for (Index inner = 0; inner < num_inner; inner += kInner) {
    Factors columns[C];
    for (int c = 0; c < C; ++c)  // as one copy of them all, GCC 12 spills the registers
      columns[c] = factors(weights + (inner * C + c * kInner) * kLanes);
    for (int r = 0; r < R; ++r) {
      const Factors value = repeated(rows + r * stride + inner);
      for (int c = 0; c < C; ++c) sums[r][c] = add_products(sums[r][c], value, columns[c]);
    }
  }
}

// Call tile.run<R>(row) for all rows, as many at once as a tile holds, and fewer for the rest.
template <int R = kRows, class Tile>
inline void for_rows(const Tile& tile, Index num_rows, Index row = 0) {
  for (; row + R <= num_rows; row += R) tile.template run<R>(row);
  if constexpr (R > 1) for_rows<R - 1>(tile, num_rows, row);
}
