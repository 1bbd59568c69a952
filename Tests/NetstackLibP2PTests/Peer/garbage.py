# Peers that break the rules of one step of a connection's set-up, and then wait for how the other side ends it.
#
# Everything up to that step is py-libp2p's own; its one write is replaced.

import trio
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.crypto.x25519 import create_new_key_pair as create_new_x25519_key_pair
from libp2p.network.connection.raw_connection import RawConnection
from libp2p.io.trio import TrioTCPStream
from libp2p.security.noise.messages import NoiseHandshakePayload, make_handshake_payload_sig
from libp2p.security.noise.patterns import PatternXX
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE, Transport as NoiseTransport
from libp2p.stream_muxer.yamux.yamux import PROTOCOL_ID as YAMUX, Yamux
from libp2p.transport.upgrader import TransportUpgrader

# A step: the layer whose write is replaced, and which of its writes that is for who dials and for who listens.
STEPS = {
    "multistream": ("tcp", 0, 0),
    "security": ("tcp", 1, 1),
    "noise-1": ("tcp", 2, None),
    "noise-2": ("tcp", None, 2),
    "noise-3": ("tcp", 3, None),
    "ciphertext": ("tcp", 4, 3),
    "secure-multistream": ("noise", 0, 0),
    "muxer": ("noise", 1, 1),
    "yamux": ("noise", 2, 2),
}

# What takes the place of the payload of the Noise message that carries the identity.
PAYLOADS = ("signature", "identity", "empty-payload", "garbage-payload")

GARBAGE = {
    "noise-1": b"\x00\x05short",
    "noise-2": b"\x00\xc8" + b"\xaa" * 200,
    "noise-3": b"\x00\xc8" + b"\xaa" * 200,
    "ciphertext": b"\x00\xc8" + b"\xaa" * 200,
}


# How long the other side may take to end the connection, in seconds: more than any time limit of a handshake.
PATIENCE = 30


class Spoiled(Exception):
    """The step has been reached, and its garbage sent."""


class SpoiledWrites:
    """A connection, one of whose writes is replaced."""

    def __init__(self, connection, index, spoil):
        self.connection = connection
        self.left = index
        self.spoil = spoil

    def __getattr__(self, name):
        return getattr(self.connection, name)

    async def write(self, data):
        if self.left == 0:
            await self.spoil(self.connection)
            raise Spoiled
        self.left -= 1
        await self.connection.write(data)


class Bytes:
    """A payload as it is."""

    def __init__(self, content):
        self.content = content

    def serialize(self):
        return self.content


class SpoiledPattern(PatternXX):
    step = ""

    def make_handshake_payload(self, extensions=None):
        key = self.noise_static_key.get_public_key()
        identity = self.libp2p_privkey.get_public_key()
        if self.step == "signature":
            other = create_new_x25519_key_pair().public_key
            return NoiseHandshakePayload(identity, make_handshake_payload_sig(self.libp2p_privkey, other))
        if self.step == "identity":
            other = create_new_key_pair().public_key
            return NoiseHandshakePayload(other, make_handshake_payload_sig(self.libp2p_privkey, key))
        return Bytes(b"" if self.step == "empty-payload" else b"\xff" * 64)


class SpoiledNoise(NoiseTransport):
    step = ""

    def get_pattern(self):
        pattern = SpoiledPattern(self.local_peer, self.libp2p_privkey, self.noise_privkey)
        pattern.step = self.step
        return pattern


async def wait_for_end(stream):
    """Reads what still comes, and how it ends."""
    count = 0
    end = "none"
    with trio.move_on_after(PATIENCE):
        try:
            while data := await stream.receive_some():
                count += len(data)
            end = "eof"
        except trio.BrokenResourceError:
            end = "reset"
    return {"end": end, "bytes": count}


async def spoil(stream, keys, peer, step, how="garbage", content=None):
    """Sets a connection up to `step`, with `peer` as whom it expects if it has dialled, and None if it listens.

    `how` is `garbage` (`content`, or what a table here says), `silence` (sends nothing), or `close` (ends its half).
    """
    if step not in STEPS and step not in PAYLOADS:
        raise ValueError(f"no such step: {step}")
    dials = peer is not None
    layer, dialler, listener = STEPS.get(step, ("noise", 2, 2))
    index = dialler if dials else listener
    if index is None:
        raise ValueError(f"step {step} is the other side's")
    content = GARBAGE.get(step, b"\xff" * 64) if content is None else content

    async def replace(connection):
        if how == "garbage":
            await connection.write(content)
        elif how == "close":
            await stream.send_eof()

    transport = SpoiledNoise if step in PAYLOADS else NoiseTransport
    noise = transport(keys, noise_privkey=create_new_x25519_key_pair().private_key)
    noise.step = step
    upgrader = TransportUpgrader({NOISE: noise}, {YAMUX: Yamux})
    raw = RawConnection(TrioTCPStream(stream), dials)
    if layer == "tcp":
        raw = SpoiledWrites(raw, index, replace)
    reached = False
    failure = None
    try:
        secured = await upgrader.upgrade_security(raw, dials, peer)
        if layer == "noise":
            secured = SpoiledWrites(secured, index, replace)
        await upgrader.upgrade_connection(secured, secured.get_remote_peer())
        await secured.write(b"\x00" * 12)
    except Spoiled:
        reached = True
    except Exception as error:
        failure = repr(error)
    result = await wait_for_end(stream)
    return {"step": step, "reached": reached, "failure": failure, **result}
