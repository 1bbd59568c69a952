// A peer that says anything at all: no segment may crash the machine, make it spin, or make it send what RFC 9293 forbids (what
// `ScriptPeer` checks). Everything comes from a seed, so a failure can be played again.

import NetstackCore
import Testing

struct HostilePeerTests {
    private struct Dice {
        var state: UInt64

        mutating func roll(_ sides: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int((state >> 33) % UInt64(max(sides, 1)))
        }

        mutating func chance(_ one: Int) -> Bool { roll(one) == 0 }

        /// Mostly somewhere about what is in flight, now and then anywhere.
        mutating func position() -> Int {
            switch roll(12) {
            case 0: roll(1 << 31) - 1 << 30
            case 1: -roll(5000)
            default: 1 + roll(15_000)
            }
        }
    }

    private func segment(_ dice: inout Dice) -> SegmentPattern {
        var flags: TCPHeader.Flags = dice.chance(20) ? [] : .ack
        for (flag, rarity) in [
            (TCPHeader.Flags.psh, 3), (.fin, 60), (.syn, 40), (.rst, 80), (.urg, 20), (.ece, 10), (.cwr, 10),
        ]
        where dice.chance(rarity) { flags.insert(flag) }
        var pattern = SegmentPattern(flags: flags)
        let start = dice.chance(2) ? 1 + dice.roll(20) * 500 : dice.position()
        pattern.sequence = start..<start + (dice.chance(3) ? dice.roll(3000) : 0)
        pattern.acknowledgment = dice.chance(3) ? dice.position() : 1 + dice.roll(20) * 500
        pattern.window = ScriptBound(dice.chance(4) ? dice.roll(3) : dice.roll(65536))
        pattern.count = 1 + dice.roll(3)
        pattern.congestionExperienced = dice.chance(5)
        if dice.chance(2) {
            for _ in 0...dice.roll(4) {
                let left = dice.position()
                pattern.options.sackBlocks.append(left..<left + dice.roll(4000))
            }
        }
        if dice.chance(20) {
            pattern.options.hasTimestamps = true
            pattern.options.timestampValue = .number(dice.roll(1 << 32))
            pattern.options.timestampEcho = .number(dice.roll(1 << 32))
        }
        return pattern
    }

    @Test(arguments: ["", "no sack", "timestamps", "no scale win 3000", "passive ecn timestamps"], 0..<20)
    func anyPeerIsBorne(_ words: String, _ seed: Int) {
        var dice = Dice(state: UInt64(seed) &* 7919 &+ 17)
        do throws(ScriptFailure) {
            var script = try ScriptParser.parse("window 20000 max 40000\nestablished \(words)\nwrite 30000\nskip")
            func add(_ time: ScriptTime, _ action: ScriptAction) {
                script.lines.append(
                    ScriptLine(number: script.lines.count, text: "\(action)", time: time, action: action))
                script.lines.append(ScriptLine(number: script.lines.count, text: "skip", time: .now, action: .skip))
            }
            for _ in 0..<150 {
                switch dice.roll(12) {
                case 0: add(.now, .read(limit: .max, gives: nil))
                case 1:
                    let time = ScriptTime.after(Int64(dice.roll(2_000_000_000)))
                    script.lines.append(ScriptLine(number: 0, text: "skip", time: time, action: .skip))
                case 2 where dice.chance(10): add(.now, dice.chance(2) ? .shutdown : .close)
                case 3 where dice.chance(4): add(.now, .pathTakes(dice.roll(1500)))
                case 4 where dice.chance(2): add(.now, .link(dice.chance(2) ? nil : dice.roll(3)))
                default: add(.now, .inject(segment(&dice)))
                }
            }
            for starts in SequenceStarts.all {
                var runner = ScriptRunner(starts: starts)
                try runner.run(script)
            }
        } catch {
            Issue.record("\(error)")
        }
    }
}
