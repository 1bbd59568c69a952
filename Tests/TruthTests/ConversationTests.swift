// Conversations of real clients with servers that are slow, silent, deaf or rude.

import TestSupport
import Testing

extension TruthTests {
    @Suite(.inNetwork) struct ConversationTests {
        @Test(arguments: Way.allCases)
        func aServerThatNeverAnswersTimesOutAtTheClient(_ way: Way) async throws {
            let result = try await Network.shared.shell(way, "curl -sS --max-time 2 http://10.77.0.1:3002/")
            #expect(result.status == 28, "\(result.output)")
        }

        @Test(arguments: Way.allCases, ["10.77.0.1", "[fd77::1]"])
        func aClientThatClosesItsHalfGetsItsAnswer(_ way: Way, _ host: String) async throws {
            let line = "head -c 3000000 /dev/zero | socat -t 20 - TCP:\(host):3001"
            let result = try await Network.shared.shell(way, line)
            #expect(result.output == "3000000 bytes\n")
            #expect(result.status == 0)
        }

        @Test(arguments: Way.allCases)
        func aClientThatOnlySendsIsDone(_ way: Way) async throws {
            let network = try Network.shared
            let only = try await network.shell(way, "head -c 100000 /dev/zero | ncat --send-only 10.77.0.1 3001")
            #expect(only.output == "")
            #expect(only.status == 0)
            let both = try await network.shell(way, "head -c 100000 /dev/zero | ncat 10.77.0.1 3001")
            #expect(both.output == "100000 bytes\n")
        }

        @Test(arguments: Way.allCases)
        func aByteASecondComesAsAByteASecond(_ way: Way) async throws {
            let client = """
                import socket
                peer = socket.create_connection(("10.77.0.1", 3004))
                while data := peer.recv(100):
                    print(data.decode().strip(), end=",")
                """
            let result = try await Network.shared.run(way, "python3", "-c", client)
            #expect(result.output == "s,l,o,w,,")
        }

        @Test(arguments: Way.allCases)
        func aResetAfterAMebibyteIsAReset(_ way: Way) async throws {
            let client = """
                import errno, socket
                peer = socket.create_connection(("10.77.0.1", 3005))
                count = 0
                try:
                    while count < 1 << 20:
                        count += len(peer.recv(1 << 16))
                    peer.sendall(b"x")
                    peer.recv(1)
                    print(count, "end")
                except OSError as error:
                    print(count, errno.errorcode[error.errno])
                """
            let result = try await Network.shared.run(way, "python3", "-c", client)
            #expect(result.output == "1048576 ECONNRESET\n")
        }

        /// What fits into the buffers on the way is taken, and no more.
        @Test(arguments: Way.allCases)
        func aServerThatNeverReadsMakesItsClientWait(_ way: Way) async throws {
            let client = """
                import socket
                peer = socket.create_connection(("10.77.0.1", 3003))
                peer.settimeout(3)
                count = 0
                try:
                    while count < 64 << 20:
                        count += peer.send(bytes(1 << 16))
                    print("takes everything")
                except TimeoutError:
                    print("waits")
                """
            let result = try await Network.shared.run(way, "python3", "-c", client)
            #expect(result.output == "waits\n")
        }
    }
}
