// What is wrong with a packet.

/// Why bytes are not the packet they should be.
enum PacketFault: String, Error {
    case truncated = "the packet is shorter than its headers"
    case version = "the IP version is neither 4 nor 6"
    case headerLength = "a header length is impossible"
    case totalLength = "the total length is impossible"
    case checksum = "the checksum is wrong"
    case options = "an option overruns its header"
    case sourceRoute = "source routes are not accepted"
    case extensionHeaders = "extension headers are out of place or too many"
    case fragment = "a fragment has an impossible length or offset"
}
