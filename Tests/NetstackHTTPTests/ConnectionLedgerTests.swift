// The state of the pool, and what the end of an exchange means for a connection.

import HTTPTypes
import NetstackHTTP
import Testing

final class ConnectionLedgerTests {
    private struct Connection: Identifiable, Hashable {
        let id: Int
    }

    private struct Session: Identifiable, Hashable {
        let id: Int
    }

    private typealias Ledger = ConnectionLedger<Connection, Session, Int>
    private final class Ticket {}

    private let plain: HTTPOrigin
    private let secure: HTTPOrigin
    private var ledger = Ledger(limits: .init(connections: 3, idle: 2, waiting: 2))

    init() throws {
        plain = try HTTPURL("http://a/").origin
        secure = try HTTPURL("https://a/").origin
    }

    private func take(_ origin: HTTPOrigin, wantsFresh: Bool) -> String? {
        ledger.take(origin, wantsFresh: wantsFresh)?.text
    }

    private func surplus(_ connection: Connection, _ origin: HTTPOrigin) -> Int? {
        ledger.put(connection, origin).surplus?.id
    }

    private func line(_ waiter: Int, _ ticket: ObjectIdentifier, for origin: HTTPOrigin, wantsFresh: Bool) -> Bool {
        ledger.wait(waiter, ticket, for: origin, wantsFresh: wantsFresh)
    }

    private func leave(_ ticket: ObjectIdentifier, _ origin: HTTPOrigin) -> Int? { ledger.leave(ticket, origin) }

    /// What those who wait get by a change.
    private func after(_ change: (inout Ledger) -> Ledger.Grants) -> [String] { change(&ledger).text() }

    /// Opens connections as if they had been asked for.
    private func open(_ ids: ClosedRange<Int>, to origin: HTTPOrigin) {
        for id in ids {
            #expect(take(origin, wantsFresh: true) == "opening")
            #expect(after { $0.opened(Connection(id: id), origin) } == [])
        }
    }

    /// Lets requests wait.
    private func wait(_ waiters: ClosedRange<Int>, for origin: HTTPOrigin) -> [Ticket] {
        waiters.map { waiter in
            let ticket = Ticket()
            #expect(take(origin, wantsFresh: false) == nil)
            #expect(line(waiter, ObjectIdentifier(ticket), for: origin, wantsFresh: false))
            return ticket
        }
    }

    @Test func handsOutTheConnectionUsedLast() {
        open(1...2, to: plain)
        for id in 1...2 { #expect(surplus(Connection(id: id), plain) == nil) }
        #expect(take(secure, wantsFresh: false) == "opening")
        for id in [2, 1] { #expect(take(plain, wantsFresh: false) == "connection \(id)") }
        #expect(take(plain, wantsFresh: false) == "opening")
    }

    @Test func givesUpTheLongestWaitingConnectionAboveTheLimit() {
        open(1...3, to: plain)
        for id in 1...2 { #expect(surplus(Connection(id: id), plain) == nil) }
        #expect(surplus(Connection(id: 3), plain) == 1)
    }

    @Test func forgetsClosedConnections() {
        open(1...1, to: plain)
        #expect(surplus(Connection(id: 1), plain) == nil)
        #expect(after { $0.remove(1, plain) } == [])
        #expect(ledger.connectionCount == 0)
        // Its end can be reported before it is put back.
        #expect(surplus(Connection(id: 1), plain) == 1)
    }

    @Test func opensNoMoreThanTheLimitAndThenServesInTurn() {
        open(1...3, to: plain)
        let tickets = wait(1...2, for: plain)
        #expect(!line(3, ObjectIdentifier(Ticket()), for: plain, wantsFresh: false))
        #expect(after { $0.put(Connection(id: 2), plain).1 } == ["1: connection 2"])
        #expect(after { $0.remove(3, plain) } == ["2: opening"])
        #expect(after { $0.failedToOpen(plain) } == [])
        withExtendedLifetime(tickets) {}
    }

    @Test func aRequestThatWantsAFreshConnectionTakesAKeptOneOnlyAtTheLimit() {
        open(1...2, to: plain)
        for id in 1...2 { #expect(surplus(Connection(id: id), plain) == nil) }
        #expect(take(plain, wantsFresh: true) == "opening")
        #expect(take(plain, wantsFresh: true) == "connection 2")
    }

    @Test func whoeverMayShareASessionWaitsForTheFirstConnection() {
        #expect(take(secure, wantsFresh: false) == "opening")
        let tickets = wait(1...2, for: secure)
        #expect(after { $0.opened(Session(id: 7), streamLimit: 2, secure) } == ["1: stream 7"])
        #expect(after { $0.streamClosed(of: 7, secure) } == ["2: stream 7"])
        #expect(take(secure, wantsFresh: false) == nil)
        #expect(after { $0.setStreamLimit(3, of: 7, secure) } == [])
        #expect(take(secure, wantsFresh: false) == "stream 7")
        withExtendedLifetime(tickets) {}
    }

    @Test func connectionsAreOpenedSideBySideOnceNothingCanBeShared() {
        #expect(take(secure, wantsFresh: false) == "opening")
        let tickets = wait(1...2, for: secure)
        #expect(after { $0.opened(Connection(id: 1), secure) } == ["1: opening", "2: opening"])
        withExtendedLifetime(tickets) {}
    }

    @Test func oneThatFailsToOpenLetsTheNextTry() {
        #expect(take(secure, wantsFresh: false) == "opening")
        let tickets = wait(1...1, for: secure)
        #expect(after { $0.failedToOpen(secure) } == ["1: opening"])
        withExtendedLifetime(tickets) {}
    }

    @Test func aRetiredSessionIsReplacedButNotForgotten() {
        #expect(take(secure, wantsFresh: false) == "opening")
        #expect(after { $0.opened(Session(id: 1), streamLimit: 100, secure) } == [])
        #expect(after { $0.retire(1, secure) } == [])
        #expect(take(secure, wantsFresh: false) == "opening")
        #expect(after { $0.opened(Session(id: 2), streamLimit: 100, secure) } == [])
        #expect(ledger.connectionCount == 2)
        #expect(after { $0.removeSession(1, secure) } == [])
        #expect(take(secure, wantsFresh: false) == "stream 2")
        let sessions = ledger.shutDown().sessions
        #expect(sessions.map(\.id) == [2])
    }

    @Test func whoeverLeavesTheLineGetsNothing() {
        open(1...3, to: plain)
        let tickets = wait(1...2, for: plain)
        #expect(leave(ObjectIdentifier(tickets[0]), plain) == 1)
        #expect(leave(ObjectIdentifier(tickets[0]), plain) == nil)
        #expect(after { $0.put(Connection(id: 1), plain).1 } == ["2: connection 1"])
    }

    @Test func shutdownNamesAllConnectionsAndAllThatWait() {
        open(1...3, to: plain)
        let tickets = wait(1...1, for: plain)
        let (connections, sessions, waiters) = ledger.shutDown()
        #expect(Set(connections.map(\.id)) == [1, 2, 3])
        #expect(sessions.isEmpty && waiters == [1])
        #expect(ledger.isShutDown)
        #expect(surplus(Connection(id: 2), plain) == 2)
        withExtendedLifetime(tickets) {}
    }
}

extension ConnectionGrant where Connection: Identifiable<Int>, Session: Identifiable<Int> {
    fileprivate var text: String {
        switch self {
        case .connection(let connection): "connection \(connection.id)"
        case .stream(let session): "stream \(session.id)"
        case .opening: "opening"
        }
    }
}

extension Array {
    fileprivate func text<Connection: Identifiable<Int>, Session: Identifiable<Int>>() -> [String]
    where Element == (waiter: Int, grant: ConnectionGrant<Connection, Session>) {
        map { "\($0.waiter): \($0.grant.text)" }
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
