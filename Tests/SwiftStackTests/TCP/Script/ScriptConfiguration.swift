// The words at the head of a script that configure the machine, the peer and the runner.
//
//     mss N | default mss N | scale N | outgoing N            no timestamps | no sack | no scale
//     window N [max N] | send buffer N [max N]                newreno | cubic | nagle | ecn
//     rto 200ms (the floor) | rto max 60s | rto initial 1s    delay 40ms | syn retries 6
//     user timeout 5s | time wait 2min | keepalive 10s 1s 3 (idle, interval, probes)
//     tolerance 5ms | offload (segments are seen as they leave the machine, not in pieces)

import NIOCore
import SwiftStack

struct ScriptConfiguration {
    var machine = TCPConfiguration()
    var tolerance: Int64 = 1_000_000
    var seesWholeSegments = false

    static let words: Set<String> = [
        "mss", "default", "scale", "outgoing", "no", "window", "send", "newreno", "cubic", "nagle", "ecn", "rto",
        "delay",
        "syn", "user", "time", "keepalive", "tolerance", "offload",
    ]

    mutating func apply(_ words: [Substring]) throws(ScriptParser.Fault) {
        let last = words.last ?? ""
        let maximum = words.firstIndex(of: "max").flatMap { Int(words[($0 + 1)...].first ?? "") }
        switch (words.first ?? "", words.dropFirst().first ?? "") {
        case ("mss", _): machine.maximumSegmentSize = try ScriptParser.integer(last, "mss")
        case ("default", "mss"): machine.defaultMaximumSegmentSize = try ScriptParser.integer(last, "default mss")
        case ("scale", _): machine.windowScale = UInt8(clamping: try ScriptParser.integer(last, "scale"))
        case ("outgoing", _): machine.maximumOutgoingLength = try ScriptParser.integer(last, "outgoing")
        case ("no", "timestamps"): machine.offersTimestamps = false
        case ("no", "sack"): machine.offersSelectiveAcknowledgment = false
        case ("no", "scale"): machine.offersWindowScale = false
        case ("window", let first):
            machine.initialReceiveWindow = try ScriptParser.integer(first, "window")
            machine.maximumReceiveWindow = maximum ?? machine.initialReceiveWindow
        case ("send", "buffer"):
            machine.initialSendBuffer = try ScriptParser.integer(words.dropFirst(2).first, "send buffer")
            machine.maximumSendBuffer = maximum ?? machine.initialSendBuffer
        case ("newreno", _): machine.congestionControl = .newReno
        case ("cubic", _): machine.congestionControl = .cubic
        case ("nagle", _): machine.sendsAtOnce = false
        case ("ecn", _): machine.offersECN = true
        case ("rto", "max"): machine.maximumRetransmissionTimeout = try Self.time(last)
        case ("rto", "initial"): machine.initialRetransmissionTimeout = try Self.time(last)
        case ("rto", _): machine.minimumRetransmissionTimeout = try Self.time(last)
        case ("delay", _): machine.acknowledgmentDelay = try Self.time(last)
        case ("syn", "retries"): machine.synRetries = try ScriptParser.integer(last, "syn retries")
        case ("user", "timeout"): machine.userTimeout = try Self.time(last)
        case ("time", "wait"): machine.timeWait = try Self.time(last)
        case ("keepalive", _) where words.count == 4:
            machine.keepsAlive = true
            machine.keepAliveIdle = try Self.time(words[1])
            machine.keepAliveInterval = try Self.time(words[2])
            machine.keepAliveProbes = try ScriptParser.integer(last, "keepalive")
        case ("tolerance", _): tolerance = try Self.time(last).nanoseconds
        case ("offload", _): seesWholeSegments = true
        default: throw .init("unknown configuration")
        }
    }

    private static func time(_ word: Substring) throws(ScriptParser.Fault) -> TimeAmount {
        guard let time = ScriptParser.nanoseconds(word) else { throw .init("\(word) is not a time") }
        return .nanoseconds(time)
    }
}
