"""The channel between processes: frames whole or not at all, with their descriptors."""

from __future__ import annotations

import os
import pickle
import socket
import threading

import pytest

from oocarray.errors import ProtocolError
from oocarray.runtime.channel import Channel, pair


@pytest.fixture
def ends(no_leaks):
    left, right = pair()
    yield left, right
    left.close()
    right.close()


@pytest.mark.parametrize("size", [0, 1, (1 << 16) - 200, 1 << 16, 5_000_000])
@pytest.mark.parametrize("count", [0, 1, 3])
def test_messages_arrive_whole_and_in_order(ends, size, count):
    left, right = ends
    reads = [os.pipe() for _ in range(count)]
    got = []
    reader = threading.Thread(target=lambda: got.extend(right.receive() for _ in range(3)))
    reader.start()
    left.send(("first", 1))
    left.send(b"x" * size, [write for _, write in reads])
    left.send(None)
    reader.join(10)
    assert [message for message, _ in got] == [("first", 1), b"x" * size, None]
    assert [len(fds) for _, fds in got] == [0, count, 0]
    for number, (fd, (read, write)) in enumerate(zip(got[1][1], reads, strict=True)):
        assert not os.get_inheritable(fd)
        os.write(fd, b"%d" % number)
        assert os.read(read, 9) == b"%d" % number
        for one in (fd, read, write):
            os.close(one)


def test_many_threads_may_send(ends):
    left, right = ends
    threads = [
        threading.Thread(target=lambda n=n: [left.send((n, k, b"." * 3000)) for k in range(50)])
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    got = [right.receive()[0][:2] for _ in range(200)]
    for thread in threads:
        thread.join()
    for n in range(4):
        assert [k for who, k in got if who == n] == list(range(50))


def test_the_end_of_the_other_side_is_told(ends):
    left, right = ends
    left.close()
    with pytest.raises(EOFError, match="closed"):
        right.receive()
    with pytest.raises(OSError, match="Broken pipe"):
        right.send("anybody?")


@pytest.mark.parametrize("length", [3, 15, 16, 30])
def test_a_frame_cut_short_is_the_end(ends, length):
    left, right = ends
    payload = pickle.dumps("something to say")
    frame = b"ooc1" + len(payload).to_bytes(8, "little") + bytes(4) + payload
    left.socket.sendall(frame[:length])
    left.close()
    with pytest.raises(EOFError):
        right.receive()


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\n",
        b"ooc1" + (1 << 40).to_bytes(8, "little") + bytes(4),
        b"ooc1" + bytes(8) + (2).to_bytes(4, "little"),
    ],
    ids=["another protocol", "too long", "files that did not come"],
)
def test_what_is_no_frame_is_refused(ends, head):
    left, right = ends
    left.socket.sendall(head)
    with pytest.raises(ProtocolError, match="not a frame"):
        right.receive()


def test_files_that_came_with_no_frame_are_closed(ends):
    left, right = ends
    read, write = os.pipe()
    socket.send_fds(left.socket, [b"GET / HTTP/1.1\r\n"], [write])
    os.close(write)
    with pytest.raises(ProtocolError, match="1 files"):
        right.receive()
    assert os.read(read, 1) == b""  # nobody holds the other end any more
    os.close(read)


def test_too_many_files_are_refused_before_anything_is_sent(ends):
    left, right = ends
    with pytest.raises(ProtocolError, match="251 files"):
        left.send("these", [0] * 251)
    left.send("still good")
    assert right.receive() == ("still good", [])


def test_what_cannot_be_pickled_leaves_the_channel_as_it_was(ends):
    left, right = ends
    with pytest.raises((TypeError, AttributeError, pickle.PicklingError)):
        left.send(threading.Lock())
    left.send("still good")
    assert right.receive() == ("still good", [])


def test_a_channel_may_be_closed_twice():
    left, right = pair()
    left.close()
    left.close()
    right.close()
    assert isinstance(left, Channel)
