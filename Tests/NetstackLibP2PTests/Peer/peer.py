# A libp2p peer that the tests did not write: py-libp2p, driven by lines of JSON.
#
# A request is {"id": 1, "do": "dial", ...}; its answer has the same id, and "error" and "text" if it failed. Requests
# run side by side. Events ({"event": "accepted", ...}) come at any time. Lines that are not JSON are logs. It ends
# with its input. An argument of 64 hexadecimal digits is the seed of its key.

import contextlib
import importlib.metadata
import json
import os
import struct
import sys

import trio
from libp2p import new_host
from libp2p.abc import INotifee
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.crypto.x25519 import create_new_key_pair as create_new_x25519_key_pair
from libp2p.exceptions import MultiError
from libp2p.host.ping import PingService
from libp2p.identity.identify.identify import ID as IDENTIFY, parse_identify_response
from libp2p.network.config import RetryConfig
from libp2p.peer.id import ID
from libp2p.peer.peerinfo import info_from_p2p_addr
from libp2p.rcmgr import ResourceManager
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE, Transport as NoiseTransport
from libp2p.stream_muxer.yamux.yamux import PROTOCOL_ID as YAMUX, YAMUX_HEADER_FORMAT, Yamux
from multiaddr import Multiaddr

import garbage
import streams


class Notices(INotifee):
    """Tells of connections that come and go."""

    def __init__(self, peer):
        self.peer = peer

    async def connected(self, network, conn):
        await self.peer.tell("connected", peer=str(conn.muxed_conn.peer_id))

    async def disconnected(self, network, conn):
        await self.peer.tell("disconnected", peer=str(conn.muxed_conn.peer_id))

    async def opened_stream(self, network, stream):
        pass

    async def closed_stream(self, network, stream):
        pass

    async def listen(self, network, multiaddr):
        pass

    async def listen_close(self, network, multiaddr):
        pass


class Peer:
    def __init__(self, keys, output, nursery):
        noise = NoiseTransport(keys, noise_privkey=create_new_x25519_key_pair().private_key)
        self.keys = keys
        self.output = trio.lowlevel.FdStream(output)
        self.output_lock = trio.Lock()
        self.nursery = nursery
        # No limit of its own is to end a test: neither how often it is dialled, nor its waiting after a failed dial.
        self.host = new_host(
            key_pair=keys,
            sec_opt={NOISE: noise},
            muxer_opt={YAMUX: Yamux},
            resource_manager=ResourceManager(enable_rate_limiting=False),
        )
        self.network = self.host.get_network()
        self.network.retry_config = RetryConfig(max_retries=0)
        self.network.register_notifee(Notices(self))
        self.streams = {}
        self.last_stream = 0
        self.served = streams.Served(self)
        for protocol in self.served.protocols:
            self.host.set_stream_handler(protocol, self.served.handler(protocol))

    # What it says

    async def say(self, message):
        async with self.output_lock:
            await self.output.send_all(json.dumps(message).encode() + b"\n")

    async def tell(self, event, **details):
        await self.say({"event": event, **details})

    @staticmethod
    def failure(error):
        """The error, and as its text the chain of what it came from: py-libp2p's own say little."""
        chain = []
        while error is not None:
            while isinstance(error, BaseExceptionGroup):
                error = error.exceptions[0]
            chain.append(error)
            # A dial's error holds one for each address, of which there is one here.
            error = error.errors[0] if isinstance(error, MultiError) else error.__cause__
        return {"error": type(chain[0]).__name__, "text": " < ".join(f"{type(e).__name__}: {e}" for e in chain)}

    async def answer(self, request):
        identity = request.pop("id")
        try:
            name = request.pop("do")
            command = getattr(self, f"do_{name}", None)
            if command is None:
                raise ValueError(f"no such command: {name}")
            reply = await command(**request) or {}
        except Exception as error:
            reply = self.failure(error)
        await self.say({"id": identity, **reply})

    # What is asked for, by peer or number

    def number(self, stream):
        self.last_stream += 1
        self.streams[self.last_stream] = stream
        return self.last_stream

    def connection(self, peer):
        return self.network.get_connections(ID.from_string(peer))[0]

    async def open(self, peer, protocol):
        return await self.host.new_stream(ID.from_string(peer), [protocol])

    # Connections

    async def do_listen(self, address):
        if not await self.network.listen(Multiaddr(address)):
            raise OSError(f"cannot listen on {address}")
        actual = [str(a) for a in self.network.listeners[str(Multiaddr(address))].get_addrs()]
        peer = str(self.host.get_id())
        return {"peer": peer, "address": f"{actual[0]}/p2p/{peer}"}

    async def do_dial(self, address):
        info = info_from_p2p_addr(Multiaddr(address))
        with contextlib.suppress(Exception):
            self.host.get_peerstore().clear_addrs(info.peer_id)
        self.network.unblock_peer(info.peer_id)
        try:
            await self.host.connect(info)
        finally:
            self.network.unblock_peer(info.peer_id)
        return {"peer": str(info.peer_id)}

    async def do_connections(self):
        return {"peers": [str(peer) for peer in self.network.connections]}

    async def do_disconnect(self, peer):
        """A go-away, and the end of the TCP connection."""
        await self.connection(peer).close()

    async def do_drop(self, peer, how="rst"):
        streams.drop(self.connection(peer), how)

    # Ping, identify

    async def do_ping(self, peer, count=1):
        return {"milliseconds": await PingService(self.host).ping(ID.from_string(peer), count)}

    async def do_identify(self, peer):
        stream = await self.open(peer, IDENTIFY)
        content = b""
        while data := await streams.read_some(stream):
            content += data
        await stream.close()
        message = parse_identify_response(content)
        return {
            "agent": message.agent_version,
            "version": message.protocol_version,
            "key": message.public_key.hex(),
            "protocols": list(message.protocols),
            "addresses": [str(Multiaddr(address)) for address in message.listen_addrs],
            "observed": str(Multiaddr(message.observed_addr)) if message.observed_addr else None,
            "record": message.HasField("signedPeerRecord"),
        }

    # Streams

    async def do_open(self, peer, protocol):
        stream = await self.open(peer, protocol)
        return {"stream": self.number(stream), "yamux": stream.muxed_stream.stream_id}

    async def do_write(self, stream, hex):
        await self.streams[stream].write(bytes.fromhex(hex))

    async def do_read(self, stream, bytes):
        """Exactly so many bytes, or fewer at the end."""
        content = b""
        while len(content) < bytes and (data := await streams.read_some(self.streams[stream], bytes - len(content))):
            content += data
        return {"hex": content.hex(), "bytes": len(content)}

    async def do_read_line(self, stream):
        return {"text": await streams.read_line(self.streams[stream])}

    async def do_send_random(self, stream, bytes, seed):
        return await streams.send_blocks(self.streams[stream], seed, bytes)

    async def do_receive_sha(self, stream, bytes=None):
        return await streams.receive(self.streams[stream], bytes)

    async def do_close_write(self, stream):
        await self.streams[stream].close_write()

    async def do_close(self, stream):
        await self.streams.pop(stream).close()

    async def do_reset(self, stream):
        await self.streams.pop(stream).reset()

    async def do_pipe(self, stream, host, port):
        """Joins a stream with a TCP connection until both have ended."""
        return await streams.pipe(self.streams[stream], host, port)

    async def do_echo(self, peer, bytes, seed, protocol="/test/echo/1"):
        """What comes back of the bytes of a seed, and what they were."""
        stream = await self.open(peer, protocol)
        result = await streams.exchange(stream, bytes, seed)
        await stream.close()
        return result

    async def do_transfer(self, peer, bytes, seed, protocol="/test/transfer/1"):
        """Both ways at once on one stream: this side sends the bytes of `seed`, the other those of `seed` + 1."""
        stream = await self.open(peer, protocol)
        await stream.write(f"{bytes} {seed + 1}\n".encode())
        result = await streams.exchange(stream, bytes, seed)
        await stream.close()
        return result

    async def do_streams(self, peer, count, bytes, seed, protocol="/test/echo/1"):
        """Echoes on `count` streams at once, with `seed` and those after it."""
        results = [None] * count

        async def one(index):
            results[index] = await self.do_echo(peer, bytes, seed + index, protocol)

        async with trio.open_nursery() as nursery:
            for index in range(count):
                nursery.start_soon(one, index)
        return {"results": results}

    # What it serves

    async def do_configure(self, **settings):
        """`stall` and `drop`: after how many bytes. `how`: reset, rst, fin or go-away."""
        if unknown := set(settings) - {"stall", "drop", "how"}:
            raise ValueError(f"no such settings: {unknown}")
        self.served.settings.update(settings)

    async def do_relay(self, host, port):
        self.served.settings["relay"] = (host, port)

    async def do_resume(self, stream):
        self.served.stalled.pop(stream).set()

    # Against the rules

    async def do_frame(self, peer, type, flags=0, stream=0, length=0, payload=0, version=0):
        """A frame of Yamux with `payload` bytes after it, on a connection that is open."""
        header = struct.pack(YAMUX_HEADER_FORMAT, version, type, flags, stream, length)
        await self.connection(peer).muxed_conn._write_frame(header + b"\x5a" * payload)

    async def do_bytes(self, peer, hex, layer="noise"):
        """Any bytes, in place of frames (`noise`) or of Noise messages (`tcp`), on a connection that is open."""
        secured = self.connection(peer).muxed_conn.secured_conn
        below = secured if layer == "noise" else secured.conn.read_writer.read_write_closer
        await below.write(bytes.fromhex(hex))

    async def do_spoil_dial(self, address, step, how="garbage", hex=None):
        address = Multiaddr(address)
        version = "ip6" if address.protocols()[0].name == "ip6" else "ip4"
        host, port = address.value_for_protocol(version), int(address.value_for_protocol("tcp"))
        content = None if hex is None else bytes.fromhex(hex)
        async with await trio.open_tcp_stream(host, port) as stream:
            return await garbage.spoil(stream, self.keys, info_from_p2p_addr(address).peer_id, step, how, content)

    async def do_spoil_listen(self, step, host="127.0.0.1", how="garbage", hex=None):
        """Tells `spoiled` for each connection once it has ended."""
        content = None if hex is None else bytes.fromhex(hex)

        async def serve(stream):
            async with stream:
                await self.tell("spoiled", **await garbage.spoil(stream, self.keys, None, step, how, content))

        listeners = await trio.open_tcp_listeners(0, host=host)
        self.nursery.start_soon(trio.serve_listeners, serve, listeners)
        port = listeners[0].socket.getsockname()[1]
        version = "ip6" if ":" in host else "ip4"
        return {"address": f"/{version}/{host}/tcp/{port}/p2p/{self.host.get_id()}"}


async def main(output):
    seed = bytes.fromhex(sys.argv[1]) if len(sys.argv) > 1 else None
    async with trio.open_nursery() as nursery:
        peer = Peer(create_new_key_pair(seed), output, nursery)
        async with peer.host.run(listen_addrs=[]):
            await peer.tell("ready", peer=str(peer.host.get_id()), version=importlib.metadata.version("libp2p"))
            pending = b""
            requests = trio.lowlevel.FdStream(os.dup(0))
            async for data in requests:
                *lines, pending = (pending + data).split(b"\n")
                for line in lines:
                    nursery.start_soon(peer.answer, json.loads(line))
            # Nobody listens any more. Its sockets end with the process.
            os._exit(0)


if __name__ == "__main__":
    answers = os.dup(1)
    os.dup2(2, 1)
    trio.run(main, answers)
