"""Orthonormal Hadamard transforms for the widths of real models.

A Hadamard matrix of order ``m * 2**k`` is the Kronecker product of a core of order ``m`` and 2 x 2 ones, so that the
transform is applied factor by factor. Cores are Paley's constructions: order ``q + 1`` for a prime power
``q = 3 mod 4``, and ``2 * (q + 1)`` for ``q = 1 mod 4`` (R. Paley, On Orthogonal Matrices, 1933). These give the
widths of the Llama, Mistral, Qwen, OPT, GPT-2, Phi and Gemma models, also 11008 = 344 * 32, with 343 = 7**3. A width
without any (say 9, or 92) gets a block-diagonal transform of the largest divisor that has one.
"""

from functools import cache
from itertools import product
from math import isqrt

import torch
from torch import Tensor

LARGEST_SYLVESTER = 64
"""Largest factor that powers of two are split into, which is faster than one large product."""


def _prime_power(number: int) -> tuple[int, int] | None:
    """The prime p and the exponent n with ``p**n == number``, n at most 3; None for any other number."""
    for exponent in (1, 2, 3):
        prime = round(number ** (1 / exponent))
        if prime**exponent == number and prime > 1 and all(prime % d for d in range(2, isqrt(prime) + 1)):
            return prime, exponent
    return None


def _field_product(left: tuple[int, ...], right: tuple[int, ...], modulus: tuple[int, ...], prime: int) -> list[int]:
    """Product of two polynomials over GF(prime), lowest coefficient first, modulo x**n less ``modulus``."""
    degree = len(modulus)
    terms = [0] * (2 * degree - 1)
    for i, a in enumerate(left):
        for j, b in enumerate(right):
            terms[i + j] += a * b
    for power in range(2 * degree - 2, degree - 1, -1):
        for i, c in enumerate(modulus):
            terms[power - degree + i] += terms[power] * c
    return [term % prime for term in terms[:degree]]


def _irreducible(prime: int, degree: int) -> tuple[int, ...]:
    """Coefficients c, lowest first, such that ``x**degree = sum c_i x**i`` has no solution in GF(prime).

    A polynomial of degree 2 or 3 without a root has no factors.
    """
    for modulus in product(range(prime), repeat=degree):
        if all((x**degree - sum(c * x**i for i, c in enumerate(modulus))) % prime for x in range(prime)):
            return modulus
    raise AssertionError("every finite field has irreducible polynomials of every degree")


def _jacobsthal(prime: int, degree: int) -> Tensor:
    """Quadratic characters of the differences of all elements of GF(prime**degree), float64 [q, q] of -1, 0, 1."""
    elements = list(product(range(prime), repeat=degree))
    modulus = _irreducible(prime, degree) if degree > 1 else (0,)
    squares = {tuple(_field_product(a, a, modulus, prime)) for a in elements}
    # the index of an element in the list has its coefficients as digits in base p
    places = torch.tensor([prime**i for i in reversed(range(degree))])
    digits = torch.tensor(elements)
    character = torch.tensor([1.0 if a in squares else -1.0 for a in elements], dtype=torch.float64)
    character[0] = 0
    difference = ((digits[:, None] - digits[None]) % prime) @ places
    return character[difference]


def _paley(order: int) -> Tensor | None:
    """A Hadamard matrix by Paley's construction, float64 [order, order] of -1 and 1; None if there is none."""
    field = _prime_power(order - 1)
    if field and (order - 1) % 4 == 3:
        matrix = torch.ones(order, order, dtype=torch.float64)
        matrix[1:, 0] = -1
        matrix[1:, 1:] = _jacobsthal(*field) + torch.eye(order - 1)
        return matrix
    half = order // 2
    field = _prime_power(half - 1) if order % 2 == 0 else None
    if field and (half - 1) % 4 == 1:
        conference = torch.ones(half, half, dtype=torch.float64)
        conference[0, 0] = 0
        conference[1:, 1:] = _jacobsthal(*field)
        signs = torch.tensor([[1.0, 1.0], [1.0, -1.0]], dtype=torch.float64)
        diagonal = torch.tensor([[1.0, -1.0], [-1.0, -1.0]], dtype=torch.float64)
        return torch.kron(conference, signs) + torch.kron(torch.eye(half), diagonal)
    return None


def _sylvester(exponent: int) -> list[Tensor]:
    """Factors of the Hadamard matrix of order ``2**exponent``, as equal as possible."""
    count = -(-exponent // (LARGEST_SYLVESTER.bit_length() - 1))
    factors = []
    for i in range(count):
        matrix = torch.ones(1, 1, dtype=torch.float64)
        for _ in range(exponent * (i + 1) // count - exponent * i // count):
            matrix = torch.cat([torch.cat([matrix, matrix], 1), torch.cat([matrix, -matrix], 1)])
        factors.append(matrix)
    return factors


def _factors(order: int) -> tuple[Tensor, ...] | None:
    """Orthonormal factors of a Hadamard matrix of this order, float32; None if no construction here gives one."""
    odd, exponent = order, 0
    while odd % 2 == 0:
        odd, exponent = odd // 2, exponent + 1
    matrices: list[Tensor] | None = _sylvester(exponent) if odd == 1 else None
    for doublings in range(2, exponent + 1) if odd > 1 else ():
        core = _paley(odd << doublings)
        if core is not None:
            matrices = [core, *_sylvester(exponent - doublings)]
            break
    if matrices is None:
        return None
    return tuple((matrix / matrix.shape[0] ** 0.5).float() for matrix in matrices)


@cache
def hadamard_factors(width: int) -> tuple[Tensor, ...]:
    """Orthonormal float32 matrices with a Kronecker product that transforms ``width`` values, or blocks of them.

    The product of their orders is the largest divisor of ``width`` that has a construction.
    """
    for blocks in range(1, width + 1):
        factors = None if width % blocks else _factors(width // blocks)
        if factors is not None:
            return factors
    raise ValueError(f"width: {width}, expected 1 or more")


def rotate(values: Tensor, *, inverse: bool = False) -> Tensor:
    """The orthonormal Hadamard transform ``H x`` of the last axis, or its inverse ``H^T x``.

    Args:
        values: float32 [..., K].
        inverse: whether to apply the inverse.

    Returns:
        float32 [..., K]; the norm of the last axis is unchanged.
    """
    shape = values.shape
    inner = 1
    for factor in reversed(hadamard_factors(shape[-1])):
        order = factor.shape[0]
        # the last factor acts on neighbours, the first on the farthest apart
        if inner == 1:
            values = values.reshape(-1, order) @ (factor if inverse else factor.T)
        else:
            values = (factor.T if inverse else factor) @ values.reshape(-1, order, inner)
        inner *= order
    return values.reshape(shape)


def random_signs(width: int, *, seed: int) -> Tensor:
    """Signs that make a Hadamard transform a random one, float32 [width] of -1 and 1, the same for the same seed."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 2, (width,), generator=generator).mul(2).sub(1).float()
