// Tells event loops when a socket has something to read. NIO watches no descriptor that is not a channel of its own.

import CHost
import Glibc
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix

/// One thread for the process, that only waits: reading is done on the event loop of whoever watches.
final class DescriptorWatcher: Sendable {
    static let shared = DescriptorWatcher()

    private struct Watch {
        var eventLoop: any EventLoop
        var ready: @Sendable () -> Void
    }

    private struct State {
        var watches: [UInt64: Watch] = [:]
        var next: UInt64 = 0
    }

    private let epoll = epoll_create1(CInt(EPOLL_CLOEXEC))
    private let state = NIOLockedValueBox(State())
    private let pool = NIOThreadPool(numberOfThreads: 1)

    private init() {
        pool.start()
        let (epoll, state) = (epoll, state)
        pool.submit { _ in
            while Self.wait(epoll, state) {}
        }
    }

    /// Calls `ready` on `eventLoop` each time that there is something new to read, or an error. It has to read all there
    /// is, or come back by itself: it is told once.
    ///
    /// - Returns: what ends it. To be called before the descriptor is closed.
    func watch(_ descriptor: CInt, on eventLoop: any EventLoop, _ ready: @escaping @Sendable () -> Void) -> () -> Void {
        let id = state.withLockedValue {
            $0.next += 1
            $0.watches[$0.next] = Watch(eventLoop: eventLoop, ready: ready)
            return $0.next
        }
        var event = epoll_event()
        event.events = EPOLLIN.rawValue | EPOLLERR.rawValue | EPOLLET.rawValue
        event.data.u64 = id
        epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event)
        return { [epoll, state] in
            var event = epoll_event()
            epoll_ctl(epoll, EPOLL_CTL_DEL, descriptor, &event)
            state.withLockedValue { $0.watches[id] = nil }
        }
    }

    private static func wait(_ epoll: CInt, _ state: NIOLockedValueBox<State>) -> Bool {
        withUnsafeTemporaryAllocation(of: epoll_event.self, capacity: 64) { events in
            let count = epoll_wait(epoll, events.baseAddress, CInt(events.count), -1)
            guard count >= 0 || errno == EINTR else { return false }
            let watches = state.withLockedValue { state in
                events.prefix(Int(max(count, 0))).compactMap { state.watches[$0.data.u64] }
            }
            for watch in watches { watch.eventLoop.execute(watch.ready) }
            return true
        }
    }
}
