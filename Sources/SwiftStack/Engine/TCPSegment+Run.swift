// Segments as the stack hands them over, as the state machine takes them.

import NIOCore
import NetstackCore

extension TCPSegment {
    init(_ run: TCPSegmentRun, of batch: ByteBuffer) {
        self.init(sequenceNumber: TCPSequenceNumber(run.tcp.sequenceNumber), flags: run.flags)
        acknowledgmentNumber = TCPSequenceNumber(run.acknowledgmentNumber)
        window = run.window
        count = run.count
        congestionExperienced = run.ip.congestionExperienced
        if run.tcp.dataOffset > TCPHeader.minimumLength {
            let header = batch.readableBytesSpan.extracting(run.header)
            // The stack has walked them before.
            options =
                (try? TCPOptions(parsing: header.extracting(TCPHeader.minimumLength..<header.byteCount))) ?? options
        }
        if run.byteCount > 0 { payload = run.joinedData(from: batch) }
    }
}
