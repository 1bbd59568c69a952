// The state of the pool, and what the end of an exchange means for a connection.

import HTTPTypes
import NetstackHTTP
import Testing

struct IdleConnectionsTests {
    private struct Connection: Identifiable, Hashable {
        let id: Int
    }

    private let a: HTTPOrigin
    private let b: HTTPOrigin

    init() throws {
        a = try HTTPURL("http://a/").origin
        b = try HTTPURL("https://a/").origin
    }

    @Test func handsOutTheConnectionUsedLast() {
        var pool = IdleConnections<Connection>(limit: 8)
        for id in 1...3 {
            #expect(pool.insert(Connection(id: id)) == true)
            #expect(pool.put(Connection(id: id), a) == nil)
        }
        #expect(pool.take(a)?.id == 3)
        #expect(pool.take(a)?.id == 2)
        #expect(pool.take(b) == nil)
        #expect(pool.take(a)?.id == 1)
        #expect(pool.take(a) == nil)
    }

    @Test func givesUpTheLongestWaitingConnectionAboveTheLimit() {
        var pool = IdleConnections<Connection>(limit: 2)
        for id in 1...3 {
            #expect(pool.insert(Connection(id: id)) == true)
        }
        #expect(pool.put(Connection(id: 1), a) == nil)
        #expect(pool.put(Connection(id: 2), a) == nil)
        #expect(pool.put(Connection(id: 3), a)?.id == 1)
        #expect(pool.waiting.map(\.id) == [2, 3])
    }

    @Test func forgetsClosedConnections() {
        var pool = IdleConnections<Connection>(limit: 2)
        #expect(pool.insert(Connection(id: 1)) == true)
        #expect(pool.put(Connection(id: 1), a) == nil)
        pool.remove(1, a)
        #expect(pool.take(a) == nil)
        // Its end can be reported before it is put back.
        #expect(pool.put(Connection(id: 1), a)?.id == 1)
    }

    @Test func takesNothingAfterShutdown() {
        var pool = IdleConnections<Connection>(limit: 2)
        for id in 1...2 {
            #expect(pool.insert(Connection(id: id)) == true)
        }
        #expect(pool.put(Connection(id: 1), a) == nil)
        #expect(Set(pool.shutDown().map(\.id)) == [1, 2])
        #expect(pool.insert(Connection(id: 3)) == false)
        #expect(pool.put(Connection(id: 2), a)?.id == 2)
        #expect(pool.take(a) == nil)
    }
}

struct ExchangeProgressTests {
    private func progress(_ request: Bool = true, _ response: Bool = true) -> ExchangeProgress {
        var progress = ExchangeProgress(requestPersists: request)
        progress.responseDidBegin(.ok, persists: response)
        return progress
    }

    @Test func reusesAConnectionWhenBothSidesLetIt() {
        for (request, response) in [(true, true), (true, false), (false, true), (false, false)] {
            var progress = progress(request, response)
            #expect(progress.requestDidEnd() == .unfinished)
            #expect(progress.responseDidEnd() == .finished(connectionIsReusable: request && response))
        }
    }

    @Test func waitsForTheRequestWhenTheServerReportsSuccess() {
        var progress = progress()
        #expect(progress.responseDidEnd() == .unfinished)
        #expect(progress.requestDidEnd() == .finished(connectionIsReusable: true))
    }

    @Test func stopsARequestTheServerRefuses() {
        var progress = ExchangeProgress(requestPersists: true)
        progress.responseDidBegin(.contentTooLarge, persists: true)
        #expect(progress.responseDidEnd() == .finished(connectionIsReusable: false))
    }
}
