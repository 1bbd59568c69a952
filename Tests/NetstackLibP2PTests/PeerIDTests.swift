// Peer ids: their bytes and their texts.

import NetstackLibP2P
import Testing

struct PeerIDTests {
    @Test func equalBytesAreTheSamePeer() {
        #expect(PeerID(uncheckedBytes: [0, 1]) == PeerID(uncheckedBytes: [0, 1]))
    }
}
