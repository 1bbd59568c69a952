# What the peer of the tests does on its streams: the bytes it sends, what it serves, and how it ends a connection.

import contextlib
import hashlib
import socket
import struct

import trio
from libp2p.network.stream.exceptions import StreamEOF, StreamReset

READ_LIMIT = 1 << 16
BLOCK = 1 << 20


def blocks(seed, count):
    """The bytes of a seed: a block of 1 MiB, again and again, its first eight bytes the number of the repetition.

    The block is SHA-256 of the seed (eight bytes, big endian) and a counter (four bytes), for 32768 counters.
    """
    prefix = struct.pack("!Q", seed)
    block = bytearray(
        b"".join(hashlib.sha256(prefix + struct.pack("!I", counter)).digest() for counter in range(BLOCK // 32))
    )
    number = 0
    while count > 0:
        struct.pack_into("!Q", block, 0, number)
        number += 1
        yield bytes(block[: min(count, BLOCK)])
        count -= BLOCK


class Digest:
    """How much has come, and its SHA-256."""

    def __init__(self):
        self.bytes = 0
        self.hash = hashlib.sha256()

    def add(self, data):
        self.bytes += len(data)
        self.hash.update(data)

    def reply(self):
        return {"bytes": self.bytes, "sha256": self.hash.hexdigest()}


async def read_some(stream, limit=READ_LIMIT):
    """What has come, nothing at the end. py-libp2p takes a reset for the end once it has forgotten the stream."""
    try:
        return await stream.read(limit)
    except StreamEOF:
        if stream.muxed_stream.reset_received:
            raise StreamReset("the stream was reset") from None
        return b""


async def read_line(stream):
    line = b""
    while not line.endswith(b"\n"):
        byte = await read_some(stream, 1)
        if not byte:
            raise EOFError("the stream ended before its first line did")
        line += byte
    return line[:-1].decode()


async def send_blocks(stream, seed, count):
    digest = Digest()
    for block in blocks(seed, count):
        await stream.write(block)
        digest.add(block)
    return digest.reply()


async def receive(stream, count=None):
    """Reads `count` bytes, or up to the end."""
    digest = Digest()
    while count is None or digest.bytes < count:
        data = await read_some(stream, READ_LIMIT if count is None else min(READ_LIMIT, count - digest.bytes))
        if not data:
            break
        digest.add(data)
    return digest.reply()


async def exchange(stream, count, seed):
    """Sends the bytes of a seed and the end, and at the same time reads up to the other's end."""
    sent = {}

    async def send():
        sent.update(await send_blocks(stream, seed, count))
        await stream.close_write()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        received = await receive(stream)
    return {"sent": sent, "received": received}


async def pipe(stream, host, port):
    """Joins a stream with a TCP connection, both ways, and passes each end on. Knows nothing of what goes through."""
    counts = {"in": 0, "out": 0}
    async with await trio.open_tcp_stream(host, port) as connection:

        async def outward():
            while data := await read_some(stream):
                counts["out"] += len(data)
                await connection.send_all(data)
            await connection.send_eof()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(outward)
            while data := await connection.receive_some(READ_LIMIT):
                counts["in"] += len(data)
                await stream.write(data)
            await stream.close_write()
    return counts


def tcp_socket(connection):
    """The socket below a connection of the swarm."""
    return connection.muxed_conn.secured_conn.conn.read_writer.read_write_closer.stream.stream.socket


def drop(connection, how):
    """Ends the TCP connection under a libp2p connection, by a reset or by its end, with no word to the layers above."""
    below = tcp_socket(connection)
    if how == "rst":
        below.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    below.close()


class Served:
    """The protocols that the peer serves. What they do can be told apart by the number of the stream."""

    def __init__(self, peer):
        self.peer = peer
        self.settings = {"stall": 1 << 16, "drop": 1 << 16, "how": "reset", "relay": None}
        self.stalled = {}
        self.protocols = {
            "/test/echo/1": self.echo,
            "/test/sink/1": self.sink,
            "/test/source/1": self.source,
            "/test/transfer/1": self.transfer,
            "/test/stall/1": self.stall,
            "/test/drop/1": self.drop,
            "/rns/one-way/0.0.1": self.relay,
        }

    def handler(self, protocol):
        async def handle(stream):
            number = self.peer.number(stream)
            event = {"stream": number, "protocol": protocol, "peer": str(stream.muxed_conn.peer_id)}
            await self.peer.tell("accepted", **event)
            try:
                result = await self.protocols[protocol](stream, number)
            except Exception as error:
                result = self.peer.failure(error)
                with contextlib.suppress(Exception):
                    await stream.reset()
            else:
                with contextlib.suppress(Exception):
                    await stream.close()
            self.peer.streams.pop(number, None)
            await self.peer.tell("ended", **event, **result)

        return handle

    async def echo(self, stream, number):
        digest = Digest()
        while data := await read_some(stream):
            digest.add(data)
            await stream.write(data)
        return digest.reply()

    async def sink(self, stream, number):
        result = await receive(stream)
        await stream.write(f"{result['sha256']} {result['bytes']}\n".encode())
        return result

    async def source(self, stream, number):
        count, seed = map(int, (await read_line(stream)).split())
        return await send_blocks(stream, seed, count)

    async def transfer(self, stream, number):
        count, seed = map(int, (await read_line(stream)).split())
        return await exchange(stream, count, seed)

    async def stall(self, stream, number):
        digest = Digest()
        while digest.bytes < self.settings["stall"]:
            digest.add(await read_some(stream, self.settings["stall"] - digest.bytes) or self.short())
        resumed = self.stalled[number] = trio.Event()
        await self.peer.tell("stalled", stream=number, bytes=digest.bytes)
        await resumed.wait()
        while data := await read_some(stream):
            digest.add(data)
        result = digest.reply()
        await stream.write(f"{result['sha256']} {result['bytes']}\n".encode())
        return result

    async def drop(self, stream, number):
        count = self.settings["drop"]
        if (await receive(stream, count))["bytes"] < count:
            self.short()
        if self.settings["how"] == "reset":
            await stream.reset()
        elif self.settings["how"] == "go-away":
            await stream.muxed_conn.close()
        else:
            drop(stream, self.settings["how"])
        return {"bytes": count, "how": self.settings["how"]}

    async def relay(self, stream, number):
        if self.settings["relay"] is None:
            raise RuntimeError("no relay is configured")
        return await pipe(stream, *self.settings["relay"])

    @staticmethod
    def short():
        raise EOFError("the stream ended before as many bytes had come as were asked for")
