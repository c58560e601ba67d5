"""Carries records and open files between this process and its own children, and to nobody else.

A frame is a header (magic, length of the payload, number of file descriptors), sent with
the descriptors as SCM_RIGHTS, then the payload: one pickled object.  Unpickling is safe
here and only here: both ends of the socket pair were made by the same program, and
nothing that was read from a file is ever unpickled.
"""

from __future__ import annotations

import array
import contextlib
import os
import pickle
import select
import socket
import struct
import threading
from collections.abc import Sequence
from typing import Any

from ..errors import ProtocolError

__all__ = ["LARGEST", "MOST_FILES", "Channel", "pair", "readable"]

_HEADER = struct.Struct("<4sQI")
_MAGIC = b"ooc1"
LARGEST = 1 << 31
"""No message is larger: data travels by address, literals above 64 KiB in a memfd."""
MOST_FILES = 250
"""The kernel's limit on descriptors in one message is 253."""
_PIECE = 16 << 20
"""Memory is taken for what has come, not for what a header promises."""


class Channel:
    """One end of a socket pair; `send` may be called from several threads, `receive` from one.

    Attributes
    ----------
    patience : float or None
        Seconds for which the other end may be silent in the middle of a message.
    """

    __slots__ = ("_lock", "patience", "socket")

    def __init__(self, sock: socket.socket, patience: float | None = None) -> None:
        self.socket, self.patience = sock, patience
        self._lock = threading.Lock()

    def fileno(self) -> int:
        return self.socket.fileno()

    def send(self, message: Any, fds: Sequence[int] = ()) -> None:
        """Send one object and duplicates of `fds`.

        Raises
        ------
        OSError
            The other end is gone (BrokenPipeError).
        """
        payload = pickle.dumps(message, protocol=5)
        if len(payload) > LARGEST or len(fds) > MOST_FILES:
            raise ProtocolError(f"message of {len(payload)} bytes with {len(fds)} files")
        head = _HEADER.pack(_MAGIC, len(payload), len(fds))
        with self._lock:
            if not fds and len(payload) < 1 << 16:
                self.socket.sendall(head + payload)
                return
            # sendmsg of a header-sized buffer is never short on a stream socket with room.
            socket.send_fds(self.socket, [head], list(fds))
            self.socket.sendall(payload)

    def receive(self) -> tuple[Any, list[int]]:
        """Wait for one object; return it with the descriptors that came along.

        Raises
        ------
        EOFError
            The other end is closed.
        ProtocolError
            What came is not a frame, or not all of one.
        """
        head, fds = self._read_header()
        magic, length, count = _HEADER.unpack(head)
        if magic != _MAGIC or length > LARGEST or count != len(fds):
            for fd in fds:
                os.close(fd)
            raise ProtocolError(f"not a frame: {head!r} with {len(fds)} files")
        try:
            return _loaded(self._read(length)), fds
        except BaseException:
            for fd in fds:
                os.close(fd)
            raise

    def _read_header(self) -> tuple[bytes, list[int]]:
        room = socket.CMSG_SPACE(MOST_FILES * 4)
        try:
            head, extra, _, _ = self.socket.recvmsg(_HEADER.size, room, socket.MSG_CMSG_CLOEXEC)
        except ConnectionError as error:
            raise EOFError(str(error)) from error
        fds = array.array("i")
        for level, kind, data in extra:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
        if not head:
            raise EOFError("the other end closed the channel")
        return head + bytes(self._read(_HEADER.size - len(head))), list(fds)

    def _read(self, length: int) -> bytearray:
        data = bytearray()
        while len(data) < length:
            piece = bytearray(min(length - len(data), _PIECE))
            self._fill(memoryview(piece))
            data = data + piece if data else piece
        return data

    def _fill(self, view: memoryview) -> None:
        while view:
            if self.patience is not None and not readable(self, self.patience):
                raise ProtocolError(f"silence for {self.patience:g} s in the middle of a frame")
            try:
                count = self.socket.recv_into(view)
            except ConnectionError as error:
                raise EOFError(str(error)) from error
            if not count:
                raise EOFError("the other end closed the channel in the middle of a frame")
            view = view[count:]

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.socket.close()


def _loaded(data: bytearray) -> Any:
    try:
        return pickle.loads(data)
    except Exception as error:
        raise ProtocolError(f"a frame of {len(data)} bytes is no message: {error}") from error


def pair() -> tuple[Channel, Channel]:
    """Make two connected channels."""
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    return Channel(left), Channel(right)


def readable(source: Channel | int, timeout: float) -> bool:
    """Tell whether there is something to read, or to come no more, within `timeout` seconds."""
    if (source if isinstance(source, int) else source.fileno()) < 0:
        return False
    waiting = select.poll()
    waiting.register(source, select.POLLIN)
    return bool(waiting.poll(timeout * 1000))
