# The servers of the truth tests, in blocking sockets and a thread for each connection. Ends with its standard input.

import os
import socket
import struct
import sys
import threading
import time


def spawn(body, *arguments):
    threading.Thread(target=body, args=arguments, daemon=True).start()


def echo(peer):
    while data := peer.recv(1 << 16):
        peer.sendall(data)


def count(peer):
    """Answers after the client's end, which only a client that closes its half can wait for."""
    total = 0
    while data := peer.recv(1 << 16):
        total += len(data)
    peer.sendall(b"%d bytes\n" % total)


def silent(peer):
    """Takes a request and never answers it."""
    while peer.recv(1 << 16):
        pass


def deaf(peer):
    """Never reads."""
    threading.Event().wait()


def slow(peer):
    """A byte a second."""
    for byte in b"slow\n":
        time.sleep(1)
        peer.sendall(bytes([byte]))


def reset(peer):
    """Sends 1 MiB, waits for the client to have all of it, and resets."""
    peer.sendall(bytes(1 << 20))
    peer.recv(1)
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def source(peer):
    """256 MiB."""
    for _ in range(256):
        peer.sendall(bytes(1 << 20))


def serve(peer, behaviour):
    with peer:
        try:
            behaviour(peer)
        except OSError:
            pass


def listen(port, behaviour):
    listener = socket.create_server(("", port), family=socket.AF_INET6, backlog=512, dualstack_ipv6=True)

    def accept():
        while True:
            spawn(serve, listener.accept()[0], behaviour)

    spawn(accept)


def listen_udp(family, address, port):
    server = socket.socket(family, socket.SOCK_DGRAM)
    server.bind((address, port))

    def answer():
        while True:
            data, peer = server.recvfrom(1 << 16)
            server.sendto(data, peer)

    spawn(answer)


for port, behaviour in enumerate([echo, count, silent, deaf, slow, reset, source], start=3000):
    listen(port, behaviour)
for family, address in [(socket.AF_INET, "10.77.0.1"), (socket.AF_INET6, "fd77::1")]:
    listen_udp(family, address, 3000)
print("ready", flush=True)
sys.stdin.read()
os._exit(0)
