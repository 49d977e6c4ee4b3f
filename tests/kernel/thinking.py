"""A server that thinks before it answers, and its client.

    thinking.py serve COUNT     prints so many ports, serves on them, prints a line for each client
    thinking.py ask ADDRESS PORT REQUEST THINK_MS ANSWER TURNS [WINDOW]     prints a line

A request is a line of the figures and so many bytes; REQUEST and ANSWER are their bytes.  WINDOW
bounds what is sent and not yet acknowledged.  Delayed ACKs stay on, as they are by default.  A line
is the server's port and srtt (us) as it is after the handshake, when the first answer is there.
"""

from __future__ import annotations

import json
import socket
import struct
import sys
import threading
import time

_LINE = 64


def serve(count: int) -> None:
    """Listen on so many ports until killed."""
    listeners = [socket.create_server(("", 0)) for _ in range(count)]
    for listener in listeners:
        threading.Thread(target=_accept, args=(listener,), daemon=True).start()
    _print([listener.getsockname()[1] for listener in listeners])
    time.sleep(600)


def _print(what: object) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def _srtt_us(connection: socket.socket) -> int:
    """tcpi_rtt of struct tcp_info."""
    return int(struct.unpack_from("<I", connection.getsockopt(socket.IPPROTO_TCP, 11, 104), 68)[0])


def _accept(listener: socket.socket) -> None:
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=_answer, args=(connection,), daemon=True).start()


def _answer(connection: socket.socket) -> None:
    with connection:
        _print([connection.getsockname()[1], _srtt_us(connection)])
        while line := _receive(connection, _LINE):
            request, think_ms, answer = map(int, line.split())
            _receive(connection, request - _LINE)
            time.sleep(think_ms / 1000)
            connection.sendall(bytes(answer))


def _receive(connection: socket.socket, missing: int) -> bytes:
    first = b""
    while missing > 0:
        got = connection.recv(min(missing, 65536))
        if not got:
            return b""
        first = first or got[:_LINE]
        missing -= len(got)
    return first


def ask(address: str, port: int, *figures: int) -> None:
    """Ask so many times over one connection."""
    request, think_ms, answer, turns, *window = figures
    line = f"{request} {think_ms} {answer}".encode().ljust(_LINE)
    with socket.socket() as connection:
        for bytes_ in window:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, bytes_)
        connection.connect((address, port))
        handshake_us = _srtt_us(connection)
        for turn in range(turns):
            connection.sendall(line + bytes(request - _LINE))
            _receive(connection, answer)
            if turn == 0:
                _print([port, handshake_us])


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(int(sys.argv[2]))
    else:
        ask(sys.argv[2], *map(int, sys.argv[3:]))
