// Sees to it that stacks which keep each other busy let their event loop look at its sockets.

import Glibc
import NIOCore
import NIOPosix

/// How much an event loop has carried between stacks without a look at its sockets.
///
/// NIO looks at them when it has run out of tasks. Two stacks on one loop that pass each other packets never let it, since
/// each batch makes the next. After so many batches the links of the loop stop, until a byte has come through a pipe: by
/// then the loop has seen every other descriptor, too.
final class LoopBurst: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    nonisolated(unsafe) private static let ofThread = ThreadSpecificVariable<LoopBurst>()
    private static let batchLimit = 64
    private static let byteLimit = 1 << 20

    private var batchCount = 0
    private var byteCount = 0
    private var pipe: (any Channel)?
    private var opensPipe = false
    /// What goes on after the pause. There is a pause while there is something.
    private var waiting: [() -> Void] = []

    /// That of the event loop this is called on.
    static var current: LoopBurst {
        if let burst = ofThread.currentValue { return burst }
        let burst = LoopBurst()
        ofThread.currentValue = burst
        return burst
    }

    /// Called before packets are carried on `eventLoop`.
    ///
    /// - Parameter resume: called later, if it returns true.
    /// - Returns: whether to stop.
    func mustPause(_ eventLoop: any EventLoop, _ resume: @escaping () -> Void) -> Bool {
        if !waiting.isEmpty {
            waiting.append(resume)
            return true
        }
        guard batchCount >= Self.batchLimit || byteCount >= Self.byteLimit else { return false }
        guard let pipe else {
            openPipe(eventLoop)
            return false
        }
        waiting.append(resume)
        pipe.writeAndFlush(ByteBuffer(integer: UInt8(0)), promise: nil)
        return true
    }

    /// Called for a batch that is carried, with the bytes that are copied for it.
    func carried(_ byteCount: Int) {
        batchCount += 1
        self.byteCount += byteCount
    }

    private func openPipe(_ eventLoop: any EventLoop) {
        guard !opensPipe, let bootstrap = NIOPipeBootstrap(validatingGroup: eventLoop) else { return }
        opensPipe = true
        var ends: [CInt] = [-1, -1]
        guard Glibc.pipe(&ends) == 0 else { return }
        let reach = NIOLoopBound(self, eventLoop: eventLoop)
        bootstrap.channelInitializer { channel in
            channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(reach.value) }
        }.takingOwnershipOfDescriptors(input: ends[0], output: ends[1]).whenSuccess { reach.value.pipe = $0 }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { endPause() }

    func channelInactive(context: ChannelHandlerContext) {
        pipe = nil
        endPause()
    }

    private func endPause() {
        batchCount = 0
        byteCount = 0
        let waiting = waiting
        self.waiting = []
        for resume in waiting { resume() }
    }
}
