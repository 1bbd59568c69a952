// Why packets are dropped, each reason counted by itself.

/// Why a NIC has dropped a packet, or has not sent one. See ``NICStatistics/dropped``.
public enum DropReason: Hashable, Sendable, CaseIterable {
    // MARK: Packets

    /// Lengths, versions, options and ports that can't be; IPv4's header checksum.
    case malformed
    /// A wrong checksum of TCP, UDP or ICMP.
    case checksum
    /// Addresses that never stand in a packet between hosts (RFC 1122 section 3.2.1.3), or that pretend to be the NIC's own.
    case martian
    /// An address that is not the NIC's, while that is not promiscuous.
    case misdirected
    /// It was on its way for too many hops; its sender is told.
    case hopLimit
    /// A protocol that is none of the stack's; its sender is told.
    case unknownProtocol
    /// No socket is there, or nobody who forwards; the sender is told.
    case closedPort
    /// ICMP that answers nothing that was sent, or that nobody would do anything about.
    case unsolicited
    /// The socket's receive queue was full.
    case socketFull
    /// The link's queue was full: a datagram or an answer of the stack's own was not sent.
    case linkFull
    /// An ICMP error was not sent, for there were 1,000 in the last second.
    case errorLimit

    // MARK: Fragments

    /// A fragment that overlaps another; the datagram goes with it (RFC 5722).
    case fragmentOverlap
    /// A fragment that can't be, or contradicts another, or of very many; the datagram goes with it.
    case fragmentMalformed
    /// There was no memory for the fragment, or a datagram has made room for others.
    case fragmentNoRoom
    /// A datagram whose fragments did not all come within 30 seconds.
    case fragmentTimeout

    // MARK: TCP segments

    /// A SYN beyond the stack's limits of connections or of half-open ones.
    case connectionLimit
    /// A SYN to a listener that had as many connections waiting as it takes.
    case backlog
    /// It was of no connection; unless it is a reset it is answered with one.
    case noConnection
    /// It lies outside of the window, or was no answer to a SYN.
    case sequence
    /// Its data lie beyond the window that was announced, as a whole or in part.
    case window
    /// Its data had all arrived before, or it is a SYN again whose connection is being decided on.
    case duplicate
    /// There were too many pieces out of order.
    case outOfOrder
    /// It acknowledges nothing, what was never sent, or what was long ago (RFC 5961 section 5).
    case acknowledgment
    /// A reset that does not know the connection well enough (RFC 5961 section 3).
    case reset
    /// A SYN on a connection that has had one (RFC 5961 section 4).
    case synchronized
    /// An old timestamp, or none where there should be one (RFC 7323 section 5).
    case timestamp
    /// Data for a connection that was closed; they are answered with a reset.
    case closed
}
