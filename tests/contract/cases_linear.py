"""Products and norms."""

from __future__ import annotations

from .case import cases

CASES = cases("""
    dot(a, b.T)
    dot(v, w)
    dot(a, 2.0)
    inner(a, b)
    inner(v, w)
    outer(v, w)
    outer(l, v)
    matmul(a, transpose(b))
    matmul(i, transpose(j))
    matmul(c, transpose(d))
    matmul(t, matrix_transpose(t))
    matvec(a, b[0])
    vecmat(b[:, 0], a)
    vecdot(a, b)
    vecdot(c, d, axis=0)
    vdot(v, w)
    vdot(c, d)
    tensordot(a, b, axes=([1], [1]))
    tensordot(a, b)
    tensordot(t, a[:6, :5], axes=([1, 2], [1, 0]))
    cross(tri3, tri3[::-1])
    cross(tri3, np.array([1.0, 2, 3]))
    einsum("ij,kj->ik", a, b)
    einsum("ij,ij->", a, b)
    einsum("ij,ij->j", i, j)
    einsum("ij->ji", a)
    einsum("ijk,kl->ijl", t, a[:6])
    norm(a) => linalg.norm(a)
    norm(a, axis=0) => linalg.norm(a, axis=0)
    norm(a, 1) => linalg.norm(a, 1)
    norm(v, np.inf) => linalg.norm(v, np.inf)
    matrix_norm(a) => linalg.matrix_norm(a)
    matrix_norm(t, ord=np.inf) => linalg.matrix_norm(t, ord=np.inf)
    vector_norm(a) => linalg.vector_norm(a)
    vector_norm(c, axis=1, ord=1) => linalg.vector_norm(c, axis=1, ord=1)
    trace(a)
    trace(t, 0, 1, 2)
    a.trace(1)
    a.dot(b.T)
    v.dot(w)
    a @ b.T
    a @ b[0]
    i @ j.T
    Array.__rmatmul__ :: a.__rmatmul__(np.ones((2, 7))) => np.ones((2, 7)) @ a
    Array.__imatmul__ :: augmented('__imatmul__', p[:, :7], a[:, :7]) => p[:, :7] @ a[:, :7]

    linalg.cross(tri3, tri3[::-1])
    linalg.diagonal(a, offset=1)
    linalg.diagonal(t)
    linalg.matmul(a, b.T)
    linalg.matrix_norm(a, ord=1)
    linalg.matrix_transpose(t)
    linalg.norm(a)
    linalg.norm(a, axis=1, ord=3)
    linalg.outer(v, w)
    linalg.tensordot(a, b, axes=([0], [0]))
    linalg.trace(a, offset=-1)
    linalg.trace(t)
    linalg.vecdot(a, b)
    linalg.vector_norm(a, axis=0)
    linalg.vector_norm(a, axis=0, ord=0)
""")
