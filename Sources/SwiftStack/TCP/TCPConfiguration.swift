// What a connection is told about its surroundings and its user's wishes.

package import NIOCore
import NetstackCore

package struct TCPConfiguration: Sendable {
    /// The longest data of a segment that a packet of the NIC holds, before options: announced in the SYN
    /// (RFC 9293 section 3.7.1), and the most that is sent.
    package var maximumSegmentSize = 1460
    /// The default for a peer that announces none: 536 for IPv4, 1220 for IPv6.
    package var defaultMaximumSegmentSize = 536
    /// Bytes of the receive window at first, and at most (it grows with the measured rate, RFC 7323 bounds it to 1 GiB).
    package var initialReceiveWindow = StackCore.initialWindow
    package var maximumReceiveWindow = 8 << 20
    /// Bytes that the send buffer holds at first, and at most.
    package var initialSendBuffer = StackCore.initialWindow
    package var maximumSendBuffer = 8 << 20
    /// Announced in the SYN (RFC 7323 section 2.2); 0…14.
    package var windowScale: UInt8 = 7
    package var offersWindowScale = true
    package var offersTimestamps = true
    package var offersSelectiveAcknowledgment = true
    /// Whether the SYN asks for ECN (RFC 3168 section 6.1.1). A peer that asks gets it in any case.
    package var offersECN = false
    /// The least that is waited beyond SRTT. RFC 6298 section 2.4 wants a second for RTO; everybody has less.
    package var minimumRetransmissionTimeout = TimeAmount.milliseconds(200)
    package var maximumRetransmissionTimeout = TimeAmount.seconds(60)
    /// RFC 6298 section 2.1
    package var initialRetransmissionTimeout = TimeAmount.seconds(1)
    /// RFC 1122 section 4.2.3.2: below half a second.
    package var acknowledgmentDelay = TimeAmount.milliseconds(40)
    /// How often a SYN, and a SYN-ACK, is sent again before the attempt fails: for three minutes (RFC 9293 section 3.8.3,
    /// MUST-23).
    package var synRetries = 7
    /// How long data may stay unacknowledged (RFC 9293 section 3.8.3, RFC 5482); nil: as long as 15 retransmissions take.
    package var userTimeout: TimeAmount?
    /// Whether small segments are sent at once, without Nagle's algorithm (RFC 9293 section 3.7.4).
    package var sendsAtOnce = true
    /// RFC 9293 section 3.8.4.
    package var keepsAlive = false
    package var keepAliveIdle = TimeAmount.hours(2)
    package var keepAliveInterval = TimeAmount.seconds(75)
    package var keepAliveProbes = 9
    /// Twice the longest life of a segment (RFC 9293 section 3.4.2).
    package var timeWait = TimeAmount.minutes(2)
    package var congestionControl: any CongestionAvoidance = .cubic
    /// The most data of one outgoing segment, in bytes: cut on its way out (see `TCPOutgoingSegment`).
    package var maximumOutgoingLength = 60 << 10

    package init() {}

    /// Kept once for all connections that have the same.
    package final class Shared: Sendable {
        let value: TCPConfiguration
        package init(_ value: TCPConfiguration) { self.value = value }
    }
}
