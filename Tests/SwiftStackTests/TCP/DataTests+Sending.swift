// Data that this side sends: how they are cut, joined, bounded and given back (RFC 9293 sections 3.7 and 3.8).

import Testing

extension DataTests {
    /// RFC 9293 section 3.9.1.2 (MUST-61): PSH where the user's data end.
    @Test func aWriteIsCutToSegmentsAndTheLastIsPushed() {
        play(
            """
            established
            write 2500
            > . 1:1001(1000) ack 1 nopush
            > . 1001:2001(1000) ack 1 nopush
            > P. 2001:2501(500) ack 1
            """)
    }

    /// RFC 9293 section 3.7.4: without Nagle's algorithm nothing waits.
    @Test func smallWritesGoAtOnce() {
        play(
            """
            established
            write 1
            > P. 1:2(1) ack 1
            write 1
            > P. 2:3(1) ack 1
            write 10
            > P. 3:13(10) ack 1
            """)
    }

    /// SHLD-27: what could not go yet is joined.
    @Test func writesThatWaitedAreJoined() {
        play(
            """
            established
            link full
            write 300
            write 300
            write 900
            expect nothing
            link open
            > . 1:1001(1000) ack 1
            > P. 1001:1501(500) ack 1
            """)
    }

    /// MUST-40: what is to be acknowledged does not wait until the link takes data again.
    @Test func aFullLinkDoesNotHoldUpAcknowledgments() {
        play(
            """
            established
            link full
            write 5000
            < . 1:2001(2000) ack 1 count 2
            > . 1:1(0) ack 2001
            """)
    }

    @Test func aFullLinkGetsTheRestLater() {
        play(
            """
            offload
            outgoing 1000
            established
            link takes 2
            write 4000
            > . 1:1001(1000)
            > . 1001:2001(1000)
            expect nothing
            link open
            > . 2001:3001(1000)
            > P. 3001:4001(1000)
            """)
    }

    /// Segmentation offload: whole segments leave together, as many as the window has room for.
    @Test func segmentsLeaveJoined() {
        play(
            """
            offload
            established
            write 9500
            > P. 1:9501(9500) ack 1
            """)
    }

    @Test func whileMoreIsToComeOnlyWholeSegmentsLeave() {
        play(
            """
            offload
            outgoing 4500
            established
            write 9500
            > . 1:4001(4000) ack 1 nopush
            > . 4001:8001(4000) ack 1 nopush
            > P. 8001:9501(1500) ack 1
            """)
    }

    /// RFC 9293 section 3.8.6.3 (MUST-58): acknowledgments are not sent alone when there are data to go.
    @Test func anACKRidesOnData() {
        play(
            """
            established
            < P. 1:101(100) ack 1
            +0.01 write 100
            > P. 1:101(100) ack 101
            expect nothing for 0.1
            """)
    }

    @Test func theSendBufferIsBounded() {
        play(
            """
            send buffer 5000
            established
            expect room 5000
            write 8000 takes 5000
            > data 1:5001
            expect room 0
            write 1 takes 0
            +0.1 < . ack 5001
            expect room >=5000
            write 5000
            > data 5001:10001
            """)
    }

    /// What recovery lets leave can be written, however small the window is beside what is in flight.
    @Test func thereIsRoomInRecovery() {
        play(
            """
            send buffer 20000 max 1000000
            established
            write 20000
            skip
            +0.1 < . ack 10001
            skip
            write 30000
            skip
            +0.1 < . ack 10001 <sack 11001:30001>
            skip
            +0.1 < . ack 10001 <sack 11001:35001>
            skip
            +0.1 < . ack 10001 <sack 11001:40001>
            skip
            expect flight 40000
            expect room >=1000
            """)
    }

    @Test func aSmallSendBufferGrowsWithTheConnection() {
        play(
            """
            send buffer 20000 max 1000000
            established
            bulk 1.0 rtt 0.1
            expect flight >=40000
            """)
    }

    /// RFC 5927 section 4.1
    @Test func whatIsInFlightIsKnown() {
        play(
            """
            established
            expect not in flight 1
            write 1000
            > data 1:1001
            expect not in flight 0
            expect in flight 1
            expect in flight 1000
            expect not in flight 1001
            +0.1 < . ack 501
            expect not in flight 500
            expect in flight 501
            """)
    }

    /// RFC 9293 section 3.10.7.4, fifth check: an ACK may end anywhere.
    @Test func anACKMayCoverAPartOfASegment() {
        play(
            """
            established no sack
            write 2000
            > data 1:2001
            +0.1 < . ack 701
            +0.2~+0.4 > . 701:1701(1000)
            +0.1 < . ack 2001
            expect no timer
            """)
    }

    @Test func aLongTransferArrivesWhole() {
        play(
            """
            send buffer 400000
            established
            bulk 0.3 rtt 0.01
            expect flight >=200000
            """)
    }

    @Test func aTransferSurvivesManyLosses() {
        play(
            """
            send buffer 200000
            established
            bulk 0.2 rtt 0.02
            bulk 1.0 rtt 0.02 loses 1
            bulk 1.0 rtt 0.02 loses 20
            bulk 3.0 rtt 0.02 loses 300
            expect flight >=10000
            """)
    }
}
