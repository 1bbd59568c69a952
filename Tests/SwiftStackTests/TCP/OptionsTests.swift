// The options of a segment, read and written (RFC 9293 section 3.2, RFC 7323 appendix A, RFC 2018).

import NetstackCore
import Testing

struct OptionsTests {
    private func options(_ bytes: [UInt8]) throws -> TCPOptions { try TCPOptions(parsing: bytes.span.bytes) }

    private func written(_ options: TCPOptions) -> [UInt8] {
        var bytes = [UInt8](repeating: 0xee, count: options.encodedLength)
        bytes.withUnsafeMutableBytes { options.write(to: $0) }
        return bytes
    }

    // MARK: Reading

    @Test func noOptionsAreNone() throws {
        #expect(try options([]) == TCPOptions())
    }

    /// MUST-4
    @Test(arguments: [[0, 0, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1], [0, 2, 4, 5]] as [[UInt8]])
    func paddingIsNothing(_ bytes: [UInt8]) throws {
        #expect(try options(bytes) == TCPOptions())
    }

    /// MUST-4, MUST-5
    @Test func everyOptionIsRead() throws {
        let all = try options([
            2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 1, 3, 3, 7, 1, 1, 5, 10, 0, 0, 1, 0, 0, 0, 2,
            0,
        ])
        #expect(all.maximumSegmentSize == 1460)
        #expect(all.selectiveAcknowledgmentPermitted)
        #expect(all.timestamps == .init(value: 1, echoReply: .max))
        #expect(all.windowScale == 7)
        #expect(Array(all.sackBlocks) == [SACKBlock(left: 256, right: 512)])
    }

    /// MUST-64
    @Test func optionsNeedNoAlignment() throws {
        #expect(try options([1, 2, 4, 1, 0, 3, 3, 2]).maximumSegmentSize == 256)
        #expect(try options([1, 2, 4, 1, 0, 3, 3, 2]).windowScale == 2)
    }

    @Test(arguments: [1, 2, 3, 4])
    func sackBlocksAreReadInTheirOrder(_ count: Int) throws {
        var bytes: [UInt8] = [1, 1, 5, UInt8(2 + 8 * count)]
        for block in 0..<count { bytes += [0, 0, 0, UInt8(block), 0, 0, 1, UInt8(block)] }
        #expect(try options(bytes).sackBlocks.map { $0.left } == (0..<count).map { UInt32($0) })
        #expect(try options(bytes).sackBlocks.map { $0.right } == (0..<count).map { UInt32(256 + $0) })
    }

    /// MUST-6, MUST-7: unknown ones are skipped.
    @Test(arguments: [
        [254, 4, 1, 2], [255, 2], [34, 10, 1, 2, 3, 4, 5, 6, 7, 8], [19, 18] + [UInt8](repeating: 9, count: 16),
    ])
    func unknownOptionsAreSkipped(_ unknown: [UInt8]) throws {
        #expect(try options(unknown + [2, 4, 5, 180]).maximumSegmentSize == 1460)
    }

    /// MUST-7: known ones of a strange length are as good as unknown.
    @Test(arguments: [
        [2, 3, 5], [2, 5, 5, 180, 0], [3, 2], [3, 4, 7, 7], [4, 3, 0], [8, 9, 0, 0, 0, 0, 0, 0, 0],
        [5, 9, 0, 0, 0, 0, 0, 0, 0],
    ])
    func knownOptionsOfAStrangeLengthAreSkipped(_ strange: [UInt8]) throws {
        #expect(try options(strange) == TCPOptions())
        #expect(try options(strange + [4, 2]).selectiveAcknowledgmentPermitted)
    }

    /// MUST-7: whatever the length says, nothing beyond the header is read, and there is an end.
    @Test(arguments: [
        [2], [2, 0], [2, 1, 0, 0], [2, 4], [2, 4, 5], [8, 10, 0, 0], [5, 34, 0], [254, 255], [1, 1, 1, 3],
        [99, 0, 0, 0],
    ])
    func impossibleLengthsAreRefused(_ bytes: [UInt8]) {
        #expect(throws: PacketFault.options) { try self.options(bytes) }
    }

    @Test func anyBytesAtAllAreReadOrRefused() {
        var state: UInt64 = 42
        for length in 0...40 {
            for _ in 0..<200 {
                let bytes = (0..<length).map { _ in
                    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                    return UInt8(truncatingIfNeeded: state >> 60 == 0 ? state >> 32 : state >> 32 & 15)
                }
                if let read = try? options(bytes) { #expect(read.encodedLength <= 60) }
            }
        }
    }

    // MARK: Writing

    @Test func noOptionsTakeNoRoom() {
        #expect(TCPOptions().encodedLength == 0)
        #expect(written(TCPOptions()) == [])
    }

    @Test func theMaximumSegmentSizeIsWritten() {
        var options = TCPOptions()
        options.maximumSegmentSize = 1460
        #expect(written(options) == [2, 4, 5, 180])
    }

    /// RFC 7323 appendix A
    @Test func timestampsAreWrittenAtAWord() {
        var options = TCPOptions()
        options.timestamps = .init(value: 1, echoReply: 2)
        #expect(written(options) == [1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2])
    }

    @Test func sackBlocksAreWrittenAtAWord() {
        var options = TCPOptions()
        options.sackBlocks.append(SACKBlock(left: 1, right: 2))
        #expect(written(options) == [1, 1, 5, 10, 0, 0, 0, 1, 0, 0, 0, 2])
    }

    /// MUST-68, RFC 9293 section 3.1: multiples of four, at most 40; and what is written can be read.
    @Test(arguments: 0..<32)
    func whatIsWrittenCanBeRead(_ which: Int) throws {
        var options = TCPOptions()
        if which & 1 != 0 { options.maximumSegmentSize = 65535 }
        if which & 2 != 0 { options.windowScale = 14 }
        if which & 4 != 0 { options.selectiveAcknowledgmentPermitted = true }
        if which & 8 != 0 { options.timestamps = .init(value: .max, echoReply: 0) }
        if which & 16 != 0 { options.sackBlocks.append(SACKBlock(left: .max, right: 5)) }
        #expect(options.encodedLength % 4 == 0)
        #expect(options.encodedLength <= 40)
        #expect(try self.options(written(options)) == options)
    }

    @Test func fourBlocksFillTheRoom() throws {
        var options = TCPOptions()
        for block in 0..<6 { options.sackBlocks.append(SACKBlock(left: UInt32(block), right: 9)) }
        #expect(options.sackBlocks.count == 4)
        #expect(options.encodedLength == 36)
        #expect(try self.options(written(options)) == options)
    }
}
