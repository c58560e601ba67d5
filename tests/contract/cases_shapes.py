"""What moves elements and changes none: shapes, parts, joining and splitting; equal to the bit."""

from __future__ import annotations

from .case import cases

CASES = cases(
    """
    reshape(a, (8, 7))
    reshape(a, -1)
    reshape(t, (20, 6))
    reshape(i, (2, 4, 7))
    ravel(a)
    transpose(a)
    transpose(t, (2, 0, 1))
    permute_dims(t, (1, 2, 0))
    matrix_transpose(t)
    moveaxis(t, 0, -1)
    rollaxis(t, 2)
    swapaxes(t, 0, 1)
    expand_dims(a, 1)
    expand_dims(v, (0, 2))
    squeeze(z)
    squeeze(expand_dims(a, 1), axis=1)
    broadcast_to(v, (3, 11))
    broadcast_to(z, (7, 8))
    broadcast_arrays(a, z)
    atleast_1d(v)
    atleast_2d(v)
    atleast_3d(v)
    atleast_3d(a)
    meshgrid(v, w)
    meshgrid(v, l, indexing="ij", sparse=True)
    rechunk(a, (7, 2)) => a
    rechunk(t, (4, 1, 6)) + t => t + t
    a.rechunk((2, 8)) => a

    reshape(a + 1, (8, 7))  # of expressions, where no view of a file will do
    reshape(a + 1, -1)
    reshape(a + 1, (14, 4))
    reshape(a.T + 1, (2, 4, 7))
    reshape(t * 2, (20, 6))
    reshape(t * 2, (3, 40))
    reshape(v * 2, (11, 1, 1))
    ravel(t.T + 1)
    transpose(t * 2, (2, 0, 1))
    moveaxis(t + 1, 0, 1)
    expand_dims(a + 1, (0, 3))
    squeeze(z + 1)
    broadcast_to(v + 1, (2, 3, 11))
    Array.reshape :: (a + 1).reshape(4, 14)
    Array.flatten :: (a + 1).flatten()
    Array.T :: (t + 1).T

    flip(a + 1)
    rot90(a + 1, 3)
    roll(a + 1, -3)
    diag(v + 1, k=1)
    diagonal(t + 1, -1, 2, 0)
    sliding_window_view(v + 1, 3) => np.lib.stride_tricks.sliding_window_view(v + 1, 3)
    flip(a)
    flip(a, 0)
    fliplr(a)
    flipud(i)
    roll(a, 3)
    roll(a, (2, -1), axis=(0, 1))
    roll(i, -9, axis=1)
    rot90(a)
    rot90(t, 3, axes=(1, 2))
    repeat(a, 3, axis=0)
    repeat(v, 2)
    repeat(a, [1, 0, 2, 3, 1, 0, 1], axis=0)
    tile(a, 2)
    tile(v, (2, 3))

    concatenate([a, b])
    concatenate([a, b, z])
    concatenate([a, i], axis=1)
    concatenate([a, b], axis=None)
    concat([a + 1, near], axis=1)
    stack([a, b])
    stack([a, b, p], axis=-1)
    hstack([a, b])
    hstack([v, w])
    vstack([v, w])
    vstack([a, z])
    dstack([a, b])
    column_stack([v, l])
    column_stack([a, tri3])
    append(a, b)
    append(a, z, axis=0)
    block([[a, b], [b, a]])
    insert(v, 3, 99.0)
    insert(a, [1, 4], 0.5, axis=1)
    delete(a, 2, axis=0)
    delete(v, [0, 5, -1])
    delete(a, slice(1, 6, 2), axis=1)
    split(v, [2, 7])
    split(a, 2, axis=1)
    array_split(a, 3)
    array_split(v, 4)
    hsplit(a, 2)
    vsplit(a, [3])
    dsplit(t, 3)
    unstack(a)
    unstack(t, axis=1)

    pad(a, 2)
    pad(a, ((1, 0), (2, 3)), constant_values=7.0)
    pad(v, 3, mode="edge")
    pad(a, 2, mode="reflect")
    pad(a, 1, mode="symmetric")
    pad(a, 2, mode="wrap")
    sliding_window_view(v, 3) => np.lib.stride_tricks.sliding_window_view(v, 3)
    sliding_window_view(a, (2, 3)) => np.lib.stride_tricks.sliding_window_view(a, (2, 3))
    oo.sliding_window_view :: sliding_window_view(a, 3, axis=0).max(-1) => \
np.lib.stride_tricks.sliding_window_view(a, 3, axis=0).max(-1)

    diag(v)
    diag(v, k=2)
    diag(a)
    diag(a, k=-1)
    diagonal(a, 1)
    diagonal(t, 0, 1, 2)
    tril(a)
    triu(a, 1)
    triu(t, k=-1)
    compress(np.arange(7) % 2 == 0, a, axis=0)
    compress(r, v)
    extract(m, a)
    take(a, [5, 0, -1], axis=1)
    take(a, [3, 20, 55])
    take(a, [[0, 3], [2, 2]], axis=0)
    take(v, [12, -13], mode="wrap")
    take_along_axis(a, positions, axis=1)

    a.T
    t.T
    t.mT
    c.real
    c.imag
    a.imag
    a.reshape(8, 7)
    a.reshape((4, -1))
    a.ravel()
    a.flatten()
    a.transpose()
    t.transpose(1, 2, 0)
    z.squeeze()
    t.swapaxes(0, 2)
    a.repeat(2, axis=1)
    a.take([4, 1], axis=0)
    a.diagonal(-1)
    a.astype(int)
    a.astype("f4")
    a.clip(-1, 0.5)
    a.round(1)
    c.conj()
    c.conjugate()
    a.copy()
    Array.copy :: (a + b).copy()
    Array.view :: a.view("i8")
    a.to_device("cpu") => a

    a[1:5]
    a[:, ::2]
    a[::-1, ::-3]
    a[2]
    a[-1, 3]
    a[..., 4]
    a[None, 2:4, :, None]
    a[5:2]
    t[1, :, ::-1]
    t[..., 2:4]
    a[[0, 5, 2]]
    a[:, [7, 0, 0]]
    a[[1, 3], [2, 6]]
    a[[[1, 3], [0, 0]]]
    a[[1, 3], 2:5]
    a[np.arange(7) > 3]
    a[:, np.arange(8) % 3 == 0]
    a[m]
    a[a > 0]
    v[r]
    i[i % 2 == 0]
    v[l]
    a[1:6][:, 2:5][::2]
    Array.__getitem__ :: (a + b)[2:5, ::3]
    Array.__getitem__ :: (a * 2)[[0, 6, 3]]
    Array.__getitem__ :: a.T[2:4]
    a.oindex[[0, 5], [1, 2, 7]] => a[np.ix_([0, 5], [1, 2, 7])]
    a.oindex[[4, 1], 2:5] => a[[4, 1], 2:5]
    a.vindex[[0, 5], [1, 2]] => a[[0, 5], [1, 2]]
    a.blocks[1] => a[3:6]
    a.blocks[0, 2] => a[:3, 6:]
    a.blocks[[2, 0]] => np.concatenate([a[6:], a[:3]])
    Array.partitions :: a.partitions[2, 1] => a[6:, 3:6]

    Array.__setitem__ :: assigned(p, 2, 5.0)
    Array.__setitem__ :: assigned(p, (slice(1, 6, 2), slice(None, None, -3)), 0.25)
    Array.__setitem__ :: assigned(p, slice(2, 5), b[:3])
    Array.__setitem__ :: assigned(p, m, -1.0)
    Array.__setitem__ :: assigned(p, ([0, 3], [1, 2]), 9.0)
    Array.__setitem__ :: assigned(p + 1, (slice(None), [0, 4]), 9.0)
    Array.__copy__ :: a.__copy__()
    Array.__deepcopy__ :: p.__deepcopy__({})
""",
    exact=True,
)
