// A handler that writes down what its channel tells it, and sees to it that NIO's promises are kept.

import NIOConcurrencyHelpers
import NIOCore

enum Event: Hashable, Sendable {
    case registered, active, read, readComplete, inputClosed, outputClosed, writable, unwritable, error, inactive,
        unregistered, removed
    case user(String)
}

final class Recorder<Message: Sendable>: ChannelInboundHandler, RemovableChannelHandler, Sendable {
    typealias InboundIn = Message
    typealias Reaction = @Sendable (Event, ChannelHandlerContext) -> Void

    private struct State {
        var events: [Event] = []
        var messages: [Message] = []
        var byteCount = 0
        var errors: [any Error] = []
        var broken: [String] = []
        var depth = 0
        var wakes = 0
        var waiting: [(condition: @Sendable (Recorder) -> Bool, continuation: CheckedContinuation<Void, Never>)] = []
    }

    private let state = NIOLockedValueBox(State())
    private let react: Reaction

    /// - Parameter react: called for each event, in the midst of it.
    init(_ react: @escaping Reaction = { _, _ in }) { self.react = react }

    /// All events so far, reads that follow each other as one.
    var events: [Event] {
        allEvents.filter { $0 != .readComplete }.reduce(into: []) {
            if $0.last != .read || $1 != .read { $0.append($1) }
        }
    }

    var allEvents: [Event] { state.withLockedValue { $0.events } }
    var messages: [Message] { state.withLockedValue { $0.messages } }
    var errors: [any Error] { state.withLockedValue { $0.errors } }
    /// Promises of NIO's that have not been kept.
    var broken: [String] { state.withLockedValue { $0.broken } }

    // MARK: Waiting

    func until(_ condition: @escaping @Sendable (Recorder) -> Bool) async {
        await withCheckedContinuation { continuation in
            state.withLockedValue { $0.waiting.append((condition, continuation)) }
            wake()
        }
    }

    func until(_ event: Event) async { await until { $0.allEvents.contains(event) } }

    /// Looks at the conditions again. What happens while they are out of the list is not missed: then they are looked at
    /// once more.
    func wake() {
        state.withLockedValue { $0.wakes += 1 }
        var isCurrent = false
        while !isCurrent {
            let (all, wakes) = state.withLockedValue { state in
                defer { state.waiting = [] }
                return (state.waiting, state.wakes)
            }
            let rest = all.filter { waiter in
                guard waiter.condition(self) else { return true }
                waiter.continuation.resume()
                return false
            }
            isCurrent = state.withLockedValue { state in
                state.waiting += rest
                return state.wakes == wakes
            }
        }
    }

    // MARK: Events

    private func note(_ event: Event, _ context: ChannelHandlerContext, _ change: (inout State) -> Void = { _ in }) {
        state.withLockedValue { state in
            if let fault = Self.fault(event, state) { state.broken.append(fault) }
            state.events.append(event)
            change(&state)
            state.depth += 1
        }
        react(event, context)
        state.withLockedValue { $0.depth -= 1 }
        wake()
    }

    private static func fault(_ event: Event, _ state: State) -> String? {
        let before = Set(state.events)
        return switch event {
        case .read, .readComplete:
            if state.depth > 0 {
                "\(event) in the middle of another event"
            } else if !before.contains(.active) || before.contains(.inactive) {
                "\(event) while not active"
            } else {
                nil
            }
        case .registered, .active, .inactive, .unregistered, .inputClosed, .outputClosed, .removed:
            before.contains(event)
                ? "a second \(event)"
                : before.contains(.unregistered) && event != .removed
                    ? "\(event) after unregistered" : nil
        case .writable, .unwritable, .error, .user:
            before.contains(.unregistered) ? "\(event) after unregistered" : nil
        }
    }

    func channelRegistered(context: ChannelHandlerContext) {
        note(.registered, context)
        context.fireChannelRegistered()
    }

    func channelActive(context: ChannelHandlerContext) {
        note(.active, context)
        context.fireChannelActive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let message = Self.unwrapInboundIn(data)
        note(.read, context) {
            $0.messages.append(message)
            $0.byteCount += (message as? ByteBuffer)?.readableBytes ?? 0
        }
        context.fireChannelRead(data)
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        note(.readComplete, context)
        context.fireChannelReadComplete()
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        note(context.channel.isWritable ? .writable : .unwritable, context)
        context.fireChannelWritabilityChanged()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event {
        case ChannelEvent.inputClosed: note(.inputClosed, context)
        case ChannelEvent.outputClosed: note(.outputClosed, context)
        default: note(.user("\(event)"), context)
        }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        note(.error, context) { $0.errors.append(error) }
    }

    func channelInactive(context: ChannelHandlerContext) {
        note(.inactive, context)
        context.fireChannelInactive()
    }

    func channelUnregistered(context: ChannelHandlerContext) {
        note(.unregistered, context)
        context.fireChannelUnregistered()
    }

    func handlerRemoved(context: ChannelHandlerContext) { note(.removed, context) }
}

extension Recorder where Message == ByteBuffer {
    /// All bytes that have been read.
    var bytes: ByteBuffer {
        messages.reduce(into: ByteBuffer()) { $0.writeImmutableBuffer($1) }
    }

    var text: String { String(buffer: bytes) }

    private var byteCount: Int { state.withLockedValue { $0.byteCount } }

    func until(text: String) async { await until { $0.text == text } }

    func until(count: Int) async { await until { $0.byteCount >= count } }
}
