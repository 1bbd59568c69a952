// The same segments and the same user to a stack on either TCP: what a peer sees of them has to be the same.

import NIOCore
import Netstack
import SwiftStack

extension FuzzTarget {
    /// Timers, congestion and the sizes of windows are each TCP's own. So the peer stays within the smaller window, offers no
    /// options but a segment size and a window scale, acknowledges data before they are sent again, and is compared only
    /// after delayed acknowledgments had their time, and before lwIP gives up a handshake, after 20 s.
    func checkDifferential(_ script: inout Script) throws(Finding) {
        var scripts = [script, script]
        let loops = [SteppedLoop(), SteppedLoop()]
        do {
            let worlds = try [TCPImplementation.lwIP, .swift].enumerated().map { index, tcp in
                try World(&scripts[index], on: tcp, loops[index])
            }
            for step in 0..<30 where !scripts[0].isAtEnd {
                for (index, world) in worlds.enumerated() { world.stepAlike(&scripts[index]) }
                worlds[0].sendAgain(whatIsAcknowledgedBy: worlds[1])
                let seen = worlds.map(\.seen)
                try Finding.require(seen[0] == seen[1], "step \(step): lwIP \(seen[0]), Swift \(seen[1])")
            }
            let sent = worlds.map { $0.settle() }
            try Finding.require(sent[0] == sent[1], "all that was written is sent: lwIP \(sent[0]), Swift \(sent[1])")
            for world in worlds { try world.end() }
        } catch let finding as Finding {
            throw finding
        } catch {
            throw Finding(description: "stacks can be made: \(error)")
        }
        for loop in loops {
            loop.run()
            try Finding.require(loop.isIdle, "no timer stays")
        }
    }
}

extension World {
    /// Two connections: one that is read as data arrive, and one that is read when the script says so.
    private var compared: ArraySlice<Flow> { flows[0..<2] }

    fileprivate var seen: [Flow.Sight] { compared.map(\.sight) }

    fileprivate func stepAlike(_ script: inout Script) {
        let operation = script.byte()
        let flow = flows[Int(operation >> 7)]
        switch operation & 0xf {
        case 0...4: send(segmentAlike(of: flow, &script))
        case 5: open(flow)
        case 6: acknowledge(flow, upTo: flow.stackNext)
        case 7: flow.readAll(upTo: Int(script.word()) + 1)
        case 8: flow.write(Int(script.word() & 0xfff))
        case 9: flow.block?.closeWrite()
        case 10: flow.block?.close()
        case 11: flow.block?.reset()
        // One connection after the other: what was said of an end is of one.
        case 12: if flow.block?.failure != nil { flow.restart(at: flow.initial &+ 1 << 24) }
        default: break
        }
        flush()
        // An acknowledgment may let more leave.
        for _ in 0..<4 {
            for flow in compared where flow.takeNews() { acknowledge(flow, upTo: flow.stackDataNext) }
            flush()
        }
        pass(.milliseconds(300))
    }

    /// What came out of order need not be kept, and lwIP keeps it for a while only: then an honest peer sends it again.
    fileprivate func sendAgain(whatIsAcknowledgedBy other: World) {
        for (flow, reference) in zip(compared, other.compared) where flow.block?.failure == nil {
            let missing = reference.acknowledged &- flow.acknowledged
            guard flow.initial == reference.initial, 0 < missing, missing < 65_000 else { continue }
            send(flow.segmentAgain(upTo: reference.acknowledged))
        }
        flush()
        for world in [self, other] { world.pass(.milliseconds(300)) }
    }

    private func segmentAlike(of flow: Flow, _ script: inout Script) -> ByteBuffer? {
        let flags = TCPHeader.Flags(rawValue: script.byte() & 0x3f).subtracting(.urg)
        let kinds = script.byte()
        let offset = kinds & 2 == 0 ? 0 : UInt32(script.byte())
        let sequence: UInt32 =
            switch kinds & 3 {
            case 0: flags.contains(.syn) ? flow.initial : flow.acknowledged
            case 1: flow.acknowledged
            // Ahead in pieces that are the same or apart: of others lwIP keeps what is simplest.
            case 2: flow.acknowledged &+ 1024 &- (flow.acknowledged &- flow.initial &- 1) % 1024 &+ offset % 4 * 1024
            default: flow.acknowledged &- offset
            }
        let acknowledging: UInt32 =
            switch kinds >> 2 & 3 {
            case 0, 1: flow.stackNext
            case 2: flow.stackNext &+ 1 &+ UInt32(script.byte())
            default: flow.stackNext &- UInt32(script.byte())
            }
        let count = kinds & 0x10 == 0 ? 0 : kinds & 3 == 2 ? 1024 : Int(script.byte()) * 4
        let end = sequence &+ UInt32(count) &+ (flags.contains(.syn) ? 1 : 0) &+ (flags.contains(.fin) ? 1 : 0)
        guard flow.agrees(end, isFIN: flags.contains(.fin)) else { return nil }
        return flow.segment(
            flags, at: sequence, acknowledging: acknowledging, window: 65535, count: count, options: [], urgent: 0)
    }

    private func acknowledge(_ flow: Flow, upTo acknowledged: UInt32) {
        send(
            flow.segment(
                .ack, at: flow.acknowledged, acknowledging: acknowledged, window: 65535, count: 0, options: [],
                urgent: 0))
    }

    /// The peer acknowledges whatever comes, until nothing more does.
    /// - Returns: how many sequence numbers each connection has taken, but for those that ended before all was sent.
    fileprivate func settle() -> [UInt32] {
        let flows = compared.filter(\.isUndisturbed)
        for _ in 0..<40 {
            for flow in flows { acknowledge(flow, upTo: flow.stackNext) }
            flush()
            pass(.milliseconds(300))
        }
        return flows.map(\.sent)
    }
}
