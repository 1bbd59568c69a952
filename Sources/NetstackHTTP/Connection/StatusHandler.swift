// Whether what a server answers over HTTP/2 is a status at all.

import NIOCore
import NIOHTTP2

/// Stands before the conversion to the parts of HTTP/1, which ends the process where a status is empty or negative.
final class StatusHandler: ChannelInboundHandler {
    typealias InboundIn = HTTP2Frame.FramePayload
    typealias InboundOut = HTTP2Frame.FramePayload

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if case .headers(let frame) = unwrapInboundIn(data),
            let status = frame.headers.first(where: { $0.name == ":status" }),
            !Self.isValid(status.value)
        {
            return context.fireErrorCaught(NIOHTTP2Errors.invalidStatusValue(status.value))
        }
        context.fireChannelRead(data)
    }

    /// RFC 9110 section 15: from 100 to 599. Larger ones of three digits are left to the user.
    private static func isValid(_ status: String) -> Bool {
        status.utf8.count == 3 && status.utf8.first != UInt8(ascii: "0")
            && status.utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
    }
}
