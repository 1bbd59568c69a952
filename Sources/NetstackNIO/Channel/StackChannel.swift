// What channels over sockets and listeners of a stack have in common.

import Netstack

/// A channel on the event loop of its stack.
class StackChannel: VirtualChannel, @unchecked Sendable {
    final let stack: StackCore

    init(_ stack: StackCore) {
        self.stack = stack
        super.init(on: stack.eventLoop)
    }

    override final func withoutNews(_ body: () throws -> Void) rethrows { try stack.withoutNews(body) }
}
