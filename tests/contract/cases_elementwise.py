"""Functions and operators that go element by element."""

from __future__ import annotations

from .case import cases, words

# On floats of either sign.
_FLOATS = words("""
    abs absolute arctan arcsinh asinh atan cbrt ceil conj conjugate cos cosh deg2rad degrees exp
    exp2 expm1 fabs floor frexp isfinite isinf isnan logical_not modf negative positive rad2deg
    radians rint sign signbit sin sinc sinh spacing square tan tanh trunc fix i0 isneginf isposinf
    isreal iscomplex real imag angle around round nan_to_num
""")
_POSITIVE = words("log log10 log1p log2 sqrt reciprocal")
_NEAR_ZERO = words("acos arccos asin arcsin atanh arctanh")
_COMPLEX = words("abs conj exp sin sqrt angle real imag iscomplex isreal square isfinite")
_INTEGERS = words("""
    abs negative square sign bitwise_invert bitwise_not bitwise_count invert sqrt logical_not real
    conj around
""")
_BINARY_FLOATS = words("""
    add subtract multiply divide true_divide arctan2 atan2 copysign fmax fmin fmod heaviside hypot
    logaddexp logaddexp2 maximum minimum mod remainder floor_divide nextafter equal not_equal less
    less_equal greater greater_equal logical_and logical_or logical_xor divmod isclose
""")
_BINARY_INTEGERS = words("""
    add subtract multiply divide floor_divide mod remainder fmod divmod maximum minimum gcd lcm
    bitwise_and bitwise_or bitwise_xor bitwise_left_shift bitwise_right_shift left_shift
    right_shift less equal arctan2
""")
_OPERATORS = words("+ - * / // % < <= > >= == !=")
_BITWISE = words("& | ^ << >>")
_REFLECTED = words("add sub mul truediv floordiv mod and or xor lshift rshift pow")
_AUGMENTED = words("add sub mul floordiv mod and or xor lshift rshift")


def _lines() -> list[str]:
    return [
        *(f"{name}(a)" for name in _FLOATS),
        *(f"{name}(p)" for name in _POSITIVE),
        *(f"{name}(p + 1)" for name in ("acosh", "arccosh")),
        *(f"{name}(near)" for name in _NEAR_ZERO),
        *(f"{name}(c)" for name in _COMPLEX),
        *(f"{name}(i)" for name in _INTEGERS),
        *(f"{name}(n)" for name in ("isnan", "isinf", "isfinite", "nan_to_num", "sign")),
        *(f"{name}(f)" for name in ("exp", "sqrt", "floor", "isneginf")),
        *(f"{name}(a, b)" for name in _BINARY_FLOATS),
        *(f"{name}(i, j)" for name in _BINARY_INTEGERS),
        *(f"{name}(a, z)" for name in ("add", "maximum", "less")),
        *(f"{name}(m, q)" for name in ("logical_and", "bitwise_or", "bitwise_xor", "add")),
        *(f"{name}(p, b)" for name in ("power", "pow", "float_power")),
        *(f"a {sign} b" for sign in _OPERATORS),
        *(f"i {sign} j" for sign in _OPERATORS + _BITWISE),
        *(f"a {sign} 1.5" for sign in _OPERATORS),
        *(f"a {sign} z" for sign in "+*"),
        *(f"Array.__r{name}__ :: j.__r{name}__(3)" for name in _REFLECTED),
        *(f"Array.__i{name}__ :: augmented('__i{name}__', i, j)" for name in _AUGMENTED),
    ]


CASES = [
    *cases("\n".join(_lines())),
    *cases("""
        ldexp(a, k)
        power(i, k)
        power(j, 2)
        add(f, 1)
        add(a, i)
        multiply(c, d)
        divide(c, d)
        multiply(c, a)
        a ** 2
        p ** b
        j ** 2
        2.0 - a
        2.0 / a
        -a
        -c
        +a
        ~i
        ~m
        Array.__abs__ :: a.__abs__()
        Array.__abs__ :: c.__abs__()
        Array.__divmod__ :: a.__divmod__(b)
        Array.__divmod__ :: i.__divmod__(j)
        Array.__rdivmod__ :: j.__rdivmod__(17)
        Array.__itruediv__ :: augmented('__itruediv__', a, b)
        Array.__ipow__ :: augmented('__ipow__', p, 2.0)
        m & q
        m | q
        m ^ q
        isnat(h)
        isclose(a, a + 1e-9)
        isclose(nn, nn, equal_nan=True)
        clip(a, -0.5, 0.5)
        clip(i, -2, 3)
        clip(a, near, None)
        round(a, 2)
        around(a, 1)
        nan_to_num(n, nan=3.0, posinf=9.0, neginf=-9.0)
        angle(c, deg=True)
        where(m, a, b)
        where(m, i, 0)
        where(a > 0, a, z)
        choose(k, [a, b, near])
        select([a > 1, a > 0], [a, b], 5.0)
        select([m, q], [i, j])
        astype(a, "f4")
        astype(a * 5, int)
        astype(m, float)
        astype(i, complex)
        oo.elementwise :: elementwise(ratio, compile=False, dtype=float)(a, b) => a / (1.0 + abs(b))
        oo.elementwise :: elementwise(ratio)(a, 2.0) => a / 3.0
        np.sqrt(p) + np.exp(a)  # ufuncs of NumPy's come to ours
        sin(a) ** 2 + cos(a) ** 2
        Array.__truediv__ :: (a + b) * (a - b) / (1 + p)
        add(a, b, dtype="f4")
    """),
]
