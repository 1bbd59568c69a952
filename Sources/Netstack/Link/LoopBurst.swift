// Sees to it that stacks which keep each other busy let their event loop look at its sockets.

import Glibc
import NIOCore
import NIOPosix

/// How long an event loop has been carrying packets without a look at its sockets.
///
/// NIO looks at them when it has run out of tasks. Two stacks on one loop that pass each other packets never let it, since
/// each batch makes the next. After a while the links of the loop stop, until a byte has come through a pipe: by
/// then the loop has seen every other descriptor, too.
final class LoopBurst: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    nonisolated(unsafe) private static let ofThread = ThreadSpecificVariable<LoopBurst>()
    private static let limit = TimeAmount.microseconds(200)
    /// After so long without packets the loop has been idle.
    private static let gap = TimeAmount.microseconds(200)

    private var start = NIODeadline.now()
    private var last = NIODeadline.now()
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
        let now = NIODeadline.now()
        if now - last > Self.gap { start = now }
        last = now
        guard now - start > Self.limit else { return false }
        guard let pipe else {
            openPipe(eventLoop)
            return false
        }
        waiting.append(resume)
        pipe.writeAndFlush(ByteBuffer(integer: UInt8(0)), promise: nil)
        return true
    }

    private func openPipe(_ eventLoop: any EventLoop) {
        guard !opensPipe, let bootstrap = NIOPipeBootstrap(validatingGroup: eventLoop) else { return }
        opensPipe = true
        var ends: [CInt] = [-1, -1]
        guard Glibc.pipe(&ends) == 0 else { return }
        bootstrap.channelInitializer { channel in
            channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(self) }
        }.takingOwnershipOfDescriptors(input: ends[0], output: ends[1]).assumeIsolated().whenSuccess { self.pipe = $0 }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { endPause() }

    func channelInactive(context: ChannelHandlerContext) {
        pipe = nil
        endPause()
    }

    private func endPause() {
        start = .now()
        last = start
        let waiting = waiting
        self.waiting = []
        for resume in waiting { resume() }
    }
}
