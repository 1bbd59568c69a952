// A conversation with a TCP state machine, in the manner of packetdrill: what is done to it, and what it has to do.
//
// A line is `[time] action`, `#` begins a comment. Times are seconds: `0.100` from the start, `+0.050` from the line before,
// `0.1~0.2` and `+0.1~+0.2` any time between, `*` whenever it comes; without one: now. Actions:
//
//     connect | accept                          opens; `accept` waits for the SYN that is injected next
//     established [passive] [option …]          a handshake of 100 ms: see `ScriptPrelude`
//     < S. 0:0(0) ack 1 win 65535 <mss 1000>    the peer sends: see `SegmentPattern`
//     > . 1:1001(1000) ack 1                    the machine has to send next
//     > data 1:10001 [in 10]                    … segments that together are these data
//     write 1000 [more] [takes 500] | read 500 | read all [gives 100] | shutdown | close | abort | pathmtu 1200
//     keepalives on | keepalives off            as by SO_KEEPALIVE
//     link full | link takes 2 | link open      how many segments with data `transmit` gets rid of
//     bulk 2.0 rtt 0.1 [loses 1]                the user writes all it can, the peer acknowledges all that is not lost
//     measure                                   remembers how much is in flight
//     skip                                      what has been sent is of no interest
//     expect …                                  see `ScriptExpectation`
//
// Sequence numbers are relative: a SYN is 0, data begin at 1. A word at the head configures: see `ScriptConfiguration`.

struct Script {
    var lines: [ScriptLine]
}

struct ScriptLine {
    let number: Int
    let text: String
    let time: ScriptTime
    let action: ScriptAction
}

/// When something is to happen, in nanoseconds of virtual time.
enum ScriptTime: Equatable {
    case now
    case at(Int64)
    case after(Int64)
    case between(Int64, Int64)
    case afterBetween(Int64, Int64)
    case any
}

enum ScriptAction {
    case configure([Substring])
    case connect
    case accept
    case inject(SegmentPattern)
    case expectSegment(SegmentPattern)
    case expectData(start: Int, end: Int, segments: Int?)
    case write(count: Int, more: Bool, takes: Int?)
    case read(limit: Int, gives: Int?)
    case shutdown
    case close
    case abort
    case keepsAlive(Bool)
    case pathTakes(Int)
    /// How many segments with data the link takes; nil: all.
    case link(Int?)
    /// The first `losses` segments of new data get lost.
    case bulk(duration: Int64, roundTrip: Int64, losses: Int)
    case measureFlight
    case skip
    case expect(ScriptExpectation)
}

enum ScriptExpectation {
    /// `nothing`: no segment leaves now; `nothing until 5.0`, `nothing for 1.0`: nor until then.
    case nothing(ScriptTime)
    /// `state established`
    case state(String)
    /// `event canRead`, `no event canRead`: since it was last asked for.
    case event(String, Bool)
    /// `closed reset`; `closed none` is a close in good order.
    case closed(String)
    /// `readable 1000`
    case readable(Int)
    /// `finished`, `no finished`: whether the peer has closed its direction.
    case finished(Bool)
    /// `room 1000`, `room >=1000`: what `write` would take.
    case room(ScriptBound)
    /// `flight 10000`, `flight >=10000`: what has been sent and not acknowledged, in bytes.
    case flight(ScriptBound)
    /// `flight 65..75 %`, of what was measured.
    case measuredFlight(ScriptBound)
    /// `in flight 1`, `not in flight 1`: what `hasInFlight` says of a sequence number.
    case inFlight(Int, Bool)
    /// `sent <=5`: how many segments there are that the script has not met yet.
    case sent(ScriptBound)
    /// `dropped window`, `dropped nothing`: why the last segment of the peer, or a part of it, was not taken.
    case dropped(String)
    /// `no timer`: the machine waits for nothing.
    case noTimer
}

/// A number to be compared: `5`, `>=5`, `<=5`, `3..5`.
struct ScriptBound: Equatable {
    var range: ClosedRange<Int>

    init(_ value: Int) { range = value...value }

    init?(_ text: some StringProtocol) {
        if text.hasPrefix(">="), let low = Int(text.dropFirst(2)) {
            range = low...Int.max
        } else if text.hasPrefix("<="), let high = Int(text.dropFirst(2)) {
            range = Int.min...high
        } else if let value = Int(text) {
            range = value...value
        } else {
            let ends = text.split(separator: ".").compactMap { Int($0) }
            guard ends.count == 2, ends[0] <= ends[1] else { return nil }
            range = ends[0]...ends[1]
        }
    }
}

/// Why a script did not go as it says.
struct ScriptFailure: Error, CustomStringConvertible {
    var line: Int
    var text: String
    var reason: String
    var trace: [String] = []

    var description: String {
        "line \(line): \(text)\n  \(reason)"
            + (trace.isEmpty ? "" : "\n  so far:\n    " + trace.joined(separator: "\n    "))
    }
}
