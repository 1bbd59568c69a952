// DNS messages, and what users write: addresses, names, routes.

import NIOCore
import Netstack
import VNI

extension FuzzTarget {
    /// What is read as a message is written and read as the same, and its names are within their limits.
    func checkDNSMessage(_ script: inout Script) throws(Finding) {
        let bytes = ByteBuffer(bytes: script.rest())
        guard let message = try? DNSMessage(parsing: bytes.readableBytesSpan) else { return }
        let again = try? DNSMessage(parsing: message.encoded().readableBytesSpan)
        try Finding.require(again == message, "\(message) is written and read as \(String(describing: again))")
        for limit in [DNSMessage.maximumPlainLength, Int(EDNS.payloadSize)] {
            let bounded = message.encoded(limit: limit)
            try Finding.require(bounded.readableBytes <= limit, "\(bounded.readableBytes) bytes are beyond \(limit)")
            let read = try? DNSMessage(parsing: bounded.readableBytesSpan)
            try Finding.require(read?.question == message.question, "a message cut short has its question")
            let isWhole = read?.answers == message.answers
            try Finding.require(isWhole || read?.flags.contains(.truncated) == true, "what is left out shows")
        }
        if let question = message.question {
            let addresses = message.addresses(for: question)
            try Finding.require(addresses.count <= message.answers.count, "an address has a record")
            try check(question.name)
        }
        for record in message.answers { try check(record.name) }
    }

    private func check(_ name: DNSName) throws(Finding) {
        try Finding.require((1...255).contains(name.wire.count) && name.wire.last == 0, "a name is 255 bytes at most")
        let labels = name.labels
        try Finding.require(labels.allSatisfy { (1...63).contains($0.count) }, "a label is 63 bytes at most")
        try Finding.require(labels.reduce(1) { $0 + $1.count + 1 } == name.wire.count, "a name is its labels")
        _ = name.reverseAddress
        try Finding.require(name.isWithin("."), "all names are below the root")
        if name.isHostName, !labels.isEmpty {
            try Finding.require((try? DNSName("\(name)")) == name, "\(name) is read as itself")
        }
    }

    /// What is read from a text is read again, and the same, from what it prints.
    func checkText(_ script: inout Script) throws(Finding) {
        let text = String(decoding: script.rest(), as: UTF8.self)
        func check<Value: Equatable>(_ parse: (String) throws(NetstackError) -> Value) throws(Finding) {
            do {
                let value = try parse(text)
                let again = try parse("\(value)")
                try Finding.require(value == again, "\(value) is read as \(again)")
            } catch let finding as Finding {
                throw finding
            } catch NetstackError.malformed(_, let shown, _) {
                try Finding.require(shown.unicodeScalars.count <= 101, "an error shows little of the text")
            } catch {
                throw Finding(description: "\(error)")
            }
        }
        try check { (text) throws(NetstackError) in try IPv4Address(text) }
        try check { (text) throws(NetstackError) in try IPv6Address(text) }
        try check { (text) throws(NetstackError) in try IPAddress(text) }
        try check { (text) throws(NetstackError) in try TransportAddress(text) }
        try check { (text) throws(NetstackError) in try CIDRBlock(text) }
        try check { (text) throws(NetstackError) in try DNSName(text) }
        try check { (text) throws(NetstackError) in try ExposedRoute(text) }
    }
}
