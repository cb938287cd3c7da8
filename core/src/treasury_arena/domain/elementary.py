"""Elementary functions of float64 arrays that give the same bits on every machine.

numpy chooses the instructions behind `np.exp`, `np.log` and their like by the machine it runs on, and the choices differ in
the last bit. Evolution amplifies a last bit into another run. The functions here are made only of operations whose result
IEEE 754 fixes (``+ - * /``, square root, rounding to a whole number, comparison) and of integer operations on the bits, each
as a numpy call of its own, so that no compiler can fuse two of them.

Argument reductions, polynomials and constants are those of fdlibm (Sun Microsystems, 1993, "Freely Distributable LIBM":
e_exp.c, e_log.c, s_log1p.c, s_expm1.c, e_pow.c), put into a form without branches. The error is below one unit in the last
place. Special values are those of C99, and nothing warns: the logarithm of 0 is minus infinity, of a negative number NaN;
what is too large is infinity. Results are arrays of the arguments' broadcast shape, or a number where all are numbers.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]
_Bits = NDArray[np.int64]

#: Elements worked on at a time, so that intermediate results stay in the processor's cache.
CHUNK = 6144

_LN2 = float.fromhex("0x1.62e42fefa39efp-1")
_INVERSE_LN2 = float.fromhex("0x1.71547652b82fep+0")
#: ln 2 in two parts: multiples of the first by whole numbers below 2^20 are exact.
_LN2_HIGH = float.fromhex("0x1.62e42feep-1")
_LN2_LOW = float.fromhex("0x1.a39ef35793c76p-33")
#: Added and taken away, it rounds to a whole number; in between, that number stands in the lowest bits.
_SHIFTER = 1.5 * 2.0**52
_SHIFTER_BITS = int(np.float64(_SHIFTER).view(np.int64))

_ONE_BITS = 0x3FF0000000000000
_FRACTION = (1 << 52) - 1
_HIGH_WORD = -(1 << 32)
_ROOT_HALF_BITS = 0x3FE6A09E00000000
_TWO_54 = 2.0**54
_TINY = 2.0**-54
_LEAST_SUBNORMAL, _LEAST_NORMAL, _GREATEST = 2.0**-1074, 2.0**-1022, float(np.finfo(np.float64).max)
_ABOVE_MINUS_ONE = -1.0 + 2.0**-53

_EXP = (
    1.66666666666666019037e-01,
    -2.77777777770155933842e-03,
    6.61375632143793436117e-05,
    -1.65339022054652515390e-06,
    4.13813679705723846039e-08,
)
_LOG = (
    6.666666666666735130e-01,
    3.999999999940941908e-01,
    2.857142874366239149e-01,
    2.222219843214978396e-01,
    1.818357216161805012e-01,
    1.531383769920937332e-01,
    1.479819860511658591e-01,
)
_EXPM1 = (
    -3.33333333333331316428e-02,
    1.58730158725481460165e-03,
    -7.93650757867487942473e-05,
    4.00821782732936239552e-06,
    -2.01099218183624371326e-07,
)
_LOG2 = (
    5.99999999999994648725e-01,
    4.28571428578550184252e-01,
    3.33333329818377432918e-01,
    2.72728123808534006489e-01,
    2.30660745775561754067e-01,
    2.06975017800338417784e-01,
)
#: 2 / (3 ln 2), whole and in two parts; log2(1.5) and ln 2 in two parts.
_CP, _CP_HIGH, _CP_LOW = 9.61796693925975554329e-01, 9.61796700954437255859e-01, -7.02846165095275826516e-09
_LOG2_1_5_HIGH, _LOG2_1_5_LOW = 5.84962487220764160156e-01, 1.35003920212974897128e-08
_LN2_SHORT, _LN2_REST = 6.93147182464599609375e-01, -1.90465429995776804525e-09
_ROOT_1_5_BITS = 0x3FF3988F00000000
_ROOT_3_BITS = 0x3FFBB67A00000000


def exp(x: ArrayLike) -> FloatArray:
    """e^x; infinity above 709.78, 0 below -745.13."""
    return _apply(_exp, x)


def log(x: ArrayLike) -> FloatArray:
    """Natural logarithm; minus infinity at 0, NaN below."""
    return _apply(_log, x)


def log1p(x: ArrayLike) -> FloatArray:
    """log(1 + x) without loss for small x; minus infinity at -1, NaN below."""
    return _apply(_log1p, x)


def expm1(x: ArrayLike) -> FloatArray:
    """e^x - 1 without loss for small x."""
    return _apply(_expm1, x)


def power(base: ArrayLike, exponent: ArrayLike) -> FloatArray:
    """base ^ exponent, elementwise; NaN for a negative base and an exponent that is no whole number."""
    return _apply(_power, base, exponent)


def _apply(kernel: Callable[..., FloatArray], *values: ArrayLike) -> FloatArray:
    """The kernel over all elements, `CHUNK` at a time; every NaN is the same NaN."""
    arrays = [np.asarray(value, dtype=np.float64) for value in values]
    if len(arrays) > 1:
        arrays = list(np.broadcast_arrays(*arrays))
    flat = [np.ascontiguousarray(array).reshape(-1) for array in arrays]
    out = np.empty(flat[0].size)
    with np.errstate(all="ignore"):
        for low in range(0, out.size, CHUNK):
            part = slice(low, low + CHUNK)
            out[part] = kernel(*(array[part] for array in flat))
    absent = np.isnan(out)
    if absent.any():
        out[absent] = np.nan
    shaped: FloatArray = out.reshape(arrays[0].shape)[()]
    return shaped


# ---------------------------------------------------------------- pieces
def _polynomial(z: FloatArray, coefficients: tuple[float, ...]) -> FloatArray:
    """The polynomial whose coefficients are given from the constant on."""
    total = z * coefficients[-1]
    for coefficient in coefficients[-2:0:-1]:
        total += coefficient
        total *= z
    total += coefficients[0]
    return total


def _within(x: FloatArray, low: float, high: float) -> bool:
    """Whether all lie from `low` to `high`; NaN does not."""
    return bool(x.min() >= low and x.max() <= high)


def _reduced(x: FloatArray, low: float, high: float) -> tuple[FloatArray, FloatArray, FloatArray, _Bits]:
    """(r, head, tail, k): x is k ln 2 + r, r = head - tail, |r| up to ln 2 / 2; x is cut to `low` and `high`."""
    if not _within(x, low, high):
        x = np.minimum(np.maximum(x, low), high)
    k = x * _INVERSE_LN2
    k += _SHIFTER
    whole = k.view(np.int64) - _SHIFTER_BITS
    k -= _SHIFTER
    head = x - k * _LN2_HIGH
    k *= _LN2_LOW
    return head - k, head, k, whole


def _scaled(y: FloatArray, k: _Bits) -> FloatArray:
    """y 2^k, in two halves of which only the last product rounds, or at once where no result leaves the normal numbers."""
    if k.min() > -1000 and k.max() < 1000:
        y *= _two_to(k)
        return y
    half = k >> 1
    y *= _two_to(half)
    y *= _two_to(k - half)
    return y


def _two_to(k: _Bits) -> FloatArray:
    bits = k + 1023
    bits <<= 52
    return bits.view(np.float64)


def _high(x: FloatArray) -> FloatArray:
    """x cut to its upper word: 21 bits, so that products of two such numbers are exact."""
    cut: FloatArray = (x.view(np.int64) & _HIGH_WORD).view(np.float64)
    return cut


def _split(x: FloatArray) -> tuple[FloatArray, FloatArray]:
    """(f, k) with x = 2^k (1 + f) and 1 + f from sqrt(1/2) to sqrt(2); for normal x above 0."""
    bits = x.view(np.int64) + (_ONE_BITS - _ROOT_HALF_BITS)
    k = bits >> 52
    k += _SHIFTER_BITS - 1023
    bits &= _FRACTION
    bits += _ROOT_HALF_BITS
    f, count = bits.view(np.float64), k.view(np.float64)
    f -= 1.0
    count -= _SHIFTER
    return f, count


def _log_of(f: FloatArray, k: FloatArray, correction: FloatArray | float) -> FloatArray:
    """k ln 2 + log(1 + f) + correction, the last being tiny."""
    half = 0.5 * f
    half *= f
    s = f / (f + 2.0)
    z = s * s
    rest = _polynomial(z, _LOG)
    rest *= z
    rest += half
    rest *= s
    rest += k * _LN2_LOW + correction
    half -= rest
    half -= f
    return k * _LN2_HIGH - half


# ---------------------------------------------------------------- kernels over one chunk
def _exp(x: FloatArray) -> FloatArray:
    r, head, tail, k = _reduced(x, -750.0, 710.0)
    z = r * r
    c = _polynomial(z, _EXP)
    c *= z
    np.subtract(r, c, out=c)
    r *= c
    np.subtract(2.0, c, out=c)
    r /= c
    tail -= r
    tail -= head
    return _scaled(1.0 - tail, k)


def _log(x: FloatArray) -> FloatArray:
    if _within(x, _LEAST_NORMAL, _GREATEST):
        return _log_of(*_split(x), 0.0)
    good = (x > 0.0) & (x < np.inf)
    small = good & (x < _LEAST_NORMAL)
    f, k = _split(np.where(good, np.where(small, x * _TWO_54, x), 1.0))
    y = _log_of(f, np.where(small, k - 54.0, k), 0.0)
    return np.where(good, y, np.where(x == 0.0, -np.inf, np.where(x == np.inf, np.inf, np.nan)))


def _log1p(x: FloatArray) -> FloatArray:
    good = None if _within(x, _ABOVE_MINUS_ONE, _GREATEST) else (x > -1.0) & (x < np.inf)
    inside = x if good is None else np.where(good, x, 0.0)
    u = 1.0 + inside
    f, k = _split(u)
    lost = np.where(u >= 2.0, 1.0 - (u - inside), inside - (u - 1.0))  # what rounding took from 1 + x
    lost /= u
    near = k == 0.0
    y = _log_of(np.where(near, inside, f), k, np.where(near, 0.0, lost))
    y = np.where(np.abs(x) < _TINY, x, y)
    if good is None:
        return y
    return np.where(good, y, np.where(x == -1.0, -np.inf, np.where(x == np.inf, np.inf, np.nan)))


def _expm1(x: FloatArray) -> FloatArray:
    r, head, tail, k = _reduced(x, -50.0, 710.0)
    head -= r
    head -= tail  # what rounding took from r
    half = 0.5 * r
    z = r * half
    p = _polynomial(z, _EXPM1)
    p *= z
    p += 1.0
    half *= p
    t = 3.0 - half
    p -= t
    t *= r
    p /= 6.0 - t
    p *= z
    p -= head
    p *= r
    p -= head
    p -= z  # e^r - 1 = r - p
    first = 1.0 - _two_to(-np.minimum(k, 60))  # 2^k (e^r - 1 + 1 - 2^-k), the sum with what its rounding loses
    total = first + r
    first -= total
    first += r
    p -= first
    total -= p
    y = _scaled(total, k)
    return np.where(np.abs(x) < _TINY, x, y)


def _power(x: FloatArray, y: FloatArray) -> FloatArray:
    # Beyond 2^64 every power but that of 1 is 0 or infinite already.
    if _within(x, _LEAST_SUBNORMAL, _GREATEST) and _within(y, -(2.0**64), 2.0**64):
        return _two_to_product(*_log2(x), y)
    size = np.abs(x)
    plain = (size > 0.0) & (size < np.inf) & (y == y)
    exponent = np.where(plain, np.minimum(np.maximum(y, -(2.0**64)), 2.0**64), 1.0)
    result = _two_to_product(*_log2(np.where(plain, size, 1.0)), exponent)
    result = np.where((size == 0.0) | (size == np.inf), np.where((size > 1.0) == (y > 0.0), np.inf, 0.0), result)
    whole = np.rint(y) == y
    odd = whole & (np.abs(y) < 2.0**53) & (np.rint(0.5 * y) != 0.5 * y)
    result = np.where(np.signbit(x) & odd, -result, result)
    result = np.where((x != x) | (y != y) | ((x < 0.0) & (x > -np.inf) & ~whole), np.nan, result)
    return np.where((y == 0.0) | (x == 1.0), 1.0, result)


def _log2(x: FloatArray) -> tuple[FloatArray, FloatArray]:
    """log2(x) in two parts, the first of 21 bits; for x above 0 and finite."""
    small = None if x.min() >= _LEAST_NORMAL else x < _LEAST_NORMAL
    bits = (x if small is None else np.where(small, x * _TWO_54, x)).view(np.int64)
    fraction = bits & _FRACTION
    fraction |= _ONE_BITS
    upper = fraction >= _ROOT_3_BITS  # to be halved, so that the argument lies from sqrt(3) / 2 to sqrt(3)
    middle = fraction >= _ROOT_1_5_BITS
    middle ^= upper
    n = (bits >> 52) - 1023
    n += upper
    if small is not None:
        n -= np.where(small, 54, 0)
    upper_bits = upper.astype(np.int64)
    upper_bits <<= 52
    fraction -= upper_bits
    ax: FloatArray = fraction.view(np.float64)
    half = middle * 0.5
    centre = half + 1.0
    u, total = ax - centre, ax + centre
    s = u / total
    s_high, t_high = _high(s), _high(total)
    # s_low = (u - s_high t_high - s_high t_low) / total, with t_high + t_low = total
    u -= s_high * t_high
    t_high -= centre
    u -= s_high * (ax - t_high)
    u /= total
    s_low = u
    z = s * s
    r = _polynomial(z, _LOG2)
    r *= z
    r *= z
    r += s_low * (s_high + s)
    z = s_high * s_high
    t_high = _high(z + 3.0 + r)
    r -= (t_high - 3.0) - z  # t_low
    r *= s
    s_low *= t_high
    r += s_low
    s_high *= t_high
    p_high = _high(s_high + r)
    r -= p_high - s_high  # p_low
    r *= _CP
    r += p_high * _CP_LOW
    r += half * (2.0 * _LOG2_1_5_LOW)
    p_high *= _CP_HIGH
    half *= 2.0 * _LOG2_1_5_HIGH
    count = n.astype(np.float64)
    first = _high(p_high + r + half + count)
    return first, r - (((first - count) - half) - p_high)


def _two_to_product(first: FloatArray, second: FloatArray, y: FloatArray) -> FloatArray:
    """2^((first + second) y)."""
    y_high = _high(y)
    low = (y - y_high) * first
    low += y * second
    high = y_high * first
    k = high + low
    if not _within(k, -1200.0, 1200.0):
        low = np.where(np.abs(k) > 1200.0, 0.0, low)
        high = np.minimum(np.maximum(high, -1200.0), 1200.0)
        k = high + low
    k += _SHIFTER
    whole = k.view(np.int64) - _SHIFTER_BITS
    k -= _SHIFTER
    high -= k
    t = _high(low + high)
    low -= t - high
    low *= _LN2
    low += t * _LN2_REST
    t *= _LN2_SHORT
    z = t + low
    low -= z - t
    square = z * z
    c = _polynomial(square, _EXP)
    c *= square
    np.subtract(z, c, out=c)
    low += z * low
    np.multiply(z, c, out=square)
    c -= 2.0
    square /= c
    square -= low
    square -= z
    return _scaled(1.0 - square, whole)
