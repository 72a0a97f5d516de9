"""What kernels call and CUDA does not have: choices, NumPy's meaning of division and remainder, functions of SciPy.

Each is written once for all types it takes.  A kernel begins with those that it uses and no others.
"""

from __future__ import annotations

import re

# ---------------------------------------------------------------------------- choices; a chooser looks at both sides

_CHOICES = """
#define infinity (__int_as_float(0x7f800000))

#define not_a_number (__int_as_float(0x7fc00000))

template <typename T> __device__ inline T choose(bool c, T a, T b) { return c ? a : b; }

__device__ inline bool both(bool a, bool b) { return a && b; }

__device__ inline bool either(bool a, bool b) { return a || b; }

__device__ inline bool no(bool a) { return !a; }

template <typename T> __device__ inline bool truth(T x) { return x != T(0); }

// NaN wins, as in NumPy.
template <typename T> __device__ inline T larger(T a, T b) { return a >= b || a != a ? a : b; }

template <typename T> __device__ inline T smaller(T a, T b) { return a <= b || a != a ? a : b; }

// A number wins against NaN.
template <typename T> __device__ inline T larger_number(T a, T b) { return a >= b || b != b ? a : b; }

template <typename T> __device__ inline T smaller_number(T a, T b) { return a <= b || b != b ? a : b; }

template <typename T> __device__ inline T sign(T x) {
  return x > T(0) ? T(1) : x < T(0) ? T(-1) : x == T(0) ? T(0) : x;
}

template <typename T> __device__ inline T heaviside(T x, T h) {
  return x != x ? x : x == T(0) ? h : x < T(0) ? T(0) : T(1);
}
"""

# ---------------------------------------------------------------------------- whole numbers; n / 0 is 0, as in NumPy

_WHOLE = """
template <typename T> __device__ inline T whole_quotient(T a, T b) {
  if (b == T(0)) return T(0);
  if (b == T(-1) && T(-1) < T(0)) return T(T(0) - a);
  T q = T(a / b);
  return T(q - T(a % b != 0 && (a < T(0)) != (b < T(0))));
}

template <typename T> __device__ inline T whole_modulo(T a, T b) {
  if (b == T(0) || (b == T(-1) && T(-1) < T(0))) return T(0);
  T r = T(a % b);
  return r != T(0) && (r < T(0)) != (b < T(0)) ? T(r + b) : r;
}

template <typename T> __device__ inline T whole_remainder(T a, T b) {
  return b == T(0) || (b == T(-1) && T(-1) < T(0)) ? T(0) : T(a % b);
}

template <typename T> __device__ inline T whole_power(T x, T n) {
  if (n < T(0)) return x == T(1) ? T(1) : x == T(-1) ? (n % T(2) != 0 ? T(-1) : T(1)) : T(0);
  T y = T(1);
  for (; n > T(0); n = T(n / T(2)), x = T(x * x)) if (n % T(2) != 0) y = T(y * x);
  return y;
}

template <typename T> __device__ inline T whole_size(T x) { return x < T(0) ? T(T(0) - x) : x; }

template <typename T> __device__ inline T greatest_divisor(T a, T b) {
  a = whole_size(a), b = whole_size(b);
  while (b != T(0)) { T r = T(a % b); a = b; b = r; }
  return a;
}

template <typename T> __device__ inline T least_multiple(T a, T b) {
  T d = greatest_divisor(a, b);
  return d == T(0) ? T(0) : whole_size(T(a / d * b));
}

template <typename T> __device__ inline T shifted_left(T a, T n) {
  return n >= T(0) && n < T(8 * sizeof(T)) ? T(a << n) : T(0);
}

template <typename T> __device__ inline T shifted_right(T a, T n) {
  return n >= T(0) && n < T(8 * sizeof(T)) ? T(a >> n) : a < T(0) ? T(-1) : T(0);
}
"""

# ---------------------------------------------------------------------------- quotients and remainders of NumPy

_QUOTIENTS = """
template <typename T> __device__ inline T modulo(T a, T b) {
  T r = fmod(a, b);
  if (b == T(0)) return r;
  if (r == T(0)) return copysign(T(0), b);
  return (b < T(0)) != (r < T(0)) ? r + b : r;
}

template <typename T> __device__ inline T floor_quotient(T a, T b) {
  if (b == T(0)) return a / b;
  T r = fmod(a, b);
  T q = (a - r) / b;
  if (r != T(0) && (b < T(0)) != (r < T(0))) q = q - T(1);
  if (q == T(0)) return copysign(T(0), a / b);
  T whole = floor(q);
  return q - whole > T(0.5) ? whole + T(1) : whole;
}

template <typename T> __device__ inline T fraction(T x) {
  if (isinf(x)) return copysign(T(0), x);
  return copysign(x - trunc(x), x);
}

template <typename T> __device__ inline T scaled(T x, long long n) {
  return ldexp(x, int(n < -100000 ? -100000 : n > 100000 ? 100000 : n));
}
"""

# ---------------------------------------------------------------------------- exponentials that do not overflow

_EXPONENTIALS = """
template <typename T> __device__ inline T sigmoid(T x) {
  T e = exp(-fabs(x));
  return (x >= T(0) ? T(1) : e) / (T(1) + e);
}

template <typename T> __device__ inline T log_sigmoid(T x) { return x < T(0) ? x - log1p(exp(x)) : -log1p(exp(-x)); }

template <typename T> __device__ inline T log_add_exp(T a, T b) {
  if (a == b) return a + T(0.6931471805599453);
  T d = a - b;
  return d > T(0) ? a + log1p(exp(-d)) : d <= T(0) ? b + log1p(exp(d)) : d;
}

template <typename T> __device__ inline T log_add_exp2(T a, T b) {
  if (a == b) return a + T(1);
  T d = a - b;
  T in_twos = T(1.4426950408889634);
  return d > T(0) ? a + in_twos * log1p(exp2(-d)) : d <= T(0) ? b + in_twos * log1p(exp2(d)) : d;
}

template <typename T> __device__ inline T sinc_of(T x) {
  T t = T(3.141592653589793) * (x == T(0) ? T(1e-20) : x);
  return sin(t) / t;
}

template <typename T> __device__ inline T relative_exp(T x) {
  return x == T(0) ? T(1) : isinf(x) ? (x > T(0) ? x : T(0)) : expm1(x) / x;
}

template <typename T> __device__ inline T log_normal_cdf(T x) {
  T t = x * T(0.7071067811865476);
  return x < T(-1) ? log(erfcx(-t) / T(2)) - t * t : log1p(-erfc(t) / T(2));
}

template <typename T> __device__ inline T logit_of(T p) {
  if (p < T(0.3) || p > T(0.65)) return log(p / (T(1) - p));
  T s = T(2) * (p - T(0.5));
  return log1p(s) - log1p(-s);
}

template <typename T> __device__ inline T cosine_less_one(T x) {
  T s = sin(T(0.5) * x);
  return T(-2) * s * s;
}
"""

# ---------------------------------------------------------------------------- degrees; entropies, where 0 * log(0) is 0

_ENTROPIES = """
// Of an angle in degrees, reduced to an eighth of a turn so that right angles are exact.
template <typename T> __device__ inline T sine_of_degrees(T x) {
  T turn = copysign(fmod(fabs(x), T(360)), x);
  return sinpi(turn / T(180));
}

template <typename T> __device__ inline T cosine_of_degrees(T x) { return cospi(fmod(fabs(x), T(360)) / T(180)); }

template <typename T> __device__ inline T times_log(T x, T y) { return x == T(0) && y == y ? T(0) : x * log(y); }

template <typename T> __device__ inline T times_log1p(T x, T y) { return x == T(0) && y == y ? T(0) : x * log1p(y); }

template <typename T> __device__ inline T entropy(T x) {
  return x != x ? x : x > T(0) ? -x * log(x) : x == T(0) ? T(0) : -T(infinity);
}

template <typename T> __device__ inline T relative_entropy(T x, T y) {
  if (x != x || y != y) return x + y;
  if (x > T(0) && y > T(0)) return x * log(x / y);
  return x == T(0) && y >= T(0) ? T(0) : T(infinity);
}

template <typename T> __device__ inline T divergence(T x, T y) {
  if (x != x || y != y) return x + y;
  if (x > T(0) && y > T(0)) return x * log(x / y) - x + y;
  return x == T(0) && y >= T(0) ? y : T(infinity);
}

template <typename T> __device__ inline T huber_loss(T delta, T r) {
  if (delta < T(0)) return T(infinity);
  return fabs(r) <= delta ? T(0.5) * r * r : delta * (fabs(r) - T(0.5) * delta);
}

template <typename T> __device__ inline T pseudo_huber_loss(T delta, T r) {
  if (delta < T(0)) return T(infinity);
  if (delta == T(0) || r == T(0)) return T(0);
  T v = r / delta, h = hypot(T(1), v);
  return delta * delta * (fabs(v) < T(1) ? v * v / (h + T(1)) : h - T(1));
}

template <typename T> __device__ inline T box_cox(T x, T p) {
  if (fabs(p) < T(1e-19)) return log(x);
  if (p * log(x) < T(709.78)) return expm1(p * log(x)) / p;
  return copysign(T(1), p) * exp(p * log(x) - log(fabs(p))) - T(1) / p;
}

template <typename T> __device__ inline T inverse_box_cox(T x, T p) {
  if (p == T(0)) return exp(x);
  return exp(log1p(p * x) / p);
}
"""

# ---------------------------------------------------------------------------- complex numbers

_COMPLEX = """
template <typename T> __device__ inline T real_part(complex<T> z) { return z.real(); }

template <typename T> __device__ inline T imag_part(complex<T> z) { return z.imag(); }

template <typename T> __device__ inline complex<T> complex_exp2(complex<T> z) { return exp(z * T(0.6931471805599453)); }

// expm1(x) cos(y) + (cos(y) - 1), whose terms are small where the result is.
template <typename T> __device__ inline complex<T> complex_expm1(complex<T> z) {
  T s = sin(T(0.5) * z.imag());
  return complex<T>(expm1(z.real()) * cos(z.imag()) - T(2) * s * s, exp(z.real()) * sin(z.imag()));
}

template <typename T> __device__ inline complex<T> complex_log2(complex<T> z) { return log(z) * T(1.4426950408889634); }

template <typename T> __device__ inline complex<T> complex_log1p(complex<T> z) {
  T length = hypot(z.real() + T(1), z.imag());
  return complex<T>(log(length), atan2(z.imag(), z.real() + T(1)));
}

// Whole exponents by products, so that powers of 0 and of real numbers are exact; as NumPy does.
template <typename T> __device__ inline complex<T> complex_power(complex<T> z, complex<T> p) {
  complex<T> one(T(1), T(0)), zero(T(0), T(0));
  if (p == zero) return one;
  if (z == zero) return p.real() > T(0) ? zero : complex<T>(T(not_a_number), T(not_a_number));
  int n = int(p.real());
  if (p.imag() == T(0) && T(n) == p.real() && n > -100 && n < 100) {
    complex<T> y = one, square = z;
    for (int rest = n < 0 ? -n : n; rest > 0; rest >>= 1, square = square * square) if (rest & 1) y = y * square;
    return n < 0 ? one / y : y;
  }
  return exp(p * log(z));
}
"""


def _named(*texts: str) -> dict[str, str]:
    """Every function of the texts, in which they are parted by empty lines, under its name."""
    parts = [part for text in texts for part in text.strip().split("\n\n")]
    return {_NAME.findall(part)[0]: part for part in parts}


_NAME = re.compile(r"(?:#define |__device__ inline [\w<>]+ )(\w+)")
FUNCTIONS = _named(_CHOICES, _WHOLE, _QUOTIENTS, _EXPONENTIALS, _ENTROPIES, _COMPLEX)
"""C++ text by name."""
